package templates

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// attrs is what an entry has besides its content.
type attrs struct {
	mode     uint32 // permission bits with setuid, setgid and sticky
	uid, gid int
	mtime    unix.Timespec
	xattrs   map[string]string
}

// sink writes entries below one directory and never outside of it: parents are resolved inside the
// root, the last component is never followed. Names are relative, clean and without "..". An entry
// that is there already is replaced, but a directory keeps its content.
type sink struct {
	*meter
	root   int
	owners bool             // uids and gids can be set (root)
	hides  bool             // what takes the place of a directory takes that of its content too
	below  bool             // there was a tree before, whose attributes are not to show through
	exact  bool             // everything is to be as it is said
	dirs   map[string]attrs // set at the end: contents change mtimes, default ACLs would be inherited
	buf    []byte           // for copying

	parentName string // of the cached descriptor: entries of a directory follow each other
	parentFD   int
}

// newSink takes over root.
func newSink(root int, m *meter) *sink {
	return &sink{
		meter: m, root: root, owners: unix.Geteuid() == 0,
		dirs: map[string]attrs{".": unnamed()}, buf: make([]byte, 1<<20), parentFD: -1,
	}
}

// unnamed is what a directory gets that is needed but has no entry of its own. Its time is fixed (1970), so that
// the same archive gives the same tree each time.
func unnamed() attrs { return attrs{mode: 0o755} }

// close closes the root. It does not finish the directories.
func (s *sink) close() {
	s.forget()
	unix.Close(s.root)
}

func (s *sink) forget() {
	if s.parentFD >= 0 {
		unix.Close(s.parentFD)
	}
	s.parentFD = -1
}

// parent returns the directory that holds name, made where it is missing, and name's last component. The
// descriptor belongs to the sink.
func (s *sink) parent(name string) (int, string, error) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if dir == "" {
		return s.root, base, nil
	}
	if s.parentFD >= 0 && s.parentName == dir {
		return s.parentFD, base, nil
	}
	fd, err := s.openDir(dir)
	if err != nil {
		return -1, "", err
	}
	s.forget()
	s.parentName, s.parentFD = dir, fd
	return fd, base, nil
}

// openDir opens the directory name, making it and its parents where they are missing. The caller closes
// the descriptor.
func (s *sink) openDir(name string) (int, error) {
	fd, err := openat(s.root, name, unix.O_PATH|unix.O_DIRECTORY, inRoot)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	above := s.root
	dir, base := path.Split(name)
	if dir = strings.TrimSuffix(dir, "/"); dir != "" {
		if above, err = s.openDir(dir); err != nil {
			return -1, err
		}
		defer unix.Close(above)
	}
	if err := s.entry(); err != nil {
		return -1, err
	}
	if err := unix.Mkdirat(above, base, 0o700); err != nil {
		if errors.Is(err, unix.EEXIST) {
			err = unix.ENOENT // a symbolic link that leads nowhere
		}
		return -1, err
	}
	s.dirs[name] = unnamed()
	return openat(above, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, noLinks)
}

// mkdir makes a directory. Its attributes are set by finish. The name "." is the root itself, which everybody in the
// guest may enter whatever its maker's temporary directory was like.
func (s *sink) mkdir(name string, a attrs) error {
	if name == "." {
		if a.mode&0o001 == 0 && !s.exact {
			a.mode |= 0o555
		}
		s.dirs[name] = a
		return nil
	}
	dir, base, err := s.parent(name)
	if err != nil {
		return err
	}
	err = unix.Mkdirat(dir, base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			s.dirs[name] = a
			return nil
		}
		err = s.replace(dir, base, func() error { return unix.Mkdirat(dir, base, 0o700) })
	}
	if err == nil {
		s.dirs[name] = a
	}
	return err
}

// replace removes what is at base and makes the new entry.
func (s *sink) replace(dir int, base string, create func() error) error {
	err := unix.Unlinkat(dir, base, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	}
	if s.hides && errors.Is(err, unix.ENOTEMPTY) {
		err = removeAll(dir, base)
	}
	if err != nil {
		return err
	}
	if dir == s.parentFD { // create still needs it; what it is called may have changed
		s.parentName = ""
	} else {
		s.forget()
	}
	return create()
}

// renew makes the directory name, open as fd, anew with the attributes it had or is to get, unless there is something in
// it. In an overlay it is opaque from then on, and needs no whiteouts for what was removed from it.
func (s *sink) renew(name string, fd int) error {
	var n node
	if err := unix.Fstat(fd, &n.st); err != nil {
		return err
	}
	a, err := n.attrs(fd)
	if err != nil {
		return err
	}
	dir, base := path.Split(name)
	above, err := openat(s.root, path.Clean(dir), unix.O_PATH|unix.O_DIRECTORY, inRoot)
	if err != nil {
		return unlessAbsent(err)
	}
	defer unix.Close(above)
	if err := unix.Unlinkat(above, base, unix.AT_REMOVEDIR); err != nil {
		if errors.Is(err, unix.ENOTEMPTY) {
			return nil
		}
		return unlessAbsent(err)
	}
	s.forget()
	if _, ok := s.dirs[name]; !ok {
		s.dirs[name] = a
	}
	return unix.Mkdirat(above, base, 0o700)
}

// make runs create, replacing an entry that is there.
func (s *sink) make(dir int, base string, create func() error) error {
	err := create()
	if errors.Is(err, unix.EEXIST) {
		err = s.replace(dir, base, create)
	}
	return err
}

// symlink makes a symbolic link; where it leads to does not matter here.
func (s *sink) symlink(name, target string, a attrs) error {
	return s.special(name, a, func(dir int, base string) error { return unix.Symlinkat(target, dir, base) })
}

// fifo makes a named pipe.
func (s *sink) fifo(name string, a attrs) error {
	return s.special(name, a, func(dir int, base string) error {
		if err := unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0); err != nil {
			return err
		}
		return unix.Fchmodat(dir, base, a.mode, 0)
	})
}

func (s *sink) special(name string, a attrs, create func(dir int, base string) error) error {
	dir, base, err := s.parent(name)
	if err != nil {
		return err
	}
	if err := s.make(dir, base, func() error { return create(dir, base) }); err != nil {
		return err
	}
	if s.owners {
		if err := unix.Fchownat(dir, base, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if s.exact {
		for _, x := range sortedNames(a.xattrs) { // of a pipe; a link has none
			if err := unix.Lsetxattr(fdPath(dir)+"/"+base, x, []byte(a.xattrs[x]), 0); err != nil {
				return sysctl.Wrap(err, "attribute %s", x)
			}
		}
	}
	return unix.UtimesNanoAt(dir, base, a.times(), unix.AT_SYMLINK_NOFOLLOW)
}

// sortedNames lists the keys of a map, sorted.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// link makes name another name of target, which was made in from before.
func (s *sink) link(name string, from *sink, target string) error {
	toDir, toBase, err := from.parent(target)
	if err != nil {
		return err
	}
	var old unix.Stat_t
	if err := unix.Fstatat(toDir, toBase, &old, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if from == s { // the next look-up may close the descriptor
		if toDir, err = unix.FcntlInt(uintptr(toDir), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return err
		}
		defer unix.Close(toDir)
	}
	dir, base, err := s.parent(name)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == old.Ino && st.Dev == old.Dev {
		return nil // a link to itself: replacing it would lose the file
	}
	return s.make(dir, base, func() error { return unix.Linkat(toDir, toBase, dir, base, 0) })
}

// apply sets everything but the times, as far as it is not so already: asking costs less than a change that changes
// nothing. The order matters: chown clears setuid bits and capabilities, chmod would change an ACL's mask.
func (s *sink) apply(fd int, a attrs) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	chown := s.owners && (int(st.Uid) != a.uid || int(st.Gid) != a.gid)
	if chown {
		if err := unix.Fchown(fd, a.uid, a.gid); err != nil {
			return err
		}
	}
	if chown || st.Mode&0o7777 != a.mode {
		if err := unix.Fchmod(fd, a.mode); err != nil {
			return err
		}
	}
	if s.below {
		if err := dropXattrs(fd, a.xattrs); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.xattrs)) {
		err := unix.Fsetxattr(fd, name, []byte(a.xattrs[name]), 0)
		switch {
		case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EPERM):
			s.skip("extended attributes the filesystem refuses")
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.E2BIG), errors.Is(err, unix.ERANGE):
			return sysctl.E(sysctl.Invalid, "extended attribute %s has a value that the kernel refuses", name)
		case err != nil:
			return err
		}
	}
	return nil
}

// dropXattrs removes the extended attributes that are not wanted: those of a directory below, and what a file inherits
// from such a one.
func dropXattrs(fd int, wanted map[string]string) error {
	if n, err := unix.Flistxattr(fd, nil); n <= 0 && (err == nil || errors.Is(err, unix.ENOTSUP)) {
		return nil
	}
	there, err := xattrs(fd)
	if err != nil {
		return err
	}
	for name := range there {
		if _, ok := wanted[name]; ok {
			continue
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return err
		}
	}
	return nil
}

// finish sets the attributes of the directories, the deepest first. A directory that was replaced
// in the meantime is left alone.
func (s *sink) finish(ctx context.Context) error {
	s.forget()
	names := slices.Sorted(maps.Keys(s.dirs))
	for _, name := range slices.Backward(names) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.finishDir(name, s.dirs[name]); err != nil {
			return sysctl.Wrap(err, "entry %.200q", name)
		}
	}
	return nil
}

func (s *sink) finishDir(name string, a attrs) error {
	fd, err := openat(s.root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, inRoot)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil
	case err != nil:
		return err
	}
	defer unix.Close(fd)
	if err := s.apply(fd, a); err != nil {
		return err
	}
	return unix.UtimesNanoAt(fd, ".", a.times(), 0)
}

// times is access and modification time for utimensat(2).
func (a attrs) times() []unix.Timespec { return []unix.Timespec{a.mtime, a.mtime} }

// keepXattr reports whether an extended attribute is carried into a tree. Those in trusted.* steer overlay mounts,
// SELinux labels belong to the host's policy.
func keepXattr(name string) bool {
	return name == "security.capability" || strings.HasPrefix(name, "user.") ||
		name == "system.posix_acl_access" || name == "system.posix_acl_default"
}
