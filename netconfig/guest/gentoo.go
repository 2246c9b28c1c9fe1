package guest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	gentooNet  = "/etc/conf.d/net"
	gentooLo   = "/etc/init.d/net.lo"
	whyNetifrc = "network (netifrc)"
	// netifrcNIC begins the lines about one interface in our block: its name, which the names of
	// variables cannot always give back.
	netifrcNIC = "# interface "
)

// netifrc keeps our block at the end of conf.d/net, where it has the last word, and gives each
// interface its service.
func (b *builder) netifrc(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	content := b.read(gentooNet)
	lines := splitLines(content)
	rest, at := cutBlock(lines)
	var had []string
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, netifrcNIC); ok && at >= 0 {
			had = append(had, name)
		}
	}
	var block []string
	for i := range n.NICs {
		block = append(block, b.netifrcNIC(n, i, g.Dialect == "baselayout1")...)
	}
	switch {
	case len(block) > 0:
		b.write(gentooNet, joinLines(putBlock(rest, -1, block)), whyNetifrc)
	case at >= 0:
		b.write(gentooNet, joinLines(rest), whyNetifrc)
	}
	mine := named(n)
	for _, name := range had {
		// Names are checked before they are written; this one may have been edited.
		if !mine(name) && name != "lo" && path.Base(name) == name {
			b.remove(runlevels+"/default/net."+name, whyNetifrc)
			b.remove("/etc/init.d/net."+name, whyNetifrc)
		}
	}
	for _, nic := range n.NICs {
		script := "/etc/init.d/net." + nic.Name
		if !b.exists(script) {
			b.link("net.lo", script, whyNetifrc)
		}
		if !linked(b.tree, runlevels, "", func(name string) bool { return name == "net."+nic.Name }) {
			b.link(script, runlevels+"/default/net."+nic.Name, whyNetifrc)
		}
	}
}

// netifrcNIC renders the i-th interface. Lists are lines of one string; baselayout 1 has arrays.
func (b *builder) netifrcNIC(n sysctl.GuestNetwork, i int, arrays bool) []string {
	nic := n.NICs[i]
	v4, v6 := families(n, i)
	variable := shellName(nic.Name)
	list := func(name string, values []string) string {
		if arrays {
			return name + "_" + variable + `=( "` + strings.Join(values, `" "`) + `" )`
		}
		return name + "_" + variable + `="` + strings.Join(values, "\n") + `"`
	}
	out := []string{netifrcNIC + nic.Name}
	withIP := hasIP(b.tree)
	if withIP {
		out = append(out, "modules_"+variable+`="iproute2"`)
		if arrays {
			out[len(out)-1] = list("modules", []string{"iproute2"})
		}
	}
	var config, routes []string
	if v4.dhcp() {
		config = append(config, "dhcp")
	}
	for _, a := range nic.Addresses {
		config = append(config, a.String())
	}
	if v6.dhcp() {
		config = append(config, "dhcpv6")
	}
	if len(config) == 0 {
		config = []string{"null"} // only up
	}
	for _, h := range append(v4.hops(true, false), v6.hops(true, false)...) {
		if !withIP && (!h.via.IsValid() || h.metric != 0) {
			b.cannotSay(nic.Name, "route to %s: without the ip program (iproute2) only plain ones", h.dst)
		}
		routes = append(routes, netifrcRoute(h))
	}
	out = append(out, list("config", config), list("routes", routes))
	if len(routes) == 0 {
		out[len(out)-1] = "routes_" + variable + `=""` // hides a foreign one
		if arrays {
			out[len(out)-1] = "routes_" + variable + "=()"
		}
	}
	mtu := ""
	if nic.MTU != 0 {
		mtu = fmt.Sprint(nic.MTU)
	}
	return append(out, "mtu_"+variable+`="`+mtu+`"`, netifrcListens(nic.Name, v6.dhcp() || v6.slaac()))
}

// netifrcListens makes an interface listen to routers or not. netifrc has no word for it, and its one hook, preup of all interfaces, is
// the user's; but conf.d/net is shell, which every service of it reads before it does anything (openrc-run, runscript.sh). What reads it
// for dependencies alone may come before the interface.
func netifrcListens(name string, listens bool) string {
	value := 0
	if listens {
		value = 1
	}
	return "[ ! -e /proc/sys/net/ipv6/conf/" + name + "/accept_ra ] || " + knob6(name, "accept_ra", value)
}

// netifrcRoute always has a length, by which hosts and networks are told apart. The device is added
// by netifrc itself.
func netifrcRoute(h hop) string {
	out := []string{h.dst.String()}
	if h.isDefault() && h.dst.Addr().Is4() {
		out[0] = "default"
	}
	if h.via.IsValid() {
		out = append(out, "via", h.via.String())
	}
	if h.metric != 0 {
		out = append(out, "metric", fmt.Sprint(h.metric))
	}
	return strings.Join(out, " ")
}

// shellName is an interface's name in names of variables.
func shellName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

func probeNetifrc(t sysctl.Tree) (dialect, evidence string) {
	switch {
	case !exists(t, gentooLo):
		return "", ""
	case exists(t, "/sbin/functions.sh") && !slices.ContainsFunc([]string{"/lib/rc", "/lib64/rc", "/lib32/rc", "/libexec/rc", "/usr/libexec/rc", "/sbin/openrc"},
		func(name string) bool { return exists(t, name) }):
		return "baselayout1", gentooLo + ": netifrc, of baselayout 1 (/sbin/functions.sh)"
	}
	return "openrc", gentooLo + ": netifrc"
}
