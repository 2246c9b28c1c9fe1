package templates

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// UnpackOptions bounds and watches a tree being made.
type UnpackOptions struct {
	MaxSize    int64 // bytes of content; 0 = DefaultMaxSize
	MaxEntries int64 // 0 = DefaultMaxEntries
	Progress   sysctl.Progress
}

// Unpack unpacks a tar archive (gz, xz, zst, bz2 or plain, told by its first bytes) into dir, an existing empty
// directory that nobody else can enter. An archive with everything in rootfs/ beside a metadata.yaml, as LXC and
// Incus make it, gives the content of rootfs/.
//
// The archive is hostile: nothing is written outside dir. Owners, modes, times, hard links, holes, file
// capabilities, POSIX ACLs and user.* attributes are kept; without root, owners are the caller's. Device nodes
// are left out and counted, since an instance gets a /dev of its own. Where an entry comes twice the later wins,
// but a directory does not lose its content.
//
// Errors: Invalid (hostile name, damaged archive, limit, no root filesystem in it), NoSpace, Canceled,
// and what reading r gives. After an error dir holds a part of the tree: removing it is the caller's,
// and so is making a whole one durable.
func Unpack(ctx context.Context, r io.Reader, dir string, o UnpackOptions) (Stats, error) {
	m := newMeter(o.MaxSize, o.MaxEntries)
	root, err := openEmpty(dir)
	if err != nil {
		return m.Stats, sysctl.Wrap(err, "unpack")
	}
	u := &unpacker{top: newSink(root, m)}
	defer u.close()
	u.in, err = openInput(ctx, r, m, o.Progress)
	if err != nil {
		return m.Stats, classify(ctx, err, "unpack", dir)
	}
	m.Format = u.in.format
	err = u.all(ctx)
	u.in.stop()
	if err == nil {
		err = u.finish(ctx)
	}
	return m.Stats, classify(ctx, err, "unpack", dir)
}

// checkEmpty reports whether there is an empty directory at the host path dir.
func checkEmpty(dir string) error {
	names, err := os.ReadDir(dir)
	if err == nil && len(names) > 0 {
		return sysctl.E(sysctl.Conflict, "directory %s is not empty", dir)
	}
	return err
}

// openEmpty opens the empty directory at the host path dir.
func openEmpty(dir string) (int, error) {
	if err := checkEmpty(dir); err != nil {
		return -1, err
	}
	root, err := openRoot(dir)
	return root, sysctl.Wrap(err, "open %s", dir)
}

// classify gives a full disk its kind and hint, and the end of a context its kind.
func classify(ctx context.Context, err error, verb, dir string) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return sysctl.E(sysctl.Canceled, "%s: %w", verb, ctx.Err())
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return sysctl.E(sysctl.NoSpace, "%s: %w", verb, err).WithHint("df -h %s", dir)
	}
	return sysctl.Wrap(err, "%s", verb)
}

// unpacker is one archive being unpacked.
type unpacker struct {
	in     *input
	top    *sink // the whole archive
	sub    *sink // what is in rootfs/, with that as its root; nil until there is something
	others bool  // there is something beside rootfs/ that no image archive has

	over  *layering // set where the archive is one of several layers
	exact bool      // it is a layer of an archive of ours, of which nothing may get lost
}

func (u *unpacker) close() {
	u.top.close()
	if u.sub != nil {
		u.sub.close()
	}
}

// all makes every entry of the archive, then reads on to its end, where checksums are.
func (u *unpacker) all(ctx context.Context) error {
	b := u.newBatcher(ctx)
	err := u.read(b)
	if made := b.end(); made != nil {
		return made // it comes before what was read ahead
	}
	if err == nil {
		err = u.in.drain()
	}
	return err
}

// read reads the archive up to its last entry.
func (u *unpacker) read(b *batcher) error {
	tr := tar.NewReader(u.in)
	for {
		h, err := tr.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath): // names are checked below
			return u.in.damaged(err)
		}
		u.in.entries++
		if err := b.add(h, tr); err != nil {
			return err
		}
	}
}

// route returns the sink and the name in it for an entry of the archive.
func (u *unpacker) route(name string, dir bool) (*sink, string) {
	first, rest, below := strings.Cut(name, "/")
	if u.over != nil || u.exact || first != "rootfs" || !below && !dir {
		return u.top, name
	}
	if u.sub == nil && !u.openSub() {
		return u.top, name
	}
	if !below {
		rest = "."
	}
	return u.sub, rest
}

// openSub makes rootfs/ a root of its own, so that absolute links in it lead where the guest
// will see them lead. It reports false where the name is taken by something else.
func (u *unpacker) openSub() bool {
	if err := unix.Mkdirat(u.top.root, "rootfs", 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return false
	}
	fd, err := openat(u.top.root, "rootfs", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, noLinks)
	if err != nil {
		return false
	}
	u.sub = newSink(fd, u.top.meter)
	return true
}

// entry makes one entry.
func (u *unpacker) entry(ctx context.Context, h *tar.Header, content feed) error {
	if h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == 'V' { // comments of the archive, no entries
		return nil
	}
	name, err := u.cleanName(h.Name)
	if err != nil {
		return err
	}
	u.note(name)
	if u.over != nil {
		if hides, err := u.over.whiteout(u.top, name); hides || err != nil {
			return u.refused(err)
		}
		u.over.mark(name)
	}
	if err := u.top.entry(); err != nil {
		return err
	}
	a, err := u.attrs(h)
	if err != nil {
		return err
	}
	s, name := u.route(name, h.Typeflag == tar.TypeDir)
	if name == "." && h.Typeflag != tar.TypeDir {
		return sysctl.E(sysctl.Invalid, "the root of the tree is not a directory")
	}
	return u.refused(u.put(ctx, s, name, h, a, content))
}

func (u *unpacker) put(ctx context.Context, s *sink, name string, h *tar.Header, a attrs, content feed) error {
	switch h.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeCont, tar.TypeGNUSparse:
		sparse := isSparse(h)
		if err := u.top.fits(h.Size, sparse); err != nil {
			return err
		}
		return s.file(ctx, name, a, content, sparse)
	case tar.TypeDir:
		return s.mkdir(name, a)
	case tar.TypeSymlink:
		return s.symlink(name, h.Linkname, a)
	case tar.TypeLink:
		return u.link(s, name, h.Linkname)
	case tar.TypeFifo:
		return s.fifo(name, a)
	case tar.TypeChar, tar.TypeBlock:
		u.top.skip("device nodes")
		return nil
	}
	return sysctl.E(sysctl.Invalid, "entry type %q is not known", h.Typeflag)
}

func (u *unpacker) link(s *sink, name, linkname string) error {
	target, err := u.cleanName(linkname)
	if err != nil {
		return sysctl.Wrap(err, "hard link")
	}
	from, target := u.route(target, false)
	err = s.link(name, from, target)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return sysctl.E(sysctl.Invalid, "hard link to %.200q, which is not in the archive before it", linkname)
	case errors.Is(err, unix.EPERM):
		return sysctl.E(sysctl.Invalid, "hard link to %.200q, which cannot have one", linkname)
	}
	return err
}

// note remembers whether the archive can be an image with its tree in rootfs/.
func (u *unpacker) note(name string) {
	first, _, _ := strings.Cut(name, "/")
	if !slices.Contains([]string{".", "rootfs", "templates", "metadata.yaml"}, first) {
		u.others = true
	}
}

// finish sets what has to wait for the end, lifts rootfs/ where that is the tree, and looks whether there is a root
// filesystem.
func (u *unpacker) finish(ctx context.Context) error {
	if u.sub != nil && !u.others {
		a := u.sub.dirs["."]
		delete(u.sub.dirs, ".")
		if err := u.sub.finish(ctx); err != nil {
			return err
		}
		if err := lift(u.top.root, "rootfs", "templates", "metadata.yaml"); err != nil {
			return sysctl.Wrap(err, "lift rootfs/")
		}
		u.top.dirs = map[string]attrs{".": a}
	} else if u.sub != nil {
		if err := u.sub.finish(ctx); err != nil {
			return err
		}
	}
	if err := u.top.finish(ctx); err != nil {
		return err
	}
	return checkRoot(u.top.root)
}

// cleanName is cleanName, but that layers may have absolute names, which are meant in their tree.
func (u *unpacker) cleanName(name string) (string, error) {
	if u.over != nil && strings.HasPrefix(name, "/") {
		name = "." + name
	}
	return cleanName(name)
}

// cleanName checks a name in an archive and returns it relative and clean.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", sysctl.E(sysctl.Invalid, "a name is empty")
	case strings.HasPrefix(name, "/"):
		return "", sysctl.E(sysctl.Invalid, "name %.200q is absolute", name).
			WithHint("make the archive with relative names: tar -C DIR -c .")
	case strings.ContainsRune(name, 0):
		return "", sysctl.E(sysctl.Invalid, "name %.200q contains a NUL", name)
	case leadsOut(name):
		return "", sysctl.E(sysctl.Invalid, "name %.200q leads out of the tree by \"..\"", name)
	}
	return path.Clean(name), nil
}

func leadsOut(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// attrs reads an entry's attributes.
func (u *unpacker) attrs(h *tar.Header) (attrs, error) {
	const most = math.MaxUint32 - 1 // the largest number is chown's "leave it"
	if h.Uid < 0 || h.Gid < 0 || h.Uid > most || h.Gid > most {
		return attrs{}, sysctl.E(sysctl.Invalid, "owner %d:%d is not a uid and gid", h.Uid, h.Gid)
	}
	a := attrs{mode: uint32(h.Mode) & 0o7777, uid: h.Uid, gid: h.Gid}
	a.mtime = unix.Timespec{Sec: h.ModTime.Unix(), Nsec: int64(h.ModTime.Nanosecond())}
	if h.ModTime.IsZero() {
		a.mtime = unix.Timespec{}
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		switch {
		case ok && (keepXattr(name) || u.exact && layerXattr(name)):
			if a.xattrs == nil {
				a.xattrs = map[string]string{}
			}
			a.xattrs[name] = value
		case strings.HasPrefix(key, "SCHILY.acl."):
			u.top.skip("ACLs in text form")
		}
	}
	return a, nil
}

// isSparse reports whether the archive has the file with holes. Elsewhere zeros are kept as they are: somebody may
// have reserved the space.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// refused turns the kernel's refusal of a name into an error of the archive.
func (u *unpacker) refused(err error) error {
	var why string
	var classified *sysctl.Error
	var bad inputError
	switch {
	case err == nil, errors.As(err, &classified), errors.As(err, &bad):
		return err
	case errors.Is(err, unix.ENOTDIR):
		why = "what should hold it is not a directory"
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		why = "it is reached by a symbolic link that cannot be followed"
	case errors.Is(err, fs.ErrNotExist):
		why = "it is reached by a symbolic link that leads nowhere"
	case errors.Is(err, unix.ENAMETOOLONG):
		why = "the name is too long"
	case errors.Is(err, unix.ENOTEMPTY):
		why = "it would replace a directory that is not empty"
	default:
		return err
	}
	return sysctl.E(sysctl.Invalid, "%s", why)
}
