package netconfig

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

func TestChooseSubnetsKeepsClear(t *testing.T) {
	isolate(t)
	v4, v6, err := ChooseSubnets(t.Context(), nil, "seed")
	must(t, err)
	if v4.Bits() != 24 || v4.Addr().As4()[0] != 10 || v4.Addr().As4()[3] != 1 {
		t.Errorf("IPv4 subnet %s", v4)
	}
	if v6.Bits() != 64 || v6.Addr().As16()[0] != 0xfd || v6.Addr() != v6.Masked().Addr().Next() {
		t.Errorf("IPv6 subnet %s", v6)
	}
	again, other, err := ChooseSubnets(t.Context(), nil, "seed")
	must(t, err)
	if again != v4 || other == v6 {
		t.Errorf("second choice %s (want %s again) and %s (want another than %s)", again, v4, other, v6)
	}
	if elsewhere, _, _ := ChooseSubnets(t.Context(), nil, "another seed"); elsewhere == v4 {
		t.Errorf("another seed chose %s too", elsewhere)
	}
	avoided, _, err := ChooseSubnets(t.Context(), []netip.Prefix{v4}, "seed")
	must(t, err)
	if avoided.Overlaps(v4) {
		t.Errorf("chose %s, which was to be avoided", avoided)
	}

	// A route, in a table of its own, over the first choice; an address over the second; halves
	// of the default route, as VPNs set them, over everything.
	must(t, addPair("lan0"))
	configure(t, "lan0", []string{"192.0.2.1/24"})
	link, err := netlink.LinkByName("lan0")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: toIPNet(v4.Masked()), Table: 77}))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: toIPNet(prefix("0.0.0.0/1"))}))
	down, err := netlink.LinkByName("p-lan0")
	must(t, err)
	must(t, netlink.LinkSetDown(down))
	must(t, netlink.AddrAdd(down, &netlink.Addr{IPNet: toIPNet(avoided)}))
	third, _, err := ChooseSubnets(t.Context(), nil, "seed")
	must(t, err)
	if third.Overlaps(v4) || third.Overlaps(avoided) {
		t.Errorf("chose %s, in use: %s, %s", third, v4, avoided)
	}
	if third.Addr().As4()[0] != 10 {
		t.Errorf("half a default route made %s be chosen", third)
	}
}

func TestChooseIPv4FallsBack(t *testing.T) {
	for _, c := range []struct {
		used []string
		want string // the block it must come from, or "" for NoSpace
	}{
		{nil, "10.0.0.0/8"},
		{[]string{"10.0.0.0/8"}, "172.16.0.0/12"},
		{[]string{"10.0.0.0/8", "172.16.0.0/12"}, "192.168.0.0/16"},
		{[]string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}, ""},
	} {
		var used []netip.Prefix
		for _, u := range c.used {
			used = append(used, prefix(u))
		}
		got, err := chooseIPv4(used, "seed")
		switch {
		case c.want == "" && sysctl.KindOf(err) != sysctl.NoSpace:
			t.Errorf("used %v: %s, %v; want NoSpace", c.used, got, err)
		case c.want != "" && (err != nil || !prefix(c.want).Overlaps(got)):
			t.Errorf("used %v: %s, %v; want one of %s", c.used, got, err, c.want)
		}
	}
}

func TestHostPrefixesSeeEveryTable(t *testing.T) {
	isolate(t)
	must(t, addPair("lan0"))
	configure(t, "lan0", []string{"192.0.2.1/24", "2001:db8::1/64"})
	link, err := netlink.LinkByName("lan0")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: toIPNet(prefix("2001:db8:7::/48")), Table: 77, Family: unix.AF_INET6}))
	got, err := hostPrefixes(t.Context())
	must(t, err)
	for _, want := range []string{"192.0.2.0/24", "192.0.2.1/24", "2001:db8::/64", "2001:db8:7::/48"} {
		if !slices.Contains(got, prefix(want)) {
			t.Errorf("no %s in %v", want, got)
		}
	}
}
