package netconfig

import (
	"strings"
	"testing"

	"github.com/google/nftables"

	"github.com/sysctl-os/sysctl"
)

func fact(t *testing.T, facts []sysctl.Fact, name string) sysctl.Fact {
	t.Helper()
	for _, f := range facts {
		if f.Name == name {
			return f
		}
	}
	t.Errorf("no fact %q in %+v", name, facts)
	return sysctl.Fact{}
}

func TestProbe(t *testing.T) {
	isolate(t)
	before := picture(t)
	facts := Probe(t.Context())
	for _, name := range []string{"bridge", "veth", "nftables NAT", "IPv4 forwarding", "IPv6 forwarding", "Docker's FORWARD policy", "firewalld", "ufw"} {
		if f := fact(t, facts, name); f.Level != sysctl.OK || f.Value == "" || f.Cost != "" || f.Repair != "" {
			t.Errorf("%+v", f)
		}
	}
	if after := picture(t); after != before {
		t.Errorf("Probe changed something:\n%s\nbefore:\n%s", after, before)
	}
	if v, _ := readKnob("ipv4/ip_forward"); v != "0" {
		t.Error("Probe switched forwarding on")
	}
}

// dropping makes a base chain that drops what is forwarded, and more chains beside it.
func dropping(t *testing.T, family nftables.TableFamily, table, forward string, more ...string) {
	c := new(nftables.Conn)
	policy := nftables.ChainPolicyDrop
	tab := c.AddTable(&nftables.Table{Family: family, Name: table})
	c.AddChain(&nftables.Chain{Table: tab, Name: forward, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &policy})
	for _, name := range more {
		c.AddChain(&nftables.Chain{Table: tab, Name: name})
	}
	must(t, c.Flush())
}

func TestProbeFirewalls(t *testing.T) {
	for _, c := range []struct {
		name        string
		setup       func(t *testing.T)
		fact        string
		level       sysctl.Level
		value, hint string
	}{
		{"docker", func(t *testing.T) { docker(t, nftables.TableFamilyIPv4) },
			"Docker's FORWARD policy", sysctl.OK, "drop; each start", ""},
		{"ufw", func(t *testing.T) { dropping(t, nftables.TableFamilyIPv4, "filter", "FORWARD", "ufw-user-forward") },
			"ufw", sysctl.Warning, "drops what is forwarded for sysbr9", "ufw allow in on sysbr9 && ufw route allow in on sysbr9 && ufw route allow out on sysbr9"},
		{"ufw that knows", func(t *testing.T) {
			dropping(t, nftables.TableFamilyIPv4, "filter", "FORWARD", "ufw-user-forward")
			allow(t, nftables.TableFamilyIPv4, "filter", "ufw-user-forward")
		}, "ufw", sysctl.OK, "lets the bridge through", ""},
		{"firewalld", func(t *testing.T) { dropping(t, nftables.TableFamilyINet, "firewalld", "filter_FORWARD") },
			"firewalld", sysctl.Warning, "does not know sysbr9", "firewall-cmd --permanent --zone=trusted --add-interface=sysbr9 && firewall-cmd --reload"},
		{"firewalld that knows", func(t *testing.T) {
			dropping(t, nftables.TableFamilyINet, "firewalld", "filter_FORWARD")
			allow(t, nftables.TableFamilyINet, "firewalld", "filter_FORWARD")
		}, "firewalld", sysctl.OK, "knows the bridge", ""},
		{"another", func(t *testing.T) { dropping(t, nftables.TableFamilyINet, "mine", "fwd") },
			"firewall", sysctl.Warning, "chain fwd of table mine", "nft list chain inet mine fwd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			c.setup(t)
			facts := Probe(t.Context(), "sysbr9")
			f := fact(t, facts, c.fact)
			if f.Level != c.level || !strings.Contains(f.Value, c.value) || f.Repair != c.hint || (f.Cost == "") != (c.level == sysctl.OK) {
				t.Errorf("%+v", f)
			}
			for _, other := range facts {
				if other.Name != c.fact && other.Level != sysctl.OK {
					t.Errorf("%s alone gives also %+v", c.name, other)
				}
			}
		})
	}
}

// allow adds a rule that accepts what comes from sysbr9.
func allow(t *testing.T, family nftables.TableFamily, table, chain string) {
	tab := &nftables.Table{Family: family, Name: table}
	c := new(nftables.Conn)
	c.AddRule(&nftables.Rule{Table: tab, Chain: &nftables.Chain{Table: tab, Name: chain}, Exprs: wantedDocker(testNet)[0].exprs})
	must(t, c.Flush())
}
