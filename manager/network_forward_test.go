package manager_test

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func TestForwardsFollowInstances(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	if err := h.CreateNetwork(ctx, lab("ipv4.address", "10.5.0.1/24", "ipv6.address", "none"), nil); err != nil {
		t.Fatal(err)
	}
	h.on(t, "a", "lab", false)
	h.launch(t, "elsewhere")
	if err := h.CreateForward(ctx, "lab", "203.0.113.7", "10.5.0.9", "the web"); err != nil {
		t.Fatal(err)
	}
	add := func(protocol, ports, target, to string) error {
		return h.AddForwardPort(ctx, manager.PortOptions{Network: "lab", Listen: "203.0.113.7", Protocol: protocol, Ports: ports, Target: target, TargetPorts: to})
	}
	show := func() string {
		f, err := h.Forward(ctx, "lab", "203.0.113.7")
		if err != nil {
			return err.Error()
		}
		words := []string{f.Target.String()}
		for _, p := range f.Ports {
			words = append(words, p.Protocol+" "+p.Listen.String()+">"+p.Instance+"@"+p.Target.String()+":"+p.TargetPorts.String())
		}
		return strings.Join(words, ", ")
	}
	want := func(when, want string) {
		t.Helper()
		if got := show(); got != want {
			t.Errorf("%s: %s\nwant %s", when, got, want)
		}
	}
	for _, good := range [][4]string{{"tcp", "80,443", "a", ""}, {"tcp", "8000-8001", "a", "9000-9001"}, {"udp", "53", "10.5.0.77", "5353"}, {"udp", "100-200", "a", ""}} {
		if err := add(good[0], good[1], good[2], good[3]); err != nil {
			t.Fatalf("%v: %v", good, err)
		}
	}
	all := "10.5.0.9, tcp 80>a@10.5.0.2:80, tcp 443>a@10.5.0.2:443, tcp 8000>a@10.5.0.2:9000, tcp 8001>a@10.5.0.2:9001, udp 53>@10.5.0.77:5353, udp 100-200>a@10.5.0.2:100-200"
	want("added", all)
	for _, bad := range []struct {
		args [4]string
		kind sysctl.Kind
		part string
	}{
		{[4]string{"icmp", "80", "a", ""}, sysctl.Invalid, "protocol"},
		{[4]string{"tcp", "0", "a", ""}, sysctl.Invalid, "listen_ports"},
		{[4]string{"tcp", "9-8", "a", ""}, sysctl.Invalid, "listen_ports"},
		{[4]string{"tcp", "70000", "a", "x"}, sysctl.Invalid, "target_ports"},
		{[4]string{"tcp", "1-3", "a", "1-2"}, sysctl.Invalid, "as many"},
		{[4]string{"tcp", "1,2", "a", "1,2,3"}, sysctl.Invalid, "as many"},
		{[4]string{"tcp", "81", "nobody", ""}, sysctl.Invalid, "target_address"},
		{[4]string{"tcp", "81", "10.6.0.1", ""}, sysctl.Invalid, "10.5.0.0/24"},
		{[4]string{"tcp", "81", "elsewhere", ""}, sysctl.Invalid, "on network lab"},
		{[4]string{"tcp", "443", "a", ""}, sysctl.Exists, "443"},
		{[4]string{"udp", "150-151", "a", ""}, sysctl.Exists, "100-200"},
	} {
		err := add(bad.args[0], bad.args[1], bad.args[2], bad.args[3])
		if sysctl.KindOf(err) != bad.kind || !strings.Contains(err.Error(), bad.part) {
			t.Errorf("%v: %v, want %v with %q", bad.args, err, bad.kind, bad.part)
		}
	}
	want("after what was refused", all)

	// Another forward must not take the same ports, at every address or at this one.
	if err := h.CreateForward(ctx, "lab", "0.0.0.0", "", ""); err != nil {
		t.Fatal(err)
	}
	err := h.AddForwardPort(ctx, manager.PortOptions{Network: "lab", Listen: "0.0.0.0", Protocol: "tcp", Ports: "443", Target: "a"})
	if sysctl.KindOf(err) != sysctl.Conflict {
		t.Errorf("the same port twice: %v", err)
	}
	for listen, target := range map[string]string{"10.5.0.3": "", "127.0.0.1": "", "x": "", "::1": "", "203.0.113.8": "10.5.0.1"} {
		if err := h.CreateForward(ctx, "lab", listen, target, ""); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("listen at %s: %v", listen, err)
		}
	}
	if err := h.CreateForward(ctx, "lab", "203.0.113.7", "", ""); sysctl.KindOf(err) != sysctl.Exists {
		t.Errorf("twice: %v", err)
	}

	// The rules cannot be written: nothing is changed.
	h.w.failAt = len(h.w.calls) + 1
	if err := add("tcp", "99", "a", ""); err == nil {
		t.Error("no error")
	}
	want("after a fault", all)

	if err := h.Rename(ctx, "a", "b"); err != nil {
		t.Fatal(err)
	}
	address := "10.7.0.1/24"
	_, err = h.SetNetwork(ctx, "lab", map[string]*string{"ipv4.address": &address}, nil)
	if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "leads to 10.5.0.77, which would be outside") || !strings.Contains(err.Error(), "leads to 10.5.0.9") {
		t.Errorf("a new subnet under fixed targets: %v", err)
	}
	if got := show(); !strings.Contains(got, "tcp 80>b@10.5.0.2:80") {
		t.Errorf("renamed: %s", got)
	}
	if err := h.RemoveForwardPort(ctx, "lab", "203.0.113.7", "tcp", "8000-8001,443"); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveForwardPort(ctx, "lab", "203.0.113.7", "tcp", "8000"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	if err := h.Delete(ctx, "b", manager.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want("its instance has gone", "10.5.0.9, udp 53>@10.5.0.77:5353")
	if err := h.DeleteForward(ctx, "lab", "203.0.113.7"); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteForward(ctx, "lab", "203.0.113.7"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
}
