package netconfig

import (
	"context"
	"crypto/rand"
	"hash/fnv"
	mathrand "math/rand/v2"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// ChooseSubnets chooses the subnets of a new network: an IPv4 /24 of a private range (10.0.0.0/8
// first) and an IPv6 /64 of the unique local range with a random global id (RFC 4193), both clear
// of the host's routes, addresses and resolvers and of avoid. Each prefix carries the bridge's own
// address, the first of the subnet. The order in which IPv4 subnets are tried follows from seed
// alone, so that environments with different seeds rarely want the same. It fails with NoSpace
// where no IPv4 subnet is free.
func ChooseSubnets(ctx context.Context, avoid []netip.Prefix, seed string) (v4, v6 netip.Prefix, err error) {
	used, err := hostPrefixes(ctx)
	if err != nil {
		return v4, v6, err
	}
	used = append(used, avoid...)
	if v4, err = chooseIPv4(used, seed); err != nil {
		return v4, v6, err
	}
	v6, err = chooseIPv6(used)
	return v4, v6, err
}

// chooseIPv4 returns the first candidate clear of used.
func chooseIPv4(used []netip.Prefix, seed string) (netip.Prefix, error) {
	for _, block := range []struct {
		first netip.Addr
		count int // of /24s
	}{
		{netip.AddrFrom4([4]byte{10, 0, 0, 0}), 1 << 16},
		{netip.AddrFrom4([4]byte{172, 16, 0, 0}), 1 << 12},
		{netip.AddrFrom4([4]byte{192, 168, 0, 0}), 1 << 8},
	} {
		hash := fnv.New64a()
		hash.Write([]byte(seed))
		base := block.first.As4()
		for _, i := range mathrand.New(mathrand.NewPCG(hash.Sum64(), 0)).Perm(block.count) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{base[0], base[1] + byte(i>>8), byte(i), 1}), 24)
			if block.count == 1<<8 {
				p = netip.PrefixFrom(netip.AddrFrom4([4]byte{base[0], base[1], byte(i), 1}), 24)
			}
			if isClear(p, used) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, sysctl.E(sysctl.NoSpace, "choose subnet: every private IPv4 /24 is routed by this host").
		WithHint("give the network an ipv4.address of your own")
}

// chooseIPv6 returns a random /64. That one is taken is as good as impossible, and checked.
func chooseIPv6(used []netip.Prefix) (netip.Prefix, error) {
	const tries = 16
	for range tries {
		a := [16]byte{0: 0xfd, 15: 1}
		rand.Read(a[1:6]) // never fails
		if p := netip.PrefixFrom(netip.AddrFrom16(a), 64); isClear(p, used) {
			return p, nil
		}
	}
	return netip.Prefix{}, sysctl.E(sysctl.NoSpace, "choose subnet: this host routes the unique local IPv6 range").
		WithHint("give the network an ipv6.address of your own")
}

func isClear(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if u.IsValid() && p.Overlaps(u) {
			return false
		}
	}
	return true
}

// hostPrefixes lists what this host can reach other than by a default route: routes of every
// routing table, which include its own addresses, and its resolvers.
func hostPrefixes(ctx context.Context) ([]netip.Prefix, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, sysctl.Wrap(err, "open rtnetlink")
	}
	defer h.Close()
	var out []netip.Prefix
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		routes, err := dump(func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, sysctl.Wrap(err, "list routes")
		}
		for _, r := range routes {
			// Wide ones are default routes, or their halves as VPNs write them.
			if p, ok := toPrefix(r.Dst); ok && p.Bits() >= 8 {
				out = append(out, p)
			}
		}
		addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, family) })
		if err != nil {
			return nil, sysctl.Wrap(err, "list addresses")
		}
		for _, a := range addrs { // of interfaces that are down too: they have no routes
			if p, ok := toPrefix(a.IPNet); ok {
				out = append(out, p)
			}
		}
	}
	servers, _ := HostDNS(ctx)
	for _, a := range servers {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}
