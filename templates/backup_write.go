package templates

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// archiveWriter is one archive being written.
type archiveWriter struct {
	out    io.Writer // what tar writes to
	tar    *tar.Writer
	prefix string           // of the layer at hand: "layers/3/"
	seen   map[inode]string // in it: first name of files that have several
	buf    []byte
	left   int64 // entries left out
	done   int64 // bytes of files
	total  int64
	p      sysctl.Progress
}

func newArchiveWriter(w io.Writer, total int64, p sysctl.Progress) *archiveWriter {
	return &archiveWriter{out: w, tar: tar.NewWriter(w), buf: make([]byte, 1<<20), total: total, p: p}
}

func (a *archiveWriter) index(data []byte) error {
	h := header(tar.TypeReg, archiveIndex, attrs{mode: 0o600})
	h.Size = int64(len(data))
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.tar.Write(data)
	return err
}

func (a *archiveWriter) layer(ctx context.Context, l ArchiveLayer) error {
	fd, err := openRoot(l.Dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a.prefix, a.seen = archiveLayers+strconv.Itoa(l.Number)+"/", map[inode]string{}
	// Named as a part, so that no directory of it is the kernel's.
	err = walkPart(ctx, fd, path.Clean(a.prefix), func(n node) error { return a.entry(ctx, n) })
	return sysctl.Wrap(err, "layer %d", l.Number)
}

// entry writes one entry of a layer.
func (a *archiveWriter) entry(ctx context.Context, n node) error {
	if n.away {
		return sysctl.E(sysctl.Busy, "a filesystem is mounted on it")
	}
	kind := n.st.Mode & unix.S_IFMT
	if kind == unix.S_IFSOCK || (kind == unix.S_IFCHR || kind == unix.S_IFBLK) && n.st.Rdev != 0 {
		a.left++
		return nil
	}
	if kind == unix.S_IFCHR { // overlay's whiteout: nothing of it counts
		return a.tar.WriteHeader(a.header(tar.TypeChar, n.name, attrs{}))
	}
	if id := (inode{n.st.Dev, n.st.Ino}); n.st.Nlink > 1 && !n.isDir() {
		if first, ok := a.seen[id]; ok {
			h := a.header(tar.TypeLink, n.name, attrs{mode: n.st.Mode & 0o7777, uid: int(n.st.Uid), gid: int(n.st.Gid), mtime: n.st.Mtim})
			h.Linkname = a.prefix + first
			return a.tar.WriteHeader(h)
		}
		a.seen[id] = n.name
	}
	at, err := layerAttrs(n)
	if err != nil {
		return err
	}
	switch kind {
	case unix.S_IFDIR:
		return a.tar.WriteHeader(a.header(tar.TypeDir, n.name+"/", at))
	case unix.S_IFLNK:
		h := a.header(tar.TypeSymlink, n.name, at)
		if h.Linkname, err = n.readlink(); err != nil {
			return err
		}
		return a.tar.WriteHeader(h)
	case unix.S_IFIFO:
		return a.tar.WriteHeader(a.header(tar.TypeFifo, n.name, at))
	}
	return a.file(ctx, n, at)
}

// header makes the header of an entry of the layer, whose time is kept whole.
func (a *archiveWriter) header(kind byte, name string, at attrs) *tar.Header {
	if name == "./" {
		name = ""
	}
	h := header(kind, a.prefix+name, at)
	h.ModTime = time.Unix(at.mtime.Sec, at.mtime.Nsec)
	return h
}

// file writes a regular file: what is not a hole.
func (a *archiveWriter) file(ctx context.Context, n node, at attrs) error {
	fd, err := n.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if n.st.Blocks*blockSize < n.st.Size {
		parts, err := pieces(fd, n.st.Size)
		if err != nil {
			return err
		}
		if len(parts) != 1 || parts[0] != (piece{0, n.st.Size}) {
			return a.sparse(ctx, n, fd, parts, at)
		}
	}
	h := a.header(tar.TypeReg, n.name, at)
	h.Size = n.st.Size
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	return a.copy(ctx, a.tar, fd, piece{0, n.st.Size})
}

// sparse writes a file with holes.
func (a *archiveWriter) sparse(ctx context.Context, n node, fd int, parts []piece, at attrs) error {
	if last := len(parts) - 1; last < 0 || parts[last].at+parts[last].size < n.st.Size {
		parts = append(parts, piece{n.st.Size, 0}) // as GNU tar has it
	}
	if err := a.sparseHeader(n.name, n.st.Size, parts, at); err != nil {
		return err
	}
	stored := int64(0)
	for _, e := range parts {
		if err := a.copy(ctx, a.out, fd, e); err != nil {
			return err
		}
		stored += e.size
	}
	a.done += n.st.Size - stored
	_, err := a.out.Write(make([]byte, -stored&(blockSize-1)))
	return err
}

// copy writes what is in a part of a file.
func (a *archiveWriter) copy(ctx context.Context, w io.Writer, fd int, e piece) error {
	for at := e.at; at < e.at+e.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := unix.Pread(fd, a.buf[:min(e.at+e.size-at, int64(len(a.buf)))], at)
		if err == unix.EINTR {
			continue
		}
		if err == nil && m == 0 {
			err = sysctl.E(sysctl.Busy, "became shorter while it was read")
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(a.buf[:m]); err != nil {
			return err
		}
		at += int64(m)
		a.done += int64(m)
		a.p.Report("write", a.done, a.total)
	}
	return nil
}

// piece is a part of a file that is not a hole.
type piece struct{ at, size int64 }

// pieces asks the filesystem what of a file is not a hole.
func pieces(fd int, size int64) ([]piece, error) {
	var list []piece
	for at := int64(0); at < size; {
		from, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		if err != nil { // it does not say
			return []piece{{0, size}}, nil
		}
		to, err := unix.Seek(fd, from, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		to = min(to, size)
		list = append(list, piece{from, to - from})
		at = to
	}
	return list, nil
}

// sparseHeader writes the header of a file with holes in the form that GNU tar calls PAX 1.0, which package tar reads but does not
// write: a PAX header, a header with another name, and before the content the list of what follows.
func (a *archiveWriter) sparseHeader(name string, size int64, parts []piece, at attrs) error {
	var list bytes.Buffer
	stored := int64(0)
	fmt.Fprintf(&list, "%d\n", len(parts))
	for _, e := range parts {
		fmt.Fprintf(&list, "%d\n%d\n", e.at, e.size)
		stored += e.size
	}
	fillBlock(&list)
	full := a.prefix + name
	records := map[string]string{
		"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": full, "GNU.sparse.realsize": strconv.FormatInt(size, 10),
		"size": strconv.FormatInt(stored+int64(list.Len()), 10),
		"uid":  strconv.Itoa(at.uid), "gid": strconv.Itoa(at.gid), "mtime": fmt.Sprintf("%d.%09d", at.mtime.Sec, at.mtime.Nsec),
	}
	if at.mtime.Sec < 0 {
		records["mtime"] = strconv.FormatInt(at.mtime.Sec, 10)
	}
	for key, value := range at.xattrs {
		records["SCHILY.xattr."+key] = value
	}
	var pax bytes.Buffer
	for _, key := range sortedNames(records) {
		pax.WriteString(paxRecord(key, records[key]))
	}
	paxSize := int64(pax.Len())
	fillBlock(&pax)
	if err := a.tar.Flush(); err != nil {
		return err
	}
	short := "GNUSparseFile.0/" + strconv.FormatInt(a.done, 36)
	for _, b := range [][]byte{
		ustarBlock('x', "PaxHeaders.0/"+strconv.FormatInt(a.done, 36), 0o600, paxSize), pax.Bytes(),
		ustarBlock('0', short, int64(at.mode), stored+int64(list.Len())), list.Bytes(),
	} {
		if _, err := a.out.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// fillBlock fills up a block.
func fillBlock(b *bytes.Buffer) { b.Write(make([]byte, -b.Len()&(blockSize-1))) }

// paxRecord is "LENGTH KEY=VALUE\n", where the length counts itself.
func paxRecord(key, value string) string {
	rest := len(key) + len(value) + 3
	size := rest + len(strconv.Itoa(rest))
	if n := rest + len(strconv.Itoa(size)); n != size {
		size = n
	}
	return fmt.Sprintf("%d %s=%s\n", size, key, value)
}

// ustarBlock is a header whose owner and times stand in the PAX header before it.
func ustarBlock(kind byte, name string, mode, size int64) []byte {
	b := make([]byte, blockSize)
	copy(b, name)
	number := func(at, width int, n int64) {
		copy(b[at:], fmt.Sprintf("%0*o", width-1, min(n, 1<<(3*(width-1))-1))) // what is larger is in the PAX header
	}
	number(100, 8, mode)
	number(108, 8, 0)
	number(116, 8, 0)
	number(124, 12, size)
	number(136, 12, 0)
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	copy(b[148:], strings.Repeat(" ", 8))
	sum := int64(0)
	for _, c := range b {
		sum += int64(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// layerAttrs reads all that is kept of an entry of a layer.
func layerAttrs(n node) (attrs, error) {
	a := attrs{mode: n.st.Mode & 0o7777, uid: int(n.st.Uid), gid: int(n.st.Gid), mtime: n.st.Mtim}
	if n.st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return a, nil
	}
	at := fdPath(n.dir) + "/" + n.base
	list := make([]byte, 64<<10) // the kernel's limit
	size, err := unix.Llistxattr(at, list)
	if err == unix.ENOTSUP {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	for name := range strings.SplitSeq(string(list[:size]), "\x00") {
		if !layerXattr(name) {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(at, name, value)
		if err != nil {
			return a, sysctl.Wrap(err, "attribute %s", name)
		}
		if a.xattrs == nil {
			a.xattrs = map[string]string{}
		}
		a.xattrs[name] = string(value[:n])
	}
	return a, nil
}
