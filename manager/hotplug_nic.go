package manager

import (
	"context"
	"net/netip"
	"reflect"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// nicHotplug plugs a nic on a bridge in and out while its instance runs, and sets limits, filters and isolation of one that is there.
// What a nic of another type is waits for the next start. The run's wiring has note of it all, by which it is made so again when
// the guest reboots, for which the runtime has its own list.
func nicHotplug() hotplug {
	return hotplug{
		plug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			return m.plugNIC(ctx, r, s.NICs[0])
		},
		unplug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			return m.unplugNIC(ctx, r, s.NICs[0])
		},
		change: func(m *Manager, ctx context.Context, r running, from, to sysctl.Spec) (bool, error) {
			if len(from.NICs) != 1 || len(to.NICs) != 1 || !onlyLink(from.NICs[0], to.NICs[0]) {
				return false, nil
			}
			w, _, err := m.Runtime.Wiring(r.ID)
			if err != nil || hostEnd(w, r, from.NICs[0].Device) == "" {
				return false, err
			}
			return true, m.relink(ctx, r, to.NICs[0])
		},
	}
}

// hostEnd is the name of the host's end of a nic that a running instance has, or "".
func hostEnd(w sysctl.Wiring, r running, device string) string {
	for _, n := range w.Plugged {
		if n.Device == device {
			return n.HostName
		}
	}
	if name := r.state.Links[device]; !slices.Contains(w.Removed, name) {
		return name
	}
	return ""
}

// plugNIC makes an interface in a running guest, with its addresses, and writes the guest's own files for it.
func (m *Manager) plugNIC(ctx context.Context, r running, n sysctl.NICSpec) error {
	if n.Type != "bridged" {
		return errLater
	}
	w, _, err := m.Runtime.Wiring(r.ID)
	if err != nil {
		return err
	}
	w.Plugged = slices.DeleteFunc(slices.Clone(w.Plugged), func(o sysctl.BootNIC) bool { return o.Device == n.Device })
	b, err := m.pluggedNIC(ctx, r, n, w)
	if err != nil {
		return err
	}
	if err := m.bringUp(ctx, *r.Instance, nil); err != nil {
		return err
	}
	if err := m.announce(ctx, *r.Instance, nil); err != nil {
		return err
	}
	again := b
	if configuresItself(r.Guest) { // when it boots, which fails where somebody has done it
		again.Addresses, again.Gateway4, again.Gateway6 = nil, netip.Addr{}, netip.Addr{}
	}
	w.Plugged = append(w.Plugged, again)
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	if err := m.Net.PlugNIC(ctx, r.state.Init.PID, b); err != nil {
		return err
	}
	if err := m.relink(ctx, r, n); err != nil {
		return err
	}
	return m.rewriteGuest(ctx, r)
}

// unplugNIC takes an interface away, with what was set on it.
func (m *Manager) unplugNIC(ctx context.Context, r running, n sysctl.NICSpec) error {
	w, _, err := m.Runtime.Wiring(r.ID)
	if err != nil {
		return err
	}
	name := hostEnd(w, r, n.Device)
	if name == "" && n.Type != "bridged" {
		return errLater
	}
	if name != "" {
		if err := m.Net.SetLink(ctx, sysctl.Link{Name: name}); err != nil && sysctl.KindOf(err) != sysctl.NotFound {
			return err
		}
		if name == r.state.Links[n.Device] {
			w.Removed = append(slices.Clone(w.Removed), name)
		}
		if err := m.Net.UnplugNIC(ctx, name); err != nil {
			return err
		}
	}
	w.Plugged = slices.DeleteFunc(slices.Clone(w.Plugged), func(o sysctl.BootNIC) bool { return o.Device == n.Device })
	w.Links = slices.DeleteFunc(slices.Clone(w.Links), func(o sysctl.Link) bool { return o.Device == n.Device })
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	return m.rewriteGuest(ctx, r)
}

// pluggedNIC decides what a nic that is plugged in is like. Its addresses are set from outside, whoever else sets them in the guest.
func (m *Manager) pluggedNIC(ctx context.Context, r running, n sysctl.NICSpec, w sysctl.Wiring) (sysctl.BootNIC, error) {
	b := sysctl.BootNIC{Device: n.Device, Type: "veth", Link: n.Parent, HostName: n.HostName, Name: n.Name, MTU: n.MTU}
	for i := 0; b.HostName == ""; i++ { // one that the run has not
		name := m.Link(r.ID, i, r.state.RunID)
		taken := slices.ContainsFunc(w.Plugged, func(o sysctl.BootNIC) bool { return o.HostName == name })
		for _, other := range r.state.Links {
			taken = taken || other == name
		}
		if !taken {
			b.HostName = name
		}
	}
	claimed := nicOf(*r.Instance, n.Device)
	b.MAC = claimed.MAC
	if n.Network != "" {
		network, err := m.network(ctx, n.Network)
		if err != nil {
			return b, err
		}
		b.Link = network.Bridge
		if b.MTU == 0 {
			b.MTU = network.MTU
		}
	}
	var g sysctl.GuestNIC
	err := m.addresses(ctx, claimed, n, &g)
	b.Addresses, b.Gateway4, b.Gateway6 = g.Addresses, g.Gateway4, g.Gateway6
	return b, err
}

// rewriteGuest brings a running guest's own files up to date, for when it boots again.
func (m *Manager) rewriteGuest(ctx context.Context, r running) error {
	spec, err := m.spec(ctx, *r.Instance)
	if err != nil {
		return err
	}
	t, err := m.Storage.OpenProcess(r.state.Init)
	if err != nil {
		return err
	}
	defer t.Close()
	changes, err := m.render(ctx, t, *r.Instance, spec, nil)
	if err == nil {
		err = sysctl.Apply(t, changes)
	}
	return sysctl.Wrap(err, "write guest files")
}

// onlyLink reports whether two nics differ only in what can be set on a link that is there.
func onlyLink(from, to sysctl.NICSpec) bool {
	a, b := from.Link, to.Link
	if a.VLAN != b.VLAN || !slices.Equal(a.Tagged, b.Tagged) || a.TxQueue != b.TxQueue && b.TxQueue == 0 {
		return false // what it was before is not known
	}
	from.Link, to.Link = sysctl.Link{}, sysctl.Link{}
	return reflect.DeepEqual(from, to)
}

// relink sets on the link of a running instance's nic what its options say now. It is noted first: whoever clears the run, or
// wires it when the guest reboots, finds it.
func (m *Manager) relink(ctx context.Context, r running, n sysctl.NICSpec) error {
	w, _, err := m.Runtime.Wiring(r.ID)
	if err != nil {
		return err
	}
	name := hostEnd(w, r, n.Device)
	l, _ := m.link(*r.Instance, n, name, w.Ports)
	l.Device, l.Name = n.Device, name
	w.Links = append(slices.DeleteFunc(slices.Clone(w.Links), func(o sysctl.Link) bool { return o.Device == n.Device }), l)
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	return m.Net.SetLink(ctx, l)
}
