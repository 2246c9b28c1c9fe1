package manager_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func lab(config ...string) sysctl.Network {
	n := sysctl.Network{Name: "lab", Config: map[string]string{}}
	for i := 0; i < len(config); i += 2 {
		n.Config[config[i]] = config[i+1]
	}
	return n
}

// on makes an instance whose only NIC is on a network.
func (h house) on(t *testing.T, name, network string, start bool, options ...string) {
	t.Helper()
	nic := sysctl.Device{"type": "nic", "network": network}
	for i := 0; i < len(options); i += 2 {
		nic[options[i]] = options[i+1]
	}
	o := manager.CreateOptions{Source: "debian12", Name: name, Devices: map[string]sysctl.Device{"eth0": nic}, Start: start}
	if _, err := h.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (h house) address(t *testing.T, name string) string {
	t.Helper()
	inst, err := h.db.Instance(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return inst.NICs[0].IPv4.String() + " " + inst.NICs[0].IPv6.String()
}

func TestNetworkIsMadeAndGoes(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.launch(t, "web1")
	if err := h.CreateNetwork(ctx, lab("ipv6.address", "none", "ipv4.address", "10.5.0.1/24"), nil); err != nil {
		t.Fatal(err)
	}
	n, _, err := h.Network(ctx, "lab")
	if err != nil || n.IPv4.String() != "10.5.0.1/24" || n.NAT || n.IPv6.IsValid() || !h.w.bridges["lab"] {
		t.Errorf("%+v, %v", n, err)
	}
	if err := h.CreateNetwork(ctx, lab(), nil); sysctl.KindOf(err) != sysctl.Invalid && sysctl.KindOf(err) != sysctl.Exists {
		t.Errorf("again: %v", err)
	}
	bad := lab("ipv4.address", "10.99.0.129/25", "dns.mode", "x", "nope", "1") // web1's network has 10.99.0.0/24
	bad.Name = "much-too-long-a-name"
	err = h.CreateNetwork(ctx, bad, nil)
	var fields sysctl.FieldErrors
	if !errors.As(err, &fields) || len(fields) != 4 {
		t.Errorf("bad fields: %v", err)
	}
	taken := lab("ipv4.address", "10.6.0.1/24", "ipv6.address", "none")
	taken.Name = "eth9"
	if err := h.CreateNetwork(ctx, taken, nil); sysctl.KindOf(err) != sysctl.Conflict {
		t.Errorf("another's interface: %v", err)
	}
	if _, err := h.db.Network(ctx, "eth9"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("eth9 is stored: %v", err)
	}

	h.on(t, "a", "lab", false)
	for name, want := range map[string]string{"lab": "used by: a", "sysbr0": "default network"} {
		if err := h.DeleteNetwork(ctx, name); sysctl.KindOf(err) != sysctl.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if err := h.RenameNetwork(ctx, "lab", "lab2"); sysctl.KindOf(err) != sysctl.Conflict {
		t.Errorf("rename: %v", err)
	}
	if err := h.Delete(ctx, "a", manager.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := h.RenameNetwork(ctx, "lab", "lab2"); err != nil || h.w.bridges["lab"] {
		t.Errorf("rename: %v, %v", err, h.w.bridges)
	}
	if err := h.DeleteNetwork(ctx, "lab2"); err != nil {
		t.Error(err)
	}
	if err := h.DeleteNetwork(ctx, "lab2"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
}

// Whatever step fails, before or after its work, a network is made whole or not at all, and changed whole or not at all.
func TestNetworkFaults(t *testing.T) {
	for _, after := range []bool{false, true} {
		h, ctx := newHouse(t), t.Context()
		h.launch(t, "web1")
		h.w.after = after
		made, address := lab("ipv4.address", "10.5.0.1/24", "ipv6.address", "none"), "10.7.0.1/24"
		h.untilNoFault(func() error { return h.CreateNetwork(ctx, made, nil) }, func(step int, _ error) {
			if _, err := h.db.Network(ctx, "lab"); sysctl.KindOf(err) != sysctl.NotFound || h.w.bridges["lab"] {
				t.Fatalf("step %d: left after a failed create: %v", step, err)
			}
		})
		steps := 0
		move := func() error {
			_, err := h.SetNetwork(ctx, "lab", map[string]*string{"ipv4.address": &address}, nil)
			return err
		}
		h.untilNoFault(move, func(step int, _ error) {
			steps++
			if got, err := h.db.Network(ctx, "lab"); err != nil || got.IPv4.String() != "10.5.0.1/24" {
				t.Fatalf("step %d: the network is %+v, %v", step, got, err)
			}
		})
		if steps < 2 {
			t.Errorf("only %d steps failed", steps)
		}
	}
}

func TestSubnetChangeRenumbers(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	text := func(s string) *string { return &s }
	if err := h.CreateNetwork(ctx, lab("ipv4.address", "10.5.0.1/24", "ipv6.address", "fd05::1/64"), nil); err != nil {
		t.Fatal(err)
	}
	h.on(t, "a", "lab", false)
	h.on(t, "b", "lab", true)
	h.on(t, "c", "lab", false, "ipv6.address", "none")
	h.on(t, "pinned", "lab", false, "ipv4.address", "10.5.0.77")
	set := func(address string) error {
		_, err := h.SetNetwork(ctx, "lab", map[string]*string{"ipv4.address": text(address)}, nil)
		return err
	}
	if err := set("10.7.0.1/24"); sysctl.KindOf(err) != sysctl.Conflict || !strings.Contains(err.Error(), "run: b") {
		t.Errorf("under a running one: %v", err)
	}
	if err := h.Stop(ctx, "b", manager.StopOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := set("10.7.0.1/24"); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "instance pinned") {
		t.Errorf("under a fixed address: %v", err)
	}
	if err := h.Delete(ctx, "pinned", manager.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		before[name] = h.address(t, name)
	}
	if err := set("10.7.0.1/24"); err != nil {
		t.Fatal(err)
	}
	for name, old := range before {
		if got, want := h.address(t, name), strings.Replace(old, "10.5.0.", "10.7.0.", 1); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	// A smaller subnet: who has no place in it gets another. None of the family: none.
	if err := set("10.7.0.1/30"); sysctl.KindOf(err) != sysctl.NoSpace {
		t.Errorf("too small: %v", err)
	}
	later, err := h.SetNetwork(ctx, "lab", map[string]*string{"ipv4.address": text("none"), "bridge.mtu": text("1400"), "ipv4.nat": nil}, nil)
	if err != nil || strings.Join(later, " ") != "bridge.mtu ipv4.address" {
		t.Errorf("later: %v, %v", later, err)
	}
	if got := h.address(t, "a"); !strings.HasPrefix(got, "invalid IP fd05::") {
		t.Errorf("a has %s", got)
	}
}

func TestNamesFollowInstances(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.w.dns = true
	names := func() string {
		var list []string
		for _, hosts := range h.w.names["lab"] {
			for _, host := range hosts {
				list = append(list, host.Name+"="+host.IPv4.String())
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	want := func(when, want string) {
		t.Helper()
		if got := names(); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	if err := h.CreateNetwork(ctx, lab("ipv4.address", "10.5.0.1/24", "ipv6.address", "none"), nil); err != nil {
		t.Fatal(err)
	}
	want("before anybody starts", "")
	h.on(t, "a", "lab", false)
	h.on(t, "B", "lab", true)
	want("the first start", "a=10.5.0.2 b=10.5.0.3")
	if g := h.w.network; len(g.DNS) != 1 || g.DNS[0].String() != "10.5.0.1" || g.Search[0] != "sysctl" {
		t.Errorf("the guest is told of %v %v", g.DNS, g.Search)
	}
	h.on(t, "c", "lab", true)
	if err := h.Rename(ctx, "a", "z"); err != nil {
		t.Fatal(err)
	}
	want("one started, one renamed", "b=10.5.0.3 c=10.5.0.4 z=10.5.0.2")
	if err := h.Delete(ctx, "c", manager.DeleteOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	want("one deleted", "b=10.5.0.3 z=10.5.0.2")
	leases, err := h.NetworkLeases(ctx, "lab")
	if err != nil || len(leases) != 3 || leases[0].Type != "gateway" || leases[1].Instance != "B" {
		t.Errorf("leases: %+v, %v", leases, err)
	}
	if err := h.Stop(ctx, "B", manager.StopOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	address := "10.7.0.1/24"
	if _, err := h.SetNetwork(ctx, "lab", map[string]*string{"ipv4.address": &address}, nil); err != nil {
		t.Fatal(err)
	}
	want("renumbered", "b=10.7.0.3 z=10.7.0.2")
	restored, err := h.RestoreNetworks(ctx)
	if err != nil || strings.Join(restored, " ") != "lab" {
		t.Errorf("restored %v, %v", restored, err)
	}
	for _, name := range []string{"B", "z"} {
		if err := h.Delete(ctx, name, manager.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.DeleteNetwork(ctx, "lab"); err != nil || h.w.names["lab"] != nil {
		t.Errorf("deleted: %v, %v", err, h.w.names)
	}
}

// Without a DNS server an instance starts all the same, is told the host's, and the user is told.
func TestStartWithoutNames(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.on(t, "a", "sysbr0", false)
	h.w.dns = true
	h.w.noNames = sysctl.E(sysctl.Conflict, "address in use").WithHint("ss -lntu")
	var notes []string
	if err := h.Start(ctx, "a", manager.StartOptions{Note: func(s string) { notes = append(notes, s) }}); err != nil {
		t.Fatal(err)
	}
	if len(notes) == 0 || notes[len(notes)-1] != "no names and no DHCP: address in use (ss -lntu)" && notes[0] != "no names and no DHCP: address in use (ss -lntu)" {
		t.Errorf("notes: %q", notes)
	}
	if len(h.w.network.DNS) != 0 { // the fake host's: none
		t.Errorf("the guest is told of %v", h.w.network.DNS)
	}
}

// Who asks for names on the host is told that nobody answers them, where that is so; no other change starts a server that does not run.
func TestNamesOnTheHost(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.launch(t, "web1")
	h.w.dns = true
	set := func(words ...string) error { _, err := h.SetNetwork(ctx, "sysbr0", sets(words...), nil); return err }
	if err := set("dns.mode=dynamic"); err != nil || h.w.names["sysbr0"] != nil {
		t.Errorf("%v, %v", err, h.w.names)
	}
	h.w.noNames = sysctl.E(sysctl.Unsupported, "nobody answers")
	kind(t, set("dns.host=true"), sysctl.Unsupported)
	if n, _, err := h.Network(ctx, "sysbr0"); err != nil || n.DNS.Host {
		t.Errorf("%+v, %v", n, err)
	}
	h.w.noNames = nil
	if err := set("dns.host=true"); err != nil || h.w.names["sysbr0"] == nil {
		t.Errorf("%v, %v", err, h.w.names)
	}
}
