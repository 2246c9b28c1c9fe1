package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// discard moves path into the trash and removes it there. Once moved it is gone for every reader, so
// what cannot be removed, or is left when ctx ends, waits for SweepStaging. Absent is success.
func (s *Store) discard(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := makeDirs(s.trash()); err != nil {
		return err
	}
	gone := filepath.Join(s.trash(), randomName())
	err := os.Rename(path, gone)
	if errors.Is(err, unix.EXDEV) { // it is in a subvolume of an instance's own
		gone = filepath.Join(ownOf(path), ownGone, randomName())
		if err := makeDirs(filepath.Dir(gone)); err != nil {
			return err
		}
		err = os.Rename(path, gone)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	err = s.removeGone(ctx, gone)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sweepTrash removes what deleters who died left behind.
func (s *Store) sweepTrash(ctx context.Context) error {
	entries, err := os.ReadDir(s.trash())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var all []error
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasPrefix(e.Name(), qgroup) {
			all = append(all, s.removeGone(ctx, filepath.Join(s.trash(), e.Name())))
		}
	}
	_, err = s.dropQgroups()
	return errors.Join(append(all, err)...)
}

// removeTree removes a file or tree that nobody else changes, except others who remove it too.
// It removes all it can and returns the first error.
func removeTree(ctx context.Context, root string) error {
	err := unix.Unlink(root)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	for range 100 { // each try that another remover disturbs finds less
		if err = removeContent(ctx, root); !errors.Is(err, errMoved) {
			break
		}
	}
	if err == nil {
		err = unix.Rmdir(root)
	}
	if err != nil && err != unix.ENOENT {
		return sysctl.Wrap(err, "remove %s", root)
	}
	return nil
}

// removeContent removes everything in the directory root.
func removeContent(ctx context.Context, root string) error {
	var first error
	keep := func(name string, w *walker, err error) {
		if err != nil && err != unix.ENOENT && first == nil {
			first = sysctl.Wrap(err, "%s", w.path(name))
		}
	}
	var w walker
	w.visit = func(e dirent) (bool, error) {
		if e.kind == unix.DT_DIR {
			return true, nil
		}
		err := removeAt(w.dir, e.name, 0)
		if err == unix.EISDIR {
			return true, nil
		}
		keep(e.name, &w, err)
		return false, nil
	}
	w.leave = func(name string) error {
		keep(name, &w, removeAt(w.dir, name, unix.AT_REMOVEDIR))
		return nil
	}
	err := w.run(ctx, root)
	if err == nil {
		err = first
	}
	return err
}

// removeAt is unlinkat(2) that takes away immutable and append-only flags where they are in the way.
func removeAt(dir int, name string, flags int) error {
	err := unix.Unlinkat(dir, name, flags)
	if err != unix.EPERM {
		return err
	}
	clearFlags(dir, ".")
	clearFlags(dir, name)
	return unix.Unlinkat(dir, name, flags)
}

// clearFlags clears the immutable and append-only flags of a file or directory, where it has them.
func clearFlags(dir int, name string) {
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return // opening anything else might do something; only files and directories have the flags
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	const immutable, appendOnly = 0x10, 0x20 // FS_IMMUTABLE_FL, FS_APPEND_FL
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil {
		// The unlink that follows reports what could not be cleared.
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^(immutable|appendOnly))
	}
}
