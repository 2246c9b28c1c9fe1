package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errMoved says that a directory was renamed while it was walked.
var errMoved = errors.New("tree changed while it was walked")

// dirent is one entry of a directory.
type dirent struct {
	name string
	kind byte // unix.DT_*; DT_UNKNOWN on filesystems that do not say
}

// walker visits a tree depth first, names in byte order. It holds one directory open
// however deep the tree is and works with names relative to it, so neither PATH_MAX nor the limit of open
// files bounds the depth. It follows no symbolic link and enters no mount.
type walker struct {
	dir   int // the open directory, for the callbacks
	stack []level
	// visit is called for each entry and says whether to descend into it.
	visit func(e dirent) (descend bool, err error)
	// leave, where set, is called after a directory's entries, with dir back at its parent.
	leave func(name string) error
}

// level is one directory between the root and the open directory.
type level struct {
	dev, ino uint64
	name     string
	left     []dirent
}

// run walks the tree under root. The directory root itself is not visited.
func (w *walker) run(ctx context.Context, root string) error {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return w.runIn(ctx, fd)
}

// runIn walks the tree under an open directory, which it closes.
func (w *walker) runIn(ctx context.Context, fd int) error {
	w.dir, w.stack = fd, nil
	defer func() { unix.Close(w.dir) }()
	if err := w.push(fd, ""); err != nil {
		return err
	}
	for {
		top := &w.stack[len(w.stack)-1]
		if len(top.left) == 0 {
			if len(w.stack) == 1 {
				return nil
			}
			if err := w.up(); err != nil {
				return err
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		e := top.left[0]
		top.left = top.left[1:]
		descend, err := w.visit(e)
		if err == nil && descend {
			err = w.down(e.name)
		}
		if err != nil {
			return err
		}
	}
}

// push notes fd, the open directory, as the deepest level.
func (w *walker) push(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	list, err := readDir(fd)
	if err == unix.ENOENT { // removed after it was opened
		return errMoved
	}
	if err != nil {
		return err
	}
	w.stack = append(w.stack, level{dev: st.Dev, ino: st.Ino, name: name, left: list})
	return nil
}

// down opens the subdirectory name. One that vanished meanwhile is skipped.
func (w *walker) down(name string) error {
	fd, err := unix.Openat2(w.dir, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	})
	if err == unix.ENOENT {
		return nil
	}
	if err == unix.EXDEV {
		return errors.New("a filesystem is mounted on " + w.path(name))
	}
	if err != nil {
		return err
	}
	unix.Close(w.dir)
	w.dir = fd
	return w.push(fd, name)
}

// up returns to the parent of the open directory, if it still is the one it was entered from.
func (w *walker) up() error {
	fd, err := unix.Openat(w.dir, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return errMoved
	}
	if err != nil {
		return err
	}
	unix.Close(w.dir)
	w.dir = fd
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	name := w.stack[len(w.stack)-1].name
	w.stack = w.stack[:len(w.stack)-1]
	if top := w.stack[len(w.stack)-1]; st.Dev != top.dev || st.Ino != top.ino {
		return errMoved
	}
	if w.leave == nil {
		return nil
	}
	return w.leave(name)
}

// path returns where the entry name of the open directory lies, relative to the root.
func (w *walker) path(name string) string {
	var b strings.Builder
	for _, l := range w.stack[1:] {
		b.WriteString(l.name)
		b.WriteByte('/')
	}
	b.WriteString(name)
	return b.String()
}

// readDir returns a directory's entries in byte order, read with getdents64 because package os tells
// an entry's type only by a host path.
func readDir(fd int) ([]dirent, error) {
	const header = 19 // ino 8, offset 8, record length 2, type 1
	var list []dirent
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > header; {
			size := int(binary.NativeEndian.Uint16(b[16:]))
			name := unix.ByteSliceToString(b[header:size])
			if name != "." && name != ".." {
				list = append(list, dirent{name: name, kind: b[18]})
			}
			b = b[size:]
		}
	}
	slices.SortFunc(list, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
	return list, nil
}
