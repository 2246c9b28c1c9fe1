package netconfig

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// ensureRoutes makes the host route n's further subnets to its bridge.
func ensureRoutes(h *netlink.Handle, n sysctl.Network, link netlink.Link) error {
	for _, p := range slices.Concat(n.V4.Routes, n.V6.Routes) {
		if err := h.RouteReplace(routeTo(link, p)); err != nil {
			return sysctl.Wrap(err, "network %s: route %s", n.Name, p)
		}
	}
	return nil
}

func routeTo(link netlink.Link, p netip.Prefix) *netlink.Route {
	const ours = 0x73 // the protocol: who made it
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Protocol: ours, Dst: toIPNet(p)}
	if p.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Shed takes from old's bridge the addresses and routes that n has not. It is called before anything promises n: when that is
// interrupted, the next EnsureBridge brings back what old has. Absent is success.
func Shed(ctx context.Context, old, n sysctl.Network) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return sysctl.Wrap(err, "open rtnetlink")
	}
	defer h.Close()
	link, err := ownBridge(h, old)
	if err != nil || link == nil {
		return err
	}
	for _, p := range subnets(old) {
		if slices.Contains(subnets(n), p) {
			continue
		}
		err := h.AddrDel(link, &netlink.Addr{IPNet: toIPNet(p)})
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return sysctl.Wrap(err, "network %s: remove address %s", n.Name, p)
		}
	}
	for _, p := range slices.Concat(old.V4.Routes, old.V6.Routes) {
		if slices.Contains(slices.Concat(n.V4.Routes, n.V6.Routes), p) {
			continue
		}
		if err := h.RouteDel(routeTo(link, p)); err != nil && !errors.Is(err, unix.ESRCH) {
			return sysctl.Wrap(err, "network %s: remove route %s", n.Name, p)
		}
	}
	return nil
}
