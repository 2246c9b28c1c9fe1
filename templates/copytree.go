package templates

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// CopyTree copies the root filesystem in the directory src into dst, an existing empty directory, with what
// Unpack keeps. Links of src are not followed, what is mounted below src is left out, and so is the content
// of /proc, /sys and /dev. Sockets and device nodes are left out and counted. File content is shared with
// src where the filesystem can (reflink).
//
// Errors are those of Unpack, and Busy where a file of src changed its kind meanwhile.
func CopyTree(ctx context.Context, src, dst string, o UnpackOptions) (Stats, error) {
	from, err := openRoot(src)
	if err != nil {
		return newMeter(o.MaxSize, o.MaxEntries).Stats, sysctl.Wrap(&os.PathError{Op: "open", Path: src, Err: err}, "copy")
	}
	defer unix.Close(from)
	if err := checkRoot(from); err != nil {
		return newMeter(o.MaxSize, o.MaxEntries).Stats, sysctl.Wrap(err, "copy %s", src)
	}
	stats, err := copyParts(ctx, []part{{fd: from}}, dst, o)
	return stats, classify(ctx, err, "copy "+src, dst)
}

// part is a directory and where in a tree its content belongs.
type part struct {
	fd   int
	at   string // relative; "": the root
	from string // for people
}

// copyParts makes one tree in dst, an existing empty directory, of several, the root first and parents before what is
// in them. What a directory has where another part belongs is left out, as if that were mounted there.
func copyParts(ctx context.Context, parts []part, dst string, o UnpackOptions) (Stats, error) {
	m := newMeter(o.MaxSize, o.MaxEntries)
	to, err := openEmpty(dst)
	if err != nil {
		return m.Stats, err
	}
	c := &copier{sink: newSink(to, m), progress: o.Progress, seen: map[inode]string{}, over: map[string]string{}}
	defer c.sink.close()
	var st unix.Stat_t
	if err := unix.Fstat(to, &st); err != nil {
		return m.Stats, err
	}
	c.self = inode{st.Dev, st.Ino}
	for _, p := range parts[1:] {
		c.over[p.at] = p.from
	}
	for _, p := range parts {
		c.at = p.at
		if err := walkPart(ctx, p.fd, p.at, func(n node) error { return c.visit(ctx, n) }); err != nil {
			return m.Stats, err
		}
	}
	return m.Stats, c.sink.finish(ctx)
}

// inode identifies a file with several names.
type inode struct{ dev, ino uint64 }

// copier is one tree being copied.
type copier struct {
	sink     *sink
	progress sysctl.Progress
	told     int64
	seen     map[inode]string  // first name of files that have several
	self     inode             // dst: it may lie below src
	at       string            // of the part being copied; "": the root
	over     map[string]string // other parts, by their place: where they are from
}

func (c *copier) visit(ctx context.Context, n node) error {
	if c.self == (inode{n.st.Dev, n.st.Ino}) {
		return fs.SkipDir
	}
	switch n.st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		c.sink.skip("sockets")
		return nil
	case unix.S_IFCHR, unix.S_IFBLK:
		c.sink.skip("device nodes")
		return nil
	}
	if n.away {
		c.sink.skip("mount points")
		if !n.isDir() {
			return nil
		}
	}
	n.name = path.Join(c.at, n.name)
	if from := c.over[n.name]; from != "" && n.name != c.at {
		if !n.isDir() {
			return sysctl.E(sysctl.Invalid, "not a directory, but /etc/fstab mounts %s on it", from)
		}
		return fs.SkipDir // the part makes the directory
	}
	if n.name != "." {
		if err := c.sink.entry(); err != nil {
			return err
		}
	}
	switch n.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		a, err := n.dirAttrs()
		if err != nil {
			return err
		}
		return c.sink.mkdir(n.name, a)
	case unix.S_IFLNK:
		target, err := n.readlink()
		if err != nil {
			return err
		}
		a, _ := n.attrs(-1)
		return c.sink.symlink(n.name, target, a)
	case unix.S_IFIFO:
		a, _ := n.attrs(-1)
		return c.sink.fifo(n.name, a)
	}
	return c.file(ctx, n)
}

// file copies a regular file, or links it where it was copied under another name.
func (c *copier) file(ctx context.Context, n node) error {
	id := inode{n.st.Dev, n.st.Ino}
	if first, ok := c.seen[id]; ok {
		return c.sink.link(n.name, c.sink, first)
	}
	if n.st.Nlink > 1 {
		c.seen[id] = n.name
	}
	fd, err := n.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a, err := n.attrs(fd)
	if err != nil {
		return err
	}
	err = c.sink.newFile(n.name, a, func(to int) error { return c.content(ctx, fd, to, n.st.Size) })
	if c.sink.Bytes-c.told >= reportEvery {
		c.told = c.sink.Bytes
		c.progress.Report("copy", c.told, 0)
	}
	return err
}

// content copies what fd has, extent by extent, so that holes stay holes.
func (c *copier) content(ctx context.Context, fd, to int, size int64) error {
	for at := int64(0); at < size; {
		start, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		end := size
		if err == nil {
			end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
		}
		if err != nil {
			return err
		}
		end = min(end, size)
		if err := c.sink.grow(max(0, end-start)); err != nil {
			return err
		}
		if start == 0 && end == size && unix.IoctlFileClone(to, fd) == nil {
			return nil
		}
		if err := c.extent(ctx, fd, to, start, end); err != nil {
			return err
		}
		at = end
	}
	return unix.Ftruncate(to, size)
}

// copyChunk is how many bytes are copied between two looks at the context.
const copyChunk = 16 << 20

// extent copies the bytes from start up to end to the same place, inside the kernel where it can.
func (c *copier) extent(ctx context.Context, fd, to int, start, end int64) error {
	for start < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, dest := start, start
		n, err := unix.CopyFileRange(fd, &from, to, &dest, int(min(end-start, copyChunk)), 0)
		switch {
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
			if n, err = unix.Pread(fd, c.sink.buf[:min(int64(len(c.sink.buf)), end-start)], start); err == nil {
				n, err = unix.Pwrite(to, c.sink.buf[:n], start)
			}
		case errors.Is(err, unix.EINTR):
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // the file shrank
		}
		start += int64(n)
	}
	return nil
}
