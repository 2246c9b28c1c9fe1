package db

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestNetworks(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	other := testNetwork
	other.Config = map[string]string{"ipv4.address": "10.9.9.1/24", "ipv6.address": "none"}
	other.IPv4, other.IPv6 = netip.MustParsePrefix("10.9.9.1/24"), netip.Prefix{}
	got, err := d.EnsureNetwork(ctx, other) // there is one: it wins
	must(t, err)
	wantEqual(t, got, testNetwork)
	wantKind(t, d.CreateNetwork(ctx, other), sysctl.Exists)

	bare := sysctl.Network{Name: "bare", Description: "of the lab", Config: map[string]string{}}
	must(t, d.CreateNetwork(ctx, bare))
	got, err = d.Network(ctx, "bare")
	must(t, err)
	wantEqual(t, got, bare)

	must(t, d.UpdateNetwork(ctx, other, nil, nil))
	got, err = d.Network(ctx, "sysbr0")
	must(t, err)
	wantEqual(t, got, other)
	list, err := d.Networks(ctx)
	must(t, err)
	wantEqual(t, list, []sysctl.Network{bare, other})

	_, err = d.Network(ctx, "sysbr")
	wantKind(t, err, sysctl.NotFound, "did you mean sysbr0?", "sysctl network list")
	wantKind(t, d.UpdateNetwork(ctx, sysctl.Network{Name: "absent"}, nil, nil), sysctl.NotFound)
}

// Subnets and all addresses in them change in one transaction, or nothing does.
func TestUpdateNetworkReclaims(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	a, b := mustClaim(t, d, claim("a")), mustClaim(t, d, claim("b"))
	n := testNetwork
	n.Config = map[string]string{"ipv4.address": "10.9.9.1/24", "ipv6.address": "none"}
	nic := func(address string) []ClaimNIC {
		return []ClaimNIC{{NIC: sysctl.NIC{Device: "eth0", Network: "sysbr0", IPv4: netip.MustParseAddr(address)}}}
	}
	wantKind(t, d.UpdateNetwork(ctx, n, []Reclaim{{a.ID, nic("10.9.9.2")}}, nil), sysctl.Busy, "instance b")
	wantKind(t, d.UpdateNetwork(ctx, n, []Reclaim{{a.ID, nic("10.9.9.2")}, {b.ID, nic("10.9.9.2")}}, nil), sysctl.Exists)
	got, err := d.Network(ctx, "sysbr0")
	must(t, err)
	wantEqual(t, got, testNetwork)
	same, err := d.Instance(ctx, "a")
	must(t, err)
	wantEqual(t, same.NICs, a.NICs)

	// Two that change places: what all of them hold is free first.
	must(t, d.UpdateNetwork(ctx, n, []Reclaim{{a.ID, nic("10.9.9.3")}, {b.ID, nic("10.9.9.2")}}, nil))
	must(t, d.UpdateNetwork(ctx, n, []Reclaim{{a.ID, nic("10.9.9.2")}, {b.ID, nic("10.9.9.3")}}, nil))
	moved, err := d.Instance(ctx, "b")
	must(t, err)
	if got := moved.NICs[0].IPv4.String(); got != "10.9.9.3" {
		t.Errorf("b has %s", got)
	}
}

func TestDeleteAndRenameNetwork(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	lab := sysctl.Network{Name: "lab", Config: map[string]string{"user.x": "y"}}
	must(t, d.CreateNetwork(ctx, lab))
	mustClaim(t, d, claim("a"))
	wantKind(t, d.DeleteNetwork(ctx, "sysbr0"), sysctl.Conflict, "is used by: a, profile default")
	wantKind(t, d.RenameNetwork(ctx, "sysbr0", "x"), sysctl.Conflict, "is used by: a, profile default")
	wantKind(t, d.RenameNetwork(ctx, "lab", "sysbr0"), sysctl.Exists)
	must(t, d.RenameNetwork(ctx, "lab", "lab2"))
	got, err := d.Network(ctx, "lab2")
	must(t, err)
	lab.Name = "lab2"
	wantEqual(t, got, lab)
	must(t, d.DeleteNetwork(ctx, "lab2"))
	wantKind(t, d.DeleteNetwork(ctx, "lab2"), sysctl.NotFound)
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

// A database of before networks had keys keeps its networks, and who is on them.
func TestNetworksOfAnOlderSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sysctl.db")
	old, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	version := slices.Index(migrations(), "schema/0005.sql")
	for _, name := range migrations()[:version] {
		script, err := schemaFiles.ReadFile(name)
		must(t, err)
		_, err = old.Exec(string(script))
		must(t, err)
	}
	_, err = old.Exec(`INSERT INTO networks VALUES ('sysbr0', '10.1.2.1/24', 'fd42::1/64', 1, 1400, 'sysctl', 'sysctl'), ('bare', '10.1.3.1/24', '', 0, 0, 'sysctl', '');
		INSERT INTO instances (id, name, ready, ephemeral, image_id, template, guest, created) VALUES (1, 'web1', 1, 0, 'img', '', '{}', 0);
		INSERT INTO nics VALUES (1, 0, 'eth0', 'sysbr0', 'eth0', NULL, '10.1.2.7', NULL)`)
	must(t, err)
	_, err = old.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version))
	must(t, err)
	must(t, old.Close())

	d := openPath(t, path)
	list, err := d.Networks(t.Context())
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	wantEqual(t, list[0].Config, map[string]string{"ipv4.address": "10.1.3.1/24", "ipv6.address": "none"})
	wantEqual(t, list[1].Config, map[string]string{"ipv4.address": "10.1.2.1/24", "ipv6.address": "fd42::1/64", "ipv4.nat": "true", "ipv6.nat": "true", "bridge.mtu": "1400"})
	nics, err := d.NetworkNICs(t.Context(), "sysbr0")
	must(t, err)
	if len(nics["web1"]) != 1 || nics["web1"][0].IPv4.String() != "10.1.2.7" {
		t.Errorf("%+v", nics)
	}
}
