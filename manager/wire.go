package manager

import (
	"context"
	"net/netip"
	"os"
	"reflect"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// Wire makes what an instance has of the host's network and devices beside its interfaces and disks (sysctl.Wiring). The start-host hook calls it each time before
// the guest's init runs, which is init, a process: it takes no lock, as who starts the instance holds it, and reads only what that has
// left for it. Where a guest reboots, a port that somebody else has taken meanwhile does not keep it from booting: it is told of
// as a problem of the instance.
func (m *Manager) Wire(ctx context.Context, id int64, init int) error {
	w, again, err := m.Runtime.Wiring(id)
	if err == nil {
		err = m.wire(ctx, id, init, w)
	}
	if ferr := m.Runtime.WireFailed(id, err); err == nil {
		err = ferr
	}
	if again {
		return nil
	}
	return err
}

// Unwire gives the host the interfaces back that are the host's, from the network namespace of an instance's guest that has ended, which path
// names. The stop hook calls it, also when the guest reboots. It takes no lock, and reads only what whoever started the instance has left.
func (m *Manager) Unwire(ctx context.Context, id int64, path string) error {
	guest, err := os.Open(path)
	if err != nil {
		return err
	}
	defer guest.Close()
	return m.Runtime.GiveBack(ctx, id, guest)
}

func (m *Manager) wire(ctx context.Context, id int64, init int, w sysctl.Wiring) error {
	for _, name := range w.Removed { // the runtime has made them again
		if err := m.Net.UnplugNIC(ctx, name); err != nil {
			return err
		}
	}
	for _, n := range w.Plugged {
		if err := m.Net.PlugNIC(ctx, init, n); err != nil {
			return sysctl.Wrap(err, "device %s", n.Device)
		}
	}
	for _, l := range w.Links {
		if err := m.Net.SetLink(ctx, l); err != nil {
			return sysctl.Wrap(err, "device %s", l.Device)
		}
	}
	if err := m.Net.Publish(ctx, id, w.Ports); err != nil {
		return err
	}
	if err := m.attachNodes(ctx, id, init, w); err != nil {
		return err
	}
	return m.Runtime.Forward(ctx, id, init, w.Proxies)
}

// wiring decides what an instance is wired with. link names the host's end of each nic, by device.
func (m *Manager) wiring(ctx context.Context, inst sysctl.Instance, spec sysctl.Spec, link map[string]string) (w sysctl.Wiring, err error) {
	for _, p := range spec.Proxies {
		rules, err := m.portRules(ctx, inst, spec, p)
		if err != nil {
			return w, sysctl.Wrap(err, "device %s", p.Device)
		}
		if rules == nil {
			w.Proxies = append(w.Proxies, p)
		}
		w.Ports = append(w.Ports, rules...)
	}
	for _, n := range spec.NICs {
		if l, ok := m.link(inst, n, link[n.Device], w.Ports); ok {
			w.Links = append(w.Links, l)
		}
	}
	return w, nil
}

// link is what is to be set on the host's end of a nic, and whether anything is.
func (m *Manager) link(inst sysctl.Instance, n sysctl.NICSpec, name string, ports []sysctl.PortRule) (sysctl.Link, bool) {
	l := n.Link
	l.Hairpin = slices.ContainsFunc(ports, func(r sysctl.PortRule) bool { return r.NIC == n.Device })
	if reflect.DeepEqual(l, sysctl.Link{}) || name == "" {
		return l, false
	}
	claimed := nicOf(inst, n.Device)
	l.Device, l.Name, l.MAC = n.Device, name, claimed.MAC
	for _, a := range []netip.Addr{claimed.IPv4, claimed.IPv6} {
		if a.IsValid() {
			l.Addresses = append(l.Addresses, a)
		}
	}
	for _, p := range n.More {
		l.Addresses = append(l.Addresses, p.Addr())
	}
	return l, true
}

// portRules are what a proxy is by NAT, nil where it is not to be or cannot be.
func (m *Manager) portRules(ctx context.Context, inst sysctl.Instance, spec sysctl.Spec, p sysctl.Proxy) ([]sysctl.PortRule, error) {
	if p.NAT == sysctl.Off || p.NAT != sysctl.On && !wouldNAT(p) {
		return nil, nil
	}
	var rules []sysctl.PortRule
	for _, pair := range p.Pairs {
		target, nic, siblings, err := m.target(ctx, inst, spec, pair.Connect.Addr)
		if sysctl.KindOf(err) == sysctl.Conflict && p.NAT != sysctl.On {
			return nil, nil // elsewhere than in the guest
		}
		if err != nil {
			return nil, err
		}
		rules = addRule(rules, sysctl.PortRule{
			Device: p.Device, Proto: pair.Listen.Proto, Listen: pair.Listen.Addr, First: pair.Listen.Port, Last: pair.Listen.Port,
			Target: target, Port: pair.Connect.Port, NIC: nic, Siblings: siblings,
		})
	}
	return rules, nil
}

// wouldNAT reports whether a proxy does by NAT what it does otherwise: all who could connect are other machines or the host by the
// address that it names.
func wouldNAT(p sysctl.Proxy) bool {
	l, c := p.Pairs[0].Listen, p.Pairs[0].Connect
	return !p.Instance && !p.Protocol && p.AsUID == 0 && p.AsGID == 0 && l.Proto != "unix" && l.Proto == c.Proto && l.Addr.Is4() == c.Addr.Is4() &&
		!l.Addr.IsUnspecified() && !l.Addr.IsLoopback() && !c.Addr.IsUnspecified() && !c.Addr.IsLoopback()
}

// addRule makes one rule of ports that follow each other and are the same in the guest.
func addRule(rules []sysctl.PortRule, r sysctl.PortRule) []sysctl.PortRule {
	if n := len(rules); n > 0 && r.Port == r.First {
		if last := &rules[n-1]; last.Last+1 == r.First && last.Target == r.Target && (last.Port == 0 || last.Port == last.First) {
			last.Last, last.Port = r.Last, 0
			return rules
		}
	}
	return append(rules, r)
}

// target finds the address of an instance that NAT leads to: want, or its own of that family where want is unspecified. It must be one
// that is known to be its own, on a bridge: what is behind a macvlan the host cannot reach. siblings is the subnet it is in.
// The kind is Conflict where there is none.
func (m *Manager) target(ctx context.Context, inst sysctl.Instance, spec sysctl.Spec, want netip.Addr) (a netip.Addr, nic string, siblings netip.Prefix, err error) {
	for _, n := range spec.NICs {
		claimed := nicOf(inst, n.Device)
		a := claimed.IPv4
		if want.Is6() {
			a = claimed.IPv6
		}
		if n.Type != "bridged" || !a.IsValid() || !want.IsUnspecified() && want != a {
			continue
		}
		if n.Network != "" {
			network, err := m.network(ctx, n.Network)
			if siblings = network.IPv4.Masked(); want.Is6() {
				siblings = network.IPv6.Masked()
			}
			return a, n.Device, siblings, err
		}
		p, err := m.Net.Parent(ctx, n.Parent)
		siblings, _ = p.Subnet(a)
		return a, n.Device, siblings, err
	}
	if want.IsUnspecified() {
		return a, "", siblings, sysctl.E(sysctl.Conflict, "nat needs a fixed address of the instance on a bridge, and it has none")
	}
	return a, "", siblings, sysctl.E(sysctl.Conflict, "nat leads to a fixed address of the instance on a bridge, and %s is none", want).
		WithHint("sysctl info %s", inst.Name)
}
