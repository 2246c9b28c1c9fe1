package netconfig

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// EnsureBridge makes the network n be: bridge, addresses, forwarding, NAT and firewall rules. It
// is idempotent and writes only what is missing. No lock is assumed: of several callers at once
// each finds everything there when it returns. Only RemoveBridge of the same network must not run
// at the same time.
//
// It fails with Invalid for a network that cannot be, Conflict where an interface of that name is
// somebody else's or another interface has addresses in n's subnets, Unsupported where the kernel
// lacks a part. What it switches on for the whole host (forwarding) stays on when n is removed.
func EnsureBridge(ctx context.Context, n sysctl.Network) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkNetwork(n); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return sysctl.Wrap(err, "open rtnetlink")
	}
	defer h.Close()
	if err := ensureLink(h, n); err != nil {
		return err
	}
	if err := ensureForwarding(n); err != nil {
		return err
	}
	if err := ensureTable(n); err != nil {
		return err
	}
	return ensureDocker(n)
}

// RemoveBridge removes what EnsureBridge made for n: its rules, the table when no other network
// has rules in it, and the bridge. Absent is success. A bridge that is not ours is left alone and
// reported as Conflict. Host-wide forwarding is not switched off.
func RemoveBridge(ctx context.Context, n sysctl.Network) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkNetwork(n); err != nil {
		return err
	}
	if err := removeDocker(n); err != nil {
		return err
	}
	if err := removeTable(n); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return sysctl.Wrap(err, "open rtnetlink")
	}
	defer h.Close()
	link, err := ownBridge(h, n)
	if err != nil || link == nil {
		return err
	}
	return delLink(h, link)
}

// BridgeMAC returns the address of n's bridge: locally administered, unicast, derived from the
// names of bridge and table, so that it is stable and tells our bridge from anybody else's,
// another environment's included.
func BridgeMAC(n sysctl.Network) net.HardwareAddr {
	sum := sha256.Sum256([]byte(n.Table + "\x00" + n.Bridge))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^0x01 | 0x02
	return mac
}

// ensureLink makes the bridge, its own settings and addresses. Clashes are looked for before
// anything is changed.
func ensureLink(h *netlink.Handle, n sysctl.Network) error {
	link, err := ownBridge(h, n)
	if err != nil {
		return err
	}
	missing, err := missingAddresses(h, n, link)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := checkClash(h, n, missing); err != nil {
			return err
		}
	}
	if link == nil {
		if err := createBridge(n); err != nil {
			return err
		}
		if link, err = ownBridge(h, n); err != nil {
			return err
		}
		if link == nil {
			return sysctl.E(sysctl.Busy, "network %s: bridge vanished while it was being made", n.Name)
		}
	}
	if n.MTU != 0 && link.Attrs().MTU != n.MTU {
		if err := h.LinkSetMTU(link, n.MTU); err != nil {
			return sysctl.Wrap(err, "network %s: set MTU %d", n.Name, n.MTU)
		}
	}
	if link.Attrs().Group != group(n.Table) {
		if err := h.LinkSetGroup(link, int(group(n.Table))); err != nil {
			return sysctl.Wrap(err, "network %s: set group of the bridge", n.Name)
		}
	}
	if n.IPv6.IsValid() {
		if err := ensureBridgeKnobs(n.Bridge); err != nil {
			return err
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := h.LinkSetUp(link); err != nil {
			return sysctl.Wrap(err, "network %s: set bridge up", n.Name)
		}
	}
	for _, p := range missing {
		if err := addAddress(h, link, p); err != nil {
			return sysctl.Wrap(err, "network %s: add address %s", n.Name, p)
		}
	}
	return ensureRoutes(h, n, link)
}

// createBridge makes the bridge, down. Somebody else having made it meanwhile is success.
// Spanning tree is off and the forward delay 0, so a new port forwards at once.
func createBridge(n sysctl.Network) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(n.Bridge)))
	// Given at creation, the address counts as chosen by the user: the kernel does not change it
	// when ports come and go.
	req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, BridgeMAC(n)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	switch {
	case errors.Is(err, unix.EEXIST):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return sysctl.E(sysctl.Unsupported, "network %s: this kernel has no bridges: %w", n.Name, err).WithHint("modprobe bridge")
	}
	return sysctl.Wrap(err, "network %s: make bridge", n.Name)
}

// missingAddresses returns the addresses of n that link does not have.
func missingAddresses(h *netlink.Handle, n sysctl.Network, link netlink.Link) ([]netip.Prefix, error) {
	if link == nil {
		return subnets(n), nil
	}
	var missing []netip.Prefix
	for _, p := range subnets(n) {
		has := hasAddress4
		if p.Addr().Is6() {
			has = hasAddress6
		}
		found, err := has(h, link, p)
		if err != nil {
			return nil, sysctl.Wrap(err, "network %s: look for address %s", n.Name, p)
		}
		if !found {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

func hasAddress4(h *netlink.Handle, link netlink.Link, want netip.Prefix) (bool, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, unix.AF_INET) })
	for _, a := range addrs {
		if p, ok := toPrefix(a.IPNet); ok && p == want {
			return true, nil
		}
	}
	return false, err
}

// hasAddress6 asks for the one address: a list would grow with the host's interfaces, each of
// which has an IPv6 address.
func hasAddress6(_ *netlink.Handle, link netlink.Link, want netip.Prefix) (bool, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_ACK)
	msg := nl.NewIfAddrmsg(unix.AF_INET6)
	msg.Index = uint32(link.Attrs().Index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, want.Addr().AsSlice()))
	reply, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return false, nil
	}
	if err != nil || len(reply) != 1 {
		return false, err
	}
	return int(nl.DeserializeIfAddrmsg(reply[0]).Prefixlen) == want.Bits(), nil
}

// checkClash reports an interface other than n's bridge with an address in one of the subnets.
func checkClash(h *netlink.Handle, n sysctl.Network, want []netip.Prefix) error {
	for _, p := range want {
		addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, family(p)) })
		if err != nil {
			return sysctl.Wrap(err, "network %s: list addresses", n.Name)
		}
		for _, a := range addrs {
			other, ok := toPrefix(a.IPNet)
			if !ok || !other.Overlaps(p) {
				continue
			}
			link, err := h.LinkByIndex(a.LinkIndex)
			if err != nil || link.Attrs().Name == n.Bridge {
				continue // gone meanwhile, or our own bridge being made by another process
			}
			return sysctl.E(sysctl.Conflict, "network %s: subnet %s clashes with %s on interface %s", n.Name, p.Masked(), other, link.Attrs().Name).
				WithHint("choose another subnet for the network")
		}
	}
	return nil
}

// addAddress adds an address. IPv6 goes without duplicate address detection: the subnet is ours,
// and the address must answer before the first port appears.
func addAddress(h *netlink.Handle, link netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: toIPNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// dump runs a netlink dump again when the kernel's table changed under it: with many launches at
// once that is normal.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	const tries = 50
	var out []T
	var err error
	for range tries {
		if out, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return out, err
		}
	}
	return nil, sysctl.E(sysctl.Busy, "the kernel's tables change too fast to be read: %w", err)
}

// checkNetwork reports every bad field of n at once.
func checkNetwork(n sysctl.Network) error {
	var bad sysctl.FieldErrors
	if b := n.Bridge; b == "" || len(b) >= unix.IFNAMSIZ || b == "." || b == ".." || strings.ContainsAny(b, "/: \t\n\"") {
		bad.Add("name", "%q cannot be an interface: 1 to 15 characters without '/', ':', quotes or blanks", b)
	}
	if n.Table == "" || len(n.Table) > 100 || strings.ContainsAny(n.Table, " \t\n\"") {
		bad.Add("table", "%q cannot be the name of an nftables table: 1 to 100 characters without blanks or quotes", n.Table)
	}
	if p := n.IPv4; p.IsValid() && (!p.Addr().Is4() || p == p.Masked() || p.Bits() > 30) {
		bad.Add("ipv4.address", "%s must be the bridge's own IPv4 address with the subnet's length, as 10.1.2.1/24", p)
	}
	if p := n.IPv6; p.IsValid() && (!p.Addr().Is6() || p.Addr().Is4In6() || p == p.Masked() || p.Bits() > 126) {
		bad.Add("ipv6.address", "%s must be the bridge's own IPv6 address with the subnet's length, as fd00:1:2:3::1/64", p)
	}
	return bad.Err()
}

// subnets returns the valid ones of n's two prefixes.
func subnets(n sysctl.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.IPv4, n.IPv6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if a = a.Unmap(); !ok || a.BitLen() != bits {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones), true
}
