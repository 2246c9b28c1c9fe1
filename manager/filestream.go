package manager

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
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

// UnpackFiles makes of a stream what PackFiles was given, in an empty directory: N/NAME. What it makes belongs to us. Invalid is a
// stream that was cut off or is none.
func UnpackFiles(ctx context.Context, r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := unpacker{ctx: ctx, root: root, dirs: map[string]*tar.Header{}}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && h.Name == streamEnd {
			return u.finish()
		}
		if err == nil {
			if wrong := u.entry(h, tr); !errors.Is(wrong, io.EOF) && !errors.Is(wrong, io.ErrUnexpectedEOF) {
				err = wrong
			} else {
				err = sysctl.E(sysctl.Invalid, "the stream of files was cut off: %w", wrong)
			}
		} else {
			err = sysctl.E(sysctl.Invalid, "the stream of files was cut off, or is none: %w", err)
		}
		if err != nil {
			return fileError(err)
		}
	}
}

type unpacker struct {
	ctx  context.Context
	root *os.Root
	dirs map[string]*tar.Header // get their modes and times when all is in them
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	name := strings.TrimRight(h.Name, "/")
	if top, _, below := strings.Cut(name, "/"); below {
		if err := u.root.Mkdir(top, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		u.dirs[name] = h
		return nil
	case tar.TypeSymlink:
		if err := u.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return u.linkTime(name, h.ModTime)
	case tar.TypeLink:
		return u.root.Link(h.Linkname, name)
	case tar.TypeReg:
		return u.regular(name, h, r)
	}
	return sysctl.E(sysctl.Invalid, "%s: what it is cannot be in a stream of files", name)
}

// linkTime sets the time of a link itself.
func (u *unpacker) linkTime(name string, t time.Time) error {
	dir, err := u.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		err = unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

func (u *unpacker) regular(name string, h *tar.Header, r io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	parts, size := [][2]int64{{0, h.Size}}, h.Size
	if text, holes := h.PAXRecords[recordSize]; holes {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < 0 {
			return sysctl.E(sysctl.Invalid, "%s: its size is %q", name, text)
		}
		if parts, err = partsOf(h.PAXRecords[recordData], size); err != nil {
			return sysctl.E(sysctl.Invalid, "%s: %w", name, err)
		}
	}
	for _, part := range parts {
		for at, end := part[0], part[0]+part[1]; at < end; {
			if u.ctx.Err() != nil {
				return context.Cause(u.ctx)
			}
			n, err := io.CopyN(io.NewOffsetWriter(f, at), r, min(end-at, 8<<20))
			if err != nil {
				return err
			}
			at += n
		}
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return attributes(f, h)
}

// partsOf reads offsets and lengths, in ascending order and within a size.
func partsOf(text string, size int64) (parts [][2]int64, err error) {
	words := strings.Fields(text)
	least := int64(0)
	for pair := range slices.Chunk(words, 2) {
		var part [2]int64
		for i := range pair {
			if part[i], err = strconv.ParseInt(pair[i], 10, 64); err != nil {
				return nil, err
			}
		}
		if len(pair) != 2 || part[0] < least || part[1] < 0 || part[1] > size-part[0] {
			return nil, fmt.Errorf("its parts are %q", text)
		}
		least = part[0] + part[1]
		parts = append(parts, part)
	}
	return parts, nil
}

// attributes gives a file or directory what an archive says of it.
func attributes(f *os.File, h *tar.Header) error {
	for _, record := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		if name, ok := strings.CutPrefix(record, recordXattr); ok && strings.HasPrefix(name, userAttribute) {
			err := unix.Fsetxattr(int(f.Fd()), name, []byte(h.PAXRecords[record]), 0)
			if err != nil && err != unix.ENOTSUP {
				return &fs.PathError{Op: "attribute " + name, Path: f.Name(), Err: err}
			}
		}
	}
	if err := f.Chmod(fs.FileMode(h.Mode) & 0o777); err != nil {
		return err
	}
	ts, err := unix.TimeToTimespec(h.ModTime)
	if err == nil {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), []unix.Timespec{ts, ts}, 0)
	}
	return err
}

// finish gives directories what they have, from within.
func (u *unpacker) finish() error {
	names := slices.Sorted(maps.Keys(u.dirs))
	slices.Reverse(names)
	for _, name := range names {
		f, err := u.root.Open(name)
		if err != nil {
			return fileError(err)
		}
		err = attributes(f, u.dirs[name])
		f.Close()
		if err != nil {
			return fileError(err)
		}
	}
	return nil
}

// SourceNames are the names under which sources of "file push" go into a directory.
func SourceNames(sources []string) (names []string) {
	for _, src := range sources {
		names = append(names, sourceBase(src))
	}
	return names
}

// PushPacked is PushFiles for what a stream has. names are as SourceNames gives them. Nothing is changed in the instance before all
// of the stream is here.
func (m *Manager) PushPacked(ctx context.Context, names []string, to FileRef, in io.Reader, o FileOptions) error {
	err := m.staged(ctx, func(dir string) error {
		if err := UnpackFiles(ctx, in, dir); err != nil {
			return err
		}
		var sources []string
		for i, name := range names {
			if name == "" || name == ".." || strings.Contains(name, "/") {
				return sysctl.E(sysctl.Invalid, "%q is no name of a file", name)
			}
			src := filepath.Join(dir, strconv.Itoa(i)) + "/" + name
			if _, err := os.Lstat(src); err == nil { // else it was left out
				sources = append(sources, src)
			}
		}
		if len(names) > 1 && !strings.HasSuffix(to.Path, "/") {
			to.Path += "/" // also where only one of them was not left out
		}
		return m.PushFiles(ctx, sources, to, nil, o)
	})
	var e *sysctl.Error
	if errors.As(err, &e) && strings.HasPrefix(err.Error(), "file push") {
		return err
	}
	return sysctl.Wrap(err, "file push %s", to)
}

// PullPacked writes what PullFiles would copy to a stream: file N under the name that PlaceFiles looks for.
func (m *Manager) PullPacked(ctx context.Context, refs []FileRef, out io.Writer, o FileOptions) error {
	return m.staged(ctx, func(dir string) error {
		var sources []string
		for i, ref := range refs {
			in := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(in, 0o700); err != nil {
				return err
			}
			if err := m.PullFiles(ctx, []FileRef{ref}, in+"/", nil, o); err != nil {
				return err
			}
			sources = append(sources, in+"/.") // what was left out is not in it
		}
		return sysctl.Wrap(PackFiles(ctx, out, sources, true, nil), "file pull")
	})
}

// staged does something with an empty directory on the disk of the instances, which is gone afterwards, also where we are killed.
func (m *Manager) staged(ctx context.Context, do func(dir string) error) error {
	s, err := m.Storage.Stage(ctx)
	if err != nil {
		return err
	}
	err = do(s.Dir())
	return errors.Join(err, s.Abort())
}

// pulledName is the name under which a file of an instance goes into a directory.
func pulledName(ref FileRef) string {
	if base := path.Base(ref.Path); base != "/" {
		return base
	}
	return ref.Instance
}

// PlaceFiles moves what UnpackFiles has made of a stream of PullPacked from dir to where PullFiles would have put it. dir is on the
// same filesystem as dst.
func PlaceFiles(dir string, refs []FileRef, dst string, o FileOptions) error {
	for i, ref := range refs {
		from := filepath.Join(dir, strconv.Itoa(i), pulledName(ref))
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue // it was left out there
		}
		to, stream, err := hostPlace(ref, dst, len(refs) > 1, o.Parents)
		if err == nil && stream != nil {
			stream.Close()
			err = sysctl.E(sysctl.Invalid, "%s: it is no file", dst)
		}
		if err == nil {
			err = moveOver(from, to)
		}
		if err != nil {
			return sysctl.Wrap(fileError(err), "file pull %s", ref)
		}
	}
	return nil
}

// moveOver moves a tree to a name. A file is replaced, a directory merged into.
func moveOver(from, to string) error {
	src, err := os.Lstat(from)
	if err != nil {
		return err
	}
	old, err := os.Lstat(to)
	if err != nil || !old.IsDir() || !src.IsDir() {
		return os.Rename(from, to)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := moveOver(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Chmod(to, src.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, src.ModTime(), src.ModTime())
}
