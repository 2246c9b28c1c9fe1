package storage

import (
	"context"
	"os"
	"strconv"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// OpenDisk returns a detached mount of a host path, directory or file, for a guest: its ids are shifted into m as an
// instance's own are, so that what is the host root's is the guest root's. What is mounted below the path is a part of it
// only where the disk is recursive. What a guest mounts on it never reaches the host. A disk in memory is new and
// empty, and the guest root's. Kinds: NotFound, the path is missing; Invalid, it is a device; Unsupported, its filesystem cannot be
// idmapped.
func (s *Store) OpenDisk(ctx context.Context, d sysctl.Disk, m sysctl.IDMap) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := openDisk(d, m)
	if err != nil {
		return nil, sysctl.Wrap(err, "disk %s", d.Device)
	}
	return os.NewFile(uintptr(fd), d.Path), nil
}

func openDisk(d sysctl.Disk, m sysctl.IDMap) (int, error) {
	if d.Source == "" {
		return memoryDisk(d, m)
	}
	var st unix.Stat_t
	if m.Size > 0 && unix.Stat(d.Source, &st) == nil { // the kernel would say that /dev cannot be idmapped; what is missing is said below
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFBLK:
			return -1, sysctl.E(sysctl.Invalid, "%s is a device: mount it on the host and give that directory, or write type=unix-block", d.Source)
		case unix.S_IFCHR:
			return -1, sysctl.E(sysctl.Invalid, "%s is a device: write type=unix-char", d.Source)
		}
	}
	var ns *os.File
	if m.Size > 0 {
		var err error
		if ns, err = userNamespace(m); err != nil {
			return -1, err
		}
		defer ns.Close()
	}
	below := uint(0)
	if d.Recursive {
		below = unix.AT_RECURSIVE
	}
	fd, err := cloneTree(d.Source, below, ns)
	if err != nil {
		return -1, err
	}
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if d.Follow {
		attr.Propagation = unix.MS_SLAVE
	}
	if d.ReadOnly {
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|below, &attr); err != nil {
		unix.Close(fd)
		return -1, sysctl.Wrap(err, "set what the mount is like")
	}
	return fd, nil
}

// memoryDisk makes a tmpfs. Everybody may write into those that take the place of a directory for everybody.
func memoryDisk(d sysctl.Disk, m sysctl.IDMap) (int, error) {
	mode := "0755"
	switch d.Path {
	case "/tmp", "/var/tmp", "/dev/shm":
		mode = "1777"
	}
	owner := strconv.FormatUint(uint64(m.Base), 10)
	options := [][2]string{{"source", "tmpfs"}, {"mode", mode}, {"uid", owner}, {"gid", owner}}
	if d.Size > 0 {
		options = append(options, [2]string{"size", strconv.FormatInt(d.Size, 10)})
	}
	attr := unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	if d.ReadOnly {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	return newTmpfs(attr, options...)
}

// newTmpfs makes a tmpfs that is mounted nowhere.
func newTmpfs(attr int, options ...[2]string) (int, error) {
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, sysctl.Wrap(err, "open tmpfs")
	}
	defer unix.Close(fd)
	for _, o := range options {
		if err := unix.FsconfigSetString(fd, o[0], o[1]); err != nil {
			return -1, sysctl.Wrap(err, "tmpfs: option %s=%s", o[0], o[1])
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return -1, sysctl.Wrap(err, "make tmpfs")
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attr)
	return mount, sysctl.Wrap(err, "mount tmpfs")
}
