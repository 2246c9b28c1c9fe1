package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// treeCopier copies a tree that nobody changes meanwhile into an empty directory that nobody else uses. As a walker, it holds
// one directory of each open however deep they are.
type treeCopier struct {
	walker
	ctx   context.Context
	root  int // the copy's
	to    int // its open directory
	depth int // of to
	files map[inode]string
	buf   []byte
	ids   translate // of what is copied
	what  string    // is done: for the progress
	p     sysctl.Progress

	bytes int64 // of the files
	own   int64 // that are allocated, of those that do not share their blocks
}

// asIs translates no id.
func asIs(_ bool, id uint32) (uint32, error) { return id, nil }

// copyTree copies what is in the directory from into to, and gives to from's attributes. Their ids are translated. What it returns has counted.
func copyTree(ctx context.Context, from, to string, ids translate, what string, p sysctl.Progress) (*treeCopier, error) {
	root, err := unix.Open(to, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	c := &treeCopier{ctx: ctx, root: root, files: map[inode]string{}, buf: make([]byte, 128<<10), ids: ids, what: what, p: p}
	if c.to, err = unix.FcntlInt(uintptr(root), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return nil, err
	}
	defer func() { unix.Close(c.to) }()
	c.visit = c.entry
	c.leave = c.leaveDir
	if err := c.run(ctx, from); err != nil {
		return nil, err
	}
	return c, copyRoot(from, to, ids)
}

// entry copies one entry of the open directory.
func (c *treeCopier) entry(e dirent) (bool, error) {
	if c.depth != len(c.stack)-1 {
		return false, errMoved // a directory was gone when it was to be entered
	}
	var st unix.Stat_t
	if err := unix.Fstatat(c.dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, sysctl.Wrap(err, "%s", shown(c.path(e.name)))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true, sysctl.Wrap(c.enter(e.name), "%s", shown(c.path(e.name)))
	}
	return false, sysctl.Wrap(c.leaf(e.name, &st), "%s", shown(c.path(e.name)))
}

// enter makes a directory and goes there. It gets its attributes when it is left: its time is that of its last change.
func (c *treeCopier) enter(name string) error {
	if err := unix.Mkdirat(c.to, name, 0o700); err != nil {
		return err
	}
	fd, err := unix.Openat(c.to, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	unix.Close(c.to)
	c.to = fd
	c.depth++
	return nil
}

func (c *treeCopier) leaveDir(name string) error {
	fd, err := unix.Openat(c.to, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	unix.Close(c.to)
	c.to = fd
	c.depth--
	var st unix.Stat_t
	if err := unix.Fstatat(c.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return c.attributes(name, &st)
}

// leaf copies what is no directory.
func (c *treeCopier) leaf(name string, st *unix.Stat_t) error {
	key := inode{st.Dev, st.Ino}
	if first, ok := c.files[key]; ok {
		err := unix.Linkat(c.root, first, c.to, name, 0)
		if err != unix.ENAMETOOLONG && err != unix.EMLINK {
			return err
		}
	} else if st.Nlink > 1 {
		c.files[key] = c.path(name)
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = c.content(name, st)
	case unix.S_IFLNK:
		var target string
		if target, err = readlinkAt(c.dir, name); err == nil {
			err = unix.Symlinkat(target, c.to, name)
		}
	default: // also a whiteout, which is a character device
		err = unix.Mknodat(c.to, name, st.Mode&unix.S_IFMT|0o600, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	return c.attributes(name, st)
}

// content copies a regular file: by reference where the filesystem can, else what is not a hole.
func (c *treeCopier) content(name string, st *unix.Stat_t) error {
	from, err := unix.Openat(c.dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	to, err := unix.Openat(c.to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if st.Size > 0 && unix.IoctlFileClone(to, from) != nil {
		c.own += st.Blocks * 512
		err = copyData(c.ctx, to, from, st.Size, true, c.buf, func(int64) {})
	}
	c.bytes += st.Size
	c.p.Report(c.what, c.bytes, 0)
	return errors.Join(err, unix.Close(to))
}

// attributes gives the copy of an entry of the open directory what the entry has.
func (c *treeCopier) attributes(name string, st *unix.Stat_t) error {
	return copyInode(fmt.Sprintf("/proc/self/fd/%d/%s", c.dir, name), fmt.Sprintf("/proc/self/fd/%d/%s", c.to, name), st, c.ids, ofTheUpper)
}

// copyRoot gives the root of a layer or upper the attributes of another's. Overlay's own say nothing of a root.
func copyRoot(from, to string, ids translate) error {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return err
	}
	return copyInode(from, to, &st, ids, func(xattr string) bool { return strings.HasPrefix(xattr, "trusted.overlay.") })
}

// copyInode copies owner, mode, extended attributes but those without, and times; st is of from. Ids are translated. No link is
// followed at the end of a path.
func copyInode(from, to string, st *unix.Stat_t, ids translate, without func(xattr string) bool) error {
	owner := *st
	if err := translateStat(&owner, ids); err != nil {
		return err
	}
	if err := unix.Lchown(to, int(owner.Uid), int(owner.Gid)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK { // before access lists, which it would change, and after the owner, who takes bits away
		if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
			return err
		}
	}
	list, err := grow(func(b []byte) (int, error) { return unix.Llistxattr(from, b) })
	if err != nil && err != unix.ENOTSUP {
		return err
	}
	for _, name := range strings.Split(string(list), "\x00") {
		if name == "" || without(name) {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return unix.Lgetxattr(from, name, b) })
		if err == nil {
			value, err = translateXattr(name, value, ids)
		}
		if err == nil {
			err = unix.Lsetxattr(to, name, value, 0)
		}
		if err != nil && xattrCounts(name) { // a label of the host's security module may be nobody's to write
			return sysctl.Wrap(err, "attribute %s", name)
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// ofTheUpper reports whether an attribute says something of the very upper that it is in (which lower file a file was
// copied from, how its links are counted), not of what lies below.
func ofTheUpper(xattr string) bool {
	switch xattr {
	case "trusted.overlay.origin", "trusted.overlay.nlink", "trusted.overlay.uuid", "trusted.overlay.impure":
		return true
	}
	return false
}
