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

// PlugNIC gives a running guest, whose init is a process of the host, an interface: on a bridge, of a pair whose other end is n.HostName,
// which is down until SetLink has set what holds for the guest; as a macvlan on n.Link; or the host's own, n.Card. It is up, and has the addresses and default routes of n, where there is no other of
// the family. One that is there already is made anew, but for one of the host's, which stays. The kind is Conflict where the guest has an
// interface of that name, NotFound where the host has not got what it hangs on. On failure there is none, and the host has its own.
func PlugNIC(ctx context.Context, init int, n sysctl.BootNIC) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	guest, err := networkOf(init)
	if err != nil {
		return err
	}
	defer guest.Close()
	take := func() error { return takeNIC(ctx, guest, n) }
	var plug func(guest *os.File, n sysctl.BootNIC) error
	switch n.Type {
	case "macvlan":
		plug = makeMacvlan
	case "phys":
		plug = lendCard
	default:
		plug, take = makePair, func() error { return UnplugNIC(ctx, n.HostName) }
	}
	if n.Type != "phys" {
		if err := take(); err != nil {
			return err
		}
	}
	if err := plug(guest, n); err != nil {
		return err
	}
	err = inNamespace(guest, func() error { return bringUp(n) })
	if err != nil {
		ctx = context.WithoutCancel(ctx)
		return errors.Join(sysctl.Wrap(err, "set up %s in the guest", n.Name), take())
	}
	return nil
}

// TakeNIC takes a macvlan away from a running guest, or the host's own interface, which is the host's again under its name. Absent is
// success.
func TakeNIC(ctx context.Context, init int, n sysctl.BootNIC) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	guest, err := networkOf(init)
	if err != nil {
		return err
	}
	defer guest.Close()
	return takeNIC(ctx, guest, n)
}

func takeNIC(ctx context.Context, guest *os.File, n sysctl.BootNIC) error {
	if n.Type == "phys" {
		return GiveBack(ctx, guest, []sysctl.Card{n.Card})
	}
	parent, err := netlink.LinkByName(n.Link)
	if gone(err) {
		return nil // and what was on it with it
	}
	if err != nil {
		return sysctl.Wrap(err, "interface %s", n.Link)
	}
	return inNamespace(guest, func() error {
		link, err := macvlanOn(parent.Attrs().Index, n)
		if link == nil || err != nil {
			return err
		}
		if err := netlink.LinkDel(link); err != nil && !gone(err) {
			return sysctl.Wrap(err, "remove %s in the guest", link.Attrs().Name)
		}
		return nil
	})
}

// macvlanOn finds a guest's macvlan by its parent, which the guest cannot change, and by its name or MAC, which it can: not both. nil: it
// has none.
func macvlanOn(parent int, n sysctl.BootNIC) (found netlink.Link, err error) {
	links, err := netlink.LinkList()
	for _, link := range links {
		at := link.Attrs()
		if link.Type() != "macvlan" || at.ParentIndex != parent {
			continue
		}
		if at.Name == n.Name {
			return link, err
		}
		if at.HardwareAddr.String() == n.MAC {
			found = link
		}
	}
	return found, err
}

// networkOf opens the network namespace of a process.
func networkOf(pid int) (*os.File, error) {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
	return f, sysctl.Wrap(err, "the guest's network")
}

// makeMacvlan makes an interface in the guest that has a MAC of its own on one of the host's.
func makeMacvlan(guest *os.File, n sysctl.BootNIC) error {
	parent, err := netlink.LinkByName(n.Link)
	if gone(err) {
		return sysctl.E(sysctl.NotFound, "there is no interface %q on this host", n.Link).WithHint("ip link")
	}
	if err != nil {
		return sysctl.Wrap(err, "interface %s", n.Link)
	}
	mac, err := net.ParseMAC(n.MAC)
	if err != nil {
		return err
	}
	at := netlink.NewLinkAttrs()
	at.Name, at.ParentIndex, at.HardwareAddr, at.MTU, at.Namespace = n.Name, parent.Attrs().Index, mac, n.MTU, netlink.NsFd(guest.Fd())
	err = netlink.LinkAdd(&netlink.Macvlan{LinkAttrs: at, Mode: netlink.MACVLAN_MODE_BRIDGE})
	if errors.Is(err, unix.EEXIST) {
		return nameTaken(n)
	}
	return sysctl.Wrap(err, "make interface %s on %s", n.Name, n.Link)
}

func nameTaken(n sysctl.BootNIC) error {
	return sysctl.E(sysctl.Conflict, "the guest has an interface %s already: give the device another name", n.Name)
}

// lendCard puts an interface of the host into the guest, under the guest's name for it. One that is there stays.
func lendCard(guest *os.File, n sysctl.BootNIC) error {
	there := false
	err := inNamespace(guest, func() error {
		link, err := netlink.LinkByIndex(n.Card.Index)
		if there = err == nil && same(link, n.Card); there || gone(err) {
			return nil
		}
		return err
	})
	if there || err != nil {
		return err
	}
	link, err := netlink.LinkByName(n.Card.Name)
	if gone(err) || n.Card.Name == "" {
		return sysctl.E(sysctl.NotFound, "there is no interface %q on this host", n.Link).WithHint("ip link")
	}
	if err != nil {
		return sysctl.Wrap(err, "interface %s", n.Card.Name)
	}
	free := freeName() // the guest may have one of the host's name
	err = netlink.LinkSetDown(link)
	if err == nil {
		err = netlink.LinkSetName(link, free)
	}
	if err == nil {
		err = netlink.LinkSetNsFd(link, int(guest.Fd()))
	}
	if err == nil {
		err = inNamespace(guest, func() error {
			link, err := netlink.LinkByName(free)
			if err == nil {
				err = netlink.LinkSetName(link, n.Name)
			}
			return err
		})
		if errors.Is(err, unix.EEXIST) {
			err = nameTaken(n)
		}
	}
	if err != nil {
		return errors.Join(sysctl.Wrap(err, "give interface %s to the guest", n.Card.Name), GiveBack(context.Background(), guest, []sysctl.Card{n.Card}))
	}
	return nil
}

// UnplugNIC removes the pair of a nic on a bridge by the name of its end on the host. Absent is success.
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

// makePair makes both ends at once, each in its place. The host's is down: nothing of the guest's passes yet.
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
		return nameTaken(n)
	}
	return sysctl.Wrap(err, "make interface %s", n.HostName)
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

// HasAddresses reports whether the guest's interface is up with all addresses of n, whoever has set them.
func HasAddresses(ctx context.Context, init int, n sysctl.BootNIC) (has bool, err error) {
	guest, err := networkOf(init)
	if err != nil {
		return false, err
	}
	defer guest.Close()
	err = inNamespace(guest, func() error {
		link, err := netlink.LinkByName(n.Name)
		if gone(err) || err == nil && link.Attrs().Flags&net.FlagUp == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		have := map[netip.Addr]bool{}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				have[ip.Unmap()] = true
			}
		}
		has = true
		for _, p := range n.Addresses {
			has = has && have[p.Addr()]
		}
		return err
	})
	return has && err == nil, sysctl.Wrap(err, "addresses of %s in the guest", n.Name)
}

// SetAddresses sets the guest's interface up with the addresses and default routes of n. What is there stays.
func SetAddresses(ctx context.Context, init int, n sysctl.BootNIC) error {
	guest, err := networkOf(init)
	if err != nil {
		return err
	}
	defer guest.Close()
	return sysctl.Wrap(inNamespace(guest, func() error { return bringUp(n) }), "set up %s in the guest", n.Name)
}
