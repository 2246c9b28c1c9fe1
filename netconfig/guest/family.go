package guest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// family is what an interface has of one address family. Its method is never the zero value.
type family struct {
	v6        bool
	method    sysctl.Method
	addresses []netip.Prefix
	gateway   netip.Addr
	metric    int // of the default route; 0: the kernel's default
	routes    []sysctl.Route
}

// families returns what the i-th interface of n has of IPv4 and of IPv6. Of several interfaces with
// a default route the first wins: the others' get a worse metric, for no two may have the same.
func families(n sysctl.GuestNetwork, i int) (v4, v6 family) {
	v4, v6 = pick(n.NICs[i], false), pick(n.NICs[i], true)
	for _, nic := range n.NICs[:i] {
		if pick(nic, false).hasDefault() {
			v4.metric += 100
		}
		if pick(nic, true).hasDefault() {
			v6.metric = max(v6.metric, 1024) + 100 // 1024 is what the kernel gives the first
		}
	}
	return v4, v6
}

func pick(nic sysctl.GuestNIC, v6 bool) family {
	f := family{v6: v6, gateway: nic.Gateway4, method: nic.Method4}
	if v6 {
		f.gateway, f.method = nic.Gateway6, nic.Method6
	}
	for _, a := range nic.Addresses {
		if a.Addr().Is6() == v6 {
			f.addresses = append(f.addresses, a)
		}
	}
	for _, r := range nic.Routes {
		if r.Destination.Addr().Is6() == v6 {
			f.routes = append(f.routes, r)
		}
	}
	if f.method == "" {
		f.method = sysctl.MethodNone
		if len(f.addresses) > 0 {
			f.method = sysctl.MethodStatic
		}
	}
	return f
}

func (f family) static() bool { return f.method == sysctl.MethodStatic }
func (f family) dhcp() bool   { return f.method == sysctl.MethodDHCP }
func (f family) slaac() bool  { return f.method == sysctl.MethodSLAAC }
func (f family) none() bool   { return f.method == sysctl.MethodNone }

// hasDefault reports whether the family has, or may be given, a default route.
func (f family) hasDefault() bool { return f.gateway.IsValid() || f.dhcp() || f.slaac() }

// subnetOf returns the index of the address whose subnet a next hop is in, or -1: then it must
// first be made reachable on the link. A link-local address of IPv6 is on every link.
func (f family) subnetOf(via netip.Addr) int {
	if via.IsLinkLocalUnicast() && f.v6 {
		return 0
	}
	for i, a := range f.addresses {
		if a.Bits() < a.Addr().BitLen() && a.Contains(via) {
			return i
		}
	}
	return -1
}

// gatewayAt is subnetOf the gateway.
func (f family) gatewayAt() int { return f.subnetOf(f.gateway) }

// hop is one route in a form that every program can say.
type hop struct {
	dst    netip.Prefix // of no bits: the default route
	via    netip.Addr   // invalid: on the link itself
	metric int
	onlink bool // via is on the link, whatever the addresses say
}

// hops returns the default route, unless it is left out, and the other routes. For a program
// that has no word for onlink, a route to the next hop itself goes before.
func (f family) hops(withDefault, onlink bool) []hop {
	var all, out []hop
	if f.gateway.IsValid() && withDefault {
		all = append(all, hop{dst: netip.PrefixFrom(unspecified(f.v6), 0), via: f.gateway, metric: f.metric, onlink: f.gatewayAt() < 0})
	}
	for _, r := range f.routes {
		all = append(all, hop{dst: r.Destination, via: r.Via, metric: r.Metric, onlink: r.OnLink && f.subnetOf(r.Via) < 0})
	}
	known := map[netip.Addr]bool{}
	for _, h := range all {
		if h.onlink && !onlink {
			h.onlink = false
			if !known[h.via] && !slices.ContainsFunc(out, func(o hop) bool { return !o.via.IsValid() && o.dst == host(h.via) }) {
				out = append(out, hop{dst: host(h.via), metric: h.metric})
			}
			known[h.via] = true
		}
		out = append(out, h)
	}
	return out
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func unspecified(v6 bool) netip.Addr {
	if v6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func (h hop) isDefault() bool { return h.dst.Bits() == 0 }

// name is the destination as the ip program takes it.
func (h hop) name() string {
	switch {
	case h.isDefault():
		return "default"
	case h.dst.IsSingleIP():
		return h.dst.Addr().String()
	}
	return h.dst.String()
}

// words are the route as arguments of "ip route add". An empty device is left out.
func (h hop) words(device string) string {
	out := []string{h.name()}
	if h.via.IsValid() {
		out = append(out, "via", h.via.String())
	}
	if device != "" {
		out = append(out, "dev", device)
	}
	if h.metric != 0 {
		out = append(out, "metric", fmt.Sprint(h.metric))
	}
	return strings.Join(out, " ")
}

// netmask is a prefix length of IPv4 in dots.
func netmask(a netip.Prefix) string { return net.IP(net.CIDRMask(a.Bits(), 32)).String() }

// prefixStrings are addresses as text.
func prefixStrings(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// named reports whether an interface is one of n.
func named(n sysctl.GuestNetwork) func(string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(n.NICs, func(nic sysctl.GuestNIC) bool { return nic.Name == name })
	}
}
