package netconfig

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
)

// SetLink sets what is to be set on the host's end of an interface. Idempotent. The kind is NotFound where there is no such
// interface.
func SetLink(ctx context.Context, l sysctl.Link) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	link, err := netlink.LinkByName(l.Name)
	if gone(err) {
		return sysctl.E(sysctl.NotFound, "there is no interface %q on this host", l.Name)
	}
	if err != nil {
		return sysctl.Wrap(err, "interface %s", l.Name)
	}
	if l.Hairpin {
		if err := netlink.LinkSetHairpin(link, true); err != nil {
			return sysctl.Wrap(err, "interface %s: hairpin", l.Name)
		}
	}
	return nil
}
