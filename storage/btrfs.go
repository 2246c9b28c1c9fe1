package storage

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// What is asked of btrfs: linux/btrfs.h and linux/btrfs_tree.h. No library: it is seven calls.

const (
	btrfsSync        = 0x9408     // BTRFS_IOC_SYNC
	btrfsCreate      = 0x5000940e // BTRFS_IOC_SUBVOL_CREATE
	btrfsDestroy     = 0x5000940f // BTRFS_IOC_SNAP_DESTROY
	btrfsSearch      = 0xd0009411 // BTRFS_IOC_TREE_SEARCH
	btrfsLookup      = 0xd0009412 // BTRFS_IOC_INO_LOOKUP
	btrfsQgroup      = 0x4010942a // BTRFS_IOC_QGROUP_CREATE
	btrfsLimit       = 0x8030942b // BTRFS_IOC_QGROUP_LIMIT
	subvolumeRootIno = 256        // BTRFS_FIRST_FREE_OBJECTID

	rootTree, quotaTree                                 = 1, 8
	rootItem, quotaStatus, quotaInfo, quotaLimit        = 132, 240, 242, 244
	quotaOn, quotaInconsistent, quotaSimple             = 1 << 0, 1 << 2, 1 << 3 // BTRFS_QGROUP_STATUS_FLAG_*
	limitReferenced                                     = 1 << 0                 // BTRFS_QGROUP_LIMIT_MAX_RFER
	noLimit                                      uint64 = 1<<64 - 1
)

func btrfsIoctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func isBtrfs(fd int) (bool, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(fd, &st)
	return st.Type == unix.BTRFS_SUPER_MAGIC, err
}

// volumeName is struct btrfs_ioctl_vol_args: what is made or destroyed in the directory that the call is about.
type volumeName struct {
	fd   int64
	name [4088]byte
}

func volumeCall(path string, request uintptr) error {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var v volumeName
	copy(v.name[:len(v.name)-1], filepath.Base(path))
	return btrfsIoctl(dir, request, unsafe.Pointer(&v))
}

// makeSubvolume makes an empty one, for root alone.
func makeSubvolume(path string) error {
	if err := volumeCall(path, btrfsCreate); err != nil {
		return &os.PathError{Op: "make subvolume", Path: path, Err: err}
	}
	return os.Chmod(path, 0o700)
}

// subvolumeAt returns the number of the subvolume whose root an existing path is; 0: it is none.
func subvolumeAt(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Ino != subvolumeRootIno || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, err
	}
	fd, err := openDir(path)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if is, err := isBtrfs(fd); !is || err != nil {
		return 0, err
	}
	return subvolumeOf(fd)
}

// subvolumeOf returns the number of the subvolume that an open directory is in.
func subvolumeOf(fd int) (uint64, error) {
	args := struct { // struct btrfs_ioctl_ino_lookup_args
		tree, object uint64
		name         [4080]byte
	}{object: subvolumeRootIno}
	err := btrfsIoctl(fd, btrfsLookup, unsafe.Pointer(&args))
	return args.tree, os.NewSyscallError("look subvolume up", err)
}

// searchKey is struct btrfs_ioctl_search_key, searchArgs struct btrfs_ioctl_search_args.
type searchKey struct {
	tree, minObject, maxObject, minOffset, maxOffset, minTransaction, maxTransaction uint64
	minType, maxType, items, _                                                       uint32
	_                                                                                [4]uint64
}

type searchArgs struct {
	key    searchKey
	header struct { // struct btrfs_ioctl_search_header
		transaction, object, offset uint64
		kind, length                uint32
	}
	data [3960]byte
}

// btrfsItem reads one item of a tree, of the least offset; nil: there is none, or no such tree.
func btrfsItem(fd int, tree, object uint64, kind uint32, minOffset, maxOffset uint64) ([]byte, error) {
	args := searchArgs{key: searchKey{tree: tree, minObject: object, maxObject: object, minOffset: minOffset, maxOffset: maxOffset,
		maxTransaction: 1<<64 - 1, minType: kind, maxType: kind, items: 1}}
	err := btrfsIoctl(fd, btrfsSearch, unsafe.Pointer(&args))
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("search btrfs", err)
	}
	if args.key.items == 0 {
		return nil, nil
	}
	return args.data[:args.header.length], nil
}

// quotaFlags are those of the filesystem's quotas; 0: it has none. Only root may know.
func quotaFlags(fd int) (uint64, error) {
	b, err := btrfsItem(fd, quotaTree, 0, quotaStatus, 0, 0)
	if err != nil || len(b) < 24 {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[16:]), nil // version, generation, flags
}

// referenced is how many bytes a subvolume refers to, as of the newest commit (syncfs).
func referenced(fd int, subvolume uint64) (int64, error) {
	b, err := btrfsItem(fd, quotaTree, 0, quotaInfo, subvolume, subvolume)
	if err != nil || len(b) < 16 {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(b[8:])), nil // generation, referenced
}

// limitOf is how many bytes the subvolume of an open directory may refer to; 0: as many as there are.
func limitOf(fd int) (int64, error) {
	subvolume, err := subvolumeOf(fd)
	if err != nil {
		return 0, err
	}
	b, err := btrfsItem(fd, quotaTree, 0, quotaLimit, subvolume, subvolume)
	if err != nil || len(b) < 16 || binary.LittleEndian.Uint64(b)&limitReferenced == 0 {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(b[8:])), nil // flags, most referenced
}

// limitSubvolume sets that, of a subvolume's root. Where no quotas are kept there is none to take away. It is told to the subvolume that
// this one is in: of a full one even the call for more room is room that it does not have.
func limitSubvolume(root int, size int64) error {
	subvolume, err := subvolumeOf(root)
	if err != nil {
		return err
	}
	above, err := unix.Openat(root, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	defer unix.Close(above)
	args := struct { // struct btrfs_ioctl_qgroup_limit_args
		group, flags, referenced, exclusive, reservedReferenced, reservedExclusive uint64
	}{group: subvolume, flags: limitReferenced, referenced: uint64(size)}
	if size == 0 {
		args.referenced = noLimit
	}
	err = btrfsIoctl(above, btrfsLimit, unsafe.Pointer(&args))
	if size == 0 && (err == unix.ENOTCONN || err == unix.ENOENT) {
		return nil
	}
	return os.NewSyscallError("limit subvolume", err)
}

// dropQgroup removes the quota of a subvolume that is gone; dropped is false while the kernel is still at it. Kernels from 6.11 on do it
// themselves, when they come to it.
func dropQgroup(fd int, subvolume uint64) (dropped bool, err error) {
	b, err := btrfsItem(fd, rootTree, subvolume, rootItem, 0, 1<<64-1)
	if err != nil || b != nil {
		return false, err
	}
	args := struct{ create, group uint64 }{group: subvolume}
	switch err := btrfsIoctl(fd, btrfsQgroup, unsafe.Pointer(&args)); err {
	case nil, unix.ENOENT, unix.ENOTCONN, unix.ENOTTY:
		return true, nil
	case unix.EBUSY:
		return false, nil
	default:
		return false, os.NewSyscallError("remove qgroup", err)
	}
}

// checkQgroups says what a btrfs lacks to keep to sizes; exact: also whether it has counted everything.
func checkQgroups(fd int, dir string, exact bool) error {
	flags, err := quotaFlags(fd)
	if errors.Is(err, unix.EPERM) {
		return sysctl.E(sysctl.Permission, "whether the btrfs that %s is on has quotas only root can see: %w", dir, err)
	}
	if err != nil {
		return err
	}
	lacks := func(what, hint string) error {
		return sysctl.E(sysctl.Unsupported, "a size of the root disk needs quotas: "+what, dir).WithHint(hint, dir)
	}
	switch {
	case flags&quotaOn == 0:
		return lacks("the btrfs that %s is on has them not switched on", "btrfs quota enable %[1]s && btrfs quota rescan -w %[1]s")
	case flags&quotaSimple != 0:
		return lacks("the btrfs that %s is on has simple ones, by which an instance would pay for what only its snapshots have",
			"btrfs quota disable %[1]s && btrfs quota enable %[1]s && btrfs quota rescan -w %[1]s")
	case exact && flags&quotaInconsistent != 0:
		return lacks("the btrfs that %s is on has not counted yet what there is", "btrfs quota rescan -w %s")
	}
	return nil
}
