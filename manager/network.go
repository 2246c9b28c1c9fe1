package manager

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
	"golang.org/x/sys/unix"
)

// network returns a managed network. The environment's default network is made when it is first
// needed: its subnets are chosen then, clear of what the host has, and stay.
func (m *Manager) network(ctx context.Context, name string) (sysctl.Network, error) {
	n, err := m.DB.Network(ctx, name)
	if err == nil {
		return m.resolve(n)
	}
	if sysctl.KindOf(err) != sysctl.NotFound || name != m.DefaultNetwork.Name {
		return n, err
	}
	unlock, err := m.flock(ctx, "network", name, unix.LOCK_EX, nil)
	if err != nil {
		return n, err
	}
	defer unlock()
	n = m.DefaultNetwork
	n.Config = maps.Clone(n.Config)
	if n.Config == nil {
		n.Config = map[string]string{}
	}
	if err := m.choose(ctx, &n); err != nil {
		return n, err
	}
	if n, err = m.DB.EnsureNetwork(ctx, n); err != nil {
		return n, err
	}
	return m.resolve(n)
}

// resolve fills in what a network's keys say, and what follows from the environment.
func (m *Manager) resolve(n sysctl.Network) (sysctl.Network, error) {
	n.Table, n.Bridge = m.DefaultNetwork.Table, m.bridge(n.Name)
	out, err := profiles.ResolveNetwork(n)
	return out, sysctl.Wrap(err, "network %s", n.Name)
}

// bridge is the name of a network's interface. Two environments may have networks of one name.
func (m *Manager) bridge(name string) string {
	if m.Bridge == nil || name == m.DefaultNetwork.Name {
		return name
	}
	return m.Bridge(name)
}

// choose gives a network the subnets that its keys leave to us, clear of the host's and of all other networks', and NAT for
// those that it says nothing of.
func (m *Manager) choose(ctx context.Context, n *sysctl.Network) error {
	auto := func(key string) bool { return n.Config[key] == "" || n.Config[key] == "auto" }
	if !auto("ipv4.address") && !auto("ipv6.address") {
		return nil
	}
	others, err := m.otherSubnets(ctx, n.Name)
	if err != nil {
		return err
	}
	v4, v6, err := m.Net.ChooseSubnets(ctx, slices.Collect(maps.Keys(others)))
	if err != nil {
		return err
	}
	for key, p := range map[string]netip.Prefix{"ipv4": v4, "ipv6": v6} {
		if !auto(key + ".address") {
			continue
		}
		n.Config[key+".address"] = p.String()
		if n.Config[key+".nat"] == "" {
			n.Config[key+".nat"] = strconv.FormatBool(true)
		}
	}
	return nil
}

// otherSubnets are the subnets of all networks but one, and whose they are.
func (m *Manager) otherSubnets(ctx context.Context, name string) (map[netip.Prefix]string, error) {
	all, err := m.DB.Networks(ctx)
	out := map[netip.Prefix]string{}
	for _, n := range all {
		for _, p := range []netip.Prefix{n.IPv4, n.IPv6} {
			if n.Name != name && p.IsValid() {
				out[p.Masked()] = n.Name
			}
		}
	}
	return out, err
}

// Networks lists the managed networks.
func (m *Manager) Networks(ctx context.Context) ([]sysctl.Network, error) {
	if _, err := m.network(ctx, m.DefaultNetwork.Name); err != nil {
		return nil, err
	}
	list, err := m.DB.Networks(ctx)
	for i := range list {
		if err == nil {
			list[i], err = m.resolve(list[i])
		}
	}
	return list, err
}

// Network returns a network and the NICs that have claimed addresses on it, by instance name.
func (m *Manager) Network(ctx context.Context, name string) (sysctl.Network, map[string][]sysctl.NIC, error) {
	n, err := m.network(ctx, name)
	if err != nil {
		return n, nil, sysctl.Wrap(err, "network %s", name)
	}
	nics, err := m.DB.NetworkNICs(ctx, name)
	return n, nics, err
}
