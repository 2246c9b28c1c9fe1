package profiles

import (
	"slices"
	"strconv"
	"sync"

	"github.com/sysctl-os/sysctl"
)

// The limits of an MTU: the least IPv4 can do with, and the most a veth takes.
const (
	minMTU = 68
	maxMTU = 65535
)

// nicFields is the table of options of nic devices. Nobody changes it.
var nicFields = sync.OnceValue(func() []field[sysctl.NICSpec] {
	return live(append(slices.Concat(nicLinkFields(), nicIPFields(), nicExtraFields()), field[sysctl.NICSpec]{
		Key: Key{Name: "hwaddr", Type: "hardware address", Default: "made up", Example: "00:16:3e:12:34:56",
			Doc: "Hardware (MAC) address. A `physical` nic has its own."},
		set: func(n *sysctl.NICSpec, _, v string) (err error) {
			n.MAC, err = parseMAC(v)
			return err
		},
	}, field[sysctl.NICSpec]{
		Key: Key{Name: "mtu", Type: "integer", Default: "the network's", Example: "1400",
			Doc: "Largest packet in bytes."},
		set: func(n *sysctl.NICSpec, _, v string) error {
			mtu, err := strconv.ParseUint(v, 10, 16)
			if err != nil || mtu < minMTU {
				return bad(`%q is not an MTU: write a whole number from %d to %d, such as "1400"`, v, minMTU, maxMTU)
			}
			n.MTU = int(mtu)
			return nil
		},
	}))
})

// nicLinkFields is the part of the table that says what a nic hangs on.
func nicLinkFields() []field[sysctl.NICSpec] {
	interfaceField := func(k Key, at func(*sysctl.NICSpec) *string) field[sysctl.NICSpec] {
		return field[sysctl.NICSpec]{Key: k, set: func(n *sysctl.NICSpec, _, v string) error {
			if err := checkInterface(v); err != nil {
				return err
			}
			*at(n) = v
			return nil
		}}
	}
	return []field[sysctl.NICSpec]{
		typeField[sysctl.NICSpec](typeNIC),
		interfaceField(Key{Name: "network", Type: "network", Example: "sysbr0",
			Doc: "Managed network it is on. Not together with `nictype` and `parent`."},
			func(n *sysctl.NICSpec) *string { return &n.Network }),
		interfaceField(Key{Name: "parent", Type: "interface", Example: "eth0",
			Doc: "Interface of the host: a bridge for `bridged`, a network card or the like for `macvlan` and `physical`."},
			func(n *sysctl.NICSpec) *string { return &n.Parent }),
		interfaceField(Key{Name: "name", Type: "interface", Default: "the device's name", Example: "eth0",
			Doc: "Name of the interface inside the guest."},
			func(n *sysctl.NICSpec) *string { return &n.Name }),
		{
			Key: Key{Name: "nictype", Type: "choice", Example: "macvlan", Values: nicTypes(),
				Doc: "How it hangs on `parent`: `bridged` (a port of an existing bridge), `macvlan` (an address of its own on a network card) or " +
					"`physical` (the card itself, which the host does without while the instance runs: it loses its addresses and comes back under its name, down)."},
			set: func(n *sysctl.NICSpec, _, v string) error {
				if !slices.Contains(nicTypes(), v) {
					return bad(`%q is not a nictype: write "bridged", "macvlan" or "physical"`, v)
				}
				n.Type = v
				return nil
			},
		},
	}
}

// nicTypes are the ways to hang on an interface of the host.
func nicTypes() []string { return []string{"bridged", "macvlan", "physical"} }

// addNIC parses one nic device into the spec. Errors are added under "devices.NAME.OPTION".
func addNIC(spec *sysctl.Spec, name string, d sysctl.Device, errs *sysctl.FieldErrors) {
	prefix := "devices." + name + "."
	n := sysctl.NICSpec{Device: name}
	fill(&n, nicFields(), "option of a nic", prefix, d, errs)
	// What is there is asked of d, not of n: a bad value is not a missing one.
	switch network, nictype, parent := d["network"] != "", d["nictype"] != "", d["parent"] != ""; {
	case network && nictype:
		errs.Add(prefix+"nictype", "cannot stand beside network, which says it already: unset one of the two")
	case network && parent:
		errs.Add(prefix+"parent", "cannot stand beside network, which says it already: unset one of the two")
	case !network && !nictype && !parent:
		errs.Add(prefix+"network", "is missing: name a managed network, or set nictype and parent")
	case !network && !nictype:
		errs.Add(prefix+"nictype", `is missing: write "bridged", "macvlan" or "physical"`)
	case !network && !parent:
		errs.Add(prefix+"parent", "is missing: name the host's interface that the %s nic hangs on", d["nictype"])
	}
	if n.Network != "" {
		n.Type = "bridged"
	}
	if n.Type == "physical" && d["hwaddr"] != "" {
		errs.Add(prefix+"hwaddr", "cannot be chosen: a physical nic has its own")
	}
	checkNICAddresses(n, d, prefix, errs)
	checkNICExtra(&n, d, prefix, errs)
	if d["name"] == "" {
		n.Name = name
		if err := checkInterface(name); err != nil {
			errs.Add(prefix+"name", "is missing, and the device's name will not do: %s", err)
		}
	}
	if n.Name == "" {
		return // a bad name has been reported, and is not compared
	}
	spec.NICs = append(spec.NICs, n)
	unique(spec.NICs, func(n sysctl.NICSpec) string { return n.Name }, func(n sysctl.NICSpec) string { return n.Device },
		prefix+"name", "the interface", errs)
	if n.HostName != "" {
		unique(slices.DeleteFunc(slices.Clone(spec.NICs), func(n sysctl.NICSpec) bool { return n.HostName == "" }),
			func(n sysctl.NICSpec) string { return n.HostName }, func(n sysctl.NICSpec) string { return n.Device }, prefix+"host_name", "the host's end", errs)
	}
}
