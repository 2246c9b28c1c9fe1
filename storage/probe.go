package storage

import (
	"context"
	"encoding/json"
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

// Probe finds out what this host and the filesystem of the store can do: "overlay", "overlay on idmapped layers", "ids of layers",
// "storage", "root disk size". It really mounts a small stack in a staging directory (which makes the store's directory) and leaves
// nothing behind.
func (s *Store) Probe(ctx context.Context) []sysctl.Fact {
	overlay := probeOverlay()
	idmapped := s.idmaps(ctx)
	return []sysctl.Fact{overlay, s.factIdmapped(idmapped, overlay.Level), s.factShift(idmapped), s.probeSpace(), s.probeSize()}
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

// factIdmapped is what a trial gave. Without it layers are copied, where there is overlay at all and the user has not forbidden it.
func (s *Store) factIdmapped(err error, overlay sysctl.Level) sysctl.Fact {
	f := sysctl.Fact{Name: "overlay on idmapped layers", Value: "works", Level: sysctl.OK}
	if err == nil {
		return f
	}
	f = failed(f, err, sysctl.HintOf(err))
	if f.Level != sysctl.Fatal || overlay != sysctl.OK || sysctl.KindOf(err) != sysctl.Unsupported {
		return f
	}
	if s.shift == ShiftIDMap {
		f.Repair = s.withoutShift()
		return f
	}
	f.Level, f.Cost = sysctl.Warning, "layers are copied for each range of ids (ids of layers)"
	return f
}

// withoutShift is what to do for auto.
func (s *Store) withoutShift() string {
	return "take storage.shift out of " + filepath.Join(s.dir, "config.yaml")
}

// factShift says how ids are shifted here, and what that costs.
func (s *Store) factShift(idmapped error) sysctl.Fact {
	f := sysctl.Fact{Name: "ids of layers", Value: "shifted by the kernel", Level: sysctl.OK}
	copies := s.shift == ShiftCopy || s.shift != ShiftIDMap && sysctl.KindOf(idmapped) == sysctl.Unsupported
	if s.shift != "" && s.shift != ShiftAuto {
		f.Value += " (storage.shift: " + string(s.shift) + ")"
	}
	list, err := s.Copies()
	if err != nil {
		f.Level, f.Cost = sysctl.Warning, err.Error()
		return f
	}
	var all copyMade
	n := 0
	for _, c := range list {
		b, err := os.ReadFile(filepath.Join(s.shifted(), c.Dir, c.Layer, madeName))
		var made copyMade
		if err != nil || json.Unmarshal(b, &made) != nil {
			continue // it is on its way out
		}
		n++
		all.Took += made.Took
		all.Bytes += made.Bytes
	}
	cost := fmt.Sprintf("%d copies have %.1f MiB of their own and took %.1f s each to make", n, float64(all.Bytes)/(1<<20), all.Took/float64(max(n, 1)))
	switch {
	case copies:
		f.Value, f.Level = strings.Replace(f.Value, "shifted by the kernel", "in copies", 1), sysctl.Warning
		f.Cost = "the first start with a range of ids copies the image's layers, snapshots and copies of a stopped instance change the owner of all that it wrote"
		if n > 0 {
			f.Cost += ": " + cost
		}
		f.Repair = "sysctl config set NAME security.idmap.isolated=false, to share copies"
		if idmapped == nil {
			f.Repair = s.withoutShift()
		}
	case n > 0:
		f.Value += "; " + cost
	}
	return f
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

func (s *Store) probeSize() sysctl.Fact {
	how, err := s.limits()
	f := sysctl.Fact{Name: "root disk size", Value: how, Level: sysctl.OK}
	if err != nil {
		f.Value, f.Repair = "cannot be limited: "+err.Error(), sysctl.HintOf(err)
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
