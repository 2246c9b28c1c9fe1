package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// copyBuffer is what is read at once where the kernel does not copy by itself.
const copyBuffer = 256 << 10

// Put copies a file, or with o.Recursive anything, from a path of the host to name in the tree, whose directory is
// there. A file is replaced when its copy is whole, a directory is merged into; one that is new has its files under their names
// while they are copied. A failure or the context's end leaves no half a file, but what was copied before. When it returns, all is on disk.
func (t *Tree) Put(ctx context.Context, src, name string, o sysctl.CopyOptions) error {
	if !o.Recursive { // a link the user names is followed; in a directory that is copied none is
		real, err := filepath.EvalSymlinks(src)
		if err != nil {
			return err
		}
		src = real
	}
	from, base, err := hostParent(src)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return t.change("write", name, false, func(dir int, as string) error {
		c := t.copier(ctx, dir, o)
		c.inward = true
		return c.run(from, base, as)
	})
}

// PutStream writes what r gives to name in the tree as Put does a file; o.Mode nil is 0644.
func (t *Tree) PutStream(ctx context.Context, r io.Reader, name string, o sysctl.CopyOptions) error {
	o.Recursive = false
	return t.change("write", name, false, func(dir int, as string) error {
		c := t.copier(ctx, dir, o)
		tmp := temporary()
		fd, err := unix.Openat(dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), tmp)
		defer f.Close()
		err = copyStream(ctx, f, r, c.buf, c.told)
		if err == nil && o.Keep {
			err = c.likeOld(fd, dir, as)
		}
		_, err = c.finish(fd, dir, tmp, as, unix.Stat_t{Mode: unix.S_IFREG | 0o644}, err)
		return err
	})
}

// likeOld takes over from the file that is to be replaced what CopyOptions.Keep says.
func (c *copier) likeOld(fd, dir int, as string) error {
	old, st, err := openEntry(dir, as)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNotRegular
	}
	mode := fileMode(st.Mode)
	c.uid, c.gid, c.o.Mode = int(st.Uid), int(st.Gid), &mode
	return copyUserXattrs(fd, old)
}

// fileMode is the reverse of permBits.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	if bits&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if bits&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if bits&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// Get copies a file, or with o.Recursive anything, out of the tree to a path of the host, whose directory is there. What
// it makes belongs to us, and is not waited for until it is on disk: who wants that says sync(1), as after cp. Fifos,
// sockets and devices are not opened. See Put for the rest.
func (t *Tree) Get(ctx context.Context, name, dst string, o sysctl.CopyOptions) error {
	trimmed := strings.TrimRight(name, "/")
	if !o.Recursive {
		real, err := t.Resolve(name)
		if err != nil {
			return err
		}
		trimmed = real
	}
	from, err := t.open("open", path.Dir("/"+trimmed), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	base := path.Base("/" + trimmed)
	if base == "/" {
		base = "."
	}
	to, as, err := hostParent(dst)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	c := &copier{ctx: ctx, o: o, uid: os.Geteuid(), gid: os.Getegid(), links: map[inode]made{}, top: to, buf: make([]byte, copyBuffer), later: true}
	return c.run(from, base, as)
}

func (t *Tree) copier(ctx context.Context, to int, o sysctl.CopyOptions) *copier {
	return &copier{ctx: ctx, o: o, uid: t.uid + o.UID, gid: t.gid + o.GID, links: map[inode]made{}, top: to, buf: make([]byte, copyBuffer)}
}

// run copies one entry with all that is in it.
func (c *copier) run(from int, base, as string) error {
	err := c.entry(from, dirent{base, unix.DT_UNKNOWN}, c.top, as, as)
	if err == nil && c.made && c.o.Recursive && !c.later {
		err = syncfs(c.top)
	}
	return err
}

// syncfs waits until all of the filesystem of an O_PATH directory is on disk.
func syncfs(dir int) error {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Syncfs(fd)
}

// hostParent opens the directory that a path of the host is in.
func hostParent(name string) (dir int, base string, err error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return -1, "", err
	}
	dir, err = unix.Open(filepath.Dir(abs), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", &fs.PathError{Op: "open", Path: filepath.Dir(name), Err: err}
	}
	if base = filepath.Base(abs); base == "/" {
		base = "."
	}
	return dir, base, nil
}

// Mkdir makes a directory whose parent is there, with the owner of o and its mode, or 0755.
func (t *Tree) Mkdir(name string, o sysctl.CopyOptions) error {
	mode := uint32(0o755)
	if o.Mode != nil {
		mode = permBits(*o.Mode)
	}
	return t.change("mkdir", name, false, func(dir int, base string) error {
		if err := unix.Mkdirat(dir, base, 0o700); err != nil {
			return err
		}
		fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Fchown(fd, t.uid+o.UID, t.gid+o.GID); err != nil {
			return err
		}
		return unix.Fchmod(fd, mode)
	})
}

// RemoveAll removes what is there by a name, with all that is in it. It follows no link and enters no other filesystem.
func (t *Tree) RemoveAll(ctx context.Context, name string) error {
	return t.change("remove", name, false, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if err != unix.EISDIR {
			return err
		}
		fd, err := unix.Openat2(dir, base, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
		})
		if err == unix.EXDEV {
			err = sysctl.E(sysctl.Conflict, "a filesystem is mounted on it")
		}
		if err != nil {
			return err
		}
		var w walker
		w.visit = func(e dirent) (bool, error) {
			err := unix.Unlinkat(w.dir, e.name, 0)
			if err == unix.EISDIR {
				return true, nil
			}
			if err == unix.ENOENT {
				err = nil
			}
			return false, err
		}
		w.leave = func(name string) error { return unix.Unlinkat(w.dir, name, unix.AT_REMOVEDIR) }
		if err := w.runIn(ctx, fd); err != nil {
			return err
		}
		return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	})
}

// Files lists a directory, sorted by name, or the one file that name is, as the guest sees it.
func (t *Tree) Files(name string) ([]sysctl.File, error) {
	info, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		f, err := t.file(name)
		return []sysctl.File{f}, err
	}
	entries, err := t.ReadDir(name)
	if err != nil {
		return nil, err
	}
	list := make([]sysctl.File, 0, len(entries))
	for _, e := range entries {
		f, err := t.file(path.Join(name, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// file describes one entry. Ids the guest does not have are its overflow id, 65534, there.
func (t *Tree) file(name string) (sysctl.File, error) {
	info, err := t.Lstat(name)
	if err != nil {
		return sysctl.File{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	f := sysctl.File{Name: path.Base(name), Type: typeName(st.Mode), Mode: fmt.Sprintf("%04o", st.Mode&0o7777), UID: t.inside(st.Uid, t.uid),
		GID: t.inside(st.Gid, t.gid), Size: st.Size, Modified: info.ModTime()}
	if info.Mode()&fs.ModeSymlink != 0 {
		f.Target, err = t.Readlink(name)
	}
	return f, err
}

// overflowID is what the kernel shows where an id has no mapping.
const overflowID = 65534

func (t *Tree) inside(id uint32, base int) int64 {
	if int64(id) < int64(base) {
		return overflowID
	}
	return int64(id) - int64(base)
}

func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFBLK:
		return "block"
	case unix.S_IFCHR:
		return "char"
	}
	return "file"
}
