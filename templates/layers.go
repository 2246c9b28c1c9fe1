package templates

import (
	"context"
	"io"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// layer is one archive of an image.
type layer struct {
	name string // for people: its digest
	r    io.Reader
}

// unpackLayer unpacks a layer into dir over what is there, with what Unpack promises of one archive. The lowest wants an
// empty directory. A layer removes what lies below it by whiteouts: an entry .wh.NAME hides NAME, .wh..wh..opq the
// content of its directory. Neither touches what the layer itself brings, in whatever order it comes. Where dir is an
// overlay's, so is what they leave: its whiteouts and opaque directories.
func unpackLayer(ctx context.Context, l layer, dir string, lowest bool, m *meter, p sysctl.Progress) error {
	open := openRoot
	if lowest {
		open = openEmpty
	}
	root, err := open(dir)
	if err != nil {
		return sysctl.Wrap(err, "unpack")
	}
	u := &unpacker{top: newSink(root, m), over: &layering{lowest: lowest, made: map[string]bool{}}}
	defer u.close()
	u.top.hides, u.top.below = true, !lowest
	if !lowest {
		delete(u.top.dirs, ".") // it stays what it is, unless the layer says
	}
	u.in, err = openInput(ctx, l.r, m, p)
	if err == nil {
		err = u.all(ctx)
		u.in.stop()
	}
	if err == nil {
		err = u.top.finish(ctx)
	}
	return classify(ctx, sysctl.Wrap(err, "layer %s", sysctl.ShortID(l.name)), "unpack", dir)
}

// layering is what one layer did so far to those below it.
type layering struct {
	lowest bool            // there is nothing below
	made   map[string]bool // names that this layer brought, and the directories above them
	looked int64           // entries seen while something was hidden
}

const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..opq" // behind the prefix
)

// mark remembers that the layer brings name.
func (l *layering) mark(name string) {
	for ; !l.lowest && name != "." && !l.made[name]; name = path.Dir(name) {
		l.made[name] = true
	}
}

// whiteout does what an entry's name says, if it is that of a whiteout.
func (l *layering) whiteout(s *sink, name string) (bool, error) {
	dir, base := path.Split(name)
	hidden, ok := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case !ok:
		return false, nil
	case hidden == "" || hidden == "." || hidden == "..":
		return true, sysctl.E(sysctl.Invalid, "a whiteout of nothing")
	case l.lowest:
		return true, nil
	case hidden == whiteoutOpaque:
		return true, l.prune(s, path.Clean(dir))
	case strings.HasPrefix(hidden, whiteoutPrefix): // what AUFS kept for itself
		return true, nil
	}
	return true, l.hide(s, path.Join(dir, hidden))
}

// hide removes name as far as it is from below. That something is absent, or cannot be reached, is success.
func (l *layering) hide(s *sink, name string) error {
	if l.made[name] {
		return l.prune(s, name)
	}
	s.forget() // its directory may be removed
	return removeIn(s.root, name)
}

// prune removes what is in the directory name and is from below. A link is no directory.
func (l *layering) prune(s *sink, name string) error {
	fd, err := openat(s.root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, inRoot)
	if err != nil {
		return unlessAbsent(err)
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return err
	}
	for _, base := range names {
		// Removing is paid for by what was made; looking again and again is not.
		if l.looked++; l.looked > s.maxEntries {
			return sysctl.E(sysctl.Invalid, "whiteouts look at more than %d entries", s.maxEntries)
		}
		if err := l.hide(s, path.Join(name, base)); err != nil {
			return err
		}
	}
	if name == "." {
		return nil
	}
	return s.renew(name, fd)
}
