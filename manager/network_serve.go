package manager

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// bringUp makes sure that every managed network of the instance is up, with its server. A network stays up when an
// instance stops: others may use it. Without names and DHCP an instance boots all the same, with the host's DNS servers: that is noted.
func (m *Manager) bringUp(ctx context.Context, inst sysctl.Instance, note func(string)) error {
	return m.networksOf(ctx, inst, func(n sysctl.Network) error {
		if err := m.Net.EnsureBridge(ctx, n); err != nil {
			return err
		}
		return unserved(ctx, m.serve(ctx, n), note)
	})
}

// announce tells the servers of the instance's networks of it. A failure is noted.
func (m *Manager) announce(ctx context.Context, inst sysctl.Instance, note func(string)) error {
	return m.networksOf(ctx, inst, func(n sysctl.Network) error {
		return unserved(ctx, m.Net.Announce(ctx, n, inst.ID, hostsOf(inst, n.Name)), note)
	})
}

// unserved notes that there are no names and no DHCP.
func unserved(ctx context.Context, err error, note func(string)) error {
	if err != nil && note != nil && ctx.Err() == nil {
		note(strings.TrimSpace("no names and no DHCP: " + err.Error() + " " + parenthesis(sysctl.HintOf(err))))
	}
	return ctx.Err()
}

// networksOf does something with each managed network of an instance.
func (m *Manager) networksOf(ctx context.Context, inst sysctl.Instance, do func(n sysctl.Network) error) error {
	done := map[string]bool{}
	for _, nic := range inst.NICs {
		if nic.Network == "" || done[nic.Network] {
			continue
		}
		done[nic.Network] = true
		n, err := m.network(ctx, nic.Network)
		if err != nil {
			return err
		}
		if err := do(n); err != nil {
			return err
		}
	}
	return nil
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

// serve makes the network's DNS and DHCP server run.
func (m *Manager) serve(ctx context.Context, n sysctl.Network) error {
	return m.Net.Serve(ctx, n, func() ([]sysctl.NetworkHost, error) {
		all, err := m.DB.Instances(ctx)
		var list []sysctl.NetworkHost
		for _, inst := range all {
			list = append(list, hostsOf(inst, n.Name)...)
		}
		return list, err
	})
}

// hostsOf are an instance's interfaces on a network.
func hostsOf(inst sysctl.Instance, network string) (list []sysctl.NetworkHost) {
	for _, nic := range inst.NICs {
		if nic.Network == network {
			list = append(list, sysctl.NetworkHost{Instance: inst.ID, Name: strings.ToLower(inst.Name), MAC: nic.MAC, IPv4: nic.IPv4, IPv6: nic.IPv6})
		}
	}
	return list
}

// left tells the networks of an instance that has gone, or has another name: that of its names and of what was led to it.
func (m *Manager) left(ctx context.Context, inst sysctl.Instance, gone bool) error {
	for _, nic := range inst.NICs {
		if nic.Network == "" {
			continue
		}
		n, err := m.network(ctx, nic.Network)
		if err != nil {
			return err
		}
		var now []sysctl.NetworkHost
		if !gone {
			now = hostsOf(inst, n.Name)
		}
		if err := m.Net.Announce(ctx, n, inst.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// nameServers are the DNS servers and search domains of who is on a network: what its keys say, else its own server where that runs, else the host's.
func (m *Manager) nameServers(ctx context.Context, n sysctl.Network) (servers []netip.Addr, search []string) {
	servers, search = m.Net.HostDNS(ctx)
	if m.Net.Serves(n) {
		servers = []netip.Addr{m.Net.ServerAddress(n)}
		search = append([]string{n.Domain}, slices.DeleteFunc(search, func(s string) bool { return s == n.Domain })...)
	}
	if len(n.DNS.Servers) > 0 {
		servers = n.DNS.Servers
	}
	if len(n.DNS.Search) > 0 {
		search = n.DNS.Search
	}
	return servers, search
}

// nameServersOf are those of an instance: of its first managed network, else the host's.
func (m *Manager) nameServersOf(ctx context.Context, spec sysctl.Spec) (servers []netip.Addr, search []string, err error) {
	for _, s := range spec.NICs {
		if s.Network == "" {
			continue
		}
		n, err := m.network(ctx, s.Network)
		if err != nil {
			return nil, nil, err
		}
		servers, search = m.nameServers(ctx, n)
		return servers, search, nil
	}
	servers, search = m.Net.HostDNS(ctx)
	return servers, search, nil
}

// NetworkLeases are the addresses on a network and who has them: its own, those of instances, and those that are lent.
func (m *Manager) NetworkLeases(ctx context.Context, name string) ([]sysctl.Lease, error) {
	n, err := m.network(ctx, name)
	if err != nil {
		return nil, sysctl.Wrap(err, "network %s", name)
	}
	list := []sysctl.Lease{}
	mine := map[netip.Addr]bool{}
	add := func(l sysctl.Lease) {
		if l.Address.IsValid() {
			mine[l.Address] = true
			list = append(list, l)
		}
	}
	for _, p := range []netip.Prefix{n.IPv4, n.IPv6} {
		if p.IsValid() {
			add(sysctl.Lease{Hostname: n.Bridge, Address: p.Addr(), Type: "gateway"})
		}
	}
	nics, err := m.DB.NetworkNICs(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, instance := range sortedKeys(nics) {
		for _, nic := range nics[instance] {
			for _, a := range []netip.Addr{nic.IPv4, nic.IPv6} {
				add(sysctl.Lease{Hostname: instance, MAC: nic.MAC, Address: a, Type: "static", Instance: instance})
			}
		}
	}
	lent, err := m.Net.Leases(n)
	for _, l := range lent {
		if !mine[l.Address] {
			list = append(list, l)
		}
	}
	return list, sysctl.Wrap(err, "leases of %s", name)
}

// RestoreNetworks makes every network that is up what it should be: rules that a firewall's reload has flushed, and a DNS server that has
// died. A network that is not up is left: its first instance brings it up. It returns the names of those that it looked at.
func (m *Manager) RestoreNetworks(ctx context.Context) (names []string, err error) {
	list, err := m.DB.Networks(ctx)
	if err != nil {
		return nil, err
	}
	var bad []error
	for _, n := range list {
		restored, err := m.restoreNetwork(ctx, n.Name)
		if restored {
			names = append(names, n.Name)
		}
		bad = append(bad, sysctl.Wrap(err, "restore network %s", n.Name))
	}
	return names, errors.Join(bad...)
}

func (m *Manager) restoreNetwork(ctx context.Context, name string) (up bool, err error) {
	unlock, err := m.lock(ctx, "network", name, nil)
	if err != nil {
		return false, err
	}
	defer unlock()
	n, err := m.network(ctx, name)
	if sysctl.KindOf(err) == sysctl.NotFound {
		return false, nil // deleted meanwhile
	}
	if err != nil {
		return false, err
	}
	if up, err = m.Net.IsUp(ctx, n); err != nil || !up {
		return false, err
	}
	if err := m.Net.EnsureBridge(ctx, n); err != nil {
		return true, err
	}
	if m.Net.Served(n) {
		err = m.serve(ctx, n)
	}
	return true, err
}

// networkFacts says how the networks are that are up.
func (m *Manager) networkFacts(ctx context.Context) []sysctl.Fact {
	list, err := m.DB.Networks(ctx)
	if err != nil {
		return nil
	}
	var facts []sysctl.Fact
	for _, n := range list {
		n, err := m.resolve(n)
		if err != nil {
			continue
		}
		if up, err := m.Net.IsUp(ctx, n); err != nil || !up || !m.Net.Served(n) {
			continue
		}
		if m.Net.Alive(n) {
			if repair, barred := m.Net.Barred(n); barred {
				facts = append(facts, sysctl.Fact{Name: "network " + n.Name, Value: "a firewall drops what its guests ask its DNS and DHCP server", Level: sysctl.Warning,
					Cost: "they ask the host's DNS servers, and find no names of each other", Repair: repair})
			}
			continue
		}
		facts = append(facts, sysctl.Fact{Name: "network " + n.Name, Value: "its dnsmasq has died", Level: sysctl.Warning,
			Cost: "its guests find no names", Repair: "sysctl network restore"})
	}
	return facts
}
