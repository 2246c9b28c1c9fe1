package guest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	networkdDir    = "/etc/systemd/network"
	networkdOurs   = "10-sysctl-" // ours are this, the interface, and ".network"
	networkdPreset = "/etc/systemd/system-preset/10-sysctl.preset"
	networkdUnit   = "systemd-networkd.service"
	whyNetworkd    = "network (systemd-networkd)"
)

// networkd writes a file for each interface and removes ours of interfaces that have gone, which is
// all of them for a guest with another renderer.
func (b *builder) networkd(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	want := map[string]string{}
	for i, nic := range n.NICs {
		want[networkdOurs+nic.Name+".network"] = networkdFile(n, i, g.InitVersion)
	}
	files := networkdFiles(n, networkdOurs)
	if g.Renderer == Netplan {
		files = networkdFiles(b.network, "10-netplan-") // which it makes in /run
	}
	b.own(files, want)
	if g.Renderer == Networkd {
		b.enableNetworkd()
	} else {
		b.removeOurs(whyNetworkd, networkdPreset)
	}
}

// networkdFiles are networkd's own files. It takes the first one that matches an interface, and
// only that: somebody else's for just our interfaces that comes before ours speaks against them.
func networkdFiles(n sysctl.GuestNetwork, ours string) directory {
	mine := named(n)
	return directory{
		path: networkdDir, why: whyNetworkd, mode: plain,
		is: func(base string) bool { return strings.HasSuffix(base, ".network") },
		foreign: func(base, content string) bool {
			names := matchedNames(content)
			return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return !mine(name) || base >= ours+name+".network" })
		},
	}
}

// networkdFile renders the i-th interface for a version of systemd ("252"; unknown counts as new).
func networkdFile(n sysctl.GuestNetwork, i int, systemd string) string {
	nic := n.NICs[i]
	v, err := strconv.Atoi(systemd)
	if err != nil {
		v = 1000
	}
	out := []string{mark + ": changes are lost.", "[Match]", "Name=" + nic.Name}
	if nic.MTU != 0 {
		out = append(out, "", "[Link]", fmt.Sprint("MTUBytes=", nic.MTU))
	}
	v4, v6 := families(n, i)
	out = append(out, "", "[Network]", "DHCP="+networkdDHCP(v4, v6, v), "LinkLocalAddressing=ipv6", "IPv6AcceptRA="+yesNo(v6.dhcp() || v6.slaac()))
	// Per address, as newer versions can, detection is off for good; the older setting leaves a
	// random delay.
	perAddress := v >= 243
	if !perAddress {
		out = append(out, "IPv6DuplicateAddressDetection=0")
	}
	for _, a := range nic.Addresses {
		out = append(out, "", "[Address]", "Address="+a.String())
		if a.Addr().Is6() && perAddress {
			out = append(out, "DuplicateAddressDetection=none")
		}
	}
	for _, f := range []family{v4, v6} {
		for _, h := range f.hops(true, v >= 243) {
			out = append(out, networkdRoute(h)...)
		}
	}
	return joinLines(append(out, networkdClients(v4, v6, v)...))
}

// networkdDHCP is the value of DHCP=, whose words were others before 219.
func networkdDHCP(v4, v6 family, systemd int) string {
	switch {
	case v4.dhcp() && v6.dhcp() && systemd < 219:
		return "both"
	case v4.dhcp() && v6.dhcp():
		return "yes"
	case v4.dhcp() && systemd < 219:
		return "v4"
	case v4.dhcp():
		return "ipv4"
	case v6.dhcp() && systemd < 219:
		return "v6"
	case v6.dhcp():
		return "ipv6"
	}
	return "no"
}

// networkdClients are the sections about what others tell the interface. DHCP's default route gets a
// metric between those of static ones (families), instead of one that is worse than all.
func networkdClients(v4, v6 family, systemd int) []string {
	var out []string
	if v4.dhcp() {
		section := "[DHCPv4]"
		if systemd < 243 {
			section = "[DHCP]"
		}
		out = append(out, "", section, fmt.Sprint("RouteMetric=", v4.metric+10))
	}
	if systemd < 246 || !v6.dhcp() && !v6.slaac() {
		return out // DHCPv6 only where routers advertise it
	}
	out = append(out, "", "[IPv6AcceptRA]")
	if v6.dhcp() {
		return append(out, "DHCPv6Client=always")
	}
	return append(out, "DHCPv6Client=no")
}

func networkdRoute(h hop) []string {
	out := []string{"", "[Route]"}
	if !h.isDefault() {
		out = append(out, "Destination="+h.dst.String())
	}
	switch {
	case h.via.IsValid():
		out = append(out, "Gateway="+h.via.String())
	case h.dst.Addr().Is4():
		out = append(out, "Scope=link") // IPv6 has no such thing
	}
	if h.metric != 0 {
		out = append(out, fmt.Sprint("Metric=", h.metric))
	}
	if h.onlink {
		out = append(out, "GatewayOnLink=yes")
	}
	return out
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// matchedNames returns the names in a .network file's [Match] section where names are all it matches by.
func matchedNames(content string) []string {
	var names []string
	section := ""
	for _, line := range splitLines(content) {
		line = strings.TrimSpace(line)
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = line
		case section != "[Match]" || !isKey:
		case strings.TrimSpace(key) != "Name":
			return nil
		default:
			names = append(names, strings.Fields(value)...)
		}
	}
	return names
}
