package templates

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// CopyDisk copies the root filesystem in the disk image f into dst, an existing empty directory, with what CopyTree
// keeps. The image is raw, qcow2 or vmdk, with a partition table (GPT, MBR), LVM, or a filesystem on the whole disk:
// ext2 to ext4, xfs or btrfs. The root is found by looking: the filesystem with /etc and an init. Filesystems that
// its /etc/fstab mounts are copied into it where they are in the image too. partition is the volume that is the root,
// where there are several: a partition's number, GROUP/VOLUME, or "disk"; "" = the only one. It returns one line on
// what was copied.
//
// The image is never written. Filesystems are mounted read-only by the host's kernel from loop devices, in no mount
// namespace: a hostile image meets the kernel's drivers. LVM is read, not activated. What is not raw, has a journal
// to replay or lies scattered is copied first, sparsely, into a file without a name on the disk of dst. Nothing is
// left on the host, however this process ends.
//
// Errors: those of CopyTree; Invalid (no root filesystem, several, a damaged table, fstab names what is not in the
// image, an image that names other files), NotFound (partition), Conflict (its btrfs is mounted here), Unsupported (encrypted, LVM
// of another type than linear, no qemu-img, no loop devices), Permission.
func CopyDisk(ctx context.Context, f *os.File, dst, partition string, o UnpackOptions) (Stats, string, error) {
	stats, what, err := copyDisk(ctx, f, dst, partition, o)
	return stats, what, classify(ctx, err, "disk image", dst)
}

func copyDisk(ctx context.Context, f *os.File, dst, partition string, o UnpackOptions) (_ Stats, what string, err error) {
	d := &disk{file: f, dir: dst, progress: o.Progress}
	format := cmp.Or(DiskFormat(f), diskRaw)
	if format != diskRaw {
		raw, err := convert(ctx, f, format, dst, o)
		if err != nil {
			return Stats{}, "", err
		}
		d.file, d.private = raw, true
	}
	defer func() { err = errors.Join(err, d.close()) }()
	info, err := d.file.Stat()
	if err != nil {
		return Stats{}, "", err
	}
	all, err := volumes(d.file, info.Size())
	if err != nil {
		return Stats{}, "", err
	}
	root, err := d.findRoot(ctx, all, partition)
	if err != nil {
		return Stats{}, "", err
	}
	parts, missing, err := d.parts(ctx, root, all)
	if err != nil {
		return Stats{}, "", err
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.from + " at /" + p.at
	}
	what = format + " disk, " + strings.Join(names, ", ")
	if len(missing) > 0 {
		what += "; not in the image: " + strings.Join(missing, ", ")
	}
	stats, err := copyParts(ctx, parts, dst, o)
	return stats, what, err
}

// rootVolume is a volume with a root filesystem.
type rootVolume struct {
	volume
	fd        int
	subvolume string // of btrfs
	mounts    []tableLine
}

// findRoot finds the one root filesystem.
func (d *disk) findRoot(ctx context.Context, all []volume, partition string) (rootVolume, error) {
	look := all
	if partition != "" {
		i := slices.IndexFunc(all, func(v volume) bool { return v.name == partition })
		if i < 0 {
			return rootVolume{}, sysctl.E(sysctl.NotFound, "the image has no partition %s: there is %s", partition, describe(all))
		}
		look = all[i : i+1]
	}
	var roots []rootVolume
	var broken []string
	for _, v := range look {
		if !v.mountable() {
			continue
		}
		r, err := d.rootIn(ctx, v)
		switch sysctl.KindOf(err) {
		case "":
		case sysctl.Invalid: // one that is broken does not hide the others
			broken = append(broken, err.Error())
			continue
		default:
			return rootVolume{}, err
		}
		if r.fd >= 0 {
			roots = append(roots, r)
		}
	}
	switch {
	case len(roots) == 1:
		return roots[0], nil
	case len(roots) > 1:
		var names []string
		for _, r := range roots {
			names = append(names, r.name)
		}
		return rootVolume{}, sysctl.E(sysctl.Invalid, "several root filesystems in the image: %s", strings.Join(names, ", ")).
			WithHint("choose one with --partition %s", names[0])
	}
	return rootVolume{}, noRoot(look, broken)
}

// noRoot says what there is instead of a root filesystem.
func noRoot(all []volume, broken []string) error {
	found := describe(all)
	if len(broken) > 0 {
		found += "; " + strings.Join(broken, "; ")
	}
	unreadable := slices.ContainsFunc(all, func(v volume) bool { return v.why != "" })
	switch {
	case encrypted(all):
		return sysctl.E(sysctl.Unsupported, "no root filesystem in the image that is not encrypted: there is %s", found).
			WithHint("open and mount it (cryptsetup open, mount) and import the directory")
	case unreadable:
		return sysctl.E(sysctl.Unsupported, "no root filesystem in the image that can be read: there is %s", found).
			WithHint("mount it and import the directory")
	}
	return sysctl.E(sysctl.Invalid, "no root filesystem in the image, one with /etc and an init: there is %s", found).
		WithHint("mount what you want and import the directory")
}

// rootIn looks for a root filesystem in a volume; its fd is -1 where there is none. A btrfs is looked into where
// distributions put the root: the default subvolume, and those that are named so by custom.
func (d *disk) rootIn(ctx context.Context, v volume) (rootVolume, error) {
	subvolumes := []string{""}
	if v.kind == "btrfs" {
		subvolumes = []string{"", "@", "@rootfs", "root"}
	}
	for _, s := range subvolumes {
		fd, err := d.mount(ctx, v, s)
		if s != "" && errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return rootVolume{fd: -1}, err
		}
		mounts, err := fstab(fd)
		if err != nil {
			return rootVolume{fd: -1}, err
		}
		init, err := hasInit(fdPath(fd))
		if err != nil {
			return rootVolume{fd: -1}, sysctl.E(sysctl.Invalid, "%s: %w", v, err)
		}
		usr := slices.ContainsFunc(mounts, func(l tableLine) bool { return l.at == "usr" }) // where /sbin may lead to
		if isDir(fd, "etc") && (init || usr) {
			return rootVolume{v, fd, s, mounts}, nil
		}
	}
	return rootVolume{fd: -1}, nil
}

// parts mounts what belongs to the root, parents first. What is missing and belongs to the OS is an error; what else
// is missing is returned.
func (d *disk) parts(ctx context.Context, root rootVolume, all []volume) (parts []part, missing []string, err error) {
	parts = []part{{root.fd, "", root.name}}
	for _, l := range root.mounts {
		v, ok := l.find(all)
		if !ok || !v.mountable() {
			if of, _, _ := strings.Cut(l.at, "/"); l.needed() && slices.Contains([]string{"usr", "var", "etc", "opt", "bin", "sbin", "lib", "lib64", "root"}, of) {
				return nil, nil, sysctl.E(sysctl.Invalid, "/%s of the system is on %s, which is not in the image or cannot be read: there is %s", l.at, l.device, describe(all)).
					WithHint("mount all of it and import the directory")
			}
			missing = append(missing, "/"+l.at+" ("+l.device+")")
			continue
		}
		if v.name == root.name && l.subvolume() == root.subvolume {
			continue
		}
		fd, err := d.mount(ctx, v, l.subvolume())
		if err != nil {
			return nil, nil, sysctl.Wrap(err, "/%s", l.at)
		}
		from := v.name
		if l.subvolume() != "" {
			from += " " + l.subvolume()
		}
		parts = append(parts, part{fd, l.at, from})
	}
	return parts, missing, nil
}
