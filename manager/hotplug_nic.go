package manager

import (
	"context"
	"reflect"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// nicHotplug sets limits, filters and isolation of a nic while its instance runs. All else of a nic waits for the next start.
func nicHotplug() hotplug {
	return hotplug{
		change: func(m *Manager, ctx context.Context, r running, from, to sysctl.Spec) (bool, error) {
			if len(from.NICs) != 1 || len(to.NICs) != 1 || !onlyLink(from.NICs[0], to.NICs[0]) || r.state.Links[from.NICs[0].Device] == "" {
				return false, nil
			}
			return true, m.relink(ctx, r, to.NICs[0])
		},
	}
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
	l, _ := m.link(*r.Instance, n, r.state.Links[n.Device], w.Ports)
	l.Device, l.Name = n.Device, r.state.Links[n.Device]
	w.Links = append(slices.DeleteFunc(slices.Clone(w.Links), func(o sysctl.Link) bool { return o.Device == n.Device }), l)
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	return m.Net.SetLink(ctx, l)
}
