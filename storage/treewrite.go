package storage

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// WriteFile replaces name by a regular file of the guest's root, with its content on disk before the name
// changes. See sysctl.Tree.
func (t *Tree) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return t.change("write", name, true, func(dir int, base string) error {
		if t.same(dir, base, data, perm) {
			return nil
		}
		f, tmp, err := t.create(dir, data, perm)
		if err != nil {
			return err
		}
		if !t.staged {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = unix.Renameat(dir, tmp, dir, base)
		}
		if err != nil {
			unix.Unlinkat(dir, tmp, 0)
		}
		return err
	})
}

// Symlink makes name a symbolic link of the guest's root, and missing directories as WriteFile does. One that is
// there with this target is left alone.
func (t *Tree) Symlink(target, name string) error {
	return t.change("symlink", name, true, func(dir int, base string) error {
		if old, err := readlinkAt(dir, base); err == nil && old == target {
			return nil
		}
		tmp := temporary()
		err := unix.Symlinkat(target, dir, tmp)
		if err == nil {
			err = unix.Fchownat(dir, tmp, t.uid, t.gid, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err == nil {
			err = unix.Renameat(dir, tmp, dir, base)
		}
		if err != nil {
			unix.Unlinkat(dir, tmp, 0)
		}
		return err
	})
}

// MkdirAll makes a directory of the guest's root, and its parents, all with perm. Links on the way are followed
// inside the tree, and directories they point to are made too.
func (t *Tree) MkdirAll(name string, perm fs.FileMode) error {
	if t.readOnly {
		return &fs.PathError{Op: "mkdir", Path: name, Err: unix.EROFS}
	}
	return t.asOwner(func() error {
		_, err := t.resolve("mkdir", name, t.mkdir(perm))
		return err
	})
}

// Remove removes a file, link or empty directory. Absent is success.
func (t *Tree) Remove(name string) error {
	err := t.change("remove", name, false, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if err == unix.EISDIR {
			err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// change runs f with the open parent directory of name and its last component, as the guest's root. In a layer
// under construction it keeps times as they were.
func (t *Tree) change(op, name string, mkdir bool, f func(dir int, base string) error) error {
	trimmed := strings.TrimRight(name, "/")
	i := strings.LastIndexByte(trimmed, '/')
	base := trimmed[i+1:]
	var invalid error
	switch {
	case t.readOnly:
		invalid = unix.EROFS
	case base == "" || base == "." || base == ".." || strings.ContainsRune(name, 0):
		invalid = unix.EINVAL
	}
	if invalid != nil {
		return &fs.PathError{Op: op, Path: name, Err: invalid}
	}
	return t.asOwner(func() error {
		dir, err := t.openParent(op, "/"+trimmed[:max(i, 0)], mkdir)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		keep := t.times(dir, base)
		if err := f(dir, base); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		if err := keep(); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		return nil
	})
}

// openParent opens the directory a change is made in.
func (t *Tree) openParent(op, path string, mkdir bool) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY
	fd, err := t.open(op, path, flags)
	if !mkdir || !errors.Is(err, fs.ErrNotExist) {
		return fd, err
	}
	if path, err = t.resolve(op, path, t.mkdir(0o755)); err != nil {
		return -1, err
	}
	return t.open(op, path, flags)
}

// mkdir returns what makes one directory with perm for resolve.
func (t *Tree) mkdir(perm fs.FileMode) func(parent, base string) error {
	return func(parent, base string) error {
		dir, err := t.open("mkdir", parent, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		keep := t.times(dir, base)
		err = unix.Mkdirat(dir, base, 0o700)
		if err == unix.EEXIST {
			return nil
		}
		var fd int
		if err == nil {
			fd, err = unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		}
		if err == nil {
			err = t.own(fd, perm)
			unix.Close(fd)
		}
		if err == nil {
			err = keep()
		}
		if err != nil {
			return &fs.PathError{Op: "mkdir", Path: parent + "/" + base, Err: err}
		}
		return nil
	}
}

// temporary is the name of a file until it is complete.
func temporary() string { return ".sysctl-" + randomName() }

// create makes a new file under a temporary name in dir.
func (t *Tree) create(dir int, data []byte, perm fs.FileMode) (f *os.File, tmp string, err error) {
	tmp = temporary()
	fd, err := unix.Openat(dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, "", err
	}
	f = os.NewFile(uintptr(fd), tmp)
	_, err = f.Write(data)
	if err == nil {
		err = t.own(fd, perm)
	}
	if err != nil {
		unix.Unlinkat(dir, tmp, 0)
		return nil, "", errors.Join(err, f.Close())
	}
	return f, tmp, nil
}

// own gives an open file or directory to the guest's root and sets its mode (after its owner, which
// would clear setuid).
func (t *Tree) own(fd int, perm fs.FileMode) error {
	if err := unix.Fchown(fd, t.uid, t.gid); err != nil {
		return err
	}
	return unix.Fchmod(fd, permBits(perm))
}

// same reports whether base is a regular file of the guest's root with this content and mode.
func (t *Tree) same(dir int, base string, data []byte, perm fs.FileMode) bool {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err != nil || st.Size != int64(len(data)) || st.Mode&0o7777 != permBits(perm) ||
		int(st.Uid) != t.uid || int(st.Gid) != t.gid {
		return false
	}
	f, err := reopen(fd, base)
	if err != nil {
		return false
	}
	defer f.Close()
	old, err := io.ReadAll(io.LimitReader(f, st.Size+1))
	return err == nil && string(old) == string(data)
}

// permBits returns the 12 permission bits of a mode.
func permBits(perm fs.FileMode) uint32 {
	bits := uint32(perm.Perm())
	if perm&fs.ModeSetuid != 0 {
		bits |= unix.S_ISUID
	}
	if perm&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if perm&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

// asOwner runs f so that what it creates belongs to the guest's root from the start: where ids are shifted, the host's
// root does not exist and creating a file as him fails with EOVERFLOW.
func (t *Tree) asOwner(f func() error) error {
	if t.uid == os.Geteuid() && t.gid == os.Getegid() {
		return f()
	}
	return onOwnThread(func() error {
		if err := becomeOwner(t.uid, t.gid); err != nil {
			return err
		}
		return f()
	})
}
