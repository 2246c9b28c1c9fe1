package manager

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Forwards lists what is led to a network's instances.
func (m *Manager) Forwards(ctx context.Context, network string) ([]sysctl.Forward, error) {
	n, err := m.network(ctx, network)
	if n.Forwards == nil {
		n.Forwards = []sysctl.Forward{}
	}
	return n.Forwards, sysctl.Wrap(err, "forwards of %s", network)
}

// Forward returns one of them, by the address that it listens at.
func (m *Manager) Forward(ctx context.Context, network, listen string) (sysctl.Forward, error) {
	_, f, err := m.forward(ctx, network, listen)
	return f, sysctl.Wrap(err, "forward %s %s", network, listen)
}

func (m *Manager) forward(ctx context.Context, network, listen string) (sysctl.Network, sysctl.Forward, error) {
	n, err := m.network(ctx, network)
	if err != nil {
		return n, sysctl.Forward{}, err
	}
	a, err := parseListen(listen)
	if err != nil {
		return n, sysctl.Forward{}, err
	}
	i := slices.IndexFunc(n.Forwards, func(f sysctl.Forward) bool { return f.Listen == a })
	if i < 0 {
		return n, sysctl.Forward{}, sysctl.E(sysctl.NotFound, "nothing listens at %s for it", a).WithHint("sysctl network forward list %s", network)
	}
	return n, n.Forwards[i], nil
}

// parseListen reads the address of a forward.
func parseListen(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return a, sysctl.FieldErrors{{Field: "listen_address", Msg: strconv.Quote(s) + ` is not an address to listen at: write one of this host such as "203.0.113.7", or 0.0.0.0 or :: for all`}}
	}
	return a, nil
}

// CreateForward makes a forward. target is an address on the network that everything is led to that no port says, or "".
func (m *Manager) CreateForward(ctx context.Context, network, listen, target, description string) error {
	err := m.changeForward(ctx, network, listen, true, func(n sysctl.Network, f *sysctl.Forward) (err error) {
		f.Description = description
		if target == "" {
			return nil
		}
		if f.Listen.IsUnspecified() {
			return sysctl.FieldErrors{{Field: "target_address", Msg: "would take everything that is sent to this host: name the one address that is meant, or ports"}}
		}
		f.Target, err = parseTarget(n, f.Listen, target)
		return err
	})
	return sysctl.Wrap(err, "forward %s %s", network, listen)
}

// parseTarget reads an address on a network, of the family that is listened in.
func parseTarget(n sysctl.Network, listen netip.Addr, s string) (netip.Addr, error) {
	own := n.IPv6
	if listen.Is4() {
		own = n.IPv4
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a == own.Addr() || !own.IsValid() || !own.Masked().Contains(a) {
		subnet := "none of that family"
		if own.IsValid() {
			subnet = own.Masked().String()
		}
		return a, sysctl.FieldErrors{{Field: "target_address", Msg: strconv.Quote(s) + " is neither an instance nor an address of network " + n.Name + ": " + subnet}}
	}
	return a, nil
}

// DeleteForward removes a forward with all its ports.
func (m *Manager) DeleteForward(ctx context.Context, network, listen string) error {
	return sysctl.Wrap(m.deleteForward(ctx, network, listen), "forward %s %s", network, listen)
}

func (m *Manager) deleteForward(ctx context.Context, network, listen string) error {
	if _, _, err := m.forward(ctx, network, listen); err != nil {
		return err
	}
	unlock, err := m.lock(ctx, "network", network, nil)
	if err != nil {
		return err
	}
	defer unlock()
	_, f, err := m.forward(ctx, network, listen)
	if err != nil {
		return err
	}
	if err := m.DB.DeleteForward(ctx, network, f.Listen); err != nil {
		return err
	}
	return m.reRule(ctx, network)
}

// reRule brings the rules of a network that is up to what is stored.
func (m *Manager) reRule(ctx context.Context, network string) error {
	n, err := m.network(ctx, network)
	if err != nil {
		return err
	}
	if up, err := m.Net.IsUp(ctx, n); err != nil || !up {
		return err
	}
	return m.Net.EnsureBridge(ctx, n)
}

// PortOptions is a part of a forward as a user says it.
type PortOptions struct {
	Network, Listen string
	Protocol        string // tcp or udp
	Ports           string // one, a range, or several of these with commas
	Target          string // an instance, or an address on the network
	TargetPorts     string // as many as Ports, or one; "": the same
}

// AddForwardPort leads ports of a forward to an instance or an address.
func (m *Manager) AddForwardPort(ctx context.Context, o PortOptions) error {
	err := m.changeForward(ctx, o.Network, o.Listen, false, func(n sysctl.Network, f *sysctl.Forward) error {
		parts, err := m.ports(ctx, n, f.Listen, o)
		if err != nil {
			return err
		}
		for _, p := range parts {
			for _, q := range f.Ports {
				if p.Protocol == q.Protocol && p.Listen.Overlaps(q.Listen) {
					return sysctl.E(sysctl.Exists, "%s port %s is led elsewhere already", q.Protocol, q.Listen).
						WithHint("sysctl network forward port remove %s %s %s %s", n.Name, f.Listen, q.Protocol, q.Listen)
				}
			}
			f.Ports = append(f.Ports, p)
		}
		return nil
	})
	return sysctl.Wrap(err, "forward %s %s", o.Network, o.Listen)
}

// ports reads the parts; all bad fields at once.
func (m *Manager) ports(ctx context.Context, n sysctl.Network, listen netip.Addr, o PortOptions) ([]sysctl.ForwardPort, error) {
	var bad sysctl.FieldErrors
	if o.Protocol != "tcp" && o.Protocol != "udp" {
		bad.Add("protocol", `%q is not a protocol: write "tcp" or "udp"`, o.Protocol)
	}
	from, err := parsePorts(o.Ports)
	if err != nil {
		bad.Add("listen_ports", "%v", err)
	}
	to := from
	if o.TargetPorts != "" {
		if to, err = parsePorts(o.TargetPorts); err != nil {
			bad.Add("target_ports", "%v", err)
		}
	}
	part := sysctl.ForwardPort{Protocol: o.Protocol}
	switch inst, err := m.DB.Instance(ctx, o.Target); {
	case err == nil && slices.ContainsFunc(inst.NICs, func(nic sysctl.NIC) bool {
		return nic.Network == n.Name && (listen.Is4() && nic.IPv4.IsValid() || listen.Is6() && nic.IPv6.IsValid())
	}):
		part.Instance = inst.Name
	case err == nil:
		bad.Add("target_address", "instance %s has no address of that family on network %s", inst.Name, n.Name)
	case sysctl.KindOf(err) != sysctl.NotFound && sysctl.KindOf(err) != sysctl.Invalid:
		return nil, err
	default:
		if part.Target, err = parseTarget(n, listen, o.Target); err != nil {
			if err := addBad(&bad, err); err != nil {
				return nil, err
			}
		}
	}
	if len(bad) > 0 {
		return nil, bad.Err()
	}
	single := len(to) == 1 && to[0].First == to[0].Last
	if len(to) != len(from) && !single {
		bad.Add("target_ports", "%s are not as many as %s: write as many, or one", o.TargetPorts, o.Ports)
		return nil, bad.Err()
	}
	var parts []sysctl.ForwardPort
	for i, r := range from {
		p := part
		p.Listen, p.TargetPorts = r, to[min(i, len(to)-1)]
		one := p.TargetPorts.First == p.TargetPorts.Last
		if p.TargetPorts != r && !one { // a range that moves goes port by port
			if p.TargetPorts.Last-p.TargetPorts.First != r.Last-r.First {
				bad.Add("target_ports", "%s are not as many as %s: write as many, or one", p.TargetPorts, r)
				return nil, bad.Err()
			}
			for k := range r.Last - r.First + 1 {
				q := part
				q.Listen, q.TargetPorts = sysctl.PortRange{First: r.First + k, Last: r.First + k}, sysctl.PortRange{First: p.TargetPorts.First + k, Last: p.TargetPorts.First + k}
				parts = append(parts, q)
			}
			continue
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// parsePorts reads "80", "80-90", "80,443".
func parsePorts(s string) (list []sysctl.PortRange, err error) {
	for word := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(word), "-")
		if !ranged {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || a == 0 || b < a {
			return nil, sysctl.E(sysctl.Invalid, `%q are no ports: write "80", "8000-8010" or "80,443"`, s)
		}
		r := sysctl.PortRange{First: uint16(a), Last: uint16(b)}
		if slices.ContainsFunc(list, r.Overlaps) {
			return nil, sysctl.E(sysctl.Invalid, "%q has a port twice", s)
		}
		list = append(list, r)
	}
	return list, nil
}

// RemoveForwardPort takes away the parts of a forward with a protocol and ports; "" is any.
func (m *Manager) RemoveForwardPort(ctx context.Context, network, listen, protocol, ports string) error {
	err := m.changeForward(ctx, network, listen, false, func(n sysctl.Network, f *sysctl.Forward) error {
		var of []sysctl.PortRange
		if ports != "" {
			var err error
			if of, err = parsePorts(ports); err != nil {
				return err
			}
		}
		before := len(f.Ports)
		f.Ports = slices.DeleteFunc(f.Ports, func(p sysctl.ForwardPort) bool {
			return (protocol == "" || p.Protocol == protocol) && (ports == "" || slices.ContainsFunc(of, func(r sysctl.PortRange) bool { return r.First <= p.Listen.First && p.Listen.Last <= r.Last }))
		})
		if len(f.Ports) == before {
			return sysctl.E(sysctl.NotFound, "it has no such ports").WithHint("sysctl network forward show %s %s", network, listen)
		}
		return nil
	})
	return sysctl.Wrap(err, "forward %s %s", network, listen)
}

// changeForward changes a forward, or makes one, and the rules of its network.
func (m *Manager) changeForward(ctx context.Context, network, listen string, make bool, change func(n sysctl.Network, f *sysctl.Forward) error) error {
	a, err := parseListen(listen)
	if err != nil {
		return err
	}
	if _, err := m.network(ctx, network); err != nil {
		return err
	}
	unlock, err := m.lock(ctx, "network", network, nil)
	if err != nil {
		return err
	}
	defer unlock()
	n, f, err := m.forward(ctx, network, listen)
	old := f
	old.Ports = slices.Clone(f.Ports)
	switch {
	case make && err == nil:
		return sysctl.E(sysctl.Exists, "it exists already").WithHint("sysctl network forward port add %s %s tcp PORTS INSTANCE", network, listen)
	case make && sysctl.KindOf(err) == sysctl.NotFound:
		f = sysctl.Forward{Listen: a}
		for _, p := range []netip.Prefix{n.IPv4, n.IPv6} {
			if p.IsValid() && p.Masked().Contains(a) {
				return sysctl.FieldErrors{{Field: "listen_address", Msg: a.String() + " is on the network itself: name an address that others know this host by"}}
			}
		}
	case err != nil:
		return err
	}
	if err := change(n, &f); err != nil {
		return err
	}
	put := func(f sysctl.Forward) error {
		ids := map[string]int64{}
		for _, p := range f.Ports {
			if p.Instance == "" {
				continue
			}
			inst, err := m.DB.Instance(ctx, p.Instance)
			if err != nil {
				return err
			}
			ids[p.Instance] = inst.ID
		}
		return m.DB.PutForward(ctx, network, f, ids)
	}
	return runSteps(ctx, []step{{
		name: "save", claim: true,
		do: func(context.Context) error { return put(f) },
		undo: func(ctx context.Context) error {
			if make {
				return m.DB.DeleteForward(ctx, network, a)
			}
			return put(old)
		},
	}, {
		name: "write rules",
		do:   func(ctx context.Context) error { return m.reRule(ctx, network) },
	}}, false, nil)
}
