package netconfig

import (
	"net/netip"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
)

func TestParent(t *testing.T) {
	isolate(t)
	must(t, addPair("lan0"))
	configure(t, "lan0", []string{"192.0.2.9/24", "2001:db8::9/64"}, "192.0.2.1", "2001:db8::1")
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	p, err := Parent(t.Context(), "lan0")
	must(t, err)
	if p.Bridge || p.Gateway4.String() != "192.0.2.1" || p.Gateway6.String() != "2001:db8::1" {
		t.Errorf("lan0 = %+v", p)
	}
	for addr, want := range map[string]string{"192.0.2.77": "192.0.2.0/24", "2001:db8::7": "2001:db8::/64", "198.51.100.1": ""} {
		got, ok := p.Subnet(netip.MustParseAddr(addr))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("subnet of %s = %s, %v, want %q", addr, got, ok, want)
		}
	}
	if p, err = Parent(t.Context(), "br0"); err != nil || !p.Bridge || len(p.Subnets) != 0 {
		t.Errorf("br0 = %+v, %v", p, err)
	}
	if _, err = Parent(t.Context(), "nope"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("nope: %v", err)
	}
}
