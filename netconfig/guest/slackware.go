package guest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	slackRC    = "/etc/rc.d/rc.inet1"
	slackConf  = "/etc/rc.d/rc.inet1.conf"
	slackLocal = "/etc/rc.d/rc.local"
	whySlack   = "network (rc.inet1)"
)

// rcInet1 keeps our block at the end of rc.inet1.conf, where it has the last word, and the commands for
// what that file cannot say in rc.local. Its variables are arrays over slots, one for an interface.
func (b *builder) rcInet1(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	rest, at := cutBlock(splitLines(b.read(slackConf)))
	s := slackware{lists: g.Dialect == "15"}
	slots := slackSlots(rest, n)
	var block, commands []string
	for i, nic := range n.NICs {
		b.checkSlack(nic, s)
		block = append(block, s.variables(n, i, slots[i])...)
		more := s.commands(n, i)
		b.needIP(nic.Name, more)
		commands = append(commands, more...)
	}
	if len(block) > 0 {
		block = append(block, s.gateways(n)...)
		if highest := slices.Max(slots); highest >= 6 {
			block = append(block, fmt.Sprintf(`MAXNICS="%d"`, highest+1)) // it looks at six by itself
		}
	}
	switch {
	case len(block) > 0:
		b.write(slackConf, joinLines(putBlock(rest, -1, block)), whySlack)
	case at >= 0:
		b.write(slackConf, joinLines(rest), whySlack)
	}
	b.localScript(slackLocal, commands, whySlack)
	if g.Renderer == RcInet1 && exists(b.tree, slackRC) {
		b.writeMode(slackRC, b.read(slackRC), script, "enable rc.inet1")
	}
}

func (b *builder) checkSlack(nic sysctl.GuestNIC, s slackware) {
	if pick(nic, true).dhcp() && !s.lists {
		b.cannotSay(nic.Name, "DHCPv6, which rc.inet1 knows since Slackware 15")
	}
}

var (
	slackSet  = lazily(`^\s*([A-Z0-9_]+)\[(\d+)\]=["']?([^"'#\s]*)`)
	slackEthN = lazily(`^eth(\d+)$`)
)

// slackSlots chooses a slot for each interface: the one it has in the foreign lines, else the first that
// nobody else uses. A slot without a name is ethN's.
func slackSlots(foreign []string, n sysctl.GuestNetwork) []int {
	names, used := map[int]string{}, map[int]bool{}
	for _, line := range foreign {
		m := slackSet().FindStringSubmatch(line)
		if m == nil || m[3] == "" {
			continue
		}
		slot, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		used[slot] = true
		if m[1] == "IFNAME" {
			names[slot] = m[3]
		}
	}
	mine := named(n)
	taken := map[int]bool{}
	bySlot := map[string]int{}
	for slot := range used {
		name := names[slot]
		if name == "" {
			name = fmt.Sprint("eth", slot)
		}
		if mine(name) {
			bySlot[name] = max(bySlot[name], slot)
		}
		taken[slot] = true
	}
	out := make([]int, len(n.NICs))
	for i, nic := range n.NICs {
		slot, has := bySlot[nic.Name]
		if m := slackEthN().FindStringSubmatch(nic.Name); !has && m != nil {
			own, err := strconv.Atoi(m[1])
			slot, has = own, err == nil && own < 6 && !taken[own]
		}
		if !has {
			for slot = 0; taken[slot] || slackWanted(n, slot); slot++ {
			}
		}
		taken[slot] = true
		out[i] = slot
	}
	return out
}

// slackWanted reports whether a slot is one of n's interfaces' by its name.
func slackWanted(n sysctl.GuestNetwork, slot int) bool { return named(n)(fmt.Sprint("eth", slot)) }

// slackware is the dialect of rc.inet1.conf.
type slackware struct {
	lists bool // 15: several addresses, IPv6, MTU
}

// variables renders the i-th interface. Empty ones hide what foreign lines say of the slot.
func (s slackware) variables(n sysctl.GuestNetwork, i, slot int) []string {
	nic := n.NICs[i]
	v4, v6 := families(n, i)
	set := func(name, value string) string { return fmt.Sprintf(`%s[%d]="%s"`, name, slot, value) }
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return ""
	}
	out := []string{set("IFNAME", nic.Name)}
	var address, mask, dhcpName string
	if len(v4.addresses) > 0 {
		address, mask = v4.addresses[0].Addr().String(), netmask(v4.addresses[0])
	}
	if v4.dhcp() || v6.dhcp() {
		dhcpName = n.Hostname
	}
	if !s.lists {
		return append(out, set("IPADDR", address), set("NETMASK", mask), set("USE_DHCP", yes(v4.dhcp())), set("DHCP_HOSTNAME", dhcpName))
	}
	mtu := ""
	if nic.MTU != 0 {
		mtu = fmt.Sprint(nic.MTU)
	}
	return append(out, set("IPADDR", ""), set("NETMASK", ""), set("IPADDRS", strings.Join(prefixStrings(v4.addresses), " ")), set("USE_DHCP", yes(v4.dhcp())),
		set("IP6ADDRS", strings.Join(prefixStrings(v6.addresses), " ")), set("USE_SLAAC", yes(v6.slaac())), set("USE_DHCP6", yes(v6.dhcp())),
		set("DHCP_HOSTNAME", dhcpName), set("MTU", mtu))
}

// gateways are the two variables that are not of one slot. They hide foreign ones where an interface of
// ours has a default route.
func (s slackware) gateways(n sysctl.GuestNetwork) []string {
	var v4, v6 string
	has4, has6 := false, false
	for i := range n.NICs {
		f4, f6 := families(n, i)
		has4, has6 = has4 || f4.hasDefault(), has6 || f6.hasDefault()
		if s.plain(f4) {
			v4 = f4.gateway.String()
		}
		if s.plain(f6) {
			v6 = f6.gateway.String()
		}
	}
	var out []string
	if has4 {
		out = append(out, `GATEWAY="`+v4+`"`)
	}
	if has6 && s.lists {
		out = append(out, `GATEWAY6="`+v6+`"`)
	}
	return out
}

// plain reports whether the gateway can be said by GATEWAY or GATEWAY6, which name no device.
func (s slackware) plain(f family) bool {
	if !f.gateway.IsValid() || f.metric != 0 || f.gateway.IsLinkLocalUnicast() && f.v6 || f.v6 && !s.lists {
		return false
	}
	at := f.gatewayAt()
	return at == 0 || at > 0 && s.lists
}

// commands are what the variables cannot say of the i-th interface.
func (s slackware) commands(n sysctl.GuestNetwork, i int) []string {
	nic := n.NICs[i]
	v4, v6 := families(n, i)
	var out []string
	if !s.lists {
		out = knobCommands(nic.Name, v6)
	}
	knows := !v4.none() || !v6.none() && s.lists // then it is brought up by rc.inet1
	switch {
	case !knows:
		out = append(out, linkCommands(nic)...)
	case nic.MTU != 0 && !s.lists:
		out = append(out, linkCommands(nic)[0])
	}
	if !s.lists {
		out = append(out, addressCommands(nic.Name, v4, 1)...)
		out = append(out, addressCommands(nic.Name, v6, 0)...)
	}
	out = append(out, routeCommands(nic.Name, v4, !s.plain(v4))...)
	return append(out, routeCommands(nic.Name, v6, !s.plain(v6))...)
}

func probeSlackware(t sysctl.Tree) (dialect, evidence string) {
	rc, err := t.ReadFile(slackRC)
	switch {
	case err != nil:
		return "", ""
	case strings.Contains(string(rc), "IP6ADDRS"):
		return "15", slackRC + ": knows IP6ADDRS, as since Slackware 15"
	}
	return "14", slackRC + ": knows no IP6ADDRS, as before Slackware 15"
}
