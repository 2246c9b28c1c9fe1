package guest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	suseDir    = "/etc/sysconfig/network"
	suseConfig = suseDir + "/config"
	wickedUnit = "wicked.service"
	whySUSE    = "network (SUSE ifcfg)"
)

// ifcfgSUSE writes ifcfg-IF, ifroute-IF and ifsysctl-IF. The old scripts and wicked read the same, but
// only wicked has a word for autoconfiguration: it waits for it. The kernel does it for both.
func (b *builder) ifcfgSUSE(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	want := map[string]string{}
	for i, nic := range n.NICs {
		v4, v6 := families(n, i)
		want["ifcfg-"+nic.Name] = suseIfcfg(nic, v4, v6, g.Dialect == "wicked")
		if hops := append(v4.hops(true, false), v6.hops(true, false)...); len(hops) > 0 {
			out := []string{mark + ": changes are lost."}
			for _, h := range hops {
				out = append(out, suseRoute(h, nic.Name))
			}
			want["ifroute-"+nic.Name] = joinLines(out)
		}
		accept := 0
		if v6.dhcp() || v6.slaac() {
			accept = 1
		}
		// A dot in a name would separate.
		key := "net.ipv6.conf." + strings.ReplaceAll(nic.Name, ".", "/")
		want["ifsysctl-"+nic.Name] = joinLines([]string{mark + ": changes are lost.",
			fmt.Sprintf("%s.accept_ra = %d", key, accept), fmt.Sprintf("%s.autoconf = %d", key, accept)})
	}
	mine := named(n)
	b.own(directory{path: suseDir, why: whySUSE, mode: plain,
		is: func(base string) bool {
			kind, _, ok := strings.Cut(base, "-")
			ignored := slices.ContainsFunc([]string{"~", ".old", ".bak", ".orig", ".rpmnew", ".rpmsave", ".rpmorig"},
				func(end string) bool { return strings.HasSuffix(base, end) })
			return ok && !ignored && slices.Contains([]string{"ifcfg", "ifroute", "ifsysctl"}, kind)
		},
		foreign: func(base, _ string) bool {
			_, name, _ := strings.Cut(base, "-")
			return mine(name)
		}}, want)
	if g.Renderer == IfcfgSUSE {
		b.enableSUSE(g)
	}
}

func suseIfcfg(nic sysctl.GuestNIC, v4, v6 family, wicked bool) string {
	var proto []string
	if v4.dhcp() {
		proto = append(proto, "dhcp4")
	}
	if v6.dhcp() {
		proto = append(proto, "dhcp6")
	}
	if v6.slaac() && wicked {
		proto = append(proto, "auto6")
	}
	if len(proto) == 0 {
		proto = []string{"static"} // also without addresses: "none" is for parts of a bond
	}
	out := []string{mark + ": changes are lost.", "STARTMODE='auto'", "BOOTPROTO='" + strings.Join(proto, "+") + "'"}
	for i, a := range nic.Addresses {
		index := ""
		if i > 0 {
			index = fmt.Sprint("_", i)
		}
		out = append(out, "IPADDR"+index+"='"+a.String()+"'")
	}
	if nic.MTU != 0 {
		out = append(out, fmt.Sprintf("MTU='%d'", nic.MTU))
	}
	// The host may answer ARP for the guest's address.
	return joinLines(append(out, "CHECK_DUPLICATE_IP='no'"))
}

// suseRoute is a line of destination, gateway, netmask, interface and options. A route without a
// gateway is written with its length, for the netmask is left out.
func suseRoute(h hop, device string) string {
	to, via := h.dst.String(), "-"
	if h.isDefault() {
		to = "default"
	}
	if h.via.IsValid() {
		via = h.via.String()
	}
	line := to + " " + via + " - " + device
	if h.metric != 0 {
		line += fmt.Sprint(" metric ", h.metric)
	}
	return line
}

func (b *builder) enableSUSE(g sysctl.Guest) {
	if from := unitPath(b.tree, wickedUnit); g.Dialect == "wicked" && from != "" {
		b.enableUnit(wickedUnit, "multi-user.target", "network-online.target")
		// "network" is what everybody calls it; whoever holds the name is in charge.
		const alias = systemUnits + "/network.service"
		if to, err := b.tree.Readlink(alias); err != nil || path.Base(to) != wickedUnit {
			b.link(from, alias, "enable "+wickedUnit)
		}
		return
	}
	b.enableSysV("network", 5, "/etc/init.d", "/etc/init.d")
}

// netconfigKeys say resolvers to SUSE's netconfig, which then writes resolv.conf.
func (b *builder) netconfigKeys(n sysctl.GuestNetwork) {
	content := setLine(b.read(suseConfig), "NETCONFIG_DNS_STATIC_SERVERS=", `"`+joinAddrs(n.DNS, " ")+`"`)
	content = setLine(content, "NETCONFIG_DNS_STATIC_SEARCHLIST=", `"`+strings.Join(searchList(n), " ")+`"`)
	b.write(suseConfig, content, whyResolver)
}

// probeSUSE returns the dialect of SUSE's network files, "" where nobody reads them.
func probeSUSE(t sysctl.Tree) (dialect, evidence string) {
	switch {
	case !exists(t, suseConfig):
		return "", ""
	case unitPath(t, wickedUnit) != "":
		return "wicked", unitPath(t, wickedUnit) + ": wicked reads " + suseDir
	case existsAny(t, "/etc/init.d/network", "/lib/systemd/system/network.service", "/usr/lib/systemd/system/network.service"):
		return "ifup", suseConfig + ": the network scripts read " + suseDir
	}
	return "", ""
}

// oldHOSTNAME reports whether a SUSE keeps its whole name in /etc/HOSTNAME: those before systemd, and
// the first with it, where the file is no link to the new one.
func oldHOSTNAME(t sysctl.Tree) bool {
	fi, err := t.Lstat("/etc/HOSTNAME")
	return err == nil && fi.Mode()&fs.ModeType == 0 && !exists(t, "/etc/hostname")
}
