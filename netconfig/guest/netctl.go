package guest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	netctlDir  = "/etc/netctl"
	netctlOurs = "sysctl-" // ours are this and the interface
	netctlUnit = "netctl@"
	whyNetctl  = "network (netctl)"
)

// netctl writes a profile for each interface and enables it. Foreign profiles for it are moved aside, and
// their links taken away.
func (b *builder) netctl(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	mine := named(n)
	want := map[string]string{}
	for i, nic := range n.NICs {
		want[netctlOurs+nic.Name] = b.netctlProfile(n, i)
	}
	d := directory{path: netctlDir, why: whyNetctl, mode: plain,
		is:      func(base string) bool { return !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, "~") },
		foreign: func(_, content string) bool { return mine(strings.Trim(shellValue(content, "Interface"), `"'`)) }}
	b.own(d, want)
	b.enableNetctl(d, want)
}

// enableNetctl links the units of our profiles, and unlinks those of ours that are gone and of foreign ones
// that are aside.
func (b *builder) enableNetctl(d directory, want map[string]string) {
	wants := path.Join(systemUnits, "multi-user.target.wants")
	entries, _ := b.tree.ReadDir(wants) // absent is empty
	for _, e := range entries {
		profile, ok := strings.CutPrefix(e.Name(), netctlUnit)
		if !ok {
			continue
		}
		profile = unitUnescape(strings.TrimSuffix(profile, ".service"))
		if _, wanted := want[profile]; wanted || b.exists(path.Join(netctlDir, profile)) {
			continue
		}
		if strings.HasPrefix(profile, netctlOurs) || b.exists(path.Join(netctlDir, profile+aside)) {
			b.remove(path.Join(wants, e.Name()), whyNetctl)
		}
	}
	for _, profile := range slices.Sorted(maps.Keys(want)) {
		unit := netctlUnit + unitEscape(profile) + ".service"
		from := unitPath(b.tree, netctlUnit+".service")
		if from != "" && !enabled(b.tree, unit) {
			b.link(from, path.Join(wants, unit), whyNetctl)
		}
	}
}

// netctlProfile renders the i-th interface. The carrier is not waited for: that also leaves duplicate
// address detection off.
func (b *builder) netctlProfile(n sysctl.GuestNetwork, i int) string {
	nic := n.NICs[i]
	v4, v6 := families(n, i)
	out := []string{mark + ": changes are lost.", "Interface=" + nic.Name, "Connection=ethernet", "SkipNoCarrier=yes"}
	switch {
	case v4.dhcp():
		out = append(out, "IP=dhcp")
		out = append(out, b.netctlClient(nic.Name, "DHCPClient=", "dhcpcd", "dhclient")...)
	case v4.static():
		out = append(out, "IP=static")
	default:
		out = append(out, "IP=no")
	}
	out = append(out, netctlFamily(v4, "")...)
	switch {
	case v6.dhcp():
		out = append(out, "IP6=dhcp")
		out = append(out, b.netctlClient(nic.Name, "DHCP6Client=", "dhclient", "dhcpcd")...)
	case v6.slaac():
		out = append(out, "IP6=stateless")
	default:
		out = append(out, "IP6=static") // without addresses too: routers are ignored, IPv6 stays on
	}
	out = append(out, netctlFamily(v6, "6")...)
	if nic.MTU != 0 {
		out = append(out, fmt.Sprintf("IPCustom=('link set dev %s mtu %d')", nic.Name, nic.MTU))
	}
	return joinLines(out)
}

func (b *builder) netctlClient(nic, key string, programs ...string) []string {
	for _, p := range programs {
		if existsAny(b.tree, "/usr/bin/"+p, "/usr/sbin/"+p, "/sbin/"+p) {
			return []string{key + p}
		}
	}
	b.cannotSay(nic, "DHCP: the guest has neither dhcpcd nor dhclient")
	return nil
}

func netctlFamily(f family, six string) []string {
	quote := func(list []string) string { return "('" + strings.Join(list, "' '") + "')" }
	var out []string
	if len(f.addresses) > 0 {
		out = append(out, "Address"+six+"="+quote(prefixStrings(f.addresses)))
	}
	plain := f.gateway.IsValid() && f.metric == 0
	var routes []string
	for _, h := range f.hops(true, false) {
		if !h.isDefault() || !plain {
			routes = append(routes, h.words("")) // netctl adds the device
		}
	}
	if len(routes) > 0 {
		out = append(out, "Routes"+six+"="+quote(routes))
	}
	if plain {
		out = append(out, "Gateway"+six+"="+f.gateway.String())
	}
	return out
}

// shellValue returns the value of a shell assignment at the start of a line, as written.
func shellValue(content, key string) string {
	for _, line := range splitLines(content) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// unitEscape escapes the instance in a unit's name as systemd.unit(5) says; names of interfaces need no
// more.
func unitEscape(s string) string {
	var out strings.Builder
	for i, r := range []byte(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ':', r == '_', r == '.' && i > 0:
			out.WriteByte(r)
		case r == '/':
			out.WriteByte('-')
		default:
			fmt.Fprintf(&out, `\x%02x`, r)
		}
	}
	return out.String()
}

func unitUnescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		var code byte
		if n, err := fmt.Sscanf(s[i:], `\x%02x`, &code); n == 1 && err == nil {
			out.WriteByte(code)
			i += 3
			continue
		}
		if s[i] == '-' {
			out.WriteByte('/')
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
