package guest

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const whyHostname = "hostname"

// hostname writes the host name where the guest's family keeps it: short in /etc/hostname, the
// whole name where custom has it so.
func (b *builder) hostname(g sysctl.Guest, n sysctl.GuestNetwork) {
	whole := n.Hostname
	if n.Domain != "" {
		whole += "." + n.Domain
	}
	old := g.Init != "systemd"
	switch {
	case g.Family == "rhel" && old:
		const name = "/etc/sysconfig/network"
		content := b.read(name)
		if content == "" {
			content = "NETWORKING=yes\n" // without it the network script does nothing
		}
		b.write(name, setLine(content, "HOSTNAME=", whole), whyHostname)
	case g.Family == "suse" && (old || oldHOSTNAME(b.tree)), g.Family == "slackware":
		b.write("/etc/HOSTNAME", whole+"\n", whyHostname)
	case g.Family == "gentoo" && old:
		const name = "/etc/conf.d/hostname"
		key := "hostname="
		if g.Dialect == "baselayout1" {
			key = "HOSTNAME="
		}
		b.write(name, setLine(b.read(name), key, `"`+n.Hostname+`"`), whyHostname)
	default:
		b.write("/etc/hostname", n.Hostname+"\n", whyHostname)
	}
}

// setLine sets key to value in a file of shell assignments: the first one is replaced, later ones
// go, and where there is none it is appended.
func setLine(content, key, value string) string {
	var out []string
	done := false
	for _, line := range splitLines(content) {
		if !strings.HasPrefix(strings.TrimSpace(line), key) {
			out = append(out, line)
		} else if !done {
			out, done = append(out, key+value), true
		}
	}
	if !done {
		out = append(out, key+value)
	}
	return joinLines(out)
}

// hosts keeps a block in /etc/hosts: localhost where the file does not know it, and the guest's own
// name at its first address of each family.
func (b *builder) hosts(n sysctl.GuestNetwork) {
	const name = "/etc/hosts"
	rest, at := cutBlock(splitLines(b.read(name)))
	known := map[string]bool{}
	for _, line := range rest {
		if f := strings.Fields(line); len(f) > 1 {
			known[f[0]] = true
		}
	}
	var block []string
	if !known["127.0.0.1"] {
		block = append(block, "127.0.0.1\tlocalhost")
	}
	if !known["::1"] {
		block = append(block, "::1\tlocalhost ip6-localhost ip6-loopback")
	}
	names := n.Hostname
	if n.Domain != "" {
		names = n.Hostname + "." + n.Domain + " " + names
	}
	own := ownAddresses(n)
	if len(own) == 0 {
		own = []string{"127.0.1.1"}
	}
	for _, a := range own {
		block = append(block, a+"\t"+names)
	}
	b.write(name, joinLines(putBlock(rest, at, block)), "hosts")
}

// ownAddresses returns the guest's first address of each family.
func ownAddresses(n sysctl.GuestNetwork) []string {
	var v4, v6 []string
	for _, nic := range n.NICs {
		for _, a := range nic.Addresses {
			switch {
			case a.Addr().IsLinkLocalUnicast():
			case a.Addr().Is4():
				v4 = append(v4, a.Addr().String())
			default:
				v6 = append(v6, a.Addr().String())
			}
		}
	}
	return append(v4[:min(1, len(v4))], v6[:min(1, len(v6))]...)
}

// resolver is who owns the guest's /etc/resolv.conf.
type resolver int

const (
	viaFile       resolver = iota // we do
	viaResolvconf                 // resolvconf, fed by ifupdown
	viaResolved                   // systemd-resolved
	viaNetconfig                  // SUSE's netconfig
)

const (
	resolvConf     = "/etc/resolv.conf"
	resolvMark     = mark + " (nameserver, search and domain; other lines are kept)."
	resolvedDropIn = "/etc/systemd/resolved.conf.d/10-sysctl.conf"
	whyResolver    = "resolver"
)

func probeResolver(t sysctl.Tree, g sysctl.Guest) resolver {
	target, err := t.Readlink(resolvConf)
	switch {
	case err != nil:
		return viaFile
	case strings.Contains(target, "/resolvconf/") && g.Renderer == Ifupdown && existsAny(t, "/sbin/resolvconf", "/usr/sbin/resolvconf"):
		return viaResolvconf
	case strings.Contains(target, "systemd/resolv") && enabled(t, "systemd-resolved.service"):
		return viaResolved
	case strings.Contains(target, "netconfig") && existsAny(t, "/sbin/netconfig", "/usr/sbin/netconfig"):
		return viaNetconfig
	}
	return viaFile
}

// resolver tells the guest its resolvers. Who manages resolv.conf in the guest is asked first; a
// link to a program that does not run is replaced by a file.
func (b *builder) resolver(via resolver, n sysctl.GuestNetwork) {
	b.askers(via == viaFile && len(n.DNS) > 0, n)
	if len(n.DNS) == 0 {
		return
	}
	search := strings.Join(searchList(n), " ")
	if via == viaResolved {
		content := mark + ": changes are lost." + "\n[Resolve]\nDNS=" + joinAddrs(n.DNS, " ") + "\n"
		if search != "" {
			content += "Domains=" + search + "\n"
		}
		b.write(resolvedDropIn, content, whyResolver)
		return
	}
	if strings.HasPrefix(b.read(resolvedDropIn), mark) {
		b.remove(resolvedDropIn, whyResolver)
	}
	switch via {
	case viaResolvconf:
		return // ifupdown's stanza says it
	case viaNetconfig:
		b.netconfigKeys(n)
		return
	}
	out := []string{resolvMark}
	if search != "" {
		out = append(out, "search "+search)
	}
	for _, a := range n.DNS {
		out = append(out, "nameserver "+a.String())
	}
	if fi, err := b.tree.Lstat(resolvConf); err == nil && fi.Mode().IsRegular() {
		for _, line := range splitLines(b.read(resolvConf)) {
			f := strings.Fields(line)
			if len(f) > 0 && !slices.Contains([]string{"nameserver", "search", "domain"}, f[0]) && !strings.HasPrefix(line, mark) {
				out = append(out, line)
			}
		}
	}
	b.write(resolvConf, joinLines(out), whyResolver)
}

// dhclientHooks are where dhclient's script looks for functions that stand before its own: today, and until 2010.
func dhclientHooks() []string {
	return []string{"/etc/dhcp/dhclient-enter-hooks.d", "/etc/dhcp3/dhclient-enter-hooks.d"}
}

// udhcpcConf is read by the script of busybox's DHCP client, udhcpcScript, as Alpine has it.
const (
	udhcpcScript = "/usr/share/udhcpc/default.script"
	udhcpcConf   = "/etc/udhcpc/udhcpc.conf"
	udhcpcOurs   = "RESOLV_CONF=no " + mark
)

// askers keeps programs that ask for addresses from writing the server's resolvers into resolv.conf, where the instance has its
// own; else it takes away what did that.
func (b *builder) askers(own bool, n sysctl.GuestNetwork) {
	keep := own && slices.ContainsFunc(n.NICs, func(nic sysctl.GuestNIC) bool { return pick(nic, false).dhcp() || pick(nic, true).dhcp() })
	for _, dir := range dhclientHooks() {
		if name := dir + "/sysctl"; keep && exists(b.tree, dir) {
			b.write(name, mark+".\nmake_resolv_conf() { :; }\n", whyResolver)
		} else {
			b.removeOurs(whyResolver, name)
		}
	}
	old := splitLines(b.read(udhcpcConf))
	lines := slices.DeleteFunc(slices.Clone(old), func(line string) bool { return line == udhcpcOurs })
	if keep && exists(b.tree, udhcpcScript) {
		lines = append(lines, udhcpcOurs)
	}
	switch {
	case slices.Equal(lines, old):
	case len(lines) == 0:
		b.remove(udhcpcConf, whyResolver)
	default:
		b.write(udhcpcConf, joinLines(lines), whyResolver)
	}
}

// searchList is the guest's own domain and the others, each once.
func searchList(n sysctl.GuestNetwork) []string {
	var out []string
	for _, d := range append([]string{n.Domain}, n.Search...) {
		if d != "" && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

func joinAddrs(addrs []netip.Addr, sep string) string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return strings.Join(out, sep)
}
