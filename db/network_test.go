package db

import (
	"context"
	"net/netip"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestNetworks(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	other := testNetwork
	other.IPv4 = netip.MustParsePrefix("10.9.9.1/24")
	got, err := d.EnsureNetwork(ctx, other) // there is one: it wins
	must(t, err)
	wantEqual(t, got, testNetwork)

	bare := sysctl.Network{Name: "bare"}
	got, err = d.EnsureNetwork(ctx, bare)
	must(t, err)
	wantEqual(t, got, bare)

	must(t, d.UpdateNetwork(ctx, other))
	got, err = d.Network(ctx, "sysbr0")
	must(t, err)
	wantEqual(t, got, other)
	list, err := d.Networks(ctx)
	must(t, err)
	wantEqual(t, list, []sysctl.Network{bare, other})

	_, err = d.Network(ctx, "sysbr")
	wantKind(t, err, sysctl.NotFound, "did you mean sysbr0?", "sysctl network list")
	wantKind(t, d.UpdateNetwork(ctx, sysctl.Network{Name: "absent"}), sysctl.NotFound)
}

func TestNetworkNICs(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	_, err := d.EnsureNetwork(ctx, sysctl.Network{Name: "other"})
	must(t, err)
	c := claim("b")
	c.NICs = append(c.NICs,
		ClaimNIC{NIC: sysctl.NIC{Device: "eth1", Network: "other"}},
		ClaimNIC{NIC: sysctl.NIC{Device: "eth2", Network: "sysbr0"}})
	b := mustClaim(t, d, c)
	a := mustClaim(t, d, claim("a"))
	got, err := d.NetworkNICs(ctx, "sysbr0")
	must(t, err)
	wantEqual(t, got, map[string][]sysctl.NIC{"a": a.NICs, "b": {b.NICs[0], b.NICs[2]}})
	got, err = d.NetworkNICs(ctx, "absent")
	must(t, err)
	wantEqual(t, got, map[string][]sysctl.NIC{})
}
