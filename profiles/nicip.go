package profiles

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// nicIPFields is the part of the table that says which addresses a nic has and what it reaches through which.
func nicIPFields() []field[sysctl.NICSpec] {
	v4 := ipFields("ipv4", "IPv4", "10.0.3.10", "10.0.3.1", "192.0.2.0/24", func(n *sysctl.NICSpec) (address, gateway *string, bits *int) {
		return &n.IPv4, &n.Gateway4, &n.Bits4
	})
	v6 := ipFields("ipv6", "IPv6", "fd42::10", "fd42::1", "2001:db8::/32", func(n *sysctl.NICSpec) (address, gateway *string, bits *int) {
		return &n.IPv6, &n.Gateway6, &n.Bits6
	})
	return append(append(v4, v6...), field[sysctl.NICSpec]{
		Key: Key{Name: "dns.nameservers", Type: "list", Default: "the host's", Example: "10.0.3.1,fd42::1",
			Doc: "Addresses of the guest's DNS servers. Those of all its nics together are in place of the host's."},
		set: func(n *sysctl.NICSpec, _, v string) error {
			for _, word := range words(v) {
				a, err := parseAddr(word)
				if err != nil {
					return err
				}
				n.DNS = append(n.DNS, a)
			}
			return nil
		},
	}, field[sysctl.NICSpec]{
		Key: Key{Name: "dns.search", Type: "list", Default: "the host's", Example: "example.org,lan",
			Doc: "Domains in which the guest looks names up. Those of all its nics together are in place of the host's."},
		set: func(n *sysctl.NICSpec, _, v string) error {
			n.Search = words(v)
			for _, word := range n.Search {
				if strings.ContainsFunc(word, func(r rune) bool { return !isWord(r) && r != '.' && r != '-' }) || word == "" {
					return bad(`%q is not a domain: write letters, digits and . _ -, such as "example.org"`, word)
				}
			}
			return nil
		},
	})
}

// ipFields are the options of one family. at returns where they go.
func ipFields(key, family, example, via, net string, at func(*sysctl.NICSpec) (address, gateway *string, bits *int)) []field[sysctl.NICSpec] {
	length := strconv.Itoa(netip.MustParsePrefix(net).Bits())
	return []field[sysctl.NICSpec]{{
		Key: Key{Name: key + ".address", Type: "addresses", Default: "allocated", Example: example,
			Doc: family + " address; `none` for no " + family + ". On a managed network without a prefix length; on an interface of the host " +
				"with one (`" + example + "/" + length + "`) where that has no address itself. Further addresses may follow after commas, each with " +
				"its length; on a managed network they lie outside of it."},
		set: func(n *sysctl.NICSpec, _, v string) (err error) {
			address, _, bits := at(n)
			list := words(v)
			if *address, *bits, err = parseAddress(list[0], family, example); err != nil {
				return err
			}
			for _, word := range list[1:] {
				a, length, err := parseAddress(word, family, example)
				switch {
				case err != nil:
					return err
				case a == "none" || *address == "none":
					return bad(`"none" cannot stand beside an address`)
				case length == 0:
					return bad("%q needs a prefix length, as every address after the first", word)
				}
				n.More = append(n.More, netip.PrefixFrom(netip.MustParseAddr(a), length))
			}
			return nil
		},
	}, {
		Key: Key{Name: key + ".gateway", Type: "address", Default: "the network's", Example: via,
			Doc: "Where " + family + " goes that no route leads to; `none` for nowhere. On an interface of the host it needs a fixed address, and its default is the host's own gateway there."},
		set: func(n *sysctl.NICSpec, _, v string) (err error) {
			_, gateway, _ := at(n)
			var bits int
			if *gateway, bits, err = parseAddress(v, family, via); err == nil && bits != 0 {
				err = bad("%q has a prefix length, which a gateway has not: write %q", v, *gateway)
			}
			return err
		},
	}, {
		Key: Key{Name: key + ".routes", Type: "list", Example: net + " via " + via,
			Doc: "Routes of the guest through this interface: `NET`, `NET via ADDRESS`, with `metric NUMBER` behind it where that matters. (In LXD they are the host's.)"},
		set: func(n *sysctl.NICSpec, _, v string) error {
			for _, word := range words(v) {
				r, err := parseRoute(word, family, net, via)
				if err != nil {
					return err
				}
				n.Routes = append(n.Routes, r)
			}
			return nil
		},
	}}
}

// words splits a list at its commas.
func words(v string) []string {
	list := strings.Split(v, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// parseAddr returns any address that something on a network can have.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return a, bad(`%q is not an address: write one such as "10.0.3.1" or "fd42::1"`, s)
	}
	return a, nil
}

// parseRoute reads "NET [via ADDRESS] [metric NUMBER]".
func parseRoute(s, family, net, via string) (r sysctl.Route, err error) {
	right := strconv.Quote(net + " via " + via)
	f := strings.Fields(s)
	if len(f)%2 == 0 {
		return r, bad("%q is not a route: write one such as %s", s, right)
	}
	v4 := family == "IPv4"
	r.Destination, err = netip.ParsePrefix(f[0])
	switch {
	case err != nil || r.Destination.Addr().Is4() != v4 || r.Destination.Addr().Is4In6():
		return r, bad("%q is not an %s network: write one such as %q", f[0], family, net)
	case r.Destination != r.Destination.Masked():
		return r, bad("%q is an address in a network: write %q", f[0], r.Destination.Masked().String())
	case r.Destination.Bits() == 0:
		return r, bad("%q is where everything goes: write its gateway as %s.gateway", f[0], strings.ToLower(family))
	}
	for pair := range slices.Chunk(f[1:], 2) {
		switch pair[0] {
		case "via":
			if r.Via, err = parseAddr(pair[1]); err != nil || r.Via.Is4() != v4 {
				return r, bad("%q is not an %s address: write one such as %q", pair[1], family, via)
			}
		case "metric":
			if r.Metric, err = strconv.Atoi(pair[1]); err != nil || r.Metric < 0 || r.Metric > 1<<31-1 {
				return r, bad(`%q is not a metric: write a whole number, such as "100"`, pair[1])
			}
		default:
			return r, bad("%q is not a route: write one such as %s", s, right)
		}
	}
	return r, nil
}

// checkNICAddresses adds what does not go together. What is there is asked of d, as a bad value is not a missing one.
func checkNICAddresses(n sysctl.NICSpec, d sysctl.Device, prefix string, errs *sysctl.FieldErrors) {
	for _, f := range []struct {
		key, address, gateway string
		bits                  int
	}{{"ipv4", n.IPv4, n.Gateway4, n.Bits4}, {"ipv6", n.IPv6, n.Gateway6, n.Bits6}} {
		managed, gateway := d["network"] != "", f.gateway != "" && f.gateway != "none"
		switch {
		case managed && f.bits != 0:
			errs.Add(prefix+f.key+".address", "%q has a prefix length, which comes from the network: write %q", d[f.key+".address"], f.address)
		case gateway && f.address == "none":
			errs.Add(prefix+f.key+".gateway", "needs an address: %s.address is none", f.key)
		case gateway && !managed && d[f.key+".address"] == "":
			errs.Add(prefix+f.key+".gateway", "needs a fixed %s.address: without one the LAN says which gateway there is", f.key)
		case f.address == "none" && d[f.key+".routes"] != "":
			errs.Add(prefix+f.key+".routes", "need an address: %s.address is none", f.key)
		}
	}
}
