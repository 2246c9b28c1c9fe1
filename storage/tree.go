package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// maxRead is the largest file ReadFile returns.
const maxRead = 16 << 20

// errNotRegular says that something was to be read that is no regular file.
var errNotRegular = errors.New("not a regular file")

var _ sysctl.BatchTree = (*Tree)(nil)

// Tree is a guest's tree under an open directory. Every path is resolved by the kernel with that directory as
// its root, so no symbolic link leads out and no path of the host is involved. It is safe
// for concurrent use until Close.
type Tree struct {
	root     *os.File
	uid, gid int       // the guest's root, as the host sees it
	readOnly bool      // writes fail with EROFS
	later    *unsynced // WriteFiles leaves the wait for the disk to somebody else
	staged   bool      // a layer under construction: whoever made it syncs, and times do not say when
}

// NewTree returns the tree under root, an open directory or mount (O_PATH will do), and owns root from now on.
// What it writes belongs to uid and gid 0.
func NewTree(root *os.File) *Tree { return &Tree{root: root} }

// OpenDirTree returns the tree under a directory of the host.
func OpenDirTree(path string) (*Tree, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return NewTree(os.NewFile(uintptr(fd), path)), nil
}

// ProcTree returns the tree a running process sees as its root. What it writes belongs to the root of that process's
// user namespace. The caller has made sure that pid still is the process it means; the tree stays with that
// process's root even when the pid is used again.
func ProcTree(pid int) (*Tree, error) {
	proc, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, sysctl.E(sysctl.NotFound, "process %d is gone: %w", pid, err)
	}
	if err != nil {
		return nil, sysctl.Wrap(err, "open process %d", pid)
	}
	defer unix.Close(proc)
	root, err := unix.Openat(proc, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, sysctl.Wrap(err, "open root of process %d", pid)
	}
	t := NewTree(os.NewFile(uintptr(root), "/"))
	if t.uid, err = hostID(proc, "uid_map"); err == nil {
		t.gid, err = hostID(proc, "gid_map")
	}
	if err != nil {
		t.Close()
		return nil, sysctl.Wrap(err, "process %d", pid)
	}
	return t, nil
}

// WithOwner returns the same tree, whose writes belong to uid and gid: the guest's root as the host sees it, where the
// tree's ids are shifted (OpenRoot).
func (t *Tree) WithOwner(uid, gid int) *Tree {
	c := *t
	c.uid, c.gid = uid, gid
	return &c
}

// Close closes the tree and unmounts it where nothing else holds it.
func (t *Tree) Close() error { return t.root.Close() }

// hostID returns what id 0 is on the host according to a process's uid_map or gid_map.
func hostID(proc int, name string) (int, error) {
	fd, err := unix.Openat(proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	for {
		var inside, outside, size int
		if _, err := fmt.Fscan(f, &inside, &outside, &size); err != nil {
			return 0, sysctl.E(sysctl.Unsupported, "its user namespace has no root: %s maps no 0", name)
		}
		if inside == 0 {
			return outside, nil
		}
	}
}

// open resolves name inside the tree.
func (t *Tree) open(op, name string, flags int) (int, error) {
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	if name == "" || strings.ContainsRune(name, 0) {
		return -1, &fs.PathError{Op: op, Path: name, Err: unix.EINVAL}
	}
	err := error(unix.EAGAIN)
	fd := -1
	// EAGAIN: a rename somewhere on the host while ".." was resolved. A guest can make it
	// happen, but not for ever.
	for i := 0; i < 128 && (err == unix.EAGAIN || err == unix.EINTR); i++ {
		fd, err = unix.Openat2(int(t.root.Fd()), name, how)
	}
	if err != nil {
		return -1, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return fd, nil
}

// ReadFile returns a regular file's content, of at most 16 MiB.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	f, err := t.regular("read", name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(b) > maxRead {
		err = &fs.PathError{Op: "read", Path: name, Err: unix.EFBIG}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Open opens a regular file for reading; the result is an io.ReaderAt.
func (t *Tree) Open(name string) (fs.File, error) {
	f, err := t.regular("open", name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// regular opens a regular file. Anything else is recognised before it is opened: opening a device or FIFO may wait or act.
func (t *Tree) regular(op, name string) (*os.File, error) {
	fd, err := t.open(op, name, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	f, err := reopen(fd, name)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return f, nil
}

// reopen opens for reading what an O_PATH descriptor stands for, if it is a regular file.
func reopen(path int, name string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return nil, unix.EISDIR
	default:
		return nil, errNotRegular
	}
	fd, err := unix.Open(procPath(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// procPath is a host path for an open descriptor of ours.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// ReadDir lists a directory, sorted by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	fd, err := t.open("readdir", name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := readDir(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	list := make([]fs.DirEntry, 0, len(names))
	for _, e := range names {
		entry := dirEntry{tree: t, dir: name, name: e.name}
		var ok bool
		if entry.kind, ok = typeOf(uint32(e.kind)); !ok {
			info, err := t.Lstat(path.Join(name, e.name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				return nil, err
			}
			entry.kind = info.Mode().Type()
		}
		list = append(list, entry)
	}
	return list, nil
}

// typeOf turns a type of getdents(2) into a mode's; a filesystem may not say one.
func typeOf(kind uint32) (fs.FileMode, bool) {
	switch kind {
	case unix.DT_REG:
		return 0, true
	case unix.DT_DIR:
		return fs.ModeDir, true
	case unix.DT_LNK:
		return fs.ModeSymlink, true
	case unix.DT_FIFO:
		return fs.ModeNamedPipe, true
	case unix.DT_SOCK:
		return fs.ModeSocket, true
	case unix.DT_BLK:
		return fs.ModeDevice, true
	case unix.DT_CHR:
		return fs.ModeDevice | fs.ModeCharDevice, true
	}
	return 0, false
}

// dirEntry is what a directory says of an entry. Info looks at the entry as it is when it is asked.
type dirEntry struct {
	tree      *Tree
	dir, name string
	kind      fs.FileMode
}

func (e dirEntry) Name() string               { return e.name }
func (e dirEntry) IsDir() bool                { return e.kind.IsDir() }
func (e dirEntry) Type() fs.FileMode          { return e.kind }
func (e dirEntry) Info() (fs.FileInfo, error) { return e.tree.Lstat(path.Join(e.dir, e.name)) }

// Stat follows symbolic links inside the tree.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name, 0) }

// Lstat does not follow the last one.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return t.stat("lstat", name, unix.O_NOFOLLOW) }

func (t *Tree) stat(op, name string, flags int) (fs.FileInfo, error) {
	fd, err := t.open(op, name, unix.O_PATH|flags)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return f.Stat()
}

// Readlink returns the target of a symbolic link, as it is written.
func (t *Tree) Readlink(name string) (string, error) {
	fd, err := t.open("readlink", name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	target, err := readlinkAt(fd, "")
	if err == unix.ENOENT { // what the kernel says of an open file that is no link
		err = unix.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return target, nil
}
