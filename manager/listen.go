package manager

import (
	"context"
	"net/netip"
	"reflect"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// Where instances listen on the host with their proxies. The kernel tells of two processes on one port only when the second is there, and of
// packets that are sent on not at all: the first rule has them.

// listener is a proxy of an instance that listens on the host.
type listener struct {
	instance, device string
	addr             netip.Addr // invalid: of a unix socket
	nat              bool       // packets are sent on: nobody takes those to the host's loopback
}

// listeners are those of several instances, by where they listen but for the address.
type listeners map[sysctl.Endpoint][]listener

// add notes where an instance listens. Proxies that are done by NAT may be given as such or as what they have become.
func (l listeners) add(instance string, proxies []sysctl.Proxy, ports []sysctl.PortRule) {
	for _, p := range proxies {
		for _, pair := range hostPairs(p) {
			l.put(pair.Listen, listener{instance, p.Device, pair.Listen.Addr, p.NAT == sysctl.On})
		}
	}
	for _, r := range ports {
		for port := int(r.First); port <= int(r.Last); port++ {
			l.put(sysctl.Endpoint{Proto: r.Proto, Port: uint16(port)}, listener{instance, r.Device, r.Listen, true})
		}
	}
}

func (l listeners) put(at sysctl.Endpoint, who listener) {
	at.Addr = netip.Addr{}
	l[at] = append(l[at], who)
}

// clash reports the first proxy of an instance that cannot listen where another instance does, as Conflict.
func (l listeners) clash(instance string, proxies []sysctl.Proxy) error {
	for _, p := range proxies {
		for _, pair := range hostPairs(p) {
			at := pair.Listen
			at.Addr = netip.Addr{}
			one := listener{instance, p.Device, pair.Listen.Addr, p.NAT == sysctl.On}
			for _, other := range l[at] {
				if other.instance != instance && one.overlaps(other) {
					return sysctl.E(sysctl.Conflict, "devices.%s.listen: instance %s listens there already (%s, its device %s)",
						p.Device, other.instance, sysctl.Endpoint{Proto: at.Proto, Addr: other.addr, Port: at.Port, Path: at.Path}, other.device).
						WithHint("sysctl config device list %s", other.instance)
				}
			}
		}
	}
	return nil
}

// hostPairs are the pairs of a proxy that listens on the host, none of another.
func hostPairs(p sysctl.Proxy) []sysctl.ProxyPair {
	if p.Instance {
		return nil
	}
	return p.Pairs
}

// overlaps reports whether two on the same port get some of the same packets.
func (l listener) overlaps(o listener) bool {
	return l.addr == o.addr || l.covers(o.addr) || o.covers(l.addr)
}

// covers reports whether a listener on all addresses has one of them too: [::] of a process has those of IPv4.
func (l listener) covers(a netip.Addr) bool {
	if !l.addr.IsUnspecified() {
		return false
	}
	if l.nat {
		return l.addr.Is4() == a.Is4() && !a.IsLoopback()
	}
	return l.addr.Is6() || a.Is4()
}

// listeners is where all instances that run listen. It reads a small file for each, so callers ask where they have something to compare.
func (m *Manager) listeners(ctx context.Context) (listeners, error) {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return nil, err
	}
	l := listeners{}
	for _, inst := range all {
		w, _, err := m.Runtime.Wiring(inst.ID)
		if err != nil {
			return nil, err
		}
		if len(w.Proxies)+len(w.Ports) > 0 && m.Runtime.State(inst.ID).Status != sysctl.Stopped {
			l.add(inst.Name, w.Proxies, w.Ports)
		}
	}
	return l, nil
}

// checkListens fails with Conflict where an instance cannot have proxies while it runs, as another one that runs listens there.
func (m *Manager) checkListens(ctx context.Context, name string, proxies []sysctl.Proxy) error {
	if !slices.ContainsFunc(proxies, func(p sysctl.Proxy) bool { return !p.Instance }) {
		return nil
	}
	l, err := m.listeners(ctx)
	if err != nil {
		return err
	}
	return l.clash(name, proxies)
}

// newProxies are those that are not among the old ones.
func newProxies(old, now []sysctl.Proxy) []sysctl.Proxy {
	return slices.DeleteFunc(slices.Clone(now), func(p sysctl.Proxy) bool {
		return slices.ContainsFunc(old, func(o sysctl.Proxy) bool { return reflect.DeepEqual(o, p) })
	})
}
