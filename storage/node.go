package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// A guest in a user namespace can make no device nodes, and a node on a filesystem that is mounted in one cannot be opened. So the node
// is made on a tmpfs of the host's, with the guest's ids as the host knows them, and mounted on a file in the guest, and
// nowhere else: it goes with the guest's mounts, and is made anew when the guest boots again.

// FindNode returns a node with the numbers that its device has on the host now. Kinds: NotFound, there is nothing at the source;
// Invalid, that is no such device.
func (s *Store) FindNode(n sysctl.Node) (sysctl.Node, error) {
	if n.Source == "" {
		return n, nil
	}
	var st unix.Stat_t
	err := unix.Stat(n.Source, &st)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return n, sysctl.E(sysctl.NotFound, "%s does not exist on this host", n.Source).
			WithHint("ls -l %s; a device that may be missing has required=false", filepath.Dir(n.Source))
	}
	if err != nil {
		return n, &fs.PathError{Op: "stat", Path: n.Source, Err: err}
	}
	is := ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		is = "unix-block"
	case unix.S_IFCHR:
		is = "unix-char"
	default:
		return n, sysctl.E(sysctl.Invalid, "%s is no device", n.Source).WithHint("write type=disk to have a file or directory of the host in the guest")
	}
	if n.Block != (is == "unix-block") {
		return n, sysctl.E(sysctl.Invalid, "%s is another kind of device: write type=%s", n.Source, is)
	}
	n.Major, n.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	return n, nil
}

// AttachNode mounts a device node with the numbers of n in a guest, over what is there. What is missing of the path is made. One that is
// there already is made anew, but for one that the guest has mounted something over. The kind is Invalid where the guest has not got the owner's ids.
func (s *Store) AttachNode(ctx context.Context, at sysctl.MountSpace, m sysctl.IDMap, n sysctl.Node) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mount, err := s.makeNode(n, m)
	if err == nil {
		err = inSpace(at, m, func(sp space) error {
			top, ok, err := sp.mountAt(n.Path)
			if errors.Is(err, unix.ENOTDIR) {
				return sysctl.E(sysctl.Conflict, "%w", err)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if ok && top.root == nodeMark(n) {
				if err := sp.detach(n.Path, top); err != nil {
					return err
				}
			} else if ok {
				if covered, err := sp.coversNode(top, n); covered || err != nil {
					return err
				}
			}
			if _, err := sp.tree.Stat(n.Path); errors.Is(err, fs.ErrNotExist) {
				if err := sp.tree.WriteFile(n.Path, nil, 0); err != nil { // by its mode DetachNode knows it for ours
					return err
				}
			}
			return sp.attach(mount, n.Path)
		})
		mount.Close()
	}
	return sysctl.Wrap(err, "device node %s", n.Path)
}

// DetachNode takes what AttachNode has mounted away, and the file that it was mounted on where AttachNode has made it. Absent is success:
// the guest may have unmounted it. The kind is Busy where the guest has mounted something over it.
func (s *Store) DetachNode(ctx context.Context, at sysctl.MountSpace, m sysctl.IDMap, n sysctl.Node) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := inSpace(at, m, func(sp space) error {
		top, ok, err := sp.mountAt(n.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
			return nil
		case err != nil:
			return err
		case ok && top.root == nodeMark(n):
			if err := sp.detach(n.Path, top); err != nil {
				return err
			}
		case ok:
			covered, err := sp.coversNode(top, n)
			if covered && err == nil {
				err = sysctl.E(sysctl.Busy, "the guest has mounted something over it")
			}
			return err
		}
		if info, err := sp.tree.Lstat(n.Path); err == nil && info.Mode() == 0 && info.Size() == 0 {
			return sp.tree.Remove(n.Path)
		}
		return nil
	})
	return sysctl.Wrap(err, "device node %s", n.Path)
}

// coversNode reports whether the topmost mount at a node's path lies over the node.
func (sp space) coversNode(top mountEntry, n sysctl.Node) (bool, error) {
	all, err := sp.mounts()
	return slices.ContainsFunc(all, func(e mountEntry) bool { return e.root == nodeMark(n) && e.point == top.point }), err
}

// nodeMark is what mountinfo says of a node of ours: the name it has on its own filesystem, less what a path cannot have.
func nodeMark(n sysctl.Node) string { return "/sysctl:" + strings.ReplaceAll(n.Device, "/", ":") }

// makeNode returns a detached mount of a new device node. It is made in a mount namespace that goes away: kernels before 6.15 clone
// no part of a mount that is mounted nowhere.
func (s *Store) makeNode(n sysctl.Node, m sysctl.IDMap) (*os.File, error) {
	uid, ok := m.HostUID(n.UID)
	if !ok {
		return nil, sysctl.E(sysctl.Invalid, "the guest has no user %d", n.UID)
	}
	gid, ok := m.HostGID(n.GID)
	if !ok {
		return nil, sysctl.E(sysctl.Invalid, "the guest has no group %d", n.GID)
	}
	kind := uint32(unix.S_IFCHR)
	if n.Block {
		kind = unix.S_IFBLK
	}
	mount := -1
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return sysctl.Wrap(err, "unshare mount namespace")
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return sysctl.Wrap(err, "make mounts private")
		}
		if err := unix.Mount("sysctl", s.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=4k,nr_inodes=2"); err != nil {
			return sysctl.Wrap(err, "mount tmpfs")
		}
		path := s.dir + nodeMark(n)
		if err := unix.Mknod(path, kind|n.Mode, int(unix.Mkdev(n.Major, n.Minor))); err != nil {
			return os.NewSyscallError("mknod", err)
		}
		if err := unix.Chown(path, int(uid), int(gid)); err != nil {
			return os.NewSyscallError("chown", err)
		}
		if err := unix.Chmod(path, n.Mode); err != nil { // not for the umask to decide
			return os.NewSyscallError("chmod", err)
		}
		var err error
		mount, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return os.NewSyscallError("open_tree", err)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(mount), n.Path), nil
}
