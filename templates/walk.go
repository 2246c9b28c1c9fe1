package templates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// node is one entry of a tree being read.
type node struct {
	name string // relative to the root; "." is the root itself
	st   unix.Stat_t
	dir  int    // directory that holds it
	base string // its name in there
	away bool   // a mount point: what is mounted there is not part of the tree
}

// kernelOwned are the directories whose content is not the tree's even where nothing is mounted on them.
func kernelOwned(name string) bool { return name == "proc" || name == "sys" || name == "dev" }

// walk calls visit for every entry below root, a directory before its content, siblings sorted. It follows no
// links, enters no other filesystem and looks at no content of /proc, /sys and /dev, nor of a directory for
// which visit returns fs.SkipDir.
func walk(ctx context.Context, root int, visit func(n node) error) error {
	return walkPart(ctx, root, "", visit)
}

// walkPart is walk for a part of a tree, whose root has the name at in the whole, or "". Names are relative to the part.
func walkPart(ctx context.Context, root int, at string, visit func(n node) error) error {
	top := node{name: ".", dir: root, base: "."}
	if err := unix.Fstat(root, &top.st); err != nil {
		return err
	}
	if err := visit(top); err != nil {
		return err
	}
	todo := []string{"."}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		below, err := walkDir(ctx, root, at, dir, visit)
		if err != nil {
			return err
		}
		slices.Reverse(below)
		todo = append(todo, below...)
	}
	return nil
}

// walkDir visits the entries of one directory and returns the directories among them.
func walkDir(ctx context.Context, root int, at, dir string, visit func(n node) error) (below []string, err error) {
	fd, err := openat(root, dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, noLinks)
	if err != nil {
		return nil, sysctl.Wrap(err, "open %s", dir)
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return nil, sysctl.Wrap(err, "list %s", dir)
	}
	for _, base := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := node{name: path.Join(dir, base), dir: fd, base: base}
		err := unix.Fstatat(fd, base, &n.st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			continue // a living tree: gone in between
		}
		if err == nil {
			n.away, err = mountPoint(fd, base)
		}
		if err == nil {
			err = visit(n)
		}
		if err == fs.SkipDir {
			continue
		}
		if err != nil {
			return nil, sysctl.Wrap(err, "%s", n.name)
		}
		if n.isDir() && !n.away && !kernelOwned(path.Join(at, n.name)) {
			below = append(below, n.name)
		}
	}
	return below, nil
}

func (n node) isDir() bool { return n.st.Mode&unix.S_IFMT == unix.S_IFDIR }

// mountPoint reports whether something is mounted on base.
func mountPoint(dir int, base string) (bool, error) {
	fd, err := openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_XDEV)
	if errors.Is(err, unix.EXDEV) {
		return true, nil
	}
	if err == nil {
		unix.Close(fd)
	}
	return false, err
}

// open opens a regular file for reading and makes sure that it still is the one seen.
func (n node) open() (int, error) {
	fd, err := openat(n.dir, n.base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, noLinks)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && (st.Ino != n.st.Ino || st.Mode&unix.S_IFMT != unix.S_IFREG) {
		err = sysctl.E(sysctl.Busy, "changed while it was read")
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// attrs reads the entry's attributes. Only directories and regular files have extended ones here; fd is open on
// the entry, or -1.
func (n node) attrs(fd int) (attrs, error) {
	a := attrs{mode: n.st.Mode & 0o7777, uid: int(n.st.Uid), gid: int(n.st.Gid), mtime: n.st.Mtim}
	if fd < 0 {
		return a, nil
	}
	var err error
	a.xattrs, err = xattrs(fd)
	return a, err
}

// dirAttrs reads a directory's attributes.
func (n node) dirAttrs() (attrs, error) {
	if n.away {
		return n.attrs(-1)
	}
	fd, err := openat(n.dir, n.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, noLinks)
	if err != nil {
		return attrs{}, err
	}
	defer unix.Close(fd)
	return n.attrs(fd)
}

// readlink returns a symbolic link's target.
func (n node) readlink() (string, error) {
	buf := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(n.dir, n.base, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:size]), nil
}

// xattrs returns the extended attributes of fd that belong to the tree.
func xattrs(fd int) (map[string]string, error) {
	list := make([]byte, 64<<10) // the kernel's limit
	size, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out map[string]string
	for name := range strings.SplitSeq(string(list[:size]), "\x00") {
		if !keepXattr(name) {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(fd, name, value)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = string(value[:n])
	}
	return out, nil
}

// fdPath is the path by which this process reaches what fd is open on.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// readNames lists the directory fd, sorted.
func readNames(fd int) ([]string, error) {
	d, err := os.Open(fdPath(fd))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
