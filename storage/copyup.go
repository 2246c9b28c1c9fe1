package storage

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

var _ interface{ CopyUp(string) error } = (*Tree)(nil)

// CopyUp has the regular files in a directory of an instance's root lie in its upper, as they are: opening for writing is
// what copies a file there (overlayfs, ovl_maybe_copy_up). One that lies there already costs nothing. What is no regular
// file is passed over, and so are directories in it.
func (t *Tree) CopyUp(dir string) error {
	if t.readOnly {
		return &fs.PathError{Op: "copy up", Path: dir, Err: unix.EROFS}
	}
	fd, err := t.open("copy up", dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	entries, err := readDir(fd)
	if err != nil {
		return &fs.PathError{Op: "copy up", Path: dir, Err: err}
	}
	return t.asOwner(func() error {
		for _, e := range entries {
			if err := copyUp(fd, e.name); err != nil {
				return &fs.PathError{Op: "copy up", Path: dir + "/" + e.name, Err: err}
			}
		}
		return nil
	})
}

// copyUp opens a file of a directory for writing, once it is known to be one.
func copyUp(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	w, err := unix.Open(procPath(fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(w)
}
