package profiles

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sysctl-os/sysctl"
)

// defaultDomain is the domain of a network's instances.
const defaultDomain = "sysctl"

// networkFields is the table of keys of networks. Nobody changes it.
var networkFields = sync.OnceValue(func() []field[sysctl.Network] {
	list := slices.Concat(
		familyFields("ipv4", "IPv4", "10.20.0.1/24", func(n *sysctl.Network) (*netip.Prefix, *bool, *sysctl.NetworkFamily) { return &n.IPv4, &n.NAT, &n.V4 }),
		familyFields("ipv6", "IPv6", "fd42:1::1/64", func(n *sysctl.Network) (*netip.Prefix, *bool, *sysctl.NetworkFamily) { return &n.IPv6, &n.NAT6, &n.V6 }),
		dnsFields())
	return append(list, field[sysctl.Network]{
		Key: Key{Name: "ipv4.dhcp.gateway", Type: "address", Default: "the bridge's own", Example: "10.20.0.254", Live: true,
			Doc: "Which gateway DHCP names. Instances get the bridge's address or what their nic says."},
		set: func(n *sysctl.Network, _, v string) (err error) {
			n.V4.Gateway, err = parsePlain(v, "IPv4", "10.20.0.254")
			return err
		},
	}, positive("ipv6.ra", "Advertise the bridge as a router, where dnsmasq is installed, for guests that are no instances: these make themselves addresses. "+
		"Instances have addresses and a gateway without it, and get a second address by it.",
		func(n *sysctl.Network) *bool { return &n.V6.Router }),
		positive("ipv6.dhcp.stateful", "With `ipv6.ra`, give out IPv6 addresses by DHCP; else it only says where DNS is, and guests make addresses themselves.",
			func(n *sysctl.Network) *bool { return &n.V6.Stateful }),
		field[sysctl.Network]{
			Key: Key{Name: "bridge.mtu", Type: "integer", Default: "the kernel's", Example: "1400",
				Doc: "Largest packet in bytes on the bridge. Guests take it up at their next start."},
			set: func(n *sysctl.Network, _, v string) error {
				mtu, err := strconv.ParseUint(v, 10, 16)
				if err != nil || mtu < minMTU {
					return bad(`%q is not an MTU: write a whole number from %d to %d, such as "1400"`, v, minMTU, maxMTU)
				}
				n.MTU = int(mtu)
				return nil
			},
		},
		negative("security.isolation", "true", "Instances on this network and those on other managed networks cannot reach each other, but for what `network forward` publishes. "+
			"To join two networks set it to false on both. Networks of other environments are never reached.",
			func(n *sysctl.Network) *bool { return &n.Open }),
		field[sysctl.Network]{
			Key: Key{Name: "user.*", Type: "text", Example: "accounting", Live: true, Doc: "Free text of yours: stored and shown, otherwise ignored."},
			set: func(_ *sysctl.Network, name, v string) error {
				if err := checkUserKey(name); err != nil {
					return err
				}
				return checkText(v)
			},
		})
})

// familyFields are the keys that IPv4 and IPv6 have both.
func familyFields(prefix, family, example string, of func(*sysctl.Network) (*netip.Prefix, *bool, *sysctl.NetworkFamily)) []field[sysctl.Network] {
	detail := func(n *sysctl.Network) *sysctl.NetworkFamily { _, _, f := of(n); return f }
	own := netip.MustParsePrefix(example)
	low := own.Addr().Next()
	nat, further := "203.0.113.7", "192.0.2.0/24"
	if family == "IPv6" {
		nat, further = "2001:db8::7", "2001:db8:2::/64"
	}
	ranges := low.String() + "-" + low.Next().Next().String()
	return []field[sysctl.Network]{{
		Key: Key{Name: prefix + ".address", Type: "address/length", Default: "chosen when it is made", Example: example, Values: []string{"auto", "none"},
			Doc: "The bridge's own " + family + " address with the length of its subnet; `auto` chooses one clear of the host's routes, once; `none` for no " + family +
				". A change gives every instance on the network a new address; it is refused while one of them runs or has a fixed one."},
		set: func(n *sysctl.Network, _, v string) (err error) {
			at, _, _ := of(n)
			*at, err = parseSubnet(v, family, own)
			return err
		},
	}, positive(prefix+".nat", "Give what leaves the subnet an address of the host. A network whose subnet is chosen has it on from the beginning.",
		func(n *sysctl.Network) *bool { _, on, _ := of(n); return on }),
		{
			Key: Key{Name: prefix + ".nat.address", Type: "address", Default: "that of the outgoing interface", Example: nat, Live: true,
				Doc: "Which address NAT gives."},
			set: func(n *sysctl.Network, _, v string) (err error) {
				detail(n).NATAddress, err = parsePlain(v, family, nat)
				return err
			},
		},
		negative(prefix+".firewall", "true", "Write firewall rules that let the network's "+family+" traffic, DNS and DHCP through.",
			func(n *sysctl.Network) *bool { return &detail(n).NoFirewall }),
		negative(prefix+".routing", "true", "Route "+family+" in and out of the bridge. Without it instances reach the host and each other only.",
			func(n *sysctl.Network) *bool { return &detail(n).NoRouting }),
		negative(prefix+".dhcp", "true", "Answer DHCP, where dnsmasq is installed: to instances with their own addresses, to others from `"+prefix+".dhcp.ranges`.",
			func(n *sysctl.Network) *bool { return &detail(n).NoDHCP }),
		{
			Key: Key{Name: prefix + ".dhcp.expiry", Type: "duration", Default: "1h", Example: "12h", Live: true, Doc: "How long a lent address is lent."},
			set: func(n *sysctl.Network, _, v string) (err error) {
				detail(n).Expiry, err = parseExpiry(v)
				return err
			},
		}, {
			Key: Key{Name: prefix + ".dhcp.ranges", Type: "ranges", Default: "the upper quarter of the subnet", Example: ranges, Live: true,
				Doc: "Addresses that are lent to whoever asks and is no instance: `FIRST-LAST`, several with commas between them. Instances' addresses are chosen outside of them while there are others."},
			set: func(n *sysctl.Network, _, v string) (err error) {
				detail(n).Ranges, err = parseRanges(v, family, ranges)
				return err
			},
		}, {
			Key: Key{Name: prefix + ".routes", Type: "list", Example: further, Live: true,
				Doc: "Further subnets that the host routes to the bridge, for instances that have addresses or networks of their own behind them."},
			set: func(n *sysctl.Network, _, v string) (err error) {
				detail(n).Routes, err = parseSubnets(v, family, netip.MustParsePrefix(further))
				return err
			},
		}}
}

// dnsFields are the keys about names.
func dnsFields() []field[sysctl.Network] {
	return []field[sysctl.Network]{{
		Key: Key{Name: "dns.domain", Type: "domain", Default: defaultDomain, Example: "lab.example", Live: true,
			Doc: "Domain of the instances: `web1` is found as `web1." + defaultDomain + "`."},
		set: func(n *sysctl.Network, _, v string) error {
			if err := checkDomain(v); err != nil {
				return err
			}
			n.Domain = strings.ToLower(v)
			return nil
		},
	}, {
		Key: Key{Name: "dns.mode", Type: "choice", Default: "managed", Example: "none", Values: []string{"managed", "dynamic", "none"}, Live: true,
			Doc: "Which names are found, where dnsmasq is installed: those of instances, also those that DHCP clients give (`dynamic`), or none; then guests ask the host's DNS servers."},
		set: func(n *sysctl.Network, _, v string) error {
			if !slices.Contains([]string{"managed", "dynamic", "none"}, v) {
				return bad(`%q is not a mode: write "managed", "dynamic" or "none"`, v)
			}
			n.DNS.Mode = v
			return nil
		},
	}, {
		Key: Key{Name: "dns.nameservers", Type: "list", Default: "the bridge's own address, or the host's servers", Example: "9.9.9.9,2620:fe::fe",
			Doc: "DNS servers of the guests, instead of the network's own."},
		set: func(n *sysctl.Network, _, v string) error {
			for _, word := range words(v) {
				a, err := parsePlain(word, "", "9.9.9.9")
				if err != nil {
					return err
				}
				n.DNS.Servers = append(n.DNS.Servers, a)
			}
			return nil
		},
	}, {
		Key: Key{Name: "dns.search", Type: "list", Default: "the network's domain and the host's", Example: "lab.example,example.org",
			Doc: "Domains in which the guests look names up."},
		set: func(n *sysctl.Network, _, v string) error {
			for _, word := range words(v) {
				if err := checkDomain(word); err != nil {
					return err
				}
				n.DNS.Search = append(n.DNS.Search, word)
			}
			return nil
		},
	}, positive("dns.host", "The host finds the names of this network too, through systemd-resolved: its queries for `dns.domain` go to the bridge while an instance on it runs.",
		func(n *sysctl.Network) *bool { return &n.DNS.Host }),
		{
			Key: Key{Name: "raw.dnsmasq", Type: "text", Example: "address=/printer.lan/10.20.0.9", Live: true,
				Doc: "Lines that are added to dnsmasq's configuration as they are."},
			set: func(n *sysctl.Network, _, v string) error {
				n.DNS.Raw = v
				return checkText(v)
			},
		}}
}

// positive is a key that is false by default, negative one that is true by default and kept as its opposite.
func positive(name, doc string, at func(*sysctl.Network) *bool) field[sysctl.Network] {
	return field[sysctl.Network]{
		Key: Key{Name: name, Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true, Doc: doc},
		set: func(n *sysctl.Network, _, v string) (err error) {
			*at(n), err = parseBool(v)
			return err
		},
	}
}

func negative(name, standard, doc string, at func(*sysctl.Network) *bool) field[sysctl.Network] {
	return field[sysctl.Network]{
		Key: Key{Name: name, Type: "bool", Default: standard, Example: "false", Values: bools(), Live: true, Doc: doc},
		set: func(n *sysctl.Network, _, v string) error {
			on, err := parseBool(v)
			*at(n) = !on
			return err
		},
	}
}

// NetworkKeys returns every key of networks, sorted by name.
func NetworkKeys() []Key { return keys(networkFields()) }

// LookupNetwork returns the key of networks that a name belongs to.
func LookupNetwork(name string) (Key, bool) {
	f, rest, ok := find(networkFields(), name)
	if !ok {
		return Key{}, false
	}
	return f.key(rest), true
}

// CheckNetworkWord reports why s cannot be the name of a network, which is also that of an interface, or nil.
func CheckNetworkWord(s string) error {
	if s == "" {
		return bad(`is empty: write 1 to 15 letters, digits and . _ -, such as "lab"`)
	}
	if s == "none" || s[0] == '-' {
		return bad("%q cannot be the name of a network: write letters, digits and . _ -, such as %q", s, "lab")
	}
	return checkInterface(s)
}

// CheckNetworkName reports why a name is no key of networks, or nil.
func CheckNetworkName(name string) error {
	if _, ok := LookupNetwork(name); ok {
		return nil
	}
	return sysctl.FieldErrors{{Field: name, Msg: unknown("network key", name, NetworkKeys())}}
}

// ResolveNetwork fills in what a network's keys say. "auto" says nothing yet. Everything wrong is reported at once.
func ResolveNetwork(n sysctl.Network) (sysctl.Network, error) {
	out := sysctl.Network{Name: n.Name, Description: n.Description, Config: n.Config, Bridge: n.Bridge, Table: n.Table, Forwards: n.Forwards,
		Domain: defaultDomain, DNS: sysctl.NetworkDNS{Mode: "managed"}}
	var errs sysctl.FieldErrors
	fill(&out, networkFields(), "network key", "", n.Config, &errs)
	checkNetwork(out, &errs)
	return out, errs.Err()
}

// checkNetwork reports keys that do not go together.
func checkNetwork(n sysctl.Network, errs *sysctl.FieldErrors) {
	for _, f := range []struct {
		key string
		own netip.Prefix
		nat bool
		of  sysctl.NetworkFamily
	}{{"ipv4", n.IPv4, n.NAT, n.V4}, {"ipv6", n.IPv6, n.NAT6, n.V6}} {
		inside := func(a netip.Addr) bool { return !f.own.IsValid() || f.own.Masked().Contains(a) }
		for _, r := range f.of.Ranges {
			if !inside(r.First) || !inside(r.Last) {
				errs.Add(f.key+".dhcp.ranges", "%s-%s is outside of the subnet %s", r.First, r.Last, f.own.Masked())
			}
		}
		if g := f.of.Gateway; g.IsValid() && !inside(g) {
			errs.Add(f.key+".dhcp.gateway", "%s is outside of the subnet %s", g, f.own.Masked())
		}
		if f.of.NATAddress.IsValid() && !f.nat {
			errs.Add(f.key+".nat.address", "means nothing without %s.nat=true", f.key)
		}
		if n.Config[f.key+".address"] == "none" && f.nat {
			errs.Add(f.key+".nat", "there is nothing to give an address to: %s.address is none", f.key)
		}
		for _, r := range f.of.Routes {
			if f.own.IsValid() && r.Overlaps(f.own) {
				errs.Add(f.key+".routes", "%s is the network's own subnet, or a part of it", r)
			}
		}
	}
}

// parseSubnet reads a bridge's own address with its subnet's length; "auto" and "none" are none.
func parseSubnet(s, family string, example netip.Prefix) (netip.Prefix, error) {
	if s == "none" || s == "auto" {
		return netip.Prefix{}, nil
	}
	longest := map[bool]int{true: 30, false: 126}[example.Addr().Is4()]
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4() != example.Addr().Is4() || p.Addr().Is4In6():
		return netip.Prefix{}, bad(`%q is not an %s address with its subnet's length: write one such as %q, "auto" or "none"`, s, family, example.String())
	case p.Bits() > longest || p.Bits() < 8:
		return netip.Prefix{}, bad("%q: the subnet's length must be from 8 to %d, as in %q", s, longest, example.String())
	case p.Addr() == p.Masked().Addr():
		return netip.Prefix{}, bad("%q is the network, not an address in it: write %q", s, netip.PrefixFrom(p.Addr().Next(), p.Bits()).String())
	case p.Addr().IsLoopback(), p.Addr().IsMulticast(), p.Addr().IsUnspecified(), p.Addr().IsLinkLocalUnicast(), p.Addr() == lastOf(p):
		return netip.Prefix{}, bad("%q cannot be the address of a bridge: write one such as %q", s, example.String())
	}
	return p, nil
}

// lastOf is the last address of an IPv4 subnet, which is for broadcasts.
func lastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.Addr{}
	}
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// parsePlain reads one address, of a family where one is named.
func parsePlain(s, family, example string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || family == "IPv4" && !a.Is4() || family == "IPv6" && !a.Is6() {
		return netip.Addr{}, bad("%q is not an %s: write one such as %q", s, strings.TrimSpace(family+" address"), example)
	}
	return a, nil
}

func parseSubnets(s, family string, example netip.Prefix) (list []netip.Prefix, err error) {
	for _, word := range words(s) {
		p, err := netip.ParsePrefix(word)
		if err != nil || p.Addr().Is4() != example.Addr().Is4() || p.Bits() == 0 {
			return nil, bad("%q is not an %s subnet: write one such as %q", word, family, example.String())
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

func parseRanges(s, family, example string) (list []sysctl.AddrRange, err error) {
	v4 := strings.Contains(example, ".")
	for _, word := range words(s) {
		first, last, ok := strings.Cut(word, "-")
		a, err1 := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		if !ok || err1 != nil || err2 != nil || a.Is4() != v4 || b.Is4() != v4 || b.Less(a) {
			return nil, bad("%q is not a range of %s addresses: write FIRST-LAST, such as %q", word, family, example)
		}
		list = append(list, sysctl.AddrRange{First: a, Last: b})
	}
	return list, nil
}

// parseExpiry reads how long: a number of s, m, h, d or w, of at least two minutes, or "infinite".
func parseExpiry(s string) (string, error) {
	const right = `write a time such as "12h", at least "2m", or "infinite"`
	if s == "infinite" {
		return s, nil
	}
	if len(s) < 2 {
		return "", bad("%q is not a time: %s", s, right)
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 24)
	if err != nil || unit == 0 || time.Duration(n)*unit < 2*time.Minute {
		return "", bad("%q is not a time: %s", s, right)
	}
	return strconv.Itoa(int(time.Duration(n) * unit / time.Second)), nil
}

// checkDomain reports why s is no domain.
func checkDomain(s string) error {
	const right = `write letters, digits and '-' with dots between, such as "lab.example"`
	if s == "" || len(s) > 200 {
		return bad("%q is not a domain: %s", s, right)
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return r > unicode.MaxASCII || !isWord(r) && r != '-' }) {
			return bad("%q is not a domain: %s", s, right)
		}
	}
	return nil
}
