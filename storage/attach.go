package storage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// A mount of a running guest is in two places: where the guest's next boot begins, which the guest cannot reach, and in the
// guest itself. What the first has at a path is ours, and by that the second one's is recognised. What is done in the first
// reaches the second, whose mounts are slaves of its own, unless the guest has mounted something on a parent of the path.

// Attach mounts a detached mount at a path of a guest, in all its spaces: first, in the one that the guest cannot reach. The
// path is resolved in the guest's root; what is missing of it is made. A space that has it is left as it is.
// The caller has made sure that the processes still are those it means.
func (s *Store) Attach(ctx context.Context, spaces []sysctl.MountSpace, m sysctl.IDMap, mount *os.File, path string) error {
	err := ctx.Err()
	for i, at := range spaces {
		if err != nil {
			break
		}
		err = inSpace(at, m, func(sp space) error {
			if i == 0 {
				return sp.attachFirst(mount, path)
			}
			return inSpace(spaces[0], m, func(first space) error { return sp.attachAs(first, path) })
		})
	}
	return sysctl.Wrap(err, "mount at %s", path)
}

// Detach takes what Attach has mounted at a path away, from the last of the spaces to the first. Absent is success: the guest
// may have unmounted it. What the guest has mounted over it is not touched: then the kind is Busy.
func (s *Store) Detach(ctx context.Context, spaces []sysctl.MountSpace, m sysctl.IDMap, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	first, err := openSpace(spaces[0], m)
	if err != nil {
		return err
	}
	defer first.close()
	ours, ok, err := first.mountAt(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ok {
		return nil
	}
	for i := len(spaces) - 1; i > 0 && err == nil; i-- {
		err = inSpace(spaces[i], m, func(sp space) error { return sp.uncovered(path, ours) })
	}
	if err == nil {
		err = first.detach(path, ours)
	}
	for i := len(spaces) - 1; i > 0 && err == nil; i-- {
		err = inSpace(spaces[i], m, func(sp space) error { return sp.detach(path, ours) })
	}
	return sysctl.Wrap(err, "unmount %s", path)
}

// space is an open MountSpace.
type space struct {
	at   sysctl.MountSpace
	ns   *os.File
	tree *Tree
}

func openSpace(at sysctl.MountSpace, m sysctl.IDMap) (space, error) {
	t, err := ProcTree(at.Process.PID)
	if err != nil {
		return space{}, err
	}
	if at.Dir != "" {
		dir, err := t.open("open", at.Dir, unix.O_PATH|unix.O_DIRECTORY)
		t.Close()
		if err != nil {
			return space{}, err
		}
		t = NewTree(os.NewFile(uintptr(dir), at.Dir))
	}
	ns, err := os.Open("/proc/" + strconv.Itoa(at.Process.PID) + "/ns/mnt")
	if err != nil {
		t.Close()
		return space{}, err
	}
	return space{at, ns, t.WithOwner(int(m.Base), int(m.Base))}, nil
}

func inSpace(at sysctl.MountSpace, m sysctl.IDMap, f func(space) error) error {
	sp, err := openSpace(at, m)
	if err != nil {
		return err
	}
	defer sp.close()
	return f(sp)
}

func (sp space) close() { sp.tree.Close(); sp.ns.Close() }

// inside does something in the mount namespace.
func (sp space) inside(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(int(sp.ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return sysctl.Wrap(err, "enter mount namespace")
		}
		return f()
	})
}

// attach moves a detached mount to a path.
func (sp space) attach(mount *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(mount.Fd()), &st); err != nil {
		return err
	}
	if err := sp.makePoint(path, st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return err
	}
	target, err := sp.tree.open("mount", path, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return sp.inside(func() error {
		err := unix.MoveMount(int(mount.Fd()), "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
		if err == unix.ENOTDIR {
			return sysctl.E(sysctl.Conflict, "there is a file in the place of the directory, or the other way round: %w", err)
		}
		return os.NewSyscallError("move_mount", err)
	})
}

// attachFirst does the same where only we mount: what is there is this mount already, or left by somebody who was interrupted.
func (sp space) attachFirst(mount *os.File, path string) error {
	old, ok, err := sp.mountAt(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if ok {
		info, err := sp.tree.Stat(path)
		if err != nil {
			return err
		}
		if now, err := mount.Stat(); err == nil && os.SameFile(info, now) {
			return nil
		}
		if err := sp.detach(path, old); err != nil {
			return err
		}
	}
	return sp.attach(mount, path)
}

// attachAs mounts what another space has at a path, where it has not come here by itself.
func (sp space) attachAs(first space, path string) error {
	clone, ours, err := first.clone(path)
	if err != nil {
		return err
	}
	defer clone.Close()
	there, _, err := sp.find(path, ours)
	if there || err != nil {
		return err
	}
	return sp.attach(clone, path)
}

// find reports whether ours is mounted at a path, and whether something lies over it.
func (sp space) find(path string, ours mountEntry) (there, covered bool, err error) {
	top, ok, err := sp.mountAt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil || !ok || top.same(ours) {
		return ok && err == nil, false, err
	}
	all, err := sp.mounts()
	for _, e := range all {
		covered = covered || e.same(ours) && e.point == top.point
	}
	return covered, covered, err
}

// makePoint makes what is to be mounted on: a directory, or a file for anything else. What is there stays.
func (sp space) makePoint(path string, dir bool) error {
	if _, err := sp.tree.Stat(path); err == nil {
		return nil
	}
	if dir {
		return sp.tree.MkdirAll(path, 0o755)
	}
	return sp.tree.WriteFile(path, nil, 0o644)
}

// clone returns a detached copy of the mount at a path, and what it is.
func (sp space) clone(path string) (*os.File, mountEntry, error) {
	ours, ok, err := sp.mountAt(path)
	if err == nil && !ok {
		err = sysctl.E(sysctl.NotFound, "nothing is mounted there")
	}
	if err != nil {
		return nil, ours, err
	}
	from, err := sp.tree.open("mount", path, unix.O_PATH)
	if err != nil {
		return nil, ours, err
	}
	defer unix.Close(from)
	fd := -1
	err = sp.inside(func() (err error) {
		fd, err = unix.OpenTree(from, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		return os.NewSyscallError("open_tree", err)
	})
	if err != nil {
		return nil, ours, err
	}
	f := os.NewFile(uintptr(fd), path)
	// What the guest mounts on it stays in the guest.
	attr := unix.MountAttr{Propagation: unix.MS_SLAVE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		f.Close()
		return nil, ours, os.NewSyscallError("mount_setattr", err)
	}
	return f, ours, nil
}

// uncovered fails with Busy where the guest has mounted something over what is ours.
func (sp space) uncovered(path string, ours mountEntry) error {
	_, covered, err := sp.find(path, ours)
	if covered && err == nil {
		err = sysctl.E(sysctl.Busy, "the guest has mounted something over it")
	}
	return err
}

// detach unmounts what is at a path where it is the same as ours.
func (sp space) detach(path string, ours mountEntry) error {
	top, ok, err := sp.mountAt(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ok {
		return nil
	}
	if err != nil {
		return err
	}
	if !top.same(ours) {
		return nil
	}
	fd, err := sp.tree.open("unmount", path, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return sp.inside(func() error {
		// The guest's root becomes this thread's, so that no link of it leads out: what is unmounted is the guest's in any case.
		if err := unix.Fchdir(int(sp.tree.root.Fd())); err != nil {
			return err
		}
		if err := unix.Chroot("."); err != nil {
			return os.NewSyscallError("chroot", err)
		}
		point := strings.TrimPrefix(top.point, sp.at.Dir)
		return os.NewSyscallError("umount", unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
	})
}

// mountEntry is a line of mountinfo (proc(5)).
type mountEntry struct {
	id        uint64
	dev, root string // the filesystem, and what of it is mounted
	point     string // as the process sees it
}

// same reports whether both are mounts of the same thing.
func (e mountEntry) same(o mountEntry) bool { return e.dev == o.dev && e.root == o.root }

// mountAt returns the topmost mount whose root is at a path.
func (sp space) mountAt(path string) (mountEntry, bool, error) {
	fd, err := sp.tree.open("stat", path, unix.O_PATH)
	if err != nil {
		return mountEntry{}, false, err
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return mountEntry{}, false, os.NewSyscallError("statx", err)
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return mountEntry{}, false, sysctl.E(sysctl.Unsupported, "this kernel (before 5.8) does not tell mounts apart")
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return mountEntry{}, false, nil
	}
	all, err := sp.mounts()
	for _, e := range all {
		if e.id == st.Mnt_id {
			return e, true, err
		}
	}
	return mountEntry{}, false, err
}

func (sp space) mounts() ([]mountEntry, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(sp.at.Process.PID) + "/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []mountEntry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) < 5 {
			return nil, fmt.Errorf("mountinfo: %q", lines.Text())
		}
		id, err := strconv.ParseUint(w[0], 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, mountEntry{id: id, dev: w[2], root: w[3], point: unescape(w[4])})
	}
	return all, lines.Err()
}

// unescape undoes what proc(5) does to white space in a path: a backslash and three octal digits.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
