package manager

import (
	"context"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/sysctl-os/sysctl"
)

// nicHotplug plugs a nic in and out while its instance runs, and sets limits, filters and isolation of one on a bridge that is there.
// The run's wiring has note of it all, by which it is made so again when the guest reboots, for which the runtime has its own list.
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

// plugNIC makes an interface in a running guest and writes the guest's own files for it. Whoever in the guest sets addresses by them is
// asked to; what nobody has set is set from outside.
func (m *Manager) plugNIC(ctx context.Context, r running, n sysctl.NICSpec) error {
	w, _, err := m.Runtime.Wiring(r.ID)
	if err != nil {
		return err
	}
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
	itself := configuresItself(r.Guest)
	bare := b
	if itself { // setting addresses fails where somebody has done it
		bare.Addresses, bare.Gateway4, bare.Gateway6 = nil, netip.Addr{}, netip.Addr{}
	}
	w.Plugged = append(withoutNIC(w.Plugged, n.Device), bare)
	var end sysctl.Link
	if b.HostName != "" {
		end = m.relinked(r, n, b.HostName, &w)
	}
	if b.Type == "phys" {
		if err := m.noteCard(r.ID, b.Card, true); err != nil {
			return err
		}
	}
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	if err := m.Net.PlugNIC(ctx, r.state.Init.PID, bare); err != nil {
		return err
	}
	if b.HostName != "" {
		if err := m.Net.SetLink(ctx, end); err != nil {
			return err
		}
	}
	if err := m.rewriteGuest(ctx, r); err != nil || !itself {
		return err
	}
	up, _ := m.Guests.NICCommands(r.Guest, n.Name)
	m.tryInGuest(ctx, r, up)
	if has, err := m.Net.HasAddresses(ctx, r.state.Init.PID, b); has || err != nil {
		return err
	}
	return m.Net.SetAddresses(ctx, r.state.Init.PID, b)
}

// guestCommand is how long a guest may take to bring an interface up or down by itself.
const guestCommand = 15 * time.Second

// tryInGuest runs commands in a running guest, as root, one after the other until one fails. Whether they have done what they are for is to be
// seen elsewhere: a guest may lack any of them.
func (m *Manager) tryInGuest(ctx context.Context, r running, commands [][]string) {
	if len(commands) == 0 || m.Runtime.State(r.ID).Status != sysctl.Running {
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	ctx, cancel := context.WithTimeout(ctx, guestCommand)
	defer cancel()
	for _, argv := range commands {
		status, err := m.Runtime.Exec(ctx, r.ID, sysctl.Command{Argv: argv, Env: []string{defaultPath, "HOME=/root"}, Cwd: "/",
			Stdin: null, Stdout: null, Stderr: null})
		if status != 0 || err != nil {
			return
		}
	}
}

// unplugNIC takes an interface away, with what was set on it. One of the host's is the host's again.
func (m *Manager) unplugNIC(ctx context.Context, r running, n sysctl.NICSpec) error {
	w, _, err := m.Runtime.Wiring(r.ID)
	if err != nil {
		return err
	}
	if configuresItself(r.Guest) {
		_, down := m.Guests.NICCommands(r.Guest, n.Name)
		m.tryInGuest(ctx, r, down)
	}
	if n.Type == "bridged" {
		err = m.takePair(ctx, r, n, &w)
	} else {
		err = m.takeNIC(ctx, r, n, &w)
	}
	if err != nil {
		return err
	}
	w.Plugged = withoutNIC(w.Plugged, n.Device)
	w.Links = slices.DeleteFunc(slices.Clone(w.Links), func(o sysctl.Link) bool { return o.Device == n.Device })
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	return m.rewriteGuest(ctx, r)
}

// takePair takes a nic on a bridge away.
func (m *Manager) takePair(ctx context.Context, r running, n sysctl.NICSpec, w *sysctl.Wiring) error {
	name := hostEnd(*w, r, n.Device)
	if name == "" {
		return nil
	}
	if err := m.Net.SetLink(ctx, sysctl.Link{Name: name}); err != nil && sysctl.KindOf(err) != sysctl.NotFound {
		return err
	}
	if name == r.state.Links[n.Device] {
		w.Removed = append(slices.Clone(w.Removed), name)
	}
	return m.Net.UnplugNIC(ctx, name)
}

// takeNIC takes a nic of another type away. All of them were plugged in.
func (m *Manager) takeNIC(ctx context.Context, r running, n sysctl.NICSpec, w *sysctl.Wiring) error {
	for _, b := range w.Plugged {
		if b.Device == n.Device {
			if err := m.Net.TakeNIC(ctx, r.state.Init.PID, b); err != nil {
				return err
			}
		}
	}
	if n.Type != physical {
		return nil
	}
	return m.noteCard(r.ID, sysctl.Card{Name: n.Parent}, false)
}

// noteCard notes that a run has an interface of the host's, or has it no more.
func (m *Manager) noteCard(id int64, card sysctl.Card, has bool) error {
	cards, err := m.Runtime.Cards(id)
	if err != nil {
		return err
	}
	cards = slices.DeleteFunc(slices.Clone(cards), func(c sysctl.Card) bool { return c.Name == card.Name })
	if has {
		cards = append(cards, card)
	}
	return m.Runtime.SetCards(id, cards)
}

func withoutNIC(all []sysctl.BootNIC, device string) []sysctl.BootNIC {
	return slices.DeleteFunc(slices.Clone(all), func(o sysctl.BootNIC) bool { return o.Device == device })
}

// pluggedNIC decides what a nic that is plugged in is like. Its addresses are set from outside, whoever else sets them in the guest.
func (m *Manager) pluggedNIC(ctx context.Context, r running, n sysctl.NICSpec, w sysctl.Wiring) (sysctl.BootNIC, error) {
	b, claimed, err := m.bootNIC(ctx, *r.Instance, n)
	if err != nil {
		return b, err
	}
	if b.Type == "phys" {
		if b.Card, err = m.cardOf(ctx, r, n, w); err != nil {
			return b, err
		}
	}
	for i := 0; b.Type == "veth" && b.HostName == ""; i++ { // one that the run has not
		name := m.Link(r.ID, i, r.state.RunID)
		taken := slices.ContainsFunc(w.Plugged, func(o sysctl.BootNIC) bool { return o.HostName == name })
		for _, other := range r.state.Links {
			taken = taken || other == name
		}
		if !taken {
			b.HostName = name
		}
	}
	var g sysctl.GuestNIC
	err = m.addresses(ctx, claimed, n, &g)
	b.Addresses, b.Gateway4, b.Gateway6 = g.Addresses, g.Gateway4, g.Gateway6
	return b, err
}

// cardOf is the interface of the host that a nic is: as it was before the guest got it, where it has it already.
func (m *Manager) cardOf(ctx context.Context, r running, n sysctl.NICSpec, w sysctl.Wiring) (sysctl.Card, error) {
	for _, o := range w.Plugged {
		if o.Device == n.Device && o.Card.Name == n.Parent {
			return o.Card, nil
		}
	}
	p, err := m.parent(ctx, *r.Instance, n)
	if err == nil && p.Card.Name == "" {
		err = sysctl.E(sysctl.NotFound, "there is no interface %q on this host", n.Parent).WithHint("ip link")
	}
	return p.Card, err
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
	if a.HasVLANs() && !b.HasVLANs() || a.TxQueue != b.TxQueue && b.TxQueue == 0 {
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
	l := m.relinked(r, n, hostEnd(w, r, n.Device), &w)
	if err := m.Runtime.SetWiring(r.ID, w); err != nil {
		return err
	}
	return m.Net.SetLink(ctx, l)
}

// relinked is what is set on a nic's end on the host, which w is told of in the place of what was.
func (m *Manager) relinked(r running, n sysctl.NICSpec, name string, w *sysctl.Wiring) sysctl.Link {
	l, _ := m.link(*r.Instance, n, name, w.Ports)
	l.Device, l.Name = n.Device, name
	w.Links = append(slices.DeleteFunc(slices.Clone(w.Links), func(o sysctl.Link) bool { return o.Device == n.Device }), l)
	return l
}
