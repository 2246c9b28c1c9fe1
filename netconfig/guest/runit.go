package guest

import (
	"path"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	runitServices = "/etc/runit/runsvdir/default"
	runitAll      = "/etc/sv"
	runitLocal    = "/etc/rc.local"
	runitOurs     = "sysctl-dhcp-" // ours are this and the interface
	dhcpcdConf    = "/etc/dhcpcd.conf"
	whyRunit      = "network (rc.local and runit)"
)

// runit writes the commands of static interfaces into rc.local, which stage 2 runs before the services,
// and a service for each interface that asks DHCP. A dhcpcd that is enabled for all interfaces serves
// them instead, and is told to leave the others alone.
func (b *builder) runit(_ sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	var commands, deny, some []string
	_, err := b.tree.Lstat(runitServices + "/dhcpcd")
	forAll := err == nil
	clients := map[string]bool{}
	for i, nic := range n.NICs {
		v4, v6 := families(n, i)
		more := append(knobCommands(nic.Name, v6), linkCommands(nic)...)
		for _, f := range []family{v4, v6} {
			more = append(more, addressCommands(nic.Name, f, 0)...)
			if !f.dhcp() {
				more = append(more, routeCommands(nic.Name, f, true)...)
			} else if len(f.routes) > 0 {
				b.cannotSay(nic.Name, "static routes beside DHCP: rc.local runs before there is an address")
			}
		}
		b.needIP(nic.Name, more)
		commands = append(commands, more...)
		switch {
		case !v4.dhcp() && !v6.dhcp():
			deny = append(deny, nic.Name)
		case forAll && v6.none() || forAll && v6.static():
			some = append(some, "interface "+nic.Name, "ipv4only")
		case forAll && !v4.dhcp():
			some = append(some, "interface "+nic.Name, "ipv6only")
		case !forAll:
			clients[runitOurs+nic.Name] = true
			b.dhcpService(nic.Name, v4, v6)
		}
	}
	b.localScript(runitLocal, commands, whyRunit)
	b.removeServices(clients)
	if !forAll {
		deny = nil
	}
	b.tellDHCP(deny, some)
}

// dhcpService writes and enables a service that runs the guest's DHCP client for one interface. runsv keeps
// its state where the link supervise leads, which must be on a file system that is fresh at boot.
func (b *builder) dhcpService(nic string, v4, v6 family) {
	only := ""
	switch {
	case v6.none() || v6.static():
		only = " -4"
	case !v4.dhcp():
		only = " -6"
	}
	var command string
	switch {
	case existsAny(b.tree, "/sbin/dhcpcd", "/usr/sbin/dhcpcd", "/usr/bin/dhcpcd", "/bin/dhcpcd"):
		command = "dhcpcd -B" + only + " " + nic
	case existsAny(b.tree, "/sbin/dhclient", "/usr/sbin/dhclient", "/usr/bin/dhclient", "/bin/dhclient") && only != "":
		command = "dhclient -d" + only + " " + nic
	default:
		b.cannotSay(nic, "DHCP: the guest has no dhcpcd")
		return
	}
	dir := path.Join(runitAll, runitOurs+nic)
	b.writeMode(dir+"/run", joinLines([]string{"#!/bin/sh", mark + ": changes are lost.", "exec " + command + " 2>&1"}), script, whyRunit)
	b.link("/run/runit/supervise."+runitOurs+nic, dir+"/supervise", whyRunit)
	b.link(dir, path.Join(runitServices, runitOurs+nic), whyRunit)
}

// removeServices removes ours that are not wanted.
func (b *builder) removeServices(want map[string]bool) {
	entries, err := b.tree.ReadDir(runitAll)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		run := path.Join(runitAll, name, "run")
		if !strings.HasPrefix(name, runitOurs) || want[name] || !strings.Contains(b.read(run), "\n"+mark) {
			continue
		}
		b.remove(path.Join(runitServices, name), whyRunit)
		b.remove(path.Join(runitAll, name, "supervise"), whyRunit)
		b.remove(run, whyRunit)
		b.remove(path.Join(runitAll, name), whyRunit)
	}
}

// tellDHCP keeps our blocks in dhcpcd's configuration. What is below a line "interface" is only for that
// one: so what is for all is said at the top, and what is for some at the end.
func (b *builder) tellDHCP(deny, some []string) {
	rest, at := cutBlock(splitLines(b.read(dhcpcdConf)))
	if len(deny) == 0 && len(some) == 0 && at < 0 {
		return
	}
	if len(deny) > 0 {
		rest = putBlock(rest, 0, []string{"denyinterfaces " + strings.Join(deny, " ")})
	}
	if len(some) > 0 {
		rest = putBlock(rest, -1, some)
	}
	b.write(dhcpcdConf, joinLines(rest), whyRunit)
}
