package netconfig

import (
	"bytes"
	"context"
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// IsUp reports whether the network has its bridge.
func IsUp(ctx context.Context, n sysctl.Network) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return false, sysctl.Wrap(err, "open rtnetlink")
	}
	defer h.Close()
	link, err := ownBridge(h, n)
	return link != nil, err
}

func delLink(h *netlink.Handle, link netlink.Link) error {
	err := h.LinkDel(link)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return sysctl.Wrap(err, "delete interface %s", link.Attrs().Name)
}

// findLink returns the link, or nil where there is none of that name.
func findLink(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	var absent netlink.LinkNotFoundError
	if errors.As(err, &absent) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return link, sysctl.Wrap(err, "find interface %s", name)
}

// ownBridge returns n's bridge, nil where it does not exist, or a Conflict.
func ownBridge(h *netlink.Handle, n sysctl.Network) (netlink.Link, error) {
	link, err := findLink(h, n.Bridge)
	if err != nil || link == nil {
		return nil, err
	}
	switch {
	case link.Type() != "bridge":
		return nil, sysctl.E(sysctl.Conflict, "network %s: interface %s exists and is a %s, not a bridge", n.Name, n.Bridge, link.Type()).
			WithHint("give the network another name, or: ip link delete %s", n.Bridge)
	case !bytes.Equal(link.Attrs().HardwareAddr, BridgeMAC(n)):
		return nil, sysctl.E(sysctl.Conflict, "network %s: bridge %s exists and was made by somebody else (its address is %s, ours would be %s)",
			n.Name, n.Bridge, link.Attrs().HardwareAddr, BridgeMAC(n)).
			WithHint("give the network another name, or: ip link delete %s", n.Bridge)
	}
	return link, nil
}
