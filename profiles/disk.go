package profiles

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// disk is a disk device while it is parsed: root disks have a pool, binds do not.
type disk struct {
	sysctl.Disk
	pool   string
	memory bool
}

// memorySource is the source of a disk in memory.
const memorySource = "tmpfs:"

func propagations() []string { return []string{"private", "slave", "rprivate", "rslave"} }

// diskFields is the table of options of disk devices.
func diskFields() []field[disk] {
	return []field[disk]{
		typeField[disk](typeDisk),
		{
			Key: Key{Name: "source", Type: "path", Example: "/srv/data", Live: true,
				Doc: "Absolute path of the directory or file on the host, or `tmpfs:` for an empty filesystem in memory. Required, but for the root disk, which has none."},
			set: func(d *disk, _, v string) (err error) {
				if d.memory = v == memorySource; d.memory {
					return nil
				}
				d.Source, err = parsePath(v)
				return err
			},
		}, {
			Key: Key{Name: "path", Type: "path", Example: "/mnt/data", Required: true, Live: true,
				Doc: "Absolute path in the guest where it is seen. What is missing of it is made. Below /dev it comes and goes with the next start."},
			set: func(d *disk, _, v string) (err error) {
				d.Path, err = parsePath(v)
				return err
			},
		}, {
			Key: Key{Name: "readonly", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
				Doc: "The guest cannot write to it."},
			set: func(d *disk, _, v string) (err error) {
				d.ReadOnly, err = parseBool(v)
				return err
			},
		}, {
			Key: Key{Name: "required", Type: "bool", Default: "true", Example: "false", Values: bools(), Live: true,
				Doc: "Do not start when the source does not exist. With `false` the instance starts without it."},
			set: func(d *disk, _, v string) error {
				required, err := parseBool(v)
				d.Optional = d.Optional || !required
				return err
			},
		}, {
			Key: Key{Name: "optional", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
				Doc: "LXD's older word: `true` is `required=false`."},
			set: func(d *disk, _, v string) error {
				optional, err := parseBool(v)
				d.Optional = d.Optional || optional
				return err
			},
		}, {
			Key: Key{Name: "recursive", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
				Doc: "With what the host has mounted below the source."},
			set: func(d *disk, _, v string) (err error) {
				d.Recursive, err = parseBool(v)
				return err
			},
		}, {
			Key: Key{Name: "propagation", Type: "choice", Default: "private", Example: "slave", Values: propagations(), Live: true,
				Doc: "Whether the guest sees what the host mounts below the source later (`slave`). With the letter r in front the disk is recursive too. What the guest mounts never reaches the host."},
			set: func(d *disk, _, v string) error {
				if !slices.Contains(propagations(), v) {
					return bad("%q is not one of %s: what a guest mounts never reaches the host", v, strings.Join(propagations(), ", "))
				}
				d.Follow = strings.HasSuffix(v, "slave")
				d.Recursive = d.Recursive || v[0] == 'r'
				return nil
			},
		}, {
			Key: Key{Name: "size", Type: "size", Example: "512MiB", Live: true,
				Doc: "Of a filesystem in memory (`source=tmpfs:`): how much it may hold, else half of `limits.memory`, or of the host's memory. Of the root disk: how much the instance may " +
					"have written itself, beside its image and without its snapshots; needs ext4 or xfs with project quotas, or btrfs with quotas (`sysctl check`). What is more fails in the guest, for want of space or quota."},
			set: func(d *disk, _, v string) (err error) {
				if d.Size, err = ParseSize(v); err == nil && d.Size == 0 {
					err = bad("%q is no room at all", v)
				}
				return err
			},
		}, {
			Key: Key{Name: "pool", Type: "text", Example: "default",
				Doc: "Of the root disk only, and ignored: there are no storage pools."},
			set: func(d *disk, _, v string) error {
				d.pool = v
				return sysctl.CheckRef("pool", v)
			},
		},
	}
}

// addDisk parses one disk device into the spec; the root disk is none of its disks. Errors are added
// under "devices.NAME.OPTION".
func addDisk(spec *sysctl.Spec, name string, dev sysctl.Device, errs *sysctl.FieldErrors) {
	prefix := "devices." + name + "."
	d := disk{Disk: sysctl.Disk{Device: name}}
	fill(&d, diskFields(), "option of a disk", prefix, dev, errs)
	if d.Path == "/" {
		for _, option := range []string{"optional", "propagation", "readonly", "recursive", "required", "source"} {
			if dev[option] != "" {
				errs.Add(prefix+option, "cannot be set on the root disk: unset it, or give path another directory than /")
			}
		}
		if spec.Root.Device != "" {
			errs.Add(prefix+"path", "the device %s is the root disk already: there is one", spec.Root.Device)
		}
		spec.Root = sysctl.RootDisk{Device: name, Size: d.Size}
		return
	}
	if dev["path"] == "" {
		errs.Add(prefix+"path", `is missing: write where in the guest it is seen, such as "/mnt/data"`)
	}
	if dev["source"] == "" {
		errs.Add(prefix+"source", `is missing: write what of the host is seen there, such as "/srv/data"`)
	}
	if d.Source != "" && d.Size > 0 {
		errs.Add(prefix+"size", "is for the root disk and for a filesystem in memory (source: %s) only: it cannot be told of %s", memorySource, d.Source)
	}
	for _, option := range []string{"propagation", "recursive"} {
		if d.memory && dev[option] != "" {
			errs.Add(prefix+option, "means nothing of a filesystem in memory: unset it")
		}
	}
	if d.Path == "/dev" {
		errs.Add(prefix+"path", "/dev is made anew for each run: name what is below it; how much it may hold is lxc.autodev.tmpfs.size of raw.lxc")
	}
	for _, top := range []string{"/proc", "/sys"} {
		if d.Path == top || strings.HasPrefix(d.Path, top+"/") {
			errs.Add(prefix+"path", "%s is the kernel's: give it another directory", top)
		}
	}
	if d.pool != "" {
		errs.Add(prefix+"pool", "is for the root disk (path: /) only: there are no storage pools")
	}
	if d.Path == "" {
		return
	}
	spec.Disks = append(spec.Disks, d.Disk)
	unique(spec.Disks, func(d sysctl.Disk) string { return d.Path }, func(d sysctl.Disk) string { return d.Device },
		prefix+"path", "the path", errs)
}
