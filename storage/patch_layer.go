package storage

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// StagePatched stages a layer that lies on top of others and holds copies of those of their files in which find has
// something to change, changed. A copy has size, time, mode, owner and extended attributes of the original, and so has
// each directory it lies in; hard links stay links of one file. The layers below are only read. Staging is nil where
// there is nothing to change. Kinds as OpenRoot.
func (s *Store) StagePatched(ctx context.Context, layers []string, find sysctl.Finder, p sysctl.Progress) (*Staging, sysctl.PatchedFiles, error) {
	found := sysctl.PatchedFiles{Files: map[string][]sysctl.Patch{}}
	below, err := s.OpenLayers(ctx, layers)
	if err != nil {
		return nil, found, err
	}
	defer below.Close()
	root, err := unix.Openat(int(below.root.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, found, sysctl.Wrap(err, "open layers")
	}
	defer unix.Close(root)
	c := &patchCopier{root: root, made: map[string]bool{}}
	scan := &scanner{find: find, progress: p}
	scan.hit = func(name, first string, f *os.File, _ *unix.Stat_t, patches []sysctl.Patch) error {
		if c.staging == nil {
			if c.staging, err = s.Stage(ctx); err != nil {
				return err
			}
		}
		found.Files[name] = patches
		return c.add(name, first, f, patches)
	}
	again, err := unix.Openat(root, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = scan.run(ctx, again)
	}
	if err == nil && c.staging != nil {
		err = c.finish()
	}
	if err != nil && c.staging != nil {
		err = errors.Join(err, c.staging.Abort())
	}
	found.Unsure = scan.unsure
	if err != nil {
		return nil, found, sysctl.Wrap(err, "copy what is to be changed")
	}
	return c.staging, found, nil
}

// patchCopier copies files of a tree into a staging directory, where nobody else makes anything.
type patchCopier struct {
	root    int // of the tree
	staging *Staging
	made    map[string]bool
	dirs    []string // as they were made: parents first
}

// add copies a file, or links it to the copy that was made of it.
func (c *patchCopier) add(name, first string, f *os.File, patches []sysctl.Patch) error {
	if err := c.parents(path.Dir(name)); err != nil {
		return err
	}
	to := filepath.Join(c.staging.Dir(), name)
	if first != "" {
		return os.Link(filepath.Join(c.staging.Dir(), first), to)
	}
	copied, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer copied.Close()
	if err := copyContent(copied, f); err != nil {
		return err
	}
	for _, p := range patches {
		if _, err := copied.WriteAt(p.New, p.Offset); err != nil {
			return err
		}
	}
	return copyAttributes(copied, f)
}

// parents makes the directories that a path lies in.
func (c *patchCopier) parents(dir string) error {
	if dir == "." || c.made[dir] {
		return nil
	}
	if err := c.parents(path.Dir(dir)); err != nil {
		return err
	}
	c.made[dir] = true
	c.dirs = append(c.dirs, dir)
	return os.Mkdir(filepath.Join(c.staging.Dir(), dir), 0o700)
}

// finish gives the directories what the original ones have: an overlay shows the topmost layer's.
func (c *patchCopier) finish() error {
	slices.Reverse(c.dirs)
	for _, dir := range append(c.dirs, ".") {
		fd, err := unix.Openat2(c.root, dir, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
		})
		if err != nil {
			return err
		}
		from := os.NewFile(uintptr(fd), dir)
		to, err := os.Open(filepath.Join(c.staging.Dir(), dir))
		if err == nil {
			err = errors.Join(copyAttributes(to, from), to.Close())
		}
		if err := errors.Join(err, from.Close()); err != nil {
			return err
		}
	}
	return nil
}

// copyContent copies a file into an empty one, sharing its blocks where the filesystem can.
func copyContent(to, from *os.File) error {
	if unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil {
		return nil
	}
	_, err := io.Copy(to, io.NewSectionReader(from, 0, 1<<62))
	return err
}

// copyAttributes gives one file or directory owner, mode, extended attributes and times of another.
func copyAttributes(to, from *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	fd := int(to.Fd())
	if err := unix.Fchown(fd, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(fd, int(from.Fd())); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), []unix.Timespec{st.Atim, st.Mtim}, 0)
}

// copyXattrs copies extended attributes but for those that are overlay's own. What the host's security module does not let
// anybody write here (security.selinux) is left out: it is no part of a layer.
func copyXattrs(to, from int) error {
	list, err := grow(func(b []byte) (int, error) { return unix.Flistxattr(from, b) })
	if err == unix.ENOTSUP || len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return unix.Fgetxattr(from, name, b) })
		if err == nil {
			err = unix.Fsetxattr(to, name, value, 0)
		}
		if err != nil && xattrCounts(name) {
			return sysctl.Wrap(err, "attribute %s", name)
		}
	}
	return nil
}
