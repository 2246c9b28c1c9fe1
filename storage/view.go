package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// A view is a tree that is mounted in the host's own mount table, for tools that want a path. That table is all that is known
// of views: what it does not have is not mounted, whoever unmounted it. A view is read-only, so that it is in nobody's way: an
// instance can be started, and stopped, under it. Its source names it: "sysctl:ID[:LAYER]@DIR", of a snapshot with the
// beginning of its uppermost layer.

// Mount mounts a tree on an empty directory of the host, with ids as in the guest, read-only, and so that nothing in it
// has power over the host: no device, no set-user-id program. Kinds: NotFound and Invalid, the directory; Conflict, it is
// not empty, or in the store; as OpenComparison.
func (s *Store) Mount(ctx context.Context, inst int64, side sysctl.Side, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := s.mountPoint(dir)
	if err != nil {
		return err
	}
	if err := s.viewable(ctx, side); err != nil {
		return err
	}
	dirs, err := s.paths(side)
	if err != nil {
		return err
	}
	if len(dirs) < 2 { // an image is below every instance and snapshot
		return sysctl.E(sysctl.Invalid, "one layer cannot be stacked")
	}
	if own := home(s.instance(side.Instance)); side.Instance != 0 && own != s.instance(side.Instance) { // inode numbers are its own subvolume's
		n := len(dirs) - 1
		have := s.ownPaths(s.instance(side.Instance), dirs[:n])
		if !slices.ContainsFunc(have, func(path string) bool { there, err := exists(path); return !there || err != nil }) {
			dirs = append(have, dirs[n])
		}
	}
	layer := ""
	if side.Instance == 0 {
		layer = side.Layers[len(side.Layers)-1]
	}
	f, err := stack{lowers: dirs, base: s.layers(), source: s.viewSource(inst, layer)}.open(sysctl.IDMap{})
	if err != nil {
		return sysctl.Wrap(err, "open tree")
	}
	defer f.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return sysctl.Wrap(err, "make it read-only")
	}
	return sysctl.Wrap(unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH), "mount on %s", dir)
}

// viewable gives an upper that is to be shown the guest's ids, where it has the host's: from then on until the instance is
// started. The kind is Unsupported where it runs.
func (s *Store) viewable(ctx context.Context, side sysctl.Side) error {
	if side.Instance == 0 {
		return nil
	}
	dir := s.instance(side.Instance)
	have, err := readIDs(dir)
	if err != nil || !have.there() {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = s.setIDs(soon, dir, sysctl.IDMap{}, nil)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		return sysctl.E(sysctl.Unsupported, "while it runs its files have other ids than in the guest, as this host cannot shift those of layers: stop it, or mount a snapshot").
			WithHint("sysctl check")
	}
	return err
}

// mountPoint checks a directory to mount on, and returns its path without links.
func (s *Store) mountPoint(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return "", sysctl.E(sysctl.NotFound, "%s: there is no such directory", dir).WithHint("mkdir %s", dir)
	}
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return "", err
	}
	list, err := os.ReadDir(real)
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return "", sysctl.E(sysctl.Invalid, "%s is no directory", dir)
	case err != nil:
		return "", err
	case real == s.dir || strings.HasPrefix(real, s.dir+"/"):
		return "", sysctl.E(sysctl.Conflict, "%s is in %s, where instances live", dir, s.dir)
	case len(list) > 0:
		return "", sysctl.E(sysctl.Conflict, "%s is not empty, or mounted on already", dir)
	}
	return real, nil
}

// viewSource is the source of a view's mount. It must be short: a mount option is.
func (s *Store) viewSource(inst int64, layer string) string {
	name := strconv.FormatInt(inst, 10)
	if layer != "" {
		name += ":" + layer[:min(len(layer), 16)]
	}
	dir := s.dir
	if len(dir) > 200 {
		dir = dir[len(dir)-200:]
	}
	return "sysctl:" + name + "@" + dir
}

// Views lists the views that there are in this mount namespace, the newest last.
func (s *Store) Views() ([]sysctl.View, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(b, []byte(" sysctl:")) {
		return nil, nil
	}
	return s.viewsOf(string(b)), nil
}

// viewsOf reads mountinfo (proc(5)): ID PARENT DEVICE ROOT POINT OPTIONS TAG... - TYPE SOURCE OPTIONS.
func (s *Store) viewsOf(mountinfo string) []sysctl.View {
	_, suffix, _ := strings.Cut(s.viewSource(0, ""), "@")
	var list []sysctl.View
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(g) < 2 || g[0] != "overlay" {
			continue
		}
		rest, ours := strings.CutPrefix(unescape(g[1]), "sysctl:")
		name, dir, _ := strings.Cut(rest, "@")
		id, layer, _ := strings.Cut(name, ":")
		n, err := strconv.ParseInt(id, 10, 64)
		if !ours || dir != suffix || err != nil {
			continue
		}
		list = append(list, sysctl.View{Instance: n, Layer: layer, Dir: unescape(f[4])})
	}
	return list
}

// Unmount takes a view away. With detach also one in use, which is gone when its last user is. Absent is success. The kind
// is Busy where it is in use.
func (s *Store) Unmount(v sysctl.View, detach bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if detach {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(v.Dir, flags)
	switch err {
	case nil, unix.EINVAL, unix.ENOENT:
		return nil
	case unix.EBUSY:
		return sysctl.E(sysctl.Busy, "%s is in use", v.Dir).WithHint("sysctl umount --force %s", v.Dir)
	}
	return fmt.Errorf("unmount %s: %w", v.Dir, err)
}

// detachViews takes away the views that a condition fits, before what they show is.
func (s *Store) detachViews(which func(v sysctl.View) bool) error {
	list, err := s.Views()
	for _, v := range list {
		if which(v) {
			err = errors.Join(err, s.Unmount(v, true))
		}
	}
	return err
}
