package profiles

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// maxVLAN is the largest number of a VLAN (IEEE 802.1Q).
const maxVLAN = 4094

// minRate is the least that a nic can be limited to: with less, no guest comes to its addresses.
const minRate = 8000

// nicExtraFields is the part of the table that is about the host's end of a nic on a bridge.
func nicExtraFields() []field[sysctl.NICSpec] {
	rate := func(name, doc string, at ...func(*sysctl.NICSpec) *uint64) field[sysctl.NICSpec] {
		return field[sysctl.NICSpec]{
			Key: Key{Name: name, Type: "bit rate", Default: "no limit", Example: "100Mbit", Doc: doc},
			set: func(n *sysctl.NICSpec, _, v string) error {
				bits, err := parseBits(v)
				for _, where := range at {
					*where(n) = bits
				}
				return err
			},
		}
	}
	yes := func(name, doc string, at func(*sysctl.Link) *bool) field[sysctl.NICSpec] {
		return field[sysctl.NICSpec]{
			Key: Key{Name: name, Type: "bool", Default: "false", Example: "true", Values: bools(), Doc: doc},
			set: func(n *sysctl.NICSpec, _, v string) (err error) {
				*at(&n.Link), err = parseBool(v)
				return err
			},
		}
	}
	ingress := func(n *sysctl.NICSpec) *uint64 { return &n.Link.Ingress }
	egress := func(n *sysctl.NICSpec) *uint64 { return &n.Link.Egress }
	return append(live([]field[sysctl.NICSpec]{
		rate("limits.ingress", "Bits a second that reach the guest at most: `bit`, `kbit`, `Mbit`, `Gbit` or `Kibit`, `Mibit`, `Gibit`. Packets wait for their turn.", ingress),
		rate("limits.egress", "Bits a second that the guest sends at most. What is more is dropped, after the first second's.", egress),
		rate("limits.max", "Both `limits.ingress` and `limits.egress`, in their place.", ingress, egress),
		yes("security.mac_filtering", "Drop what the guest sends from another hardware address than its own.", func(l *sysctl.Link) *bool { return &l.FilterMAC }),
		yes("security.ipv4_filtering", "Drop what the guest sends from another IPv4 address than its own, and whatever is neither IP nor ARP. With `ipv4.address=none`, all IPv4. Goes with `security.mac_filtering`.",
			func(l *sysctl.Link) *bool { return &l.FilterIPv4 }),
		yes("security.ipv6_filtering", "Drop what the guest sends from another IPv6 address than its own, but for link-local ones, whatever is neither IP nor ARP, and what poses as a router. With `ipv6.address=none`, all IPv6. Goes with `security.mac_filtering`.",
			func(l *sysctl.Link) *bool { return &l.FilterIPv6 }),
		yes("security.port_isolation", "Let it talk to no other nic on the bridge that has this too.", func(l *sysctl.Link) *bool { return &l.Isolated }),
	}), []field[sysctl.NICSpec]{
		{
			Key: Key{Name: "host_name", Type: "interface", Default: "made up", Example: "vethweb1",
				Doc: "Name of the host's end."},
			set: func(n *sysctl.NICSpec, _, v string) error {
				n.HostName = v
				return checkInterface(v)
			},
		}, {
			Key: Key{Name: "queue.tx.length", Type: "integer", Default: "the kernel's", Example: "2000",
				Doc: "Packets that wait at the host's end to be sent to the guest."},
			set: func(n *sysctl.NICSpec, _, v string) error {
				length, err := strconv.ParseUint(v, 10, 31)
				if err != nil || length == 0 {
					return bad(`%q is not the length of a queue: write a whole number, such as "2000"`, v)
				}
				n.Link.TxQueue = int(length)
				return nil
			},
		}, {
			Key: Key{Name: "vlan", Type: "VLAN", Default: "the bridge's", Example: "100",
				Doc: "VLAN of what goes without a tag: a number from 1 to 4094, or `none`. On an existing bridge that filters VLANs (`vlan_filtering 1`)."},
			set: func(n *sysctl.NICSpec, _, v string) (err error) {
				if v == "none" {
					n.Link.VLAN = -1
					return nil
				}
				n.Link.VLAN, err = parseVLAN(v)
				return err
			},
		}, {
			Key: Key{Name: "vlan.tagged", Type: "list", Example: "200-202,300",
				Doc: "VLANs whose packets pass with their tags. As `vlan`, on an existing bridge that filters them."},
			set: func(n *sysctl.NICSpec, _, v string) error {
				for _, word := range words(v) {
					first, last, isRange := strings.Cut(word, "-")
					if !isRange {
						last = first
					}
					from, err := parseVLAN(first)
					to, err2 := parseVLAN(last)
					if err != nil || err2 != nil || to < from {
						return bad(`%q are not VLANs: write numbers from 1 to %d, such as "200-202,300"`, word, maxVLAN)
					}
					for vlan := from; vlan <= to; vlan++ {
						n.Link.Tagged = append(n.Link.Tagged, vlan)
					}
				}
				slices.Sort(n.Link.Tagged)
				n.Link.Tagged = slices.Compact(n.Link.Tagged)
				return nil
			},
		},
	}...)
}

func parseVLAN(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || n > maxVLAN {
		return 0, bad(`%q is not a VLAN: write a number from 1 to %d`, s, maxVLAN)
	}
	return int(n), nil
}

// parseBits reads a number of bits as LXD does.
func parseBits(s string) (uint64, error) {
	right := bad(`%q is not a bit rate: write one such as "100Mbit"`, s)
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	units := map[string]uint64{"": 1, "bit": 1, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9, "Tbit": 1e12, "Kibit": 1 << 10, "Mibit": 1 << 20, "Gibit": 1 << 30, "Tibit": 1 << 40}
	unit, ok := units[strings.TrimSpace(s[len(digits):])]
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
	switch {
	case err != nil || !ok || n > 1<<62/unit:
		return 0, right
	case n*unit < minRate:
		return 0, bad(`%q is less than 8kbit, with which nothing works: write more, or set the device to none`, s)
	}
	return n * unit, nil
}

// checkNICExtra adds what does not go together about the host's end.
func checkNICExtra(n *sysctl.NICSpec, d sysctl.Device, prefix string, errs *sysctl.FieldErrors) {
	if d["network"] == "" && d["nictype"] != "bridged" && d["nictype"] != "" {
		for _, f := range nicExtraFields() {
			if d[f.Name] != "" {
				errs.Add(prefix+f.Name, "is for a nic on a bridge: a %s one has no end on the host", d["nictype"])
			}
		}
		return
	}
	if d["limits.max"] != "" {
		for _, option := range []string{"limits.egress", "limits.ingress"} {
			if d[option] != "" {
				errs.Add(prefix+option, "cannot stand beside limits.max, which says it already: unset one of the two")
			}
		}
	}
	for _, option := range []string{"vlan", "vlan.tagged"} {
		if d[option] != "" && d["network"] != "" {
			errs.Add(prefix+option, "needs an existing bridge that filters VLANs: write nictype=bridged and parent in the place of network")
		}
	}
	if n.Link.VLAN > 0 && slices.Contains(n.Link.Tagged, n.Link.VLAN) {
		errs.Add(prefix+"vlan.tagged", "%d is the VLAN without a tag already", n.Link.VLAN)
	}
	for _, f := range []struct {
		option, key string
		on          bool
	}{{"security.ipv4_filtering", "ipv4.address", n.Link.FilterIPv4}, {"security.ipv6_filtering", "ipv6.address", n.Link.FilterIPv6}} {
		if f.on && d["network"] == "" && d[f.key] == "" {
			errs.Add(prefix+f.option, "needs a fixed %s: who else gives it one is not known", f.key)
		}
	}
	n.Link.FilterMAC = n.Link.FilterMAC || n.Link.FilterIPv4 || n.Link.FilterIPv6
}
