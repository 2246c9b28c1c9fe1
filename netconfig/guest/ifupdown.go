package guest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const whyIfupdown = "network (ifupdown)"

// dialect is what one program that reads /etc/network/interfaces understands.
type dialect struct {
	cidr     bool // "address A/LEN"; else a netmask line, dotted for IPv4
	many     bool // several stanzas for one interface and family
	onlink   bool // a gateway may lie outside the subnet
	acceptRA bool // "accept_ra" in inet6 static
	dad      bool // "dad-attempts 0" switches duplicate address detection off
	include  bool // "source" and "source-directory"
	netTools bool // the guest has ifconfig and route, perhaps no ip
	auto6    bool // "inet6 auto"; else the kernel autoconfigures by itself
	dhcp6    bool // "inet6 dhcp", with a program behind it
}

// dialectOf returns the dialect of a name Probe gives.
func dialectOf(t sysctl.Tree, name string) dialect {
	switch name {
	case "0.6":
		return dialect{netTools: true}
	case "0.7":
		// Its first releases, as in Ubuntu 12.04, do not know address/length yet.
		return dialect{many: true, acceptRA: true, include: true, auto6: true, dhcp6: true}
	case "ng":
		return dialect{cidr: true, many: true, include: true, auto6: true,
			dhcp6: existsAny(t, "/sbin/dhcpcd", "/usr/sbin/dhcpcd", "/usr/bin/dhcpcd")}
	case "busybox":
		return dialect{}
	}
	return dialect{cidr: true, many: true, onlink: true, acceptRA: true, include: true, auto6: true, dhcp6: true,
		dad: ifupdownVersion(t).atLeast(0, 8, 12)}
}

// ifupdown writes our block into the interfaces file and takes our interfaces out of everything
// else. For a guest with another renderer it only removes the block.
func (b *builder) ifupdown(g sysctl.Guest, n sysctl.GuestNetwork, dns resolver) {
	old := b.read(interfacesFile)
	rest, at := cutBlock(splitLines(old))
	if g.Renderer != Ifupdown {
		if at >= 0 {
			b.write(interfacesFile, joinLines(rest), whyIfupdown)
		}
		return
	}
	d := dialectOf(b.tree, g.Dialect)
	ours := func(name string) bool {
		base, _, _ := strings.Cut(name, ":")
		return slices.ContainsFunc(n.NICs, func(nic sysctl.GuestNIC) bool { return nic.Name == base })
	}
	if at >= 0 { // the block's place is counted in lines before it
		head := stripInterfaces(rest[:at], ours)
		rest, at = append(head, stripInterfaces(rest[at:], ours)...), len(head)
	} else {
		rest = stripInterfaces(rest, ours)
	}
	stanzas, auto := interfacesOf(rest)
	if d.include {
		for _, name := range sourcedFiles(b.tree, rest) {
			lines := splitLines(b.read(name))
			kept := stripInterfaces(lines, ours)
			if !slices.Equal(kept, lines) {
				b.write(name, joinLines(kept), whyIfupdown)
			}
			s, a := interfacesOf(kept)
			stanzas, auto = append(stanzas, s...), append(auto, a...)
		}
	}
	var block []string
	if !slices.Contains(auto, "lo") {
		block = append(block, "auto lo")
	}
	if !slices.Contains(stanzas, "lo") {
		block = append(block, "iface lo inet loopback")
	}
	for i := range n.NICs {
		var options []string
		if i == 0 && dns == viaResolvconf {
			options = dnsOptions(n)
		}
		if len(block) > 0 {
			block = append(block, "")
		}
		if v6 := pick(n.NICs[i], true); v6.dhcp() && !d.dhcp6 {
			b.cannotSay(n.NICs[i].Name, "DHCPv6, which its ifup does not know")
		}
		block = append(block, d.stanzas(n, i, options)...)
	}
	b.write(interfacesFile, joinLines(putBlock(rest, at, block)), whyIfupdown)
	b.enableIfupdown(g)
}

// stanzas renders the i-th interface. Options of its first stanza are given from outside.
func (d dialect) stanzas(n sysctl.GuestNetwork, i int, options []string) []string {
	nic := n.NICs[i]
	out := []string{"auto " + nic.Name}
	v4, v6 := families(n, i)
	switch {
	case nic.MTU == 0:
	case v4.static():
		options = append(options, fmt.Sprint("mtu ", nic.MTU))
	default:
		// "mtu" in inet6 static is unknown to old programs, and to new ones not the link's; in
		// dhcp nobody knows it.
		options = append(options, "pre-up "+d.setMTU(nic))
	}
	kernel6 := v6.slaac() && !d.auto6
	if kernel6 {
		options = append(options, "pre-up "+knob6(nic.Name, "accept_ra", 1))
	}
	if v6.none() || v6.static() && v4.dhcp() {
		// Routers are not listened to, and not before inet6 is asked for either: DHCP brings the link up and waits.
		options = append(options, "pre-up "+knob6(nic.Name, "accept_ra", 0))
	}
	switch {
	case v4.static():
		out = append(out, d.family(nic.Name, v4, options)...)
	case v4.dhcp():
		options = append(options, "hostname "+n.Hostname)
		if v4.metric != 0 {
			options = append(options, fmt.Sprint("metric ", v4.metric))
		}
		out = append(out, d.asked(nic.Name, "inet dhcp", v4, options)...)
	case v6.none() || kernel6:
		out = append(out, d.asked(nic.Name, "inet manual", family{}, append(options,
			"up "+d.setLink(nic.Name, "up"), "down "+d.setLink(nic.Name, "down")))...)
	}
	if v4.static() || v4.dhcp() {
		options = nil
	}
	switch {
	case v6.static():
		out = append(out, d.family(nic.Name, v6, append(options, d.quiet6(nic.Name)...))...)
	case v6.dhcp():
		if d.acceptRA {
			options = append(options, "accept_ra 1") // the routes come that way
		}
		out = append(out, d.asked(nic.Name, "inet6 dhcp", v6, options)...)
	case v6.slaac() && d.auto6:
		out = append(out, d.asked(nic.Name, "inet6 auto", v6, options)...)
	case kernel6:
		for _, c := range d.commands(nic.Name, v6, false) {
			out = append(out, "\tup "+c)
		}
	}
	return out
}

// asked renders a stanza whose addresses others give.
func (d dialect) asked(name, method string, f family, options []string) []string {
	out := []string{"iface " + name + " " + method}
	for _, o := range options {
		out = append(out, "\t"+o)
	}
	for _, c := range d.commands(name, f, false) {
		out = append(out, "\tup "+c)
	}
	return out
}

// family renders the stanzas of one address family.
func (d dialect) family(name string, f family, options []string) []string {
	word := "inet"
	if f.v6 {
		word = "inet6"
	}
	var out, commands []string
	at, said := f.gatewayAt(), !f.gateway.IsValid()
	for i, a := range f.addresses {
		iface := name
		if i > 0 && !d.many {
			if !d.netTools || f.v6 {
				commands = append(commands, d.addAddress(name, a))
				continue
			}
			iface = fmt.Sprintf("%s:%d", name, i)
			out = append(out, "auto "+iface)
		}
		out = append(out, "iface "+iface+" "+word+" static")
		out = append(out, d.address(a)...)
		if d.plainGateway(f, i, at) {
			out, said = append(out, "\tgateway "+f.gateway.String()), true
		}
		if f.v6 && d.dad {
			out = append(out, "\tdad-attempts 0")
		}
		if i == 0 {
			for _, o := range options {
				out = append(out, "\t"+o)
			}
		}
	}
	commands = append(commands, d.commands(name, f, !said)...)
	for _, c := range commands {
		out = append(out, "\tup "+c)
	}
	return out
}

// plainGateway reports whether the stanza of address i is to say the gateway, which lies in the
// subnet of address at (-1: of none).
func (d dialect) plainGateway(f family, i, at int) bool {
	switch {
	case !f.gateway.IsValid() || f.metric != 0:
		return false
	case d.onlink:
		return i == 0
	case d.netTools && f.v6 && f.gateway.IsLinkLocalUnicast():
		return false // its route command names no device
	}
	return i == at
}

func (d dialect) address(a netip.Prefix) []string {
	switch {
	case d.cidr:
		return []string{"\taddress " + a.String()}
	case a.Addr().Is6():
		return []string{"\taddress " + a.Addr().String(), fmt.Sprint("\tnetmask ", a.Bits())}
	}
	return []string{"\taddress " + a.Addr().String(), "\tnetmask " + netmask(a)}
}

// quiet6 are the options that make static IPv6 final at once: no autoconfiguration beside it, no
// waiting for duplicate address detection.
func (d dialect) quiet6(name string) []string {
	out := []string{"accept_ra 0"}
	if !d.acceptRA {
		out = []string{"pre-up " + knob6(name, "accept_ra", 0)}
	}
	if !d.dad { // else every stanza says it
		out = append(out, "pre-up "+knob6(name, "accept_dad", 0))
	}
	return out
}

func (d dialect) setMTU(nic sysctl.GuestNIC) string {
	if d.netTools {
		return fmt.Sprintf("ifconfig %s mtu %d", nic.Name, nic.MTU)
	}
	return fmt.Sprintf("ip link set dev %s mtu %d", nic.Name, nic.MTU)
}

func (d dialect) setLink(name, state string) string {
	if d.netTools {
		return "ifconfig " + name + " " + state
	}
	return "ip link set dev " + name + " " + state
}

func (d dialect) addAddress(name string, a netip.Prefix) string {
	if d.netTools {
		return "ifconfig " + name + " add " + a.String() // IPv6: IPv4 has alias stanzas
	}
	return ip(a.Addr()) + " addr add " + a.String() + " dev " + name
}

// knob6 is the command that sets a knob of IPv6 on an interface. It cannot fail: /proc/sys may be
// read-only, and IPv6 off.
func knob6(name, knob string, value int) string {
	return fmt.Sprintf("echo %d > /proc/sys/net/ipv6/conf/%s/%s || true", value, name, knob)
}

// commands set the routes of a family.
func (d dialect) commands(name string, f family, withDefault bool) []string {
	var out []string
	for _, h := range f.hops(withDefault, false) {
		switch {
		case d.netTools:
			out = append(out, h.netTools(name))
		default:
			out = append(out, ip(h.dst.Addr())+" route add "+h.words(name))
		}
	}
	return out
}

// netTools is the route as a command of net-tools.
func (h hop) netTools(device string) string {
	out := []string{"route"}
	switch {
	case h.dst.Addr().Is6():
		out = append(out, "-A inet6 add")
		if !h.isDefault() {
			out = append(out, h.dst.String())
		}
	case h.isDefault():
		out = append(out, "add")
	case h.dst.IsSingleIP():
		out = append(out, "add -host", h.dst.Addr().String())
	default:
		out = append(out, "add -net", h.dst.String())
	}
	if h.isDefault() {
		out = append(out, "default")
	}
	if h.via.IsValid() {
		out = append(out, "gw", h.via.String())
	}
	out = append(out, "dev", device)
	if h.metric != 0 {
		out = append(out, fmt.Sprint("metric ", h.metric))
	}
	return strings.Join(out, " ")
}

func ip(a netip.Addr) string {
	if a.Is6() {
		return "ip -6"
	}
	return "ip"
}

// dnsOptions are what resolvconf takes from the interfaces file.
func dnsOptions(n sysctl.GuestNetwork) []string {
	var out []string
	if len(n.DNS) > 0 {
		out = append(out, "dns-nameservers "+joinAddrs(n.DNS, " "))
		if search := searchList(n); len(search) > 0 {
			out = append(out, "dns-search "+strings.Join(search, " "))
		}
	}
	return out
}
