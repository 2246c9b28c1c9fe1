package storage

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// copier copies files from one open directory to another, one of which is in a guest's tree. It names entries only
// relative to directories it holds open, and follows no link, so whoever changes the trees meanwhile leads it nowhere.
type copier struct {
	ctx      context.Context
	o        sysctl.CopyOptions
	uid, gid int // owner of what is made, as the host sees it
	links    map[inode]made
	top      int // the directory the copy is made in
	buf      []byte
	done     int64
	made     bool // something was
	fresh    bool // the directory that is copied to is our own: what is made there needs no other name first
	inward   bool // what is copied is the host's: nobody less than its root makes devices there
	later    bool // nobody waits until it is on disk
}

type inode struct{ dev, ino uint64 }

// made is a copy that further names of its file are linked to.
type made struct {
	path string // below top
	inode
}

// pseudo says whether a directory's filesystem is the kernel's, not files of anybody.
func pseudo(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, 0x62656570 /* configfs */, 0x19800202 /* mqueue */ :
		return true
	}
	return false
}

func (c *copier) told(n int64) {
	c.done += n
	if c.o.Progress != nil && c.done>>20 != (c.done-n)>>20 {
		c.o.Progress("copy "+strconv.FormatInt(c.done>>20, 10)+" MiB", 0, 0)
	}
}

func (c *copier) skip(path, why string) {
	if c.o.Note != nil {
		c.o.Note(path + ": left out: " + why)
	}
}

// entry copies an entry of the directory from to the entry as of the directory to. path is where that is below
// top, and what errors name.
func (c *copier) entry(from int, e dirent, to int, as, path string) error {
	err := context.Cause(c.ctx)
	if err == nil {
		err = c.copyEntry(from, e, to, as, path)
	}
	var named *fs.PathError
	if err == nil || c.ctx.Err() != nil || errors.As(err, &named) || !strings.Contains(path, "/") {
		return err
	}
	return &fs.PathError{Op: "copy", Path: path, Err: err}
}

func (c *copier) copyEntry(from int, e dirent, to int, as, path string) error {
	fd, st, err := c.openSource(from, e)
	if err != nil {
		if !errors.Is(err, errNotRegular) {
			return err
		}
		if !c.o.Recursive {
			return sysctl.E(sysctl.Invalid, "it is %s, not a file", kindName(st.Mode))
		}
		c.skip(path, "it is "+kindName(st.Mode))
		return nil
	}
	defer unix.Close(fd)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return c.symlink(fd, to, as, st)
	case unix.S_IFDIR:
		if !c.o.Recursive {
			return unix.EISDIR
		}
		return c.directory(fd, to, as, path, st)
	}
	id := inode{st.Dev, st.Ino}
	if c.o.Recursive && st.Nlink > 1 {
		if old, ok := c.links[id]; ok && c.link(old, to, as) == nil {
			return nil
		}
	}
	copied, err := c.file(fd, to, as, st)
	if err == nil && c.o.Recursive && st.Nlink > 1 {
		c.links[id] = made{path, copied}
	}
	return err
}

// openSource is openEntry for what is to be copied, in half the calls where it is the host's and was a file when it was listed.
func (c *copier) openSource(dir int, e dirent) (int, unix.Stat_t, error) {
	if !c.inward || e.kind != unix.DT_REG {
		return openEntry(dir, e.name)
	}
	var st unix.Stat_t
	fd, err := unix.Openat(dir, e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			return fd, st, nil
		}
		unix.Close(fd)
	}
	return openEntry(dir, e.name) // it is another thing by now
}

// openEntry opens an entry without following it: a regular file or directory for reading, a link as such. Anything else
// is not opened, since that may wait or act, and is errNotRegular.
func openEntry(dir int, name string) (int, unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, st, err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, st, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return fd, st, nil
	case unix.S_IFREG, unix.S_IFDIR:
		defer unix.Close(fd)
		open, err := unix.Open(procPath(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return open, st, err
	}
	unix.Close(fd)
	return -1, st, errNotRegular
}

func kindName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "a fifo"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return "a device"
}

// directory copies one and what is in it. One that is there keeps its owner, mode and times.
func (c *copier) directory(from, to int, as, path string, st unix.Stat_t) error {
	err := unix.Mkdirat(to, as, 0o700)
	fresh := err == nil
	if err != nil && err != unix.EEXIST {
		return err
	}
	fd, err := unix.Openat(to, as, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ELOOP {
		err = unix.ENOTDIR
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if fresh {
		c.made = true
		var now unix.Stat_t
		if err := unix.Fstat(fd, &now); err != nil {
			return err
		}
		if err := c.own(fd, now, st.Mode); err != nil {
			return err
		}
	}
	if pseudo(from) {
		c.skip(path, "a filesystem of the kernel is mounted on it")
		return nil
	}
	list, err := readDir(from)
	if err != nil {
		return err
	}
	defer func(was bool) { c.fresh = was }(c.fresh)
	c.fresh = fresh
	for _, e := range list {
		err := c.entry(from, e, fd, e.name, path+"/"+e.name)
		if errors.Is(err, fs.ErrNotExist) && vanished(from, e.name) {
			continue
		}
		if err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	if err := copyUserXattrs(fd, from); err != nil {
		return err
	}
	return setTimes(fd, "", st)
}

// vanished says whether what was listed is gone: a guest goes on living while it is copied.
func vanished(dir int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == unix.ENOENT
}

// own gives what was made, and is as now says, its owner and mode.
func (c *copier) own(fd int, now unix.Stat_t, bits uint32) error {
	mode := c.mode(bits)
	if now.Uid != uint32(c.uid) || now.Gid != uint32(c.gid) {
		if err := unix.Fchown(fd, c.uid, c.gid); err != nil {
			return err
		}
	} else if now.Mode&0o7777 == mode {
		return nil // as it was made
	}
	return unix.Fchmod(fd, mode)
}

// first is the mode to make a file with: where its owner stays, the one that it keeps, as each change of it costs as much as writing
// a small file does.
func (c *copier) first(bits uint32) uint32 {
	if c.o.UID != 0 || c.o.GID != 0 {
		return 0o600
	}
	return c.mode(bits) & 0o777
}

// mode is that of a copy. A set-uid bit would make its new owner's what was another's: it is not copied.
func (c *copier) mode(bits uint32) uint32 {
	if c.o.Mode != nil && bits&unix.S_IFMT == unix.S_IFREG {
		return permBits(*c.o.Mode)
	}
	return bits & 0o1777
}

// create makes something under its name in a directory of our own, and under a temporary one in any other: where it is to
// replace what is there, and nobody must see it before it is whole. tmp is the name that it has.
func (c *copier) create(as string, do func(name string) error) (tmp string, err error) {
	if c.fresh {
		if err := do(as); err != unix.EEXIST { // somebody in the guest was quicker
			return as, err
		}
	}
	tmp = temporary()
	return tmp, do(tmp)
}

// file copies a regular file.
func (c *copier) file(from, to int, as string, st unix.Stat_t) (inode, error) {
	var fd int
	tmp, err := c.create(as, func(name string) (err error) {
		fd, err = unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, c.first(st.Mode))
		return err
	})
	if err != nil {
		return inode{}, err
	}
	defer unix.Close(fd)
	told, end := c.told, func() {}
	if !c.later && st.Size > earlyChunk {
		told, end = c.writeEarly(fd)
	}
	err = copyData(c.ctx, fd, from, st.Size, st.Blocks*512 < st.Size, c.buf, told)
	end()
	if err == nil {
		err = copyUserXattrs(fd, from)
	}
	return c.finish(fd, to, tmp, as, st, err)
}

// earlyChunk is how much of a file is copied before it begins to be written to the disk.
const earlyChunk = 2 << 20

// writeEarly has a file that is being copied written to the disk meanwhile, as fsync will wait for that: told is called as copyData
// calls it, end before fd is closed. It promises nothing, and in a file with holes takes other parts. sync_file_range(2) does nothing in an overlay; this advice begins to write
// (mm/fadvise.c) and forgets what is written already.
func (c *copier) writeEarly(fd int) (told func(n int64), end func()) {
	parts := make(chan [2]int64, 64)
	var all sync.WaitGroup
	all.Go(func() {
		for part := range parts {
			unix.Fadvise(fd, part[0], part[1]-part[0], unix.FADV_DONTNEED)
		}
	})
	var begun, copied int64
	told = func(n int64) {
		c.told(n)
		if copied += n; copied-begun >= earlyChunk {
			select {
			case parts <- [2]int64{begun, copied}:
				begun = copied
			default: // it is far behind: this part later, with the next
			}
		}
	}
	return told, func() { close(parts); all.Wait() }
}

// finish gives a written file its owner, mode, times and name, or removes it where err or anything else is wrong.
func (c *copier) finish(fd, to int, tmp, as string, st unix.Stat_t, err error) (inode, error) {
	var now unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &now)
	}
	if err == nil {
		err = c.own(fd, now, st.Mode)
	}
	if err == nil && c.o.Recursive {
		err = setTimes(fd, "", st)
	}
	if err == nil && !c.o.Recursive && !c.later { // one file: its content is on disk before its name says so
		err = unix.Fsync(fd)
	}
	return inode{now.Dev, now.Ino}, c.name(to, tmp, as, err)
}

// name gives what was made under tmp its name, or removes it where err or anything else is wrong.
func (c *copier) name(dir int, tmp, as string, err error) error {
	if err == nil && tmp != as {
		err = unix.Renameat(dir, tmp, dir, as)
	}
	if err != nil {
		unix.Unlinkat(dir, tmp, 0)
	}
	c.made = c.made || err == nil
	return err
}

func (c *copier) symlink(from, to int, as string, st unix.Stat_t) error {
	target, err := readlinkAt(from, "")
	if err != nil {
		return err
	}
	tmp, err := c.create(as, func(name string) error { return unix.Symlinkat(target, to, name) })
	if err != nil {
		return err
	}
	err = unix.Fchownat(to, tmp, c.uid, c.gid, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		err = setTimes(to, tmp, st)
	}
	return c.name(to, tmp, as, err)
}

// link gives a copy one more name. Whatever keeps it from that, the file is copied again.
func (c *copier) link(old made, to int, as string) error {
	fd, err := unix.Openat2(c.top, old.path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if (inode{st.Dev, st.Ino}) != old.inode {
		return errMoved
	}
	tmp, err := c.create(as, func(name string) error { return unix.Linkat(fd, "", to, name, unix.AT_EMPTY_PATH) })
	if err != nil || tmp == as {
		return err
	}
	err = unix.Renameat(to, tmp, to, as)
	unix.Unlinkat(to, tmp, 0) // rename leaves it where both names are the same file's
	return err
}

// setTimes gives an entry of a directory, or with no name what is open itself, the times of access and change that st has.
func setTimes(fd int, name string, st unix.Stat_t) error {
	return unix.UtimesNanoAt(fd, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
}

// copyUserXattrs copies the attributes that are the user's. All others mean something to the kernel, of the host or the
// guest, and must not go from one to the other. A filesystem that has none takes none.
func copyUserXattrs(to, from int) error {
	list, err := grow(func(b []byte) (int, error) { return unix.Flistxattr(from, b) })
	if err == unix.ENOTSUP {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(string(list), "\x00") {
		if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return unix.Fgetxattr(from, name, b) })
		if err == unix.ENODATA {
			continue
		}
		if err == nil {
			err = unix.Fsetxattr(to, name, value, 0)
		}
		if err != nil && err != unix.ENOTSUP {
			return err
		}
	}
	return nil
}
