package host

import (
	"context"
	"net/netip"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/netconfig"
)

// What answers on a network, of the hand netconfig.

func (netOf) Serve(ctx context.Context, n sysctl.Network, hosts func() ([]sysctl.NetworkHost, error)) error {
	return netconfig.Serve(ctx, n, hosts)
}

func (netOf) Announce(ctx context.Context, n sysctl.Network, instance int64, hosts []sysctl.NetworkHost) error {
	return netconfig.Announce(ctx, n, instance, hosts)
}

func (netOf) StopServing(ctx context.Context, n sysctl.Network) error {
	return netconfig.StopServing(ctx, n)
}

func (netOf) Serves(n sysctl.Network) bool { return netconfig.Serves(n) }

func (netOf) Served(n sysctl.Network) bool { return netconfig.Served(n) }

func (netOf) Alive(n sysctl.Network) bool { return netconfig.Alive(n) }

func (netOf) Barred(n sysctl.Network) (repair string, barred bool) { return netconfig.Barred(n) }

func (netOf) ServerAddress(n sysctl.Network) netip.Addr { return netconfig.ServerAddress(n) }

func (netOf) Leases(n sysctl.Network) ([]sysctl.Lease, error) { return netconfig.Leases(n) }
