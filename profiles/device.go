package profiles

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// The device types.
const (
	typeNIC   = "nic"
	typeDisk  = "disk"
	typeNone  = "none"
	typeProxy = "proxy"

	typeUnixBlock = "unix-block"
	typeUnixChar  = "unix-char"
)

// DeviceType is one type of device.
type DeviceType struct {
	Type    string
	Doc     string // one line of Markdown
	Options []Key  // sorted by name; "type" is among them
}

// none is what a device of type none is parsed into: nothing.
type none struct{}

// DeviceTypes returns every type of device, sorted by name.
func DeviceTypes() []DeviceType {
	return []DeviceType{{
		Type: typeDisk, Options: keys(diskFields()),
		Doc: "A directory or file of the host, seen in the guest. With the path `/` it is the root disk, which every instance has; " +
			"of it only the size can be said.",
	}, {
		Type: typeNIC, Options: keys(nicFields()),
		Doc: "A network interface: on a managed network (`network`), or on an interface of the host (`nictype` and `parent`). " +
			"It comes and goes while the instance runs, and the guest's own tools set it up.",
	}, {
		Type: typeNone, Options: keys(noneFields()),
		Doc: "Removes the device of the same name that a profile brought.",
	}, {
		Type: typeProxy, Options: keys(proxyFields()),
		Doc: "Passes connections from an address of the host to one in the guest, or the other way round.",
	}, {
		Type: typeUnixBlock, Options: keys(unixFields(typeUnixBlock)),
		Doc: "A block device of the host, such as a partition or a loop device, which the guest may open.",
	}, {
		Type: typeUnixChar, Options: keys(unixFields(typeUnixChar)),
		Doc: "A character device of the host, such as a serial port, which the guest may open.",
	}}
}

func noneFields() []field[none] { return []field[none]{typeField[none](typeNone)} }

// typeField is the option that every device has.
func typeField[T any](t string) field[T] {
	return field[T]{
		Key: Key{Name: "type", Type: "choice", Example: t, Values: []string{t}, Required: true, Doc: "Always `" + t + "`."},
		set: func(_ *T, _, v string) error {
			if v != t {
				return bad("%q is not %q", v, t)
			}
			return nil
		},
	}
}

// addDevices parses devices into the spec, in order of their names, and adds what is wrong to errs.
func addDevices(spec *sysctl.Spec, devices map[string]sysctl.Device, errs *sysctl.FieldErrors) {
	for _, name := range sortedKeys(devices) {
		d, prefix := devices[name], "devices."+name+"."
		if err := sysctl.CheckRef("device", name); err != nil {
			errs.Add("devices."+name, "%s", err)
			continue
		}
		switch d["type"] {
		case typeNIC:
			addNIC(spec, name, d, errs)
		case typeDisk:
			addDisk(spec, name, d, errs)
		case typeNone:
			fill(&none{}, noneFields(), "option of a device of type none", prefix, d, errs)
		case typeProxy:
			addProxy(spec, name, d, errs)
		case typeUnixBlock, typeUnixChar:
			addNode(spec, name, d, errs)
		case "":
			errs.Add(prefix+"type", "is missing: write %s", strings.Join(typeNames(), ", "))
		default:
			errs.Add(prefix+"type", "%q is not a type of device: write %s", d["type"], strings.Join(typeNames(), ", "))
		}
	}
	checkPlaces(spec, errs)
}

func typeNames() []string {
	return []string{typeDisk, typeNIC, typeNone, typeProxy, typeUnixBlock, typeUnixChar}
}

// unique adds an error under the field where two devices have the same value of an option.
func unique[T any](all []T, value, device func(T) string, field, what string, errs *sysctl.FieldErrors) {
	last := all[len(all)-1]
	if i := slices.IndexFunc(all, func(t T) bool { return value(t) == value(last) }); i < len(all)-1 {
		errs.Add(field, "%q is %s of the device %s already: each needs its own", value(last), what, device(all[i]))
	}
}
