package profiles

import (
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// The most that the kernel's numbers of a device can be (linux/kdev_t.h: 12 and 20 bits).
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

// unixFields is the table of options of unix-char and unix-block devices, which t is.
func unixFields(t string) []field[sysctl.Node] {
	example := "/dev/ttyUSB0"
	major, minor := "188", "0"
	if t == typeUnixBlock {
		example, major, minor = "/dev/loop0", "7", "0"
	}
	number := func(k Key, most uint64, at func(*sysctl.Node) *uint32) field[sysctl.Node] {
		k.Type = "integer"
		return field[sysctl.Node]{Key: k, set: func(n *sysctl.Node, _, v string) error {
			i, err := strconv.ParseUint(v, 10, 64)
			if err != nil || i > most {
				return bad("%q is none: write a whole number from 0 to %d, such as %q", v, most, k.Example)
			}
			*at(n) = uint32(i)
			return nil
		}}
	}
	path := func(k Key, at func(*sysctl.Node) *string) field[sysctl.Node] {
		k.Type, k.Example = "path", example
		return field[sysctl.Node]{Key: k, set: func(n *sysctl.Node, _, v string) (err error) {
			*at(n), err = parsePath(v)
			return err
		}}
	}
	const maxID = 1<<32 - 2 // the highest of all is none: to chown(2) it means "leave as it is"
	return append([]field[sysctl.Node]{typeField[sysctl.Node](t)}, live([]field[sysctl.Node]{
		path(Key{Name: "source", Default: "the same as `path`",
			Doc: "Absolute path of the device on the host; a link there is followed."},
			func(n *sysctl.Node) *string { return &n.Source }),
		path(Key{Name: "path", Default: "the same as `source`",
			Doc: "Absolute path of the device in the guest. What is missing of it is made. One of `source` and `path` must be set."},
			func(n *sysctl.Node) *string { return &n.Path }),
		number(Key{Name: "major", Default: "the source's", Example: major,
			Doc: "The device's major number. With both numbers there need be no device at the source."},
			maxMajor, func(n *sysctl.Node) *uint32 { return &n.Major }),
		number(Key{Name: "minor", Default: "the source's", Example: minor, Doc: "The device's minor number."},
			maxMinor, func(n *sysctl.Node) *uint32 { return &n.Minor }),
		number(Key{Name: "uid", Default: "0", Example: "1000", Doc: "The guest's user that owns the device in the guest."},
			maxID, func(n *sysctl.Node) *uint32 { return &n.UID }),
		number(Key{Name: "gid", Default: "0", Example: "20", Doc: "The guest's group that the device belongs to in the guest."},
			maxID, func(n *sysctl.Node) *uint32 { return &n.GID }),
		{
			Key: Key{Name: "mode", Type: "mode", Default: "0660", Example: "0666", Doc: "Permissions of the device in the guest."},
			set: func(n *sysctl.Node, _, v string) (err error) {
				n.Mode, err = parseMode(v)
				return err
			},
		}, {
			Key: Key{Name: "required", Type: "bool", Default: "true", Example: "false", Values: bools(),
				Doc: "Do not start when the host has no such device. With `false` the instance starts without it."},
			set: func(n *sysctl.Node, _, v string) error {
				required, err := parseBool(v)
				n.Optional = !required
				return err
			},
		},
	})...)
}

// parseMode reads permission bits.
func parseMode(v string) (uint32, error) {
	mode, err := strconv.ParseUint(v, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, bad(`%q is not a mode: write octal digits, such as "0660"`, v)
	}
	return uint32(mode), nil
}

// addNode parses one unix-char or unix-block device into the spec. Errors are added under "devices.NAME.OPTION".
func addNode(spec *sysctl.Spec, name string, d sysctl.Device, errs *sysctl.FieldErrors) {
	prefix := "devices." + name + "."
	n := sysctl.Node{Device: name, Block: d["type"] == typeUnixBlock, Mode: 0o660}
	fill(&n, unixFields(d["type"]), "option of a "+d["type"], prefix, d, errs)
	if d["source"] == "" && d["path"] == "" {
		errs.Add(prefix+"source", `is missing: write which device of the host it is, such as "/dev/ttyUSB0"`)
		return
	}
	if d["path"] == "" {
		n.Path = n.Source
	}
	if d["source"] == "" {
		n.Source = n.Path
	}
	for option, other := range map[string]string{"major": "minor", "minor": "major"} {
		if d[option] != "" && d[other] == "" {
			errs.Add(prefix+other, "is missing: %s says nothing without it", option)
		}
	}
	if d["major"] != "" {
		n.Source = ""
	}
	if n.Path == "" {
		return // a bad one has been reported
	}
	for _, top := range []string{"/proc", "/sys"} {
		if n.Path == top || strings.HasPrefix(n.Path, top+"/") {
			errs.Add(prefix+"path", "%s is the kernel's: give it another place, such as %q", top, "/dev/device0")
		}
	}
	if n.Path == "/" || n.Path == "/dev" {
		errs.Add(prefix+"path", "%s is a directory: give it a name in there, such as %q", n.Path, "/dev/device0")
	}
	spec.Nodes = append(spec.Nodes, n)
}

// checkPlaces refuses a place in the guest that two devices would have.
func checkPlaces(spec *sysctl.Spec, errs *sysctl.FieldErrors) {
	taken := map[string]string{}
	for _, d := range spec.Disks {
		taken[d.Path] = d.Device
	}
	for _, n := range spec.Nodes {
		if other, ok := taken[n.Path]; ok {
			errs.Add("devices."+n.Device+".path", "%q is the path of the device %s already: each needs its own", n.Path, other)
		}
		taken[n.Path] = n.Device
	}
}
