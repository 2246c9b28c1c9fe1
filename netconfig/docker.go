package netconfig

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/sysctl-os/sysctl"
)

// Docker sets the policy of iptables' FORWARD chain to drop, which no rule in a table of ours can
// overrule. It offers one chain for other people's rules, DOCKER-USER, and keeps what is in it.
const (
	iptablesFilter  = "filter"
	iptablesForward = "FORWARD"
	dockerUser      = "DOCKER-USER"
)

// ensureDocker lets n's bridge through Docker's firewall where there is one. The rules are what
// `iptables -I DOCKER-USER -i BRIDGE -j ACCEPT` makes, and iptables lists them as such. Docker on
// iptables-legacy is out of nftables' sight: Probe tells of it.
func ensureDocker(n sysctl.Network) error {
	for _, family := range dockerFamilies(n) {
		if err := retry(n, func() error { return ensureDockerFamily(n, family) }); err != nil {
			return err
		}
	}
	return nil
}

func ensureDockerFamily(n sysctl.Network, family nftables.TableFamily) error {
	exists, drops, err := liveChain(family, iptablesFilter, iptablesForward)
	if err != nil || !exists || !drops {
		return err
	}
	if exists, _, err = liveChain(family, iptablesFilter, dockerUser); err != nil || !exists {
		return err
	}
	live, err := dockerRules(n, family)
	if err != nil {
		return err
	}
	want := wantedDocker(n)
	if asWanted(live, want, owner(n)) {
		return nil
	}
	table := &nftables.Table{Family: family, Name: iptablesFilter}
	c := new(nftables.Conn)
	if err := deleteOwn(c, table, live, owner(n)); err != nil {
		return err
	}
	for _, r := range want {
		// Inserted: Docker ends the chain with a rule that returns.
		c.InsertRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: r.chain},
			Exprs: r.exprs, UserData: comment(r.comment(owner(n)))})
	}
	return c.Flush()
}

// removeDocker removes what ensureDocker added.
func removeDocker(n sysctl.Network) error {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		err := retry(n, func() error {
			live, err := dockerRules(n, family)
			if err != nil || len(live) == 0 {
				return err
			}
			c := new(nftables.Conn)
			if err := deleteOwn(c, &nftables.Table{Family: family, Name: iptablesFilter}, live, owner(n)); err != nil {
				return err
			}
			return c.Flush()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dockerRules lists n's rules in DOCKER-USER.
func dockerRules(n sysctl.Network, family nftables.TableFamily) ([]liveRule, error) {
	exists, _, err := liveChain(family, iptablesFilter, dockerUser)
	if err != nil || !exists {
		return nil, err
	}
	all, err := liveRules(family, iptablesFilter)
	var out []liveRule
	for _, l := range all {
		if l.chain == dockerUser && l.of(owner(n)) {
			out = append(out, l)
		}
	}
	return out, err
}

func wantedDocker(n sysctl.Network) []rule {
	var out []rule
	for _, d := range []struct {
		word string
		key  expr.MetaKey
	}{{"iifname", expr.MetaKeyIIFNAME}, {"oifname", expr.MetaKeyOIFNAME}} {
		exprs := append(onInterface(d.key, n.Bridge), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept})
		out = append(out, rule{dockerUser, d.word + " " + n.Bridge + " accept", exprs})
	}
	return out
}

// owner is what our comments in a table that is not ours begin with.
func owner(n sysctl.Network) string { return n.Table + "/" + n.Name }

func dockerFamilies(n sysctl.Network) []nftables.TableFamily {
	var out []nftables.TableFamily
	if n.IPv4.IsValid() && !n.V4.NoFirewall {
		out = append(out, nftables.TableFamilyIPv4)
	}
	if n.IPv6.IsValid() && !n.V6.NoFirewall {
		out = append(out, nftables.TableFamilyIPv6)
	}
	return out
}
