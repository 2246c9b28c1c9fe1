package db

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

// childRole says, in a test binary that a test started again, what that process does.
const childRole = "SYSCTL_DB_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "":
		os.Exit(m.Run())
	case "race":
		childMain(raceChild)
	case "kill":
		childMain(killChild)
	case "full":
		childMain(fullDiskChild)
	}
}

func childMain(f func() error) {
	if err := f(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var epoch = time.Date(2024, 2, 29, 12, 30, 0, 123456789, time.UTC)

func options(path string) Options {
	return Options{Path: path, Now: func() time.Time { return epoch }, DefaultNetwork: "sysbr0"}
}

func openPath(t testing.TB, path string) *DB {
	t.Helper()
	d, err := Open(context.Background(), options(path))
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// newDB opens a new database with the default network, profile "web", and image "img" of the layers l1, l2.
func newDB(t testing.TB) *DB {
	t.Helper()
	d := openPath(t, filepath.Join(t.TempDir(), "sysctl.db"))
	fill(t, d)
	return d
}

func fill(t testing.TB, d *DB) {
	t.Helper()
	ctx := context.Background()
	_, err := d.EnsureNetwork(ctx, testNetwork)
	must(t, err)
	must(t, d.CreateProfile(ctx, sysctl.Profile{Name: "web"}))
	must(t, d.AddImage(ctx, sysctl.Image{ID: "img", Layers: []string{"l1", "l2"}}, []sysctl.Layer{{ID: "l1"}, {ID: "l2"}}))
}

var (
	testNetwork = sysctl.Network{
		Name: "sysbr0", IPv4: netip.MustParsePrefix("10.1.2.1/24"), IPv6: netip.MustParsePrefix("fd42::1/64"),
		Config: map[string]string{"ipv4.address": "10.1.2.1/24", "ipv6.address": "fd42::1/64", "bridge.mtu": "1400"},
	}
	testIDs = IDBlock{Base: 1 << 20, Size: 65536, Count: 1000}
)

// picker gives the lowest free address after the network's own.
func picker(p netip.Prefix) sysctl.AddressPicker {
	return func(taken func(netip.Addr) bool) (netip.Addr, error) {
		for a := p.Masked().Addr().Next(); p.Contains(a); a = a.Next() {
			if !taken(a) {
				return a, nil
			}
		}
		return netip.Addr{}, sysctl.E(sysctl.NoSpace, "no address left")
	}
}

func testMAC(id int64, device string) string {
	return fmt.Sprintf("00:16:3E:%02x:%02x:%02x", byte(id>>8), byte(id), device[len(device)-1])
}

// claim is a claim with all that can be claimed.
func claim(name string) Claim {
	return Claim{
		Instance: sysctl.Instance{
			Name: name, Image: "img", Template: "debian12", Layers: []string{"l1", "l2"},
			Guest:    sysctl.Guest{ID: "debian", Init: "systemd", Evidence: []string{"/etc/os-release: ID=debian"}},
			Profiles: []string{"web", "default"},
			Config:   map[string]string{"limits.memory": "1GiB", "user.x": ""},
			Devices:  map[string]sysctl.Device{"data": {"type": "disk", "path": "/data"}, "none": {}},
		},
		IDs: &testIDs,
		NICs: []ClaimNIC{{
			NIC:      sysctl.NIC{Device: "eth0", Network: "sysbr0", Name: "eth0"},
			PickIPv4: picker(testNetwork.IPv4), PickIPv6: picker(testNetwork.IPv6),
		}},
		MAC: testMAC,
	}
}

func bare(name string) Claim { return Claim{Instance: sysctl.Instance{Name: name}} }

func mustClaim(t testing.TB, d *DB, c Claim) sysctl.Instance {
	t.Helper()
	inst, err := d.ClaimInstance(context.Background(), c)
	must(t, err)
	return inst
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind fails unless err is of the kind and its message and hint together hold all words.
func wantKind(t testing.TB, err error, kind sysctl.Kind, words ...string) {
	t.Helper()
	if sysctl.KindOf(err) != kind {
		t.Fatalf("error %v is of kind %q, want %q", err, sysctl.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error()+"\n"+sysctl.HintOf(err), w) {
			t.Errorf("error %q with hint %q does not say %q", err, sysctl.HintOf(err), w)
		}
	}
}

func wantEqual(t testing.TB, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// unchanged fails where f, which must fail, changes anything that can be read.
func unchanged(t testing.TB, d *DB, f func() error) error {
	t.Helper()
	before := dump(t, d)
	err := f()
	if err == nil {
		t.Fatal("no error")
	}
	wantEqual(t, dump(t, d), before)
	return err
}

func dump(t testing.TB, d *DB) []any {
	t.Helper()
	ctx := context.Background()
	instances, err1 := d.Instances(ctx)
	images, err2 := d.Images(ctx)
	profiles, err3 := d.Profiles(ctx)
	networks, err4 := d.Networks(ctx)
	layers, err5 := d.Layers(ctx)
	must(t, errors.Join(err1, err2, err3, err4, err5))
	return []any{instances, images, profiles, networks, layers}
}
