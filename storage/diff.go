package storage

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Comparison is two trees, open to be compared. What is read of the layers that both have is only what one of the others
// hides or changes: the cost is that of what was changed, not of what is there.
type Comparison struct {
	from, to *Tree
	raw      []int // roots of the layers that only one of the trees has, and of the upper: each as overlay wrote it
	list     []sysctl.Difference
	ids      [2]translate // what the ids of the files of either are in the guest
}

// OpenComparison opens two trees to be compared, both for reading only. An instance may run meanwhile: then what it
// changes while it is compared may be seen or not. The caller closes it. Kinds: NotFound, a layer or the upper is
// missing; Unsupported.
func (s *Store) OpenComparison(ctx context.Context, from, to sysctl.Side) (*Comparison, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &Comparison{}
	err := s.openSides(c, from, to)
	if err != nil {
		return nil, sysctl.Wrap(errors.Join(err, c.Close()), "open trees")
	}
	return c, nil
}

func (s *Store) openSides(c *Comparison, from, to sysctl.Side) (err error) {
	for i, side := range []sysctl.Side{from, to} {
		if c.ids[i], err = s.idsOf(side); err != nil {
			return err
		}
	}
	a, err := s.paths(from)
	if err != nil {
		return err
	}
	b, err := s.paths(to)
	if err != nil {
		return err
	}
	if c.from, err = s.openPaths(a); err != nil {
		return err
	}
	if c.to, err = s.openPaths(b); err != nil {
		return err
	}
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	for _, dir := range slices.Concat(a[same:], b[same:]) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return sysctl.Wrap(err, "open %s", dir)
		}
		c.raw = append(c.raw, fd)
	}
	return nil
}

// idsOf translates the ids of a tree into the guest's: its upper may have some of the host's (shift.go), its layers have none.
func (s *Store) idsOf(side sysctl.Side) (translate, error) {
	if side.Instance == 0 {
		return asIs, nil
	}
	have, err := readIDs(s.instance(side.Instance))
	return toGuest(have.Map), err
}

// paths are the directories of a tree, lowest first.
func (s *Store) paths(side sysctl.Side) ([]string, error) {
	dirs, err := s.layerPaths(side.Layers)
	if err != nil {
		return nil, err
	}
	if side.Instance != 0 {
		dirs = append(dirs, path.Join(home(s.instance(side.Instance)), "upper"))
	}
	if len(dirs) == 0 {
		return nil, sysctl.E(sysctl.Invalid, "a tree without layers")
	}
	return dirs, nil
}

// openPaths merges directories, lowest first, for reading. That one of them is somebody's upper does not matter to him.
func (s *Store) openPaths(dirs []string) (*Tree, error) {
	var t *Tree
	if len(dirs) == 1 { // overlay wants two
		var err error
		if t, err = OpenDirTree(dirs[0]); err != nil {
			return nil, err
		}
	} else {
		f, err := stack{lowers: dirs, base: s.layers()}.open(sysctl.IDMap{})
		if err != nil {
			return nil, err
		}
		t = NewTree(f)
	}
	t.readOnly = true
	return t, nil
}

// Close closes both trees.
func (c *Comparison) Close() error {
	var errs []error
	for _, t := range []*Tree{c.from, c.to} {
		if t != nil {
			errs = append(errs, t.Close())
		}
	}
	for _, fd := range c.raw {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// From is the tree that is compared with, To the other one.
func (c *Comparison) From() sysctl.Tree { return c.from }
func (c *Comparison) To() sysctl.Tree   { return c.to }

// Differences lists what is not the same, a directory before what is in it. Times do not count: only what the files are.
func (c *Comparison) Differences(ctx context.Context) ([]sysctl.Difference, error) {
	c.list = []sysctl.Difference{}
	a, err := lookAt(c.from.root, "/", c.ids[0])
	if err != nil {
		return nil, err
	}
	b, err := lookAt(c.to.root, "/", c.ids[1])
	if err == nil {
		err = c.entry(ctx, "/", a, b, c.raw, false)
	}
	a.close()
	b.close()
	return c.list, sysctl.Wrap(err, "compare")
}

// entry compares what lies at a path in the two trees. raw are the layers that have something there; whole says that a
// directory may differ anywhere below, and not only where they have something.
func (c *Comparison) entry(ctx context.Context, name string, a, b found, raw []int, whole bool) error {
	switch {
	case !a.there() && !b.there():
		return nil
	case !b.there():
		c.list = append(c.list, sysctl.Difference{Path: name, Change: sysctl.Deleted, Type: a.kind(), What: []string{}})
		return nil
	case !a.there():
		c.list = append(c.list, sysctl.Difference{Path: name, Change: sysctl.Added, Type: b.kind(), What: []string{}, Size: b.size()})
	default:
		what, err := changed(ctx, a, b)
		if err != nil {
			return sysctl.Wrap(err, "%s", shown(name))
		}
		if len(what) > 0 {
			c.list = append(c.list, sysctl.Difference{Path: name, Change: sysctl.Changed, Type: b.kind(), What: what, Size: b.size()})
		}
	}
	if !b.isDir() {
		return nil
	}
	return c.dir(ctx, name, a.isDir(), raw, whole || !a.isDir())
}

// dir compares what is in a directory of the second tree with what is in that of the first, where there is one.
func (c *Comparison) dir(ctx context.Context, name string, both bool, raw []int, whole bool) error {
	names := map[string]bool{}
	var here []int // of raw, those that have a directory there
	for _, root := range raw {
		fd, err := openBeneath(root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
		if err != nil {
			continue // not there, or no directory: then the merged trees tell
		}
		here = append(here, root)
		whole = whole || hidesBelow(fd)
		err = addNames(names, fd)
		unix.Close(fd)
		if err != nil {
			return sysctl.Wrap(err, "%s", shown(name))
		}
	}
	if whole {
		trees := []*Tree{c.to}
		if both {
			trees = append(trees, c.from)
		}
		for _, t := range trees {
			fd, err := openBeneath(int(t.root.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
			if gone(err) {
				continue // gone meanwhile
			}
			if err == nil {
				err = addNames(names, fd)
				unix.Close(fd)
			}
			if err != nil {
				return sysctl.Wrap(err, "%s", shown(name))
			}
		}
	}
	for _, base := range sorted(names) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(name)+len(base)+3 > unix.PathMax { // only a guest that means harm goes so deep
			c.list = append(c.list, sysctl.Difference{Path: path.Join(name, base), Change: sysctl.Changed, What: []string{"too deep to look at"}})
			continue
		}
		if err := c.at(ctx, path.Join(name, base), both, here, whole); err != nil {
			return err
		}
	}
	return nil
}

// at compares one entry of a directory.
func (c *Comparison) at(ctx context.Context, name string, both bool, raw []int, whole bool) error {
	var a found
	var err error
	if both {
		if a, err = lookAt(c.from.root, name, c.ids[0]); err != nil {
			return sysctl.Wrap(err, "%s", shown(name))
		}
		defer a.close()
	}
	b, err := lookAt(c.to.root, name, c.ids[1])
	if err != nil {
		return sysctl.Wrap(err, "%s", shown(name))
	}
	if !a.isDir() || !b.isDir() { // else they are closed before what is below is opened
		defer b.close()
		return c.entry(ctx, name, a, b, raw, whole)
	}
	what, err := changed(ctx, a, b)
	a.close()
	b.close()
	if err != nil {
		return sysctl.Wrap(err, "%s", shown(name))
	}
	if len(what) > 0 {
		c.list = append(c.list, sysctl.Difference{Path: name, Change: sysctl.Changed, Type: "directory", What: what})
	}
	return c.dir(ctx, name, true, raw, whole)
}

// hidesBelow reports that a layer's directory hides what layers below it have there, or shows another directory's.
func hidesBelow(fd int) bool {
	for _, name := range []string{"trusted.overlay.opaque", "trusted.overlay.redirect"} {
		var b [1]byte
		if n, err := unix.Fgetxattr(fd, name, b[:]); err == unix.ERANGE || err == nil && (n > 0 && b[0] == 'y' || name != "trusted.overlay.opaque") {
			return true
		}
	}
	return false
}

func addNames(names map[string]bool, fd int) error {
	list, err := readDir(fd)
	if err == unix.ENOENT { // removed after it was opened
		return nil
	}
	for _, e := range list {
		names[e.name] = true
	}
	return err
}

func sorted(names map[string]bool) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// openBeneath opens a path below a directory, through no symbolic link and into no mount.
func openBeneath(root int, name string, flags int) (int, error) {
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	name = "." + name
	fd, err := unix.Openat2(root, name, how)
	for i := 0; i < 128 && (err == unix.EAGAIN || err == unix.EINTR); i++ {
		fd, err = unix.Openat2(root, name, how)
	}
	return fd, err
}

// gone reports that a path does not lead to anything.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
