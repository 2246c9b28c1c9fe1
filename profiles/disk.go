package profiles

import "github.com/sysctl-os/sysctl"

// disk is a disk device while it is parsed: root disks have a pool, binds do not.
type disk struct {
	sysctl.Disk
	pool string
}

// diskFields is the table of options of disk devices.
func diskFields() []field[disk] {
	return []field[disk]{
		typeField[disk](typeDisk),
		{
			Key: Key{Name: "source", Type: "path", Example: "/srv/data",
				Doc: "Absolute path of the directory or file on the host. Required, but for the root disk, which has none."},
			set: func(d *disk, _, v string) (err error) {
				d.Source, err = parsePath(v)
				return err
			},
		}, {
			Key: Key{Name: "path", Type: "path", Example: "/mnt/data", Required: true,
				Doc: "Absolute path in the guest where it is seen."},
			set: func(d *disk, _, v string) (err error) {
				d.Path, err = parsePath(v)
				return err
			},
		}, {
			Key: Key{Name: "readonly", Type: "bool", Default: "false", Example: "true", Values: bools(),
				Doc: "The guest cannot write to it."},
			set: func(d *disk, _, v string) (err error) {
				d.ReadOnly, err = parseBool(v)
				return err
			},
		}, {
			Key: Key{Name: "optional", Type: "bool", Default: "false", Example: "true", Values: bools(),
				Doc: "Start without it when the source does not exist, instead of failing."},
			set: func(d *disk, _, v string) (err error) {
				d.Optional, err = parseBool(v)
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

// addDisk parses one disk device into the spec; the root disk adds nothing. Errors are added
// under "devices.NAME.OPTION".
func addDisk(spec *sysctl.Spec, name string, dev sysctl.Device, errs *sysctl.FieldErrors) {
	prefix := "devices." + name + "."
	d := disk{Disk: sysctl.Disk{Device: name}}
	fill(&d, diskFields(), "option of a disk", prefix, dev, errs)
	if d.Path == "/" {
		for _, option := range []string{"optional", "readonly", "source"} {
			if dev[option] != "" {
				errs.Add(prefix+option, "cannot be set on the root disk: unset it, or give path another directory than /")
			}
		}
		return
	}
	if dev["path"] == "" {
		errs.Add(prefix+"path", `is missing: write where in the guest it is seen, such as "/mnt/data"`)
	}
	if dev["source"] == "" {
		errs.Add(prefix+"source", `is missing: write what of the host is seen there, such as "/srv/data"`)
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
