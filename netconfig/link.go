package netconfig

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetLink makes what is set on the host's end of an interface be what l says, and sets it up; what l does not say is as on a new one, but for
// VLANs, which are left as they are. table is where rules about what the guest sends are. Idempotent. The kind is NotFound where there is no
// such interface, Unsupported where the kernel lacks something, Conflict where its bridge does not filter VLANs.
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
	if err := shape(link, l.Ingress); err != nil {
		return sysctl.Wrap(err, "interface %s: limit", l.Name)
	}
	return sysctl.Wrap(netlink.LinkSetUp(link), "set %s up", l.Name)
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

// setVLANs makes the VLANs of a port be those of l, where it has any. The kind is Conflict where its bridge does not filter them, so that
// they would be in vain.
func setVLANs(link netlink.Link, l sysctl.Link) error {
	if !l.HasVLANs() {
		return nil
	}
	master, err := netlink.LinkByIndex(link.Attrs().MasterIndex)
	if err != nil {
		return err
	}
	bridge, ok := master.(*netlink.Bridge)
	if !ok || bridge.VlanFiltering == nil || !*bridge.VlanFiltering {
		return sysctl.E(sysctl.Conflict, "bridge %s does not filter them", master.Attrs().Name).
			WithHint("ip link set %s type bridge vlan_filtering 1", master.Attrs().Name)
	}
	untagged := l.VLAN
	if untagged == 0 && bridge.VlanDefaultPVID != nil && !slices.Contains(l.Tagged, int(*bridge.VlanDefaultPVID)) {
		untagged = int(*bridge.VlanDefaultPVID) // which may be 0: none
	}
	wanted := slices.Clone(l.Tagged)
	if untagged > 0 {
		wanted = append(wanted, untagged)
	}
	slices.Sort(wanted)
	next := 1
	for _, v := range append(wanted, maxVLAN+1) { // what is not there is no error
		if err := vlans(netlink.BridgeVlanDelRange, link, next, v-1); err != nil {
			return err
		}
		next = v + 1
	}
	if untagged > 0 {
		if err := netlink.BridgeVlanAdd(link, uint16(untagged), true, true, false, true); err != nil {
			return err
		}
	}
	for i := 0; i < len(l.Tagged); {
		last := i
		for last+1 < len(l.Tagged) && l.Tagged[last+1] == l.Tagged[last]+1 {
			last++
		}
		if err := vlans(netlink.BridgeVlanAddRange, link, l.Tagged[i], l.Tagged[last]); err != nil {
			return err
		}
		i = last + 1
	}
	return nil
}

// maxVLAN is the largest number of a VLAN (IEEE 802.1Q).
const maxVLAN = 4094

// vlans adds or deletes those from first to last, of packets with a tag; none where last is before first.
func vlans(do func(link netlink.Link, first, last uint16, pvid, untagged, self, master bool) error, link netlink.Link, first, last int) error {
	switch {
	case last < first:
		return nil
	case last == first:
		last = 0 // the kernel knows no range of one
	}
	return do(link, uint16(first), uint16(last), false, false, false, true)
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
