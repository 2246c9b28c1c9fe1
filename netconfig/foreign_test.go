package netconfig

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// foreignRules are of others: Docker's and ufw's by iptables-nft, firewalld's, a user's own.
const foreignRules = `
table ip filter {
	chain INPUT { type filter hook input priority filter; policy accept; counter packets 0 bytes 0 accept; }
	chain DOCKER-USER { counter packets 0 bytes 0 return; }
	chain FORWARD { type filter hook forward priority filter; policy drop; counter packets 0 bytes 0 jump DOCKER-USER; }
}
table inet firewalld {
	chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept; ct state established accept; }
}
table inet mine {
	set lan { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 }; }
	chain pre { type nat hook prerouting priority dstnat; policy accept; ip saddr @lan tcp dport 2222 dnat ip to 192.0.2.9:22 comment "sysbr9 mine"; }
}
`

func ruleset(t *testing.T, nft string, of ...string) string {
	t.Helper()
	out, err := exec.Command(nft, append([]string{"list"}, of...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft list: %v\n%s", err, out)
	}
	return string(out)
}

// Rules that were there before stay byte for byte, but for the chain that Docker has for others, and all is as it was when
// the network has gone. A flush of everything is mended by the next EnsureBridge, which brings nobody else's back.
func TestForeignRulesStay(t *testing.T) {
	nft := needs.Program(t, "nft")
	w := newWorld(t)
	c := exec.Command(nft, "-f", "-")
	c.Stdin = strings.NewReader(foreignRules)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("nft -f: %v\n%s", err, out)
	}
	before := ruleset(t, nft, "ruleset")
	n := testNet
	n.Forwards = []sysctl.Forward{{Listen: netip.MustParseAddr("203.0.113.1"), Ports: []sysctl.ForwardPort{{Protocol: "tcp", Target: netip.MustParseAddr("10.77.1.2"),
		Listen: sysctl.PortRange{First: 8080, Last: 8080}, TargetPorts: sysctl.PortRange{First: 80, Last: 80}}}}}
	must(t, EnsureBridge(t.Context(), n))
	for _, table := range []string{"firewalld", "mine"} {
		if got := ruleset(t, nft, "table", "inet", table); !strings.Contains(before, got) {
			t.Errorf("table %s was changed:\n%s", table, got)
		}
	}
	w.plug(t, n)
	w.guest.run(t, w.host, func() { answerTCP(t, ":80") })
	reached := func(when string) {
		t.Helper()
		w.internet.run(t, w.host, func() {
			if got, err := call("203.0.113.1:8080", patience); err != nil || got != "203.0.113.2 10.77.1.2:80" {
				t.Errorf("%s: %q, %v", when, got, err)
			}
		})
	}
	reached("through Docker's policy")
	must(t, RemoveBridge(t.Context(), n))
	withoutCounts := func(s string) string { // of packets, which went through meanwhile
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			if f := strings.Fields(l); len(f) > 4 && f[0] == "counter" {
				lines[i] = strings.Join(append([]string{"counter"}, f[5:]...), " ")
			}
		}
		return strings.Join(lines, "\n")
	}
	if after := ruleset(t, nft, "ruleset"); withoutCounts(after) != withoutCounts(before) {
		t.Errorf("after removal:\n%s\nbefore:\n%s", after, before)
	}

	must(t, EnsureBridge(t.Context(), n))
	if out, err := exec.Command(nft, "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("nft flush: %v\n%s", err, out)
	}
	must(t, EnsureBridge(t.Context(), n))
	bridge := ruleset(t, nft, "tables")
	if strings.TrimSpace(bridge) != "table inet "+n.Table {
		t.Errorf("tables after a flush: %s", bridge)
	}
}
