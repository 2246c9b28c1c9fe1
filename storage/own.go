package storage

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// On btrfs only a subvolume can have a quota. An instance whose root disk has a size has one of its own, with all that its overlay is
// made of: its upper, and copies of its layers, whose files share their blocks with the layers. (On layers of another subvolume it would
// see two files with the same device and inode number, which are one to every program that asks.)
//
//	instances/ID/own/{upper,work,next}     as elsewhere in instances/ID
//	instances/ID/own/layers/KEY/fs         a copy of a layer; in made.json what the subvolume has grown by it
//	instances/ID/own/gone/                 on its way out
//	instances/ID/own.new                   such a subvolume under construction
//	trash/qgroup.NUMBER                    the quota of a subvolume that is gone, which the kernel holds yet

const (
	ownName  = "own"
	ownNew   = "own.new"
	ownGone  = "gone"
	ownParts = "layers"
	qgroup   = "qgroup."
)

// home is the directory that has the upper, work and next of the instance in dir.
func home(dir string) string {
	own := filepath.Join(dir, ownName)
	if there, _ := exists(own); there {
		return own
	}
	return dir
}

// ownOf is the root of an instance's own subvolume that a path is in.
func ownOf(path string) string {
	const inside = "/" + ownName + "/"
	return path[:max(strings.LastIndex(path, inside), 0)+len(inside)-1]
}

// limitOwn is limitUpper on btrfs.
func (s *Store) limitOwn(ctx context.Context, dir string, size int64, running bool) (bool, error) {
	own := filepath.Join(dir, ownName)
	there, err := exists(own)
	if err == nil && !running {
		err = s.tidyOwn(ctx, dir, there)
	}
	if err != nil || !there && size == 0 {
		return err == nil, err
	}
	d, err := openDir(dir)
	if err != nil {
		return false, err
	}
	defer unix.Close(d)
	if size > 0 {
		if err := checkQgroups(d, s.dir, false); err != nil {
			return false, err
		}
	}
	if !there {
		if running {
			return false, nil
		}
		if err := s.makeOwn(ctx, dir); err != nil {
			return false, err
		}
	}
	fd, err := openDir(own)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if size == 0 {
		return true, limitSubvolume(fd, 0)
	}
	base, known, err := ownBase(own)
	if err == nil && !known { // they were copied while nobody counted
		if running {
			return false, nil
		}
		base, err = 0, s.dropParts(ctx, own)
	}
	if err != nil {
		return false, err
	}
	return true, limitSubvolume(fd, base+(size+1023)/1024*1024)
}

// tidyOwn removes what interrupted calls have left of a stopped instance, which has its own subvolume or not.
func (s *Store) tidyOwn(ctx context.Context, dir string, own bool) error {
	left := []string{ownNew}
	if own {
		left = append(left, "upper", "work") // as they were before
	}
	for _, name := range left {
		if err := s.discard(ctx, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if !own {
		return nil
	}
	if err := unlimitOwn(dir); err != nil { // of a full one nothing could be moved
		return err
	}
	return removeTree(ctx, filepath.Join(dir, ownName, ownGone))
}

// dropParts removes all copies of layers.
func (s *Store) dropParts(ctx context.Context, own string) error {
	parts, err := os.ReadDir(filepath.Join(own, ownParts))
	for _, e := range parts {
		err = errors.Join(err, s.discard(ctx, filepath.Join(own, ownParts, e.Name())))
	}
	return err
}

// makeOwn moves what a stopped instance has written into a subvolume of its own. Its files share their blocks with those that were.
// Killed at any moment, it has moved all or nothing.
func (s *Store) makeOwn(ctx context.Context, dir string) (err error) {
	if err := s.detachViews(func(v sysctl.View) bool { return v.Layer == "" && s.instance(v.Instance) == dir }); err != nil {
		return err
	}
	made := filepath.Join(dir, ownNew)
	if err := makeSubvolume(made); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.discard(context.WithoutCancel(ctx), made))
		}
	}()
	for _, name := range []string{"upper", "work", ownParts} {
		if err := os.Mkdir(filepath.Join(made, name), 0o700); err != nil {
			return err
		}
	}
	if _, err := copyTree(ctx, filepath.Join(dir, "upper"), filepath.Join(made, "upper"), asIs, "give it a subvolume", nil); err != nil {
		return err
	}
	if err := syncFilesystem(made); err != nil {
		return err
	}
	if err := os.Rename(made, filepath.Join(dir, ownName)); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	return s.tidyOwn(ctx, dir, true)
}

// unlimitOwn takes the limit of an instance's own subvolume away, where it has one, until it is started: what a command makes there must
// not fail for what the guest has written.
func unlimitOwn(dir string) error {
	fd, err := openDir(filepath.Join(dir, ownName))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return limitSubvolume(fd, 0)
}

// liftOwn takes the limit away until again is called: for overlay, which without room for its work comes up read-only.
func liftOwn(own string) (again func() error, err error) {
	fd, err := openDir(own)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(fd)
	if err == nil && limit > 0 {
		err = limitSubvolume(fd, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return func() error {
		defer unix.Close(fd)
		if limit == 0 {
			return nil
		}
		return limitSubvolume(fd, limit)
	}, nil
}

// partMade is what is noted beside a copy of a layer.
type partMade struct {
	Bytes int64 `json:"bytes"` // that the subvolume has grown by it; -1: nobody has counted
}

// ownBase is how much of a subvolume is copies of layers: not the guest's to account for.
func ownBase(own string) (base int64, known bool, err error) {
	parts, err := os.ReadDir(filepath.Join(own, ownParts))
	if err != nil {
		return 0, false, err
	}
	known = true
	for _, e := range parts {
		b, err := os.ReadFile(filepath.Join(own, ownParts, e.Name(), madeName))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is half made
		}
		var made partMade
		if err == nil {
			err = json.Unmarshal(b, &made)
		}
		if err != nil {
			return 0, false, sysctl.Wrap(err, "what a copy of layer %s takes", e.Name())
		}
		known = known && made.Bytes >= 0
		base += max(made.Bytes, 0)
	}
	return base, known, nil
}

// over mounts the upper of the instance in dir on layers, lowest first, as soon as it is free.
func (s *Store) over(ctx context.Context, dir string, lowers []string, m sysctl.IDMap, p sysctl.Progress) (f *os.File, err error) {
	upper := home(dir)
	if upper != dir {
		if lowers, err = s.ownLayers(ctx, dir, lowers, p); err != nil {
			return nil, err
		}
		var again func() error
		if again, err = liftOwn(upper); err != nil {
			return nil, err
		}
		defer func() {
			if failure := again(); failure != nil && err == nil {
				f.Close()
				f, err = nil, failure
			}
		}()
	}
	return whenFree(ctx, func() (*os.File, error) { return stack{upper: upper, lowers: lowers, base: s.layers()}.open(m) })
}

// ownPaths are the copies that an instance's own subvolume has, or is to have, of layers.
func (s *Store) ownPaths(dir string, lowers []string) []string {
	own := make([]string, len(lowers))
	for i, path := range lowers {
		key, _ := filepath.Rel(s.dir, filepath.Dir(path)) // layers/ID, shifted/RANGE/ID
		own[i] = filepath.Join(dir, ownName, ownParts, strings.ReplaceAll(key, "/", "."), "fs")
	}
	return own
}

// ownLayers has an instance's own subvolume have copies of layers, and of no others. The instance is stopped, but where nothing is missing.
func (s *Store) ownLayers(ctx context.Context, dir string, lowers []string, p sysctl.Progress) ([]string, error) {
	paths := s.ownPaths(dir, lowers)
	parts := filepath.Join(dir, ownName, ownParts)
	entries, err := os.ReadDir(parts)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[filepath.Join(parts, e.Name(), "fs")] = true
	}
	missing := map[string]string{}
	for i, path := range paths {
		if !there[path] {
			missing[path] = lowers[i]
		}
		delete(there, path)
	}
	if len(missing)+len(there) == 0 {
		return paths, nil
	}
	return paths, sysctl.Wrap(s.wayOut(s.changeParts(ctx, dir, there, missing, p)), "copy its layers beside what it writes")
}

// changeParts removes copies of layers and makes others. It leaves the guest as much room as there was.
func (s *Store) changeParts(ctx context.Context, dir string, gone map[string]bool, missing map[string]string, p sysctl.Progress) (err error) {
	own := filepath.Join(dir, ownName)
	fd, err := openDir(own)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	limit, err := limitOf(fd)
	if err != nil {
		return err
	}
	counted := true
	switch err := checkQgroups(fd, s.dir, true); {
	case err != nil && limit > 0:
		return err
	case err != nil:
		counted = false
	}
	if limit > 0 {
		was, _, err := ownBase(own)
		if err != nil {
			return err
		}
		if err := limitSubvolume(fd, 0); err != nil {
			return err
		}
		defer func() {
			now, _, failure := ownBase(own)
			if failure == nil {
				failure = limitSubvolume(fd, limit-was+now)
			}
			err = errors.Join(err, failure)
		}()
	}
	if err := s.detachViews(func(v sysctl.View) bool { return v.Layer == "" && s.instance(v.Instance) == dir }); err != nil {
		return err
	}
	for path := range gone {
		if err := s.discard(ctx, filepath.Dir(path)); err != nil {
			return err
		}
	}
	for to, from := range missing {
		if err := s.copyPart(ctx, fd, from, filepath.Dir(to), counted, p); err != nil {
			return err
		}
	}
	return syncDir(filepath.Join(own, ownParts))
}

// copyPart copies a layer, which the instance keeps from being deleted, into the open subvolume.
func (s *Store) copyPart(ctx context.Context, own int, layer, part string, counted bool, p sysctl.Progress) (err error) {
	if there, err := exists(layer); err != nil || !there {
		return errors.Join(err, sysctl.E(sysctl.NotFound, "%s is missing", layer))
	}
	tmp := filepath.Join(filepath.Dir(part), ".new") // of one that was killed nothing is left: it is none of the layers
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(context.WithoutCancel(ctx), tmp))
		}
	}()
	if err := os.MkdirAll(filepath.Join(tmp, "fs"), 0o700); err != nil {
		return err
	}
	subvolume, err := subvolumeOf(own)
	if err != nil {
		return err
	}
	count := func() (int64, error) {
		if err := unix.Syncfs(own); err != nil || !counted {
			return 0, err
		}
		return referenced(own, subvolume)
	}
	before, err := count()
	if err != nil {
		return err
	}
	if _, err := copyTree(ctx, layer, filepath.Join(tmp, "fs"), asIs, "copy a layer beside what it writes", p); err != nil {
		return err
	}
	after, err := count()
	if err != nil {
		return err
	}
	made := partMade{Bytes: max(after-before, 0)}
	if !counted {
		made.Bytes = -1
	}
	b, err := json.Marshal(made)
	if err == nil {
		err = WriteFileSync(filepath.Join(tmp, madeName), b, 0o600)
	}
	if err == nil {
		err = os.Rename(tmp, part)
	}
	return err
}

// removeGone removes what is in the trash. Subvolumes stand at its top or in an instance's directory only, and go as a whole.
func (s *Store) removeGone(ctx context.Context, path string) error {
	for _, at := range []string{path, filepath.Join(path, ownName), filepath.Join(path, ownNew)} {
		subvolume, err := subvolumeAt(at)
		if err != nil || subvolume == 0 {
			continue
		}
		s.removeSubvolume(at, subvolume) // what is left of it, or wrong with it, removeTree finds
	}
	return removeTree(ctx, path)
}

// removeSubvolume removes one, and notes that its quota is to go, which the kernel lets go of some time after that.
func (s *Store) removeSubvolume(path string, subvolume uint64) error {
	if _, err := s.dropQgroups(); err != nil { // of those before
		return err
	}
	note := filepath.Join(s.trash(), qgroup+strconv.FormatUint(subvolume, 10))
	f, err := os.OpenFile(note, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = volumeCall(path, btrfsDestroy)
	}
	return err
}

// dropQgroups removes the quotas of subvolumes that are gone, as far as the kernel lets them go yet, and reports whether all are.
func (s *Store) dropQgroups() (all bool, err error) {
	entries, err := os.ReadDir(s.trash())
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	fd := -1
	all = true
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), qgroup)
		if !ours {
			continue
		}
		subvolume, failure := strconv.ParseUint(number, 10, 64)
		if failure == nil && fd < 0 {
			if fd, failure = openDir(s.trash()); failure == nil {
				defer unix.Close(fd)
			}
		}
		dropped := false
		if failure == nil {
			dropped, failure = dropQgroup(fd, subvolume)
		}
		if dropped {
			failure = os.Remove(filepath.Join(s.trash(), e.Name()))
		}
		if failure != nil && !errors.Is(failure, fs.ErrNotExist) {
			err = errors.Join(err, failure)
		}
		all = all && dropped
	}
	return all, err
}

// cleaning is how long the kernel may take to let go of the subvolumes that are gone.
const cleaning = 30 * time.Second

// WaitQgroups removes the quotas of subvolumes that are gone, for which it waits until the kernel has let them go: before their last note
// is removed with the store. Elsewhere than on btrfs it does nothing. Kind: Busy, the kernel takes too long.
func (s *Store) WaitQgroups(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(cleaning)
	defer limit.Stop()
	for {
		all, err := s.dropQgroups()
		if all || err != nil {
			return sysctl.Wrap(err, "remove quotas")
		}
		fd, err := openDir(s.trash())
		if err != nil {
			return err
		}
		err = btrfsIoctl(fd, btrfsSync, nil) // which has the kernel go on with it
		unix.Close(fd)
		if err != nil {
			return os.NewSyscallError("sync btrfs", err)
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return sysctl.E(sysctl.Busy, "the kernel has not let go of subvolumes that were removed").WithHint("btrfs subvolume sync %s", s.dir)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
