package netconfig

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// PlugNIC gives a running guest, whose init is a process of the host, an interface on a bridge: a pair whose other end is n.HostName. It
// is up, and has the addresses and default routes of n, where there is no other of the family. One of that name that the
// host has already is made anew. The kind is Conflict where the guest has an interface of that name. On failure there is none.
func PlugNIC(ctx context.Context, init int, n sysctl.BootNIC) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	guest, err := os.Open(filepath.Join("/proc", strconv.Itoa(init), "ns/net"))
	if err != nil {
		return sysctl.Wrap(err, "the guest's network")
	}
	defer guest.Close()
	if err := UnplugNIC(ctx, n.HostName); err != nil {
		return err
	}
	if err := makePair(guest, n); err != nil {
		return err
	}
	err = inNamespace(guest, func() error { return bringUp(n) })
	if err != nil {
		return errors.Join(sysctl.Wrap(err, "set up %s in the guest", n.Name), UnplugNIC(context.WithoutCancel(ctx), n.HostName))
	}
	return nil
}

// UnplugNIC removes such a pair by the name of its end on the host. Absent is success.
func UnplugNIC(ctx context.Context, hostName string) error {
	link, err := netlink.LinkByName(hostName)
	if gone(err) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if gone(err) {
		return nil
	}
	return sysctl.Wrap(err, "remove interface %s", hostName)
}

// makePair makes both ends at once, each in its place.
func makePair(guest *os.File, n sysctl.BootNIC) error {
	bridge, err := netlink.LinkByName(n.Link)
	if gone(err) {
		return sysctl.E(sysctl.NotFound, "there is no bridge %q on this host", n.Link)
	}
	if err != nil {
		return sysctl.Wrap(err, "bridge %s", n.Link)
	}
	mac, err := net.ParseMAC(n.MAC)
	if err != nil {
		return err
	}
	at := netlink.NewLinkAttrs()
	at.Name, at.MasterIndex, at.HardwareAddr, at.MTU = n.HostName, bridge.Attrs().Index, portMAC(), n.MTU
	pair := &netlink.Veth{LinkAttrs: at, PeerName: n.Name, PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(guest.Fd())}
	err = netlink.LinkAdd(pair)
	if errors.Is(err, unix.EEXIST) {
		return sysctl.E(sysctl.Conflict, "the guest has an interface %s already: give the device another name", n.Name)
	}
	if err != nil {
		return sysctl.Wrap(err, "make interface %s", n.HostName)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return errors.Join(sysctl.Wrap(err, "set %s up", n.HostName), netlink.LinkDel(pair))
	}
	return nil
}

// portMAC is an address for the host's end that no bridge takes for its own: bridges take the lowest of their ports'.
func portMAC() net.HardwareAddr {
	mac := net.HardwareAddr{0xfe, 0, 0, 0, 0, 0}
	rand.Read(mac[1:])
	return mac
}

// bringUp sets the guest's end up, in its namespace.
func bringUp(n sysctl.BootNIC) error {
	link, err := netlink.LinkByName(n.Name)
	if err != nil {
		return err
	}
	if n.MTU > 0 {
		if err := netlink.LinkSetMTU(link, n.MTU); err != nil {
			return err
		}
	}
	for _, p := range n.Addresses {
		if err := pluggedAddress(link, p); err != nil {
			return sysctl.Wrap(err, "address %s", p)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, via := range []netip.Addr{n.Gateway4, n.Gateway6} {
		if !via.IsValid() {
			continue
		}
		if err := pluggedGateway(link, via); err != nil {
			return sysctl.Wrap(err, "gateway %s", via)
		}
	}
	return nil
}

func pluggedAddress(link netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // it is claimed
	}
	if err := netlink.AddrAdd(link, a); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// pluggedGateway makes a default route, unless there is one already: the first interface's stays.
func pluggedGateway(link netlink.Link, via netip.Addr) error {
	family := netlink.FAMILY_V4
	if via.Is6() {
		family = netlink.FAMILY_V6
	}
	routes, err := netlink.RouteList(nil, family)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if isDefault(r) {
			return nil
		}
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: via.AsSlice()})
}
