package netconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// Probe finds out what this host can do for networks and what stands in their way, changing
// nothing. Repairs name the given bridges, or sysbr0 where none is given. Kernel features are tried
// for real, in a network namespace that is thrown away; that takes root.
func Probe(ctx context.Context, bridges ...string) []sysctl.Fact {
	if len(bridges) == 0 {
		bridges = []string{"sysbr0"}
	}
	facts := probeKernel()
	facts = append(facts, probeDnsmasq())
	facts = append(facts, probeForwarding("IPv4", "ipv4/ip_forward"), probeForwarding("IPv6", "ipv6/conf/all/forwarding"))
	if ctx.Err() != nil {
		return facts
	}
	return append(facts, probeFirewalls(bridges)...)
}

// probeDnsmasq looks for the program that gives networks names and DHCP. Without it all else works.
func probeDnsmasq() sysctl.Fact {
	f := sysctl.Fact{Name: "names and DHCP", Value: Dnsmasq(), Level: sysctl.OK}
	if f.Value == "" {
		f.Value = "no dnsmasq: guests ask the host's DNS servers and find no names of each other (apt install dnsmasq-base)"
	}
	return f
}

// probeKernel makes a bridge, a veth pair and a NAT rule in a network namespace of its own.
func probeKernel() []sysctl.Fact {
	result := make(chan []sysctl.Fact)
	go func() {
		// Never unlocked: the thread, and with it the namespace, ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- []sysctl.Fact{{Name: "bridge, veth, nftables", Value: "not tried: " + err.Error(), Level: sysctl.Warning,
				Cost: "whether instances can have a network is not known", Repair: "sudo sysctl check"}}
			return
		}
		result <- tryKernel()
	}()
	return <-result
}

func tryKernel() []sysctl.Fact {
	n := sysctl.Network{Name: "probe0", Bridge: "probe0", Table: "sysctl-probe"}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: n.Table}
	return []sysctl.Fact{
		feature("bridge", createBridge(n), sysctl.Fatal, "instances cannot have a network", "modprobe bridge"),
		feature("veth", netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "probe1"}, PeerName: "probe2"}),
			sysctl.Fatal, "instances cannot have a network", "modprobe veth"),
		feature("nftables NAT", func() error {
			c := new(nftables.Conn)
			c.AddTable(table)
			for _, chain := range chains(table) {
				c.AddChain(chain)
			}
			for _, subnet := range []string{"10.0.0.1/24", "fd00::1/64"} {
				r := masquerade(netip.MustParsePrefix(subnet), sysctl.NetworkFamily{}, false)
				c.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: r.chain}, Exprs: r.exprs})
			}
			return c.Flush()
		}(), sysctl.Fatal, "instances with a network cannot start", "modprobe -a nf_tables nft_chain_nat nft_masq"),
	}
}

func feature(name string, err error, level sysctl.Level, cost, repair string) sysctl.Fact {
	if err == nil {
		return sysctl.Fact{Name: name, Value: "works", Level: sysctl.OK}
	}
	return sysctl.Fact{Name: name, Value: err.Error(), Level: level, Cost: cost, Repair: repair}
}

// probeForwarding looks at a switch that EnsureBridge turns on: off is fine while it can be.
func probeForwarding(family, knob string) sysctl.Fact {
	f := sysctl.Fact{Name: family + " forwarding", Value: "on", Level: sysctl.OK}
	v, err := readKnob(knob)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Value, f.Level, f.Cost = "this host has no "+family, sysctl.Warning, "no "+family+" for instances"
	case err != nil:
		f.Value, f.Level, f.Cost = err.Error(), sysctl.Warning, "whether instances reach other networks is not known"
	case v == "0":
		f.Value = "off; the first instance with a network switches it on"
		if unix.Access(netKnobs+knob, unix.W_OK) != nil {
			f.Value, f.Level, f.Cost = "off", sysctl.Warning, "instances reach only this host and each other"
			f.Repair = "sysctl -w net." + strings.ReplaceAll(knob, "/", ".") + "=1"
		}
	}
	return f
}

// probeFirewalls looks for other people's rules that drop what instances send or receive.
func probeFirewalls(bridges []string) []sysctl.Fact {
	all, err := new(nftables.Conn).ListChains()
	if err != nil {
		return []sysctl.Fact{{Name: "firewalls", Value: err.Error(), Level: sysctl.Warning,
			Cost: "whether a firewall stands in the way is not known", Repair: "sudo sysctl check"}}
	}
	facts := []sysctl.Fact{probeDocker(all), probeFirewalld(all, bridges), probeUFW(all, bridges)}
	if f, bad := probeOthers(all); bad {
		facts = append(facts, f)
	}
	if f, bad := probeLegacy(bridges); bad {
		facts = append(facts, f)
	}
	return facts
}

func probeDocker(all []*nftables.Chain) sysctl.Fact {
	f := sysctl.Fact{Name: "Docker's FORWARD policy", Value: "no Docker", Level: sysctl.OK}
	if !slices.ContainsFunc(all, func(c *nftables.Chain) bool { return c.Name == dockerUser }) {
		return f
	}
	f.Value = "accept"
	if slices.ContainsFunc(all, func(c *nftables.Chain) bool { return isIPTablesForward(c) && drops(c) }) {
		f.Value = "drop; each start lets the bridge through in " + dockerUser
	}
	return f
}

func probeFirewalld(all []*nftables.Chain, bridges []string) sysctl.Fact {
	f := sysctl.Fact{Name: "firewalld", Value: "not running", Level: sysctl.OK}
	const table = "firewalld"
	if !slices.ContainsFunc(all, func(c *nftables.Chain) bool { return c.Table.Name == table }) {
		return f
	}
	f.Value = "running, and knows the bridge"
	if unknown := unmentioned(nftables.TableFamilyINet, table, bridges); len(unknown) > 0 {
		var commands []string
		for _, b := range unknown {
			commands = append(commands, "firewall-cmd --permanent --zone=trusted --add-interface="+b)
		}
		f.Value, f.Level = "running, and does not know "+strings.Join(unknown, ", "), sysctl.Warning
		f.Cost, f.Repair = "instances may not reach other networks", strings.Join(append(commands, "firewall-cmd --reload"), " && ")
	}
	return f
}

func probeUFW(all []*nftables.Chain, bridges []string) sysctl.Fact {
	f := sysctl.Fact{Name: "ufw", Value: "not active", Level: sysctl.OK}
	active := slices.ContainsFunc(all, func(c *nftables.Chain) bool { return c.Name == "ufw-user-forward" })
	if !active {
		return f
	}
	f.Value = "active, and lets the bridge through"
	if !slices.ContainsFunc(all, func(c *nftables.Chain) bool { return isIPTablesForward(c) && drops(c) }) {
		f.Value = "active, and forwards"
		return f
	}
	if unknown := unmentioned(nftables.TableFamilyIPv4, iptablesFilter, bridges); len(unknown) > 0 {
		var commands []string
		for _, b := range unknown {
			commands = append(commands, "ufw allow in on "+b, "ufw route allow in on "+b, "ufw route allow out on "+b)
		}
		f.Value, f.Level = "active, and drops what is forwarded for "+strings.Join(unknown, ", "), sysctl.Warning
		f.Cost, f.Repair = "instances cannot reach other networks", strings.Join(commands, " && ")
	}
	return f
}

// probeOthers looks for a forward chain with policy drop that none of the known firewalls owns.
func probeOthers(all []*nftables.Chain) (sysctl.Fact, bool) {
	known := slices.ContainsFunc(all, func(c *nftables.Chain) bool {
		return c.Name == dockerUser || c.Name == "ufw-user-forward"
	})
	for _, c := range all {
		if !drops(c) || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Table.Name == "firewalld" {
			continue
		}
		if c.Table.Family == nftables.TableFamilyBridge || c.Table.Family == nftables.TableFamilyARP || known && isIPTablesForward(c) {
			continue
		}
		return sysctl.Fact{Name: "firewall", Value: fmt.Sprintf("chain %s of table %s drops what it does not know", c.Name, c.Table.Name), Level: sysctl.Warning,
			Cost: "instances may not reach other networks", Repair: fmt.Sprintf("nft list chain %s %s %s", familyWord(c.Table.Family), c.Table.Name, c.Name)}, true
	}
	return sysctl.Fact{}, false
}

// probeLegacy tells of iptables-legacy, whose rules nftables cannot see.
func probeLegacy(bridges []string) (sysctl.Fact, bool) {
	tables, err := os.ReadFile("/proc/thread-self/net/ip_tables_names")
	if err != nil || !slices.Contains(strings.Fields(string(tables)), iptablesFilter) {
		return sysctl.Fact{}, false
	}
	chain := iptablesForward
	if link, err := netlink.LinkByName("docker0"); err == nil && link != nil {
		chain = dockerUser
	}
	var commands []string
	for _, b := range bridges {
		for _, direction := range []string{"-i", "-o"} {
			commands = append(commands, fmt.Sprintf("iptables-legacy -I %s %s %s -j ACCEPT", chain, direction, b))
		}
	}
	return sysctl.Fact{Name: "iptables-legacy", Value: "has a filter table, which cannot be looked into", Level: sysctl.Warning,
		Cost: "if its FORWARD policy is DROP, instances cannot reach other networks", Repair: strings.Join(commands, " && ")}, true
}

// unmentioned returns the bridges no rule of the table names.
func unmentioned(family nftables.TableFamily, table string, bridges []string) []string {
	rules, err := liveRules(family, table)
	if err != nil {
		return bridges
	}
	return slices.DeleteFunc(slices.Clone(bridges), func(b string) bool {
		return slices.ContainsFunc(rules, func(l liveRule) bool { return strings.Contains(l.raw, b+"\x00") })
	})
}

func isIPTablesForward(c *nftables.Chain) bool {
	return c.Name == iptablesForward && c.Table.Name == iptablesFilter
}

func drops(c *nftables.Chain) bool {
	return c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
}

func familyWord(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	}
	return "inet"
}
