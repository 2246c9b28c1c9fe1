package netconfig

import (
	"context"
	"errors"
	"net/netip"
	"strconv"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Parent looks at an existing interface that instances are put on or given: what it is, its subnets, and
// the host's default gateways through it. The kind is NotFound where there is no such interface. It
// changes nothing.
func Parent(ctx context.Context, name string) (sysctl.Parent, error) {
	if err := ctx.Err(); err != nil {
		return sysctl.Parent{}, err
	}
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return sysctl.Parent{}, sysctl.E(sysctl.NotFound, "there is no interface %q on this host", name).WithHint("ip link")
	}
	if err != nil {
		return sysctl.Parent{}, sysctl.Wrap(err, "interface %s", name)
	}
	at := link.Attrs()
	p := sysctl.Parent{Bridge: link.Type() == "bridge" || link.Type() == "openvswitch", Card: card(link)}
	if bridge, ok := link.(*netlink.Bridge); ok {
		p.VLANs = bridge.VlanFiltering != nil && *bridge.VlanFiltering
	}
	if at.MasterIndex != 0 {
		p.Port = strconv.Itoa(at.MasterIndex)
		if master, err := netlink.LinkByIndex(at.MasterIndex); err == nil {
			p.Port = master.Attrs().Name
		}
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return p, sysctl.Wrap(err, "addresses of %s", name)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if ip = ip.Unmap(); ok && !ip.IsLinkLocalUnicast() {
			p.Subnets = append(p.Subnets, netip.PrefixFrom(ip, ones).Masked())
		}
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return p, sysctl.Wrap(err, "routes of %s", name)
	}
	for _, r := range routes {
		p.Default = p.Default || isDefault(r) && r.Type == unix.RTN_UNICAST
		gw, ok := netip.AddrFromSlice(r.Gw)
		if gw = gw.Unmap(); !ok || !isDefault(r) {
			continue
		}
		if gw.Is4() && !p.Gateway4.IsValid() {
			p.Gateway4 = gw
		}
		if gw.Is6() && !p.Gateway6.IsValid() {
			p.Gateway6 = gw
		}
	}
	return p, nil
}

// isDefault reports a default route: netlink gives it without a destination, or with one of no bits.
func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}
