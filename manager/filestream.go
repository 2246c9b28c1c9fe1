package manager

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Files that are copied between two machines go through a stream: a tar archive in which source N, counted from 0, is N/NAME, or
// N itself where what is in a directory is meant. It ends with an entry of its own: one that is cut off is none. Of a file with
// holes it has the data, with a record of where that belongs.
const (
	streamEnd     = "end"
	recordSize    = "SYSCTL.size"
	recordData    = "SYSCTL.data"
	recordXattr   = "SCHILY.xattr."
	userAttribute = "user."
)

// PackFiles writes files of this machine to a stream: what PushFiles would copy, named as the command line has them. note, which
// may be nil, is told what is left out.
func PackFiles(ctx context.Context, w io.Writer, sources []string, recursive bool, note func(line string)) error {
	p := packer{ctx: ctx, w: tar.NewWriter(w), note: note}
	for i, src := range sources {
		name := strconv.Itoa(i)
		if base := sourceBase(src); base != "." {
			name += "/" + base
		}
		p.links = map[[2]uint64]string{} // links stay together within a source, as where it is copied here
		if err := p.source(src, name, recursive); err != nil {
			return fileError(err)
		}
	}
	if err := p.w.WriteHeader(&tar.Header{Name: streamEnd, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	return p.w.Close()
}

type packer struct {
	ctx   context.Context
	w     *tar.Writer
	links map[[2]uint64]string // files with several names, by device and inode
	note  func(string)
}

func (p *packer) source(src, name string, recursive bool) error {
	if !recursive { // a link the user names is followed
		real, err := filepath.EvalSymlinks(src)
		if err != nil {
			return err
		}
		info, err := os.Lstat(real)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return &fs.PathError{Op: "read", Path: src, Err: unix.EISDIR}
		}
		if !info.Mode().IsRegular() {
			return sysctl.E(sysctl.Invalid, "%s: it is no file", src)
		}
		return p.entry(real, name)
	}
	root := filepath.Clean(src)
	return filepath.WalkDir(root, func(at string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		return p.entry(at, path.Join(name, filepath.ToSlash(below)))
	})
}

// entry writes one entry, without what is in it.
func (p *packer) entry(file, name string) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	var st unix.Stat_t
	if err := unix.Lstat(file, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: file, Err: err}
	}
	h := &tar.Header{Format: tar.FormatPAX, Name: name, Mode: int64(st.Mode & 0o777), ModTime: time.Unix(st.Mtim.Unix())}
	key := [2]uint64{uint64(st.Dev), st.Ino}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case unix.S_IFLNK:
		target, err := os.Readlink(file)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFREG:
		if first, ok := p.links[key]; ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			break
		}
		if st.Nlink > 1 {
			p.links[key] = name
		}
		return p.regular(file, h)
	default:
		if p.note != nil {
			p.note(file + ": left out: it is no file, directory or link")
		}
		return nil
	}
	if h.Typeflag == tar.TypeDir {
		h.PAXRecords = userAttributes(file)
	}
	return p.w.WriteHeader(h)
}

// regular writes a file with its data.
func (p *packer) regular(file string, h *tar.Header) error {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: file, Err: err}
	}
	f := os.NewFile(uintptr(fd), file)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	parts := data(f, size)
	if size == 0 { // of what the kernel makes up it does not say how much there is
		if parts, size, err = madeUp(f); err != nil {
			return err
		}
	}
	h.Typeflag = tar.TypeReg
	h.PAXRecords = userAttributes(file)
	if len(parts) != 1 || parts[0] != [2]int64{0, size} {
		h.PAXRecords[recordSize] = strconv.FormatInt(size, 10)
		h.PAXRecords[recordData] = strings.Trim(strings.ReplaceAll(fmt.Sprint(parts), "] [", " "), "[]")
	}
	for _, part := range parts {
		h.Size += part[1]
	}
	if err := p.w.WriteHeader(h); err != nil {
		return err
	}
	for _, part := range parts {
		for at, end := part[0], part[0]+part[1]; at < end; {
			if p.ctx.Err() != nil {
				return context.Cause(p.ctx)
			}
			n, err := io.Copy(p.w, io.NewSectionReader(f, at, min(end-at, 8<<20)))
			if err == nil && n == 0 { // it has become shorter
				n, err = io.CopyN(p.w, zeros{}, end-at)
			}
			if err != nil {
				return err
			}
			at += n
		}
	}
	return nil
}

// zeros gives zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// data lists what is not a hole: offsets and lengths.
func data(f *os.File, size int64) (parts [][2]int64) {
	for at := int64(0); at < size; {
		start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return parts
		}
		end, holeErr := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		if err != nil || holeErr != nil || len(parts) == 4096 { // the filesystem does not say; or it says too much
			return append(parts, [2]int64{at, size - at})
		}
		parts = append(parts, [2]int64{start, end - start})
		at = end
	}
	return parts
}

// madeUp is what there is in a file that says it is empty.
func madeUp(f *os.File) ([][2]int64, int64, error) {
	n, err := io.Copy(io.Discard, io.NewSectionReader(f, 0, 16<<20))
	if n == 0 || err != nil {
		return [][2]int64{{0, 0}}, 0, err
	}
	return [][2]int64{{0, n}}, n, nil
}

// userAttributes are a file's own, as records of an archive. What has none, or cannot have any, has none.
func userAttributes(file string) map[string]string {
	records := map[string]string{}
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, _ := unix.Llistxattr(file, list)
	for name := range strings.SplitSeq(string(list[:max(n, 0)]), "\x00") {
		if !strings.HasPrefix(name, userAttribute) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		if n, err := unix.Lgetxattr(file, name, value); err == nil && !strings.Contains(name, "=") {
			records[recordXattr+name] = string(value[:n])
		}
	}
	return records
}
