package guest

import (
	"net/netip"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// The renderers Probe knows. None means that nobody in the guest can be told by files: the
// runtime sets addresses from outside.
const (
	Ifupdown       = "ifupdown"       // dialects "0.6", "0.7", "0.8", "ng", "busybox"
	Networkd       = "networkd"       // its dialect is the guest's version of systemd
	NetworkManager = "networkmanager" // keyfiles
	Netplan        = "netplan"
	IfcfgRedHat    = "ifcfg-redhat" // the network scripts; dialects "el5", "el6", "el7", "el8"
	IfcfgSUSE      = "ifcfg-suse"   // dialects "ifup" (SLES 11 and older), "wicked"
	Netifrc        = "netifrc"      // dialects "baselayout1", "openrc"
	RcInet1        = "rc.inet1"     // Slackware's; dialects "14", "15"
	Runit          = "runit"        // Void's: rc.local, and a service for each interface with DHCP
	Netctl         = "netctl"
	None           = "none"
)

// Render returns the changes that make the guest's own files say n. It is idempotent: rendered
// into a tree they were applied to, it returns none. A guest that is not known (sysctl.Guest.Known)
// is left untouched; with the renderer None, or without one, host name, hosts and resolv.conf are
// written, and no interfaces. Without resolvers in n, the guest's stay as they are.
//
// Files and blocks of interfaces that are not in n any more are removed, as are those for another
// renderer than the guest's present one; foreign files that were in the way are put back. Files that are
// the user's (n.Keep, or a line "# sysctl: keep" in the file) stay as they are whatever is in them. It fails
// with Invalid, for all bad fields at once, where n cannot be said in configuration files, and with
// Unsupported, naming everything at once, where the guest's renderer cannot say it.
func Render(t sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) ([]sysctl.Change, error) {
	if !g.Known() {
		return nil, nil
	}
	if err := check(n); err != nil {
		return nil, err
	}
	if g.Renderer == "" {
		g.Renderer = None
	}
	b := &builder{tree: t, network: n}
	dns := probeResolver(t, g)
	known := false
	for _, r := range []struct {
		name   string
		render func(sysctl.Guest, sysctl.GuestNetwork, resolver)
	}{
		{Ifupdown, b.ifupdown}, {Networkd, b.networkd}, {NetworkManager, b.networkManager}, {Netplan, b.netplan},
		{IfcfgRedHat, b.ifcfgRedHat}, {IfcfgSUSE, b.ifcfgSUSE}, {Netifrc, b.netifrc}, {RcInet1, b.rcInet1},
		{Runit, b.runit}, {Netctl, b.netctl}, {None, b.none},
	} {
		mine := n
		if r.name != g.Renderer {
			mine.NICs = nil // what is left of an earlier renderer is taken away
		}
		known = known || r.name == g.Renderer
		r.render(g, mine, dns)
	}
	if !known {
		return nil, sysctl.E(sysctl.Unsupported, "render network for %s: no such renderer", g.Renderer)
	}
	b.hostname(g, n)
	b.hosts(n)
	b.resolver(dns, n)
	return b.done(g)
}

// none says what the runtime, which sets addresses and gateways from outside, cannot. What routers
// advertise, the kernel listens to by itself. Who would take the addresses off again is told not to.
func (b *builder) none(_ sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	b.connman(n)
	for i, nic := range n.NICs {
		v4, v6 := families(n, i)
		for _, f := range []family{v4, v6} {
			if f.dhcp() {
				b.cannotSay(nic.Name, "DHCP for %s: nobody in the guest would ask", familyName(f.v6))
			}
		}
		if len(nic.Routes) > 0 {
			b.cannotSay(nic.Name, "static routes: nobody in the guest would set them")
		}
	}
}

// check reports everything in n that would break, or break out of, a configuration file.
func check(n sysctl.GuestNetwork) error {
	var bad sysctl.FieldErrors
	if n.Hostname == "" || !isWord(n.Hostname) {
		bad.Add("name", "%q cannot be a host name", n.Hostname)
	}
	for _, d := range append([]string{n.Domain}, n.Search...) {
		if !isWord(d) {
			bad.Add("domain", "%q cannot be a domain", d)
		}
	}
	seen := map[string]bool{}
	for _, nic := range n.NICs {
		field := "devices." + nic.Name
		if nic.Name == "" || len(nic.Name) > 15 || !isWord(nic.Name) || strings.ContainsAny(nic.Name, "/:*?[](){}!&|<>,%~@") ||
			nic.Name == "lo" || nic.Name == "." || nic.Name == ".." || seen[nic.Name] {
			bad.Add(field, "%q cannot be the name of an interface, or is another's", nic.Name)
		}
		seen[nic.Name] = true
		if nic.MTU != 0 && (nic.MTU < 68 || nic.MTU > 65535) {
			bad.Add(field, "an MTU of %d: it must be 68 to 65535", nic.MTU)
		}
		checkAddresses(&bad, field, nic)
		checkRoutes(&bad, field, nic)
	}
	return bad.Err()
}

func checkAddresses(bad *sysctl.FieldErrors, field string, nic sysctl.GuestNIC) {
	for _, a := range nic.Addresses {
		if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
			bad.Add(field, "%s is not an address with a prefix length", a)
		}
	}
	for _, f := range []family{pick(nic, false), pick(nic, true)} {
		switch f.method {
		case sysctl.MethodStatic:
			if len(f.addresses) == 0 {
				bad.Add(field, "static %s needs an address", familyName(f.v6))
			}
		case sysctl.MethodDHCP, sysctl.MethodSLAAC, sysctl.MethodNone:
			if f.slaac() && !f.v6 {
				bad.Add(field, "IPv4 has no slaac: use dhcp")
			}
			if len(f.addresses) > 0 {
				bad.Add(field, "%s %s goes without addresses", familyName(f.v6), f.method)
			}
		default:
			bad.Add(field, "%q is no method: static, dhcp, slaac (IPv6), none", f.method)
		}
		if !f.gateway.IsValid() {
			continue
		}
		if f.gateway.Is6() != f.v6 || f.gateway.Is4In6() || f.gateway.Zone() != "" {
			bad.Add(field, "gateway %s is of the wrong family", f.gateway)
		} else if len(f.addresses) == 0 {
			bad.Add(field, "gateway %s needs an address of its family", f.gateway)
		}
	}
}

func checkRoutes(bad *sysctl.FieldErrors, field string, nic sysctl.GuestNIC) {
	type key struct {
		to     netip.Prefix
		metric int
	}
	seen := map[key]bool{}
	for _, r := range nic.Routes {
		d := r.Destination
		switch {
		case !d.IsValid() || d != d.Masked() || d.Addr().Is4In6() || d.Addr().Zone() != "":
			bad.Add(field, "route to %s: that is not the address of a network with its prefix length", d)
			continue
		case d.Bits() == 0:
			bad.Add(field, "route to %s: the gateway is the default route", d)
		case pick(nic, d.Addr().Is6()).none():
			bad.Add(field, "route to %s needs addresses of its family", d)
		case seen[key{d, r.Metric}]:
			bad.Add(field, "route to %s: twice with the same metric", d)
		}
		seen[key{d, r.Metric}] = true
		if r.Via.IsValid() && (r.Via.Is6() != d.Addr().Is6() || r.Via.Is4In6() || r.Via.Zone() != "") {
			bad.Add(field, "route to %s: %s is of the wrong family", d, r.Via)
		}
		if r.OnLink && !r.Via.IsValid() {
			bad.Add(field, "route to %s: what is on the link without a next hop?", d)
		}
		if r.Metric < 0 {
			bad.Add(field, "route to %s: a metric of %d", d, r.Metric)
		}
	}
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// isWord reports whether s is one word of printable ASCII without quotes, backslashes or comment signs.
func isWord(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\#$;=", r) {
			return false
		}
	}
	return true
}
