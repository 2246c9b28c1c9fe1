package guest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// localScript keeps our block in a script that the guest runs late in its boot, behind the first line so
// that an "exit" further down does no harm. Without commands the block goes.
func (b *builder) localScript(name string, commands []string, why string) {
	if len(commands) == 0 && !b.exists(name) {
		return
	}
	content := b.read(name)
	rest, at := cutBlock(splitLines(content))
	if len(commands) == 0 {
		if at >= 0 {
			b.writeMode(name, joinLines(rest), script, why)
		}
		return
	}
	if len(rest) == 0 || !strings.HasPrefix(rest[0], "#!") {
		rest, at = slices.Insert(rest, 0, "#!/bin/sh"), 1
	}
	b.writeMode(name, joinLines(putBlock(rest, max(at, 1), commands)), script, why)
}

// hasIP reports whether the guest has the ip program.
func hasIP(t sysctl.Tree) bool {
	return existsAny(t, "/sbin/ip", "/bin/ip", "/usr/sbin/ip", "/usr/bin/ip")
}

// needIP notes commands that cannot run for want of the ip program.
func (b *builder) needIP(nic string, commands []string) {
	if len(commands) > 0 && !hasIP(b.tree) {
		b.cannotSay(nic, "%q: the guest has no ip program (iproute2)", commands[0])
	}
}

// linkCommands bring an interface up.
func linkCommands(nic sysctl.GuestNIC) []string {
	if nic.MTU != 0 {
		return []string{fmt.Sprintf("ip link set dev %s mtu %d", nic.Name, nic.MTU), "ip link set dev " + nic.Name + " up"}
	}
	return []string{"ip link set dev " + nic.Name + " up"}
}

// knobCommands make IPv6 of an interface listen to routers or not, and addresses final at once.
func knobCommands(name string, f family) []string {
	switch {
	case f.static():
		return []string{knob6(name, "accept_ra", 0), knob6(name, "accept_dad", 0)}
	case f.slaac():
		return []string{knob6(name, "accept_ra", 1)}
	}
	return nil
}

// addressCommands set the addresses of a family from the i-th on.
func addressCommands(name string, f family, i int) []string {
	var out []string
	for _, a := range f.addresses[min(i, len(f.addresses)):] {
		out = append(out, ip(a.Addr())+" addr add "+a.String()+" dev "+name)
	}
	return out
}

// routeCommands set the routes of a family.
func routeCommands(name string, f family, withDefault bool) []string {
	var out []string
	for _, h := range f.hops(withDefault, false) {
		out = append(out, ip(h.dst.Addr())+" route add "+h.words(name))
	}
	return out
}
