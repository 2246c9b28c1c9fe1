package db

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestClaimIsComplete(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	c := claim("web1")
	c.Instance.Ephemeral = true
	c.Instance.Ready = true // is not read
	got := mustClaim(t, d, c)

	want := c.Instance
	want.ID = 1
	want.Ready = false
	want.IDMap = sysctl.IDMap{Base: 1 << 20, Size: 65536}
	want.Created = epoch
	want.NICs = []sysctl.NIC{{
		Device: "eth0", Network: "sysbr0", Name: "eth0", MAC: "00:16:3e:00:01:30",
		IPv4: netip.MustParseAddr("10.1.2.2"), IPv6: netip.MustParseAddr("fd42::2"), // .1 is the network's
	}}
	wantEqual(t, got, want)

	byName, err := d.Instance(ctx, "web1")
	must(t, err)
	byID, err := d.InstanceByID(ctx, 1)
	must(t, err)
	list, err := d.Instances(ctx)
	must(t, err)
	wantEqual(t, byName, want)
	wantEqual(t, byID, want)
	wantEqual(t, list, []sysctl.Instance{want})
}

func TestClaimOfNothing(t *testing.T) {
	got := mustClaim(t, newDB(t), bare("web1"))
	wantEqual(t, got, sysctl.Instance{
		ID: 1, Name: "web1", Created: epoch, Layers: []string{}, Profiles: []string{}, NICs: []sysctl.NIC{},
		Config: map[string]string{}, Devices: map[string]sysctl.Device{},
	})
}

func TestRefusedClaimsChangeNothing(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	holder := mustClaim(t, d, claim("holder"))
	addr := func(s string) func(*Claim) {
		return func(c *Claim) {
			a := netip.MustParseAddr(s)
			if a.Unmap().Is4() {
				c.NICs[0].NIC.IPv4 = a
			} else {
				c.NICs[0].NIC.IPv6 = a
			}
		}
	}
	tests := []struct {
		name   string
		change func(*Claim)
		kind   sysctl.Kind
		words  []string
	}{
		{"name", func(c *Claim) { c.Instance.Name = "holder" }, sysctl.Exists, []string{`"holder" exists`, "being made", "sysctl delete holder"}},
		{"layer", func(c *Claim) { c.Instance.Layers = []string{"l1", "l9"} }, sysctl.NotFound, []string{"layer l9", "sysctl image list"}},
		{"profile", func(c *Claim) { c.Instance.Profiles = []string{"wbe"} }, sysctl.NotFound, []string{`"wbe"`, "did you mean web?", "sysctl profile list"}},
		{"profile twice", func(c *Claim) { c.Instance.Profiles = []string{"web", "web"} }, sysctl.Invalid, []string{`"web" is listed twice`}},
		{"network", func(c *Claim) { c.NICs[0].NIC.Network = "sysbr1" }, sysctl.NotFound, []string{`"sysbr1"`, "did you mean sysbr0?", "sysctl network list"}},
		{"device twice", func(c *Claim) { c.NICs = append(c.NICs, c.NICs[0]) }, sysctl.Invalid, []string{`"eth0" is listed twice`}},
		{"IPv4", addr("10.1.2.2"), sysctl.Exists, []string{"eth0", "10.1.2.2", "taken by instance holder", "sysctl network show sysbr0"}},
		{"IPv4 mapped", addr("::ffff:10.1.2.2"), sysctl.Exists, nil},
		{"IPv6", addr("fd42:0:0::2"), sysctl.Exists, []string{"fd42::2", "taken by instance holder"}},
		{"network's IPv4", addr("10.1.2.1"), sysctl.Exists, []string{"network sysbr0 itself"}},
		{"network's IPv6", addr("fd42::1"), sysctl.Exists, []string{"network sysbr0 itself"}},
		{"IPv6 as IPv4", func(c *Claim) { c.NICs[0].NIC.IPv4 = netip.MustParseAddr("fd42::9") }, sysctl.Invalid, []string{"fd42::9 is no IPv4"}},
		{"IPv4 as IPv6", func(c *Claim) { c.NICs[0].NIC.IPv6 = netip.MustParseAddr("10.1.2.9") }, sysctl.Invalid, []string{"10.1.2.9 is no IPv6"}},
		{"MAC", func(c *Claim) { c.NICs[0].NIC.MAC = "00:16:3E:00:01:30" }, sysctl.Exists, []string{"taken by instance holder"}},
		{"picker", func(c *Claim) {
			c.NICs[0].PickIPv4 = picker(netip.MustParsePrefix("10.1.2.2/31"))
			c.NICs[0].NIC.Network = "sysbr0"
			c.NICs = append(c.NICs, c.NICs[0])
			c.NICs[1].NIC.Device = "eth1"
			c.NICs[1].NIC.MAC = "02:00:00:00:00:01"
		}, sysctl.NoSpace, []string{"device eth1: no address left"}},
		{"no range", func(c *Claim) { c.IDs = &IDBlock{Base: holder.IDMap.Base, Size: 65536, Count: 1} }, sysctl.NoSpace, []string{"65536", "sysctl delete"}},
		{"empty block", func(c *Claim) { c.IDs = &IDBlock{Base: 1 << 20, Count: 5} }, sysctl.Invalid, nil},
		{"no block", func(c *Claim) { c.IDs = &IDBlock{Base: 1 << 20, Size: 65536} }, sysctl.Invalid, nil},
		{"block beyond the last id", func(c *Claim) { c.IDs = &IDBlock{Base: 1<<32 - 65536, Size: 65536, Count: 5} }, sysctl.Invalid, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := claim("web1")
			tt.change(&c)
			err := unchanged(t, d, func() error { _, err := d.ClaimInstance(ctx, c); return err })
			wantKind(t, err, tt.kind, tt.words...)
		})
	}
}

func TestPickerErrorPasses(t *testing.T) {
	d := newDB(t)
	boom := errors.New("boom")
	c := claim("web1")
	c.NICs[0].PickIPv6 = func(func(netip.Addr) bool) (netip.Addr, error) { return netip.Addr{}, boom }
	err := unchanged(t, d, func() error { _, err := d.ClaimInstance(context.Background(), c); return err })
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

func TestInstanceIDsAreNeverReused(t *testing.T) {
	d := newDB(t)
	a := mustClaim(t, d, claim("web1"))
	must(t, d.DeleteInstance(context.Background(), a.ID))
	b := mustClaim(t, d, claim("web1"))
	if b.ID != a.ID+1 {
		t.Errorf("id %d after %d", b.ID, a.ID)
	}
	if b.IDMap != a.IDMap || b.NICs[0].IPv4 != a.NICs[0].IPv4 {
		t.Errorf("what %+v had is not free for %+v", a, b)
	}
}

func TestLowestFreeRange(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	block := func(base, size uint32, count int) *IDBlock { return &IDBlock{Base: base, Size: size, Count: count} }
	steps := []struct {
		name string // claimed; "-name" is deleted
		ids  *IDBlock
		base uint32
	}{
		{"a", block(1000, 100, 4), 1000},
		{"b", block(1000, 100, 4), 1100},
		{"c", block(1000, 100, 4), 1200},
		{"-b", nil, 0},
		{"d", block(1000, 100, 4), 1100},  // the gap
		{"e", block(1050, 100, 10), 1350}, // not on ranges of another division, and its own division
		{"f", block(1000, 100, 10), 1500}, // 1300 overlaps with e's begin, 1400 with its end
		{"g", block(900, 1000, 10), 1900}, // bigger than all there is
		{"h", block(0, 10, 1000), 0},      // below, and base 0 is a base
		{"i", block(990, 10, 1), 990},     // up to a's begin
		{"j", nil, 0},                     // privileged
		{"k", block(1<<32-201, 100, 9), 1<<32 - 201},
		{"l", block(1<<32-201, 100, 9), 1<<32 - 101}, // up to the last id but one, which is the last
	}
	ids := map[string]int64{}
	for _, s := range steps {
		if s.name[0] == '-' {
			must(t, d.DeleteInstance(ctx, ids[s.name[1:]]))
			continue
		}
		c := bare(s.name)
		c.IDs = s.ids
		inst := mustClaim(t, d, c)
		ids[s.name] = inst.ID
		want := sysctl.IDMap{}
		if s.ids != nil {
			want = sysctl.IDMap{Base: s.base, Size: s.ids.Size}
		}
		if inst.IDMap != want {
			t.Errorf("%s got %+v, want %+v", s.name, inst.IDMap, want)
		}
	}
	c := bare("m")
	c.IDs = block(1<<32-201, 100, 9)
	_, err := d.ClaimInstance(ctx, c)
	wantKind(t, err, sysctl.NoSpace)
}

func TestAddresses(t *testing.T) {
	d := newDB(t)
	c := claim("web1")
	c.NICs = []ClaimNIC{
		{NIC: sysctl.NIC{Device: "b", Network: "sysbr0"}, PickIPv4: picker(testNetwork.IPv4)},                                     // must leave 10.1.2.2 to c
		{NIC: sysctl.NIC{Device: "c", Network: "sysbr0", MAC: "AA:00:00:00:00:01", IPv4: netip.MustParseAddr("::ffff:10.1.2.2")}}, // given
		{NIC: sysctl.NIC{Device: "a", Network: "sysbr0", IPv4: netip.MustParseAddr("10.1.2.9")}, PickIPv4: picker(testNetwork.IPv4)},
		{NIC: sysctl.NIC{Device: "lan", IPv4: netip.MustParseAddr("192.168.1.5")}},
	}
	c.MAC = nil
	inst := mustClaim(t, d, c)
	wantEqual(t, inst.NICs, []sysctl.NIC{
		{Device: "b", Network: "sysbr0", IPv4: netip.MustParseAddr("10.1.2.3")},
		{Device: "c", Network: "sysbr0", IPv4: netip.MustParseAddr("10.1.2.2"), MAC: "aa:00:00:00:00:01"},
		{Device: "a", Network: "sysbr0", IPv4: netip.MustParseAddr("10.1.2.9")},
		{Device: "lan", IPv4: netip.MustParseAddr("192.168.1.5")},
	})

	// The same address is free on another managed network, and off them always.
	_, err := d.EnsureNetwork(context.Background(), sysctl.Network{Name: "other"})
	must(t, err)
	c = bare("web2")
	c.NICs = []ClaimNIC{
		{NIC: sysctl.NIC{Device: "a", Network: "other", IPv4: netip.MustParseAddr("10.1.2.9")}},
		{NIC: sysctl.NIC{Device: "lan", IPv4: netip.MustParseAddr("192.168.1.5")}},
	}
	mustClaim(t, d, c)
}

func TestReplaceNICs(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	a := mustClaim(t, d, claim("a"))
	b := mustClaim(t, d, claim("b"))

	keep := []ClaimNIC{
		{NIC: a.NICs[0]}, // its own address is free for it
		{NIC: sysctl.NIC{Device: "eth1", Network: "sysbr0"}, PickIPv4: picker(testNetwork.IPv4)},
	}
	got, err := d.ReplaceNICs(ctx, a.ID, keep, testMAC)
	must(t, err)
	wantEqual(t, got, []sysctl.NIC{
		a.NICs[0],
		{Device: "eth1", Network: "sysbr0", MAC: "00:16:3e:00:01:31", IPv4: netip.MustParseAddr("10.1.2.4")},
	})

	stolen := b.NICs[0]
	stolen.MAC = ""
	err = unchanged(t, d, func() error {
		_, err := d.ReplaceNICs(ctx, a.ID, []ClaimNIC{{NIC: stolen}}, testMAC)
		return err
	})
	wantKind(t, err, sysctl.Exists, "taken by instance b")

	got, err = d.ReplaceNICs(ctx, a.ID, nil, nil)
	must(t, err)
	wantEqual(t, got, []sysctl.NIC{})
	_, err = d.ReplaceNICs(ctx, 99, nil, nil)
	wantKind(t, err, sysctl.NotFound)
}

func TestSetters(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	want := mustClaim(t, d, claim("web1"))
	other := mustClaim(t, d, claim("other"))
	step := func(err error, change func()) {
		t.Helper()
		must(t, err)
		change()
		got, err := d.InstanceByID(ctx, want.ID)
		must(t, err)
		wantEqual(t, got, want)
	}
	step(d.MarkReady(ctx, want.ID, true), func() { want.Ready = true })
	step(d.MarkReady(ctx, want.ID, false), func() { want.Ready = false })
	step(d.RenameInstance(ctx, want.ID, "web9"), func() { want.Name = "web9" })
	step(d.RenameInstance(ctx, want.ID, "web9"), func() {})
	step(d.SetInstanceProfiles(ctx, want.ID, []string{"default", "web"}), func() { want.Profiles = []string{"default", "web"} })
	step(d.SetInstanceProfiles(ctx, want.ID, nil), func() { want.Profiles = []string{} })
	guest := sysctl.Guest{ID: "alpine", Bits: 64}
	step(d.SetInstanceGuest(ctx, want.ID, guest), func() { want.Guest = guest })
	config := map[string]string{"user.x": "y"}
	devices := map[string]sysctl.Device{"data": {"type": "disk", "source": "/srv"}, "eth0": {"type": "none"}}
	step(d.SetInstanceConfig(ctx, want.ID, config, devices), func() { want.Config, want.Devices = config, devices })
	step(d.SetInstanceConfig(ctx, want.ID, nil, nil), func() {
		want.Config, want.Devices = map[string]string{}, map[string]sysctl.Device{}
	})
	step(d.DeleteImage(ctx, "img"), func() {}) // the id stays for information

	err := unchanged(t, d, func() error { return d.RenameInstance(ctx, want.ID, "other") })
	wantKind(t, err, sysctl.Exists, `"other" exists`)
	err = unchanged(t, d, func() error { return d.SetInstanceProfiles(ctx, other.ID, []string{"default", "absent"}) })
	wantKind(t, err, sysctl.NotFound, `"absent"`)
	got, err := d.InstanceByID(ctx, other.ID)
	must(t, err)
	wantEqual(t, got, other)

	for name, err := range map[string]error{
		"ready": d.MarkReady(ctx, 99, true), "rename": d.RenameInstance(ctx, 99, "x"),
		"config": d.SetInstanceConfig(ctx, 99, nil, nil), "profiles": d.SetInstanceProfiles(ctx, 99, nil), "guest": d.SetInstanceGuest(ctx, 99, guest),
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, err, sysctl.NotFound, "instance 99", "sysctl list") })
	}
}

func TestDeleteInstanceLeavesNothing(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	inst := mustClaim(t, d, claim("web1"))
	for range 2 { // absent is success
		must(t, d.DeleteInstance(ctx, inst.ID))
	}
	tables, err := texts(ctx, d.sql, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'instance%' OR name = 'nics'")
	must(t, err)
	if len(tables) < 7 {
		t.Fatalf("tables %v", tables)
	}
	for _, table := range tables {
		if found, err := exists(ctx, d.sql, "SELECT 1 FROM "+table); err != nil || found {
			t.Errorf("%s has rows (%v)", table, err)
		}
	}
}

func TestInstanceNotFound(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	for _, name := range []string{"web2", "mail", "db"} {
		mustClaim(t, d, bare(name))
	}
	_, err := d.Instance(ctx, "wbe2")
	wantKind(t, err, sysctl.NotFound, `"wbe2" not found: did you mean web2?`, "sysctl list")
	_, err = d.InstanceByID(ctx, 99)
	wantKind(t, err, sysctl.NotFound, "sysctl list")
	list, err := d.Instances(ctx)
	must(t, err)
	var names []string
	for _, inst := range list {
		names = append(names, inst.Name)
	}
	wantEqual(t, names, []string{"db", "mail", "web2"})
}

func TestNearest(t *testing.T) {
	all := []string{"web1", "database", "Mail"}
	for name, want := range map[string]string{
		"web2": "web1", "wbe1": "web1", "web": "web1", "eb1": "web1", "WEB1": "web1", "mail": "Mail",
		"datbase": "database", "dtabsae": "database", "dxxxbase": "", "wxy1": "", "a": "", "": "", "völlig": "",
	} {
		if got := sysctl.Nearest(name, all); got != want {
			t.Errorf("sysctl.Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := sysctl.Nearest("x", []string{"y"}); got != "" {
		t.Errorf("a name of one wrong letter is near to %q", got)
	}
}
