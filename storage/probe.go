package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// lowSpace is the free space below which Probe warns.
const lowSpace = 2 << 30

// Probe finds out what this host and the filesystem of the store can do: "overlay", "overlay on idmapped layers",
// "storage". It really mounts a small stack in a staging directory (which makes the store's directory) and leaves
// nothing behind.
func (s *Store) Probe(ctx context.Context) []sysctl.Fact {
	return []sysctl.Fact{probeOverlay(), s.probeIdmapped(ctx), s.probeSpace()}
}

func probeOverlay() sysctl.Fact {
	f := sysctl.Fact{Name: "overlay", Value: "available", Level: sysctl.OK}
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err == nil {
		unix.Close(fd)
		return f
	}
	return failed(f, err, "modprobe overlay")
}

func (s *Store) probeIdmapped(ctx context.Context) sysctl.Fact {
	f := sysctl.Fact{Name: "overlay on idmapped layers", Value: "works", Level: sysctl.OK}
	st, err := s.Stage(ctx)
	if err == nil {
		err = errors.Join(tryIdmapped(st.Dir()), st.Abort())
	}
	if err == nil {
		return f
	}
	return failed(f, err, sysctl.HintOf(err))
}

// failed returns f as a fact that keeps instances from running, or, for lack of rights, as not known.
func failed(f sysctl.Fact, err error, repair string) sysctl.Fact {
	f.Value, f.Level, f.Repair = err.Error(), sysctl.Fatal, repair
	f.Cost = "no unprivileged instance can start"
	if os.Geteuid() != 0 && sysctl.KindOf(err) == sysctl.Permission {
		f.Value, f.Level = "not tried: only root can", sysctl.Warning
		f.Cost, f.Repair = "not known whether instances can start", "sudo sysctl check"
	}
	return f
}

// tryIdmapped mounts a stack made in dir and checks ids in both directions.
func tryIdmapped(dir string) (err error) {
	m := sysctl.IDMap{Base: 1 << 20, Size: 1 << 16}
	st := stack{base: dir, lowers: []string{filepath.Join(dir, "lower")}, upper: filepath.Join(dir, "instance")}
	if err := os.Mkdir(st.lowers[0], 0o755); err != nil {
		return err
	}
	if err := makeUpper(st.upper); err != nil {
		return err
	}
	root, err := st.open(m)
	if err != nil {
		return err
	}
	t := NewTree(root).WithOwner(int(m.Base), int(m.Base))
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.WriteFile("/dir/file", nil, 0o644); err != nil {
		return err
	}
	var inside, onDisk unix.Stat_t
	if err := unix.Fstatat(int(root.Fd()), "dir/file", &inside, 0); err != nil {
		return err
	}
	if err := unix.Lstat(filepath.Join(st.upper, "upper/dir/file"), &onDisk); err != nil {
		return err
	}
	if inside.Uid != m.Base || onDisk.Uid != 0 {
		return sysctl.E(sysctl.Unsupported, "uid 0 of the guest is %d for the host and %d on disk", inside.Uid, onDisk.Uid)
	}
	return nil
}

func (s *Store) probeSpace() sysctl.Fact {
	f := sysctl.Fact{Name: "storage", Level: sysctl.OK}
	dir := s.dir
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for err == unix.ENOENT && dir != "/" {
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &st)
	}
	if err != nil {
		f.Value, f.Level = sysctl.Wrap(err, "%s", dir).Error(), sysctl.Warning
		f.Cost = "not known how much space is free"
		return f
	}
	free := st.Bavail * uint64(st.Bsize)
	f.Value = fmt.Sprintf("%s, %.1f GiB free, %s", fsName(int64(st.Type)), float64(free)/(1<<30), s.dir)
	if free < lowSpace {
		f.Level, f.Cost = sysctl.Warning, "images and what instances write may not fit"
	}
	return f
}

// fsName returns a filesystem's name for the magic number of statfs(2).
func fsName(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case 0x2fc12fc1:
		return "zfs"
	}
	return "filesystem " + strings.ToLower(fmt.Sprintf("%#x", magic))
}
