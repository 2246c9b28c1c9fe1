package templates

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// disk is a disk image being read. What is mounted of it is in no mount namespace, and its loop devices clear
// themselves: all is gone when the descriptors are closed, also by the end of this process.
type disk struct {
	file     *os.File // raw
	private  bool     // file is a copy of ours: a journal may be replayed in it
	dir      string   // on whose disk copies are made
	progress sysctl.Progress
	copies   map[string]*os.File // of volumes, by name
	open     []int               // roots of mounted filesystems
	ours     []string            // UUIDs of them
}

// close ends all that was begun.
func (d *disk) close() error {
	for _, fd := range d.open {
		unix.Close(fd)
	}
	var err error
	for _, f := range d.copies {
		err = errors.Join(err, f.Close())
	}
	if d.private {
		err = errors.Join(err, d.file.Close())
	}
	return err
}

// mount mounts a volume read-only and returns its root, which belongs to d. Where its journal has to be replayed first,
// that is done in a copy of the volume. subvolume is of btrfs; "": the default one.
func (d *disk) mount(ctx context.Context, v volume, subvolume string) (int, error) {
	if v.kind == "btrfs" {
		_, err := os.Stat(filepath.Join("/sys/fs/btrfs", v.uuid))
		if err == nil && !slices.Contains(d.ours, v.uuid) {
			return -1, sysctl.E(sysctl.Conflict, "%s: a btrfs with its UUID %s is mounted on this host", v.name, v.uuid).
				WithHint("umount it, or import the directory where it is mounted")
		}
	}
	fd, err := d.try(v, subvolume)
	if needsReplay(err) {
		f, copyErr := v.assemble(ctx, d.file, d.dir, d.progress)
		if copyErr != nil {
			return -1, sysctl.Wrap(copyErr, "%s: a copy to replay its journal in", v.name)
		}
		d.keep(v, f)
		fd, err = d.try(v, subvolume)
	}
	if err != nil {
		return -1, sysctl.Wrap(err, "%s", v)
	}
	d.open, d.ours = append(d.open, fd), append(d.ours, v.uuid)
	return fd, nil
}

func (d *disk) keep(v volume, f *os.File) {
	if d.copies == nil {
		d.copies = map[string]*os.File{}
	}
	d.copies[v.name] = f
}

// errScattered says that a volume is not in one stretch.
var errScattered = errors.New("in several stretches")

// needsReplay reports whether mounting failed because a filesystem wanted to be written, or cannot be reached in place.
func needsReplay(err error) bool {
	return errors.Is(err, errScattered) || errors.Is(err, unix.EROFS) || errors.Is(err, errReadOnlyLog)
}

// errReadOnlyLog is EROFS as btrfs says it.
var errReadOnlyLog = errors.New("log replay required")

// try mounts a volume from its copy where there is one, else in place.
func (d *disk) try(v volume, subvolume string) (int, error) {
	file, at, writable := d.copies[v.name], extent{0, v.size()}, true
	if file == nil {
		if len(v.extents) != 1 {
			return -1, errScattered
		}
		file, at, writable = d.file, v.extents[0], d.private
	}
	loop, err := openLoop(file, at, writable)
	if err != nil {
		return -1, err
	}
	defer loop.Close()
	return mountDevice(loop.Name(), v.kind, subvolume)
}

// openLoop makes a loop device of a stretch of a file. It clears itself when it is closed and nothing is mounted of it.
func openLoop(file *os.File, at extent, writable bool) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, sysctl.E(sysctl.Unsupported, "this host has no loop devices: %w", err).WithHint("modprobe loop; not inside a container")
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(file.Fd())}
	config.Info.Offset, config.Info.Sizelimit = uint64(at.at), uint64(at.size)
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	mode := os.O_RDWR
	if !writable {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
		mode = os.O_RDONLY
	}
	for range maxRaces {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, sysctl.Wrap(err, "find a free loop device")
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), mode|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, sysctl.Wrap(err, "open a loop device")
		}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // somebody else took it
			return nil, sysctl.Wrap(err, "set up %s", loop.Name())
		}
	}
	return nil, sysctl.E(sysctl.Busy, "no loop device is free")
}

// mountDevice mounts a device read-only, in no namespace, and returns the root.
func mountDevice(device, kind, subvolume string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err == unix.ENODEV {
		return -1, sysctl.E(sysctl.Unsupported, "this kernel has no %s: %w", kind, err).WithHint("modprobe %s", kind)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	err = errors.Join(unix.FsconfigSetString(fs, "source", device), unix.FsconfigSetFlag(fs, "ro"))
	switch kind {
	case "ext4":
		err = errors.Join(err, unix.FsconfigSetString(fs, "errors", "remount-ro")) // the image may say: panic
	case "xfs":
		err = errors.Join(err, unix.FsconfigSetFlag(fs, "nouuid")) // a copy of a disk of this host
	}
	if subvolume != "" {
		err = errors.Join(err, unix.FsconfigSetString(fs, "subvol", subvolume))
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	var root int
	if err == nil {
		root, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	}
	if err == nil {
		return root, nil
	}
	why := mountMessages(fs)
	switch {
	case kind == "btrfs" && !errors.Is(err, unix.ENOENT) && (errors.Is(err, unix.EIO) || strings.Contains(why, "log replay required")):
		return -1, fmt.Errorf("%w: %w", errReadOnlyLog, err)
	case errors.Is(err, unix.EROFS):
		return -1, err
	case errors.Is(err, unix.ENOENT) && subvolume != "":
		return -1, sysctl.E(sysctl.Invalid, "there is no subvolume %s: %w", subvolume, err)
	case errors.Is(err, unix.EPERM):
		return -1, sysctl.E(sysctl.Permission, "cannot be mounted: %w", err).WithHint("disk images need real root: not inside a container")
	}
	return -1, sysctl.E(sysctl.Invalid, "cannot be mounted: %s", cmp.Or(why, err.Error())).WithHint("fsck it, in a copy")
}

// mountMessages is what the kernel says about a mount that failed.
func mountMessages(fs int) string {
	var said []string
	for buf := make([]byte, 1024); len(said) < 8; {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			break
		}
		said = append(said, strings.TrimSpace(string(bytes.TrimPrefix(buf[:n], []byte("e ")))))
	}
	return strings.Join(said, "; ")
}
