package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// network returns a managed network. The environment's default network is made when it is first
// needed: its subnets are chosen then, clear of what the host has, and stay.
func (m *Manager) network(ctx context.Context, name string) (sysctl.Network, error) {
	n, err := m.DB.Network(ctx, name)
	if err == nil && n.IPv4.IsValid() || err != nil && (sysctl.KindOf(err) != sysctl.NotFound || name != m.DefaultNetwork.Name) {
		n.Table, n.Domain = m.DefaultNetwork.Table, m.DefaultNetwork.Domain
		return n, err
	}
	unlock, err := m.flock(ctx, "network", name, unix.LOCK_EX, nil)
	if err != nil {
		return n, err
	}
	defer unlock()
	n = m.DefaultNetwork
	if !n.IPv4.IsValid() || !n.IPv6.IsValid() {
		v4, v6, err := m.Net.ChooseSubnets(ctx, nil)
		if err != nil {
			return n, err
		}
		if !n.IPv4.IsValid() {
			n.IPv4 = v4
		}
		if !n.IPv6.IsValid() {
			n.IPv6 = v6
		}
	}
	n, err = m.DB.EnsureNetwork(ctx, n)
	n.Table, n.Domain = m.DefaultNetwork.Table, m.DefaultNetwork.Domain
	return n, err
}

// Networks lists the managed networks.
func (m *Manager) Networks(ctx context.Context) ([]sysctl.Network, error) {
	if _, err := m.network(ctx, m.DefaultNetwork.Name); err != nil {
		return nil, err
	}
	return m.DB.Networks(ctx)
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
