package storage

import (
	"context"
	"os"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// OpenDisk returns a detached mount of a host path, directory or file, for a guest: its ids are shifted into m as an
// instance's own are, so that what is the host root's is the guest root's. Mounts below the path are not part of
// it. Kinds: NotFound, the path is missing; Unsupported, its filesystem cannot be idmapped.
func (s *Store) OpenDisk(ctx context.Context, d sysctl.Disk, m sysctl.IDMap) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var ns *os.File
	if m.Size > 0 {
		var err error
		if ns, err = userNamespace(m); err != nil {
			return nil, err
		}
		defer ns.Close()
	}
	fd, err := cloneMount(d.Source, ns)
	if err != nil {
		return nil, sysctl.Wrap(err, "disk %s", d.Device)
	}
	if d.ReadOnly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			unix.Close(fd)
			return nil, sysctl.Wrap(err, "disk %s: make read-only", d.Device)
		}
	}
	return os.NewFile(uintptr(fd), d.Source), nil
}
