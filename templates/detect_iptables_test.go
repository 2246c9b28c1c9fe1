package templates

import (
	"testing"

	"github.com/sysctl-os/sysctl/internal/treetest"
)

func TestDetectIptables(t *testing.T) {
	for name, c := range map[string]struct {
		tree map[string]string
		want string
	}{
		"none":      {nil, ""},
		"centos 6":  {map[string]string{"/sbin/iptables": "-> iptables-multi-1.4.7", "/sbin/iptables-multi-1.4.7": "x"}, "legacy"},
		"debian 12": {map[string]string{"/usr/sbin/iptables": "-> /etc/alternatives/iptables", "/etc/alternatives/iptables": "-> /usr/sbin/iptables-nft", "/usr/sbin/iptables-nft": "-> xtables-nft-multi", "/usr/sbin/xtables-nft-multi": "x"}, "nft"},
		"alpine":    {map[string]string{"/sbin/iptables": "-> xtables-legacy-multi", "/sbin/xtables-legacy-multi": "x"}, "legacy"},
		"dangling":  {map[string]string{"/sbin/iptables": "-> nowhere"}, ""},
	} {
		g, err := Detect(treetest.New(tree(c.tree, map[string]string{"/etc/x": ""})))
		if err != nil || g.Iptables != c.want {
			t.Errorf("%s: %q, %v", name, g.Iptables, err)
		}
	}
}
