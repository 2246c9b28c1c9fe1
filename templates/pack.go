package templates

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// Pack writes the tree at the host path root as one uncompressed tar stream that Unpack reads back the same: PAX
// with numeric owners, modes, hard links, symbolic links, pipes, extended attributes; times to the second. Names
// are sorted, so that the same tree gives the same bytes. Holes become zeros. Sockets, device nodes, what is
// mounted below root and the content of /proc, /sys and /dev are left out. root may be /proc/self/fd/N.
//
// Errors: Busy where a file changed meanwhile, Canceled, and what w gives.
func Pack(ctx context.Context, root string, w io.Writer) error {
	fd, err := openRoot(root)
	if err != nil {
		return sysctl.Wrap(err, "pack: open %s", root)
	}
	defer unix.Close(fd)
	p := &packer{w: tar.NewWriter(w), seen: map[inode]string{}, buf: make([]byte, 1<<20)}
	err = walk(ctx, fd, func(n node) error { return p.visit(ctx, n) })
	if err == nil {
		err = p.w.Close()
	}
	return classify(ctx, err, "pack", root)
}

// packer is one tree being packed.
type packer struct {
	w    *tar.Writer
	seen map[inode]string // first name of files that have several
	buf  []byte
}

func (p *packer) visit(ctx context.Context, n node) error {
	if n.away && !n.isDir() {
		return nil
	}
	switch n.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		a, err := n.dirAttrs()
		if err != nil {
			return err
		}
		return p.w.WriteHeader(header(tar.TypeDir, n.name+"/", a))
	case unix.S_IFLNK:
		target, err := n.readlink()
		if err != nil {
			return err
		}
		a, _ := n.attrs(-1)
		h := header(tar.TypeSymlink, n.name, a)
		h.Linkname = target
		return p.w.WriteHeader(h)
	case unix.S_IFIFO:
		a, _ := n.attrs(-1)
		return p.w.WriteHeader(header(tar.TypeFifo, n.name, a))
	case unix.S_IFREG:
		return p.file(ctx, n)
	}
	return nil
}

func (p *packer) file(ctx context.Context, n node) error {
	id := inode{n.st.Dev, n.st.Ino}
	if first, ok := p.seen[id]; ok {
		a, _ := n.attrs(-1)
		h := header(tar.TypeLink, n.name, a)
		h.Linkname = first
		return p.w.WriteHeader(h)
	}
	if n.st.Nlink > 1 {
		p.seen[id] = n.name
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
	h := header(tar.TypeReg, n.name, a)
	h.Size = n.st.Size
	if err := p.w.WriteHeader(h); err != nil {
		return err
	}
	for left := h.Size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := unix.Read(fd, p.buf[:min(left, int64(len(p.buf)))])
		if err == nil && m == 0 {
			err = sysctl.E(sysctl.Busy, "became shorter while it was read")
		}
		if err != nil {
			return err
		}
		if _, err := p.w.Write(p.buf[:m]); err != nil {
			return err
		}
		left -= int64(m)
	}
	return nil
}

// header makes the header of an entry.
func header(kind byte, name string, a attrs) *tar.Header {
	h := &tar.Header{
		Typeflag: kind, Name: name, Mode: int64(a.mode), Uid: a.uid, Gid: a.gid,
		ModTime: time.Unix(a.mtime.Sec, 0), Format: tar.FormatPAX,
	}
	for key, value := range a.xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[fmt.Sprintf("SCHILY.xattr.%s", key)] = value
	}
	return h
}
