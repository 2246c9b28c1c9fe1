package netconfig

import (
	"fmt"

	"github.com/google/nftables"

	"github.com/sysctl-os/sysctl"
)

// Barred reports whether a firewall of others drops what guests on n ask this host: a chain for input that drops what it does not know, in a
// table in which no rule names the bridge. No rule of ours can overrule it; repair is what lets the bridge in.
func Barred(n sysctl.Network) (repair string, barred bool) {
	all, err := new(nftables.Conn).ListChains()
	if err != nil {
		return "", false
	}
	for _, c := range all {
		if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookInput || c.Table.Name == n.Table {
			continue
		}
		switch f := c.Table.Family; {
		case f != nftables.TableFamilyIPv4 && f != nftables.TableFamilyIPv6 && f != nftables.TableFamilyINet:
			continue
		case f == nftables.TableFamilyIPv6 && ServerAddress(n).Is4():
			continue
		case !drops(c) && c.Table.Name != "firewalld": // whose last rule rejects
			continue
		case len(unmentioned(f, c.Table.Name, []string{n.Bridge})) == 0:
			continue
		}
		switch {
		case c.Table.Name == "firewalld":
			return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", n.Bridge), true
		case c.Table.Name == iptablesFilter && hasChain(all, "ufw-user-input"):
			return "ufw allow in on " + n.Bridge, true
		}
		return fmt.Sprintf("nft insert rule %s %s %s iifname %s accept", familyWord(c.Table.Family), c.Table.Name, c.Name, n.Bridge), true
	}
	return "", false
}

func hasChain(all []*nftables.Chain, name string) bool {
	for _, c := range all {
		if c.Name == name {
			return true
		}
	}
	return false
}
