package netconfig

import (
	"context"
	"errors"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetLink makes what is set on the host's end of an interface be what l says; what l does not say is as on a new one. table is where
// rules about what the guest sends are. Idempotent. The kind is NotFound where there is no such interface, Unsupported
// where the kernel lacks something.
func SetLink(ctx context.Context, table string, l sysctl.Link) error {
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
	if err := ensureLinkChain(table, l); err != nil {
		return err
	}
	if err := setPort(link, l); err != nil {
		return sysctl.Wrap(err, "interface %s", l.Name)
	}
	if l.TxQueue > 0 && link.Attrs().TxQLen != l.TxQueue {
		if err := netlink.LinkSetTxQLen(link, l.TxQueue); err != nil {
			return sysctl.Wrap(err, "interface %s: queue length", l.Name)
		}
	}
	return sysctl.Wrap(shape(link, l.Ingress), "interface %s: limit", l.Name)
}

// setPort sets what the bridge knows of its port.
func setPort(link netlink.Link, l sysctl.Link) error {
	if link.Attrs().MasterIndex == 0 {
		return nil
	}
	if err := netlink.LinkSetHairpin(link, l.Hairpin); err != nil {
		return sysctl.Wrap(err, "hairpin")
	}
	if err := netlink.LinkSetIsolated(link, l.Isolated); err != nil {
		return sysctl.Wrap(err, "isolate")
	}
	return sysctl.Wrap(setVLANs(link, l), "VLANs")
}

// setVLANs makes the VLANs of a port be those of l, where it has any.
func setVLANs(link netlink.Link, l sysctl.Link) error {
	if l.VLAN == 0 && len(l.Tagged) == 0 {
		return nil
	}
	all, err := netlink.BridgeVlanList()
	if err != nil {
		return err
	}
	wanted := map[uint16]bool{uint16(max(l.VLAN, 0)): l.VLAN > 0}
	for _, v := range l.Tagged {
		wanted[uint16(v)] = true
	}
	for _, v := range all[int32(link.Attrs().Index)] {
		if !wanted[v.Vid] {
			if err := netlink.BridgeVlanDel(link, v.Vid, false, false, false, true); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
	}
	if l.VLAN > 0 {
		if err := netlink.BridgeVlanAdd(link, uint16(l.VLAN), true, true, false, true); err != nil {
			return err
		}
	}
	for _, v := range l.Tagged {
		if err := netlink.BridgeVlanAdd(link, uint16(v), false, false, false, true); err != nil {
			return err
		}
	}
	return nil
}

// shape lets no more bits a second out of a link: to the guest, of the host's end. 0: as many as there are.
func shape(link netlink.Link, rate uint64) error {
	list, err := dump(func() ([]netlink.Qdisc, error) { return netlink.QdiscList(link) })
	if err != nil {
		return err
	}
	for _, q := range list {
		tbf, ok := q.(*netlink.Tbf)
		if !ok || tbf.Parent != netlink.HANDLE_ROOT {
			continue
		}
		if tbf.Rate == rate/8 {
			return nil
		}
		if rate == 0 {
			return netlink.QdiscDel(tbf)
		}
	}
	if rate == 0 {
		return nil
	}
	size := burst(rate)
	err = netlink.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate / 8,
		Buffer:     netlink.Xmittime(rate/8, size),
		Limit:      size + uint32(min(rate/8/5, 1<<30)), // what waits is 200 ms old at most
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return sysctl.E(sysctl.Unsupported, "this kernel cannot limit it: %w", err).WithHint("modprobe sch_tbf")
	}
	return err
}

// FreeLink returns when there is no interface of a name: that of a run that has ended may be there for a moment more. The kind is
// Conflict where it stays.
func FreeLink(ctx context.Context, name string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; {
		link, err := netlink.LinkByName(name)
		switch {
		case gone(err):
			return nil
		case err != nil:
			return sysctl.Wrap(err, "interface %s", name)
		case link.Type() != "veth" || time.Now().After(end):
			return sysctl.E(sysctl.Conflict, "the host has an interface %s already: choose another host_name", name).WithHint("ip link show %s", name)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
