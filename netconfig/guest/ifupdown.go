package guest

import (
	"fmt"
	"net"
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
}

// dialectOf returns the dialect of a name Probe gives.
func dialectOf(t sysctl.Tree, name string) dialect {
	switch name {
	case "0.6":
		return dialect{netTools: true}
	case "0.7":
		// Its first releases, as in Ubuntu 12.04, do not know address/length yet.
		return dialect{many: true, acceptRA: true, include: true}
	case "ng":
		return dialect{cidr: true, many: true, include: true}
	case "busybox":
		return dialect{}
	}
	return dialect{cidr: true, many: true, onlink: true, acceptRA: true, include: true,
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
	if len(v4.addresses) > 0 {
		if nic.MTU != 0 {
			options = append(options, fmt.Sprint("mtu ", nic.MTU))
		}
		out = append(out, d.family(nic.Name, v4, options)...)
		options = nil
	} else if nic.MTU != 0 {
		// "mtu" in inet6 static is unknown to old programs, and to new ones not the link's.
		options = append(options, "pre-up "+d.setMTU(nic))
	}
	if len(v6.addresses) > 0 {
		out = append(out, d.family(nic.Name, v6, append(options, d.quiet6(nic.Name)...))...)
	}
	if len(nic.Addresses) == 0 {
		out = append(out, "iface "+nic.Name+" inet manual")
		for _, o := range append(options, "up "+d.setLink(nic.Name, "up"), "down "+d.setLink(nic.Name, "down")) {
			out = append(out, "\t"+o)
		}
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
	if !said {
		commands = append(commands, d.routes(name, f, at < 0)...)
	}
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
	return []string{"\taddress " + a.Addr().String(), "\tnetmask " + net.IP(net.CIDRMask(a.Bits(), 32)).String()}
}

// quiet6 are the options that make static IPv6 final at once: no autoconfiguration beside it, no
// waiting for duplicate address detection.
func (d dialect) quiet6(name string) []string {
	knob := func(k string) string { return "pre-up echo 0 > /proc/sys/net/ipv6/conf/" + name + "/" + k + " || true" }
	out := []string{"accept_ra 0"}
	if !d.acceptRA {
		out = []string{knob("accept_ra")}
	}
	if !d.dad { // else every stanza says it
		out = append(out, knob("accept_dad"))
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

// routes are the commands for a default route, with a route to the gateway itself where it lies
// outside every subnet.
func (d dialect) routes(name string, f family, outside bool) []string {
	gw := f.gateway.String()
	host, via := ip(f.gateway)+" route add "+gw+" dev "+name, ip(f.gateway)+" route add default via "+gw+" dev "+name
	switch {
	case d.netTools && f.v6:
		host, via = "route -A inet6 add "+gw+"/128 dev "+name, "route -A inet6 add default gw "+gw+" dev "+name
	case d.netTools:
		host, via = "route add -host "+gw+" dev "+name, "route add default gw "+gw+" dev "+name
	}
	if f.metric != 0 {
		via += fmt.Sprint(" metric ", f.metric)
	}
	if outside {
		return []string{host, via}
	}
	return []string{via}
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
