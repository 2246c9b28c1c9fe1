package manager_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// A guest that was changed from inside is looked at again at its next start, and only then.
func TestGuestIsDetectedAgain(t *testing.T) {
	h := newHouse(t)
	h.w.print = "as imported"
	h.launch(t, "web1")
	restart := func() []string {
		t.Helper()
		h.w.calls = nil
		if err := h.Restart(t.Context(), "web1", manager.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		return h.w.calls
	}
	stored := func() sysctl.Guest {
		t.Helper()
		inst, err := h.db.Instance(t.Context(), "web1")
		if err != nil {
			t.Fatal(err)
		}
		return inst.Guest
	}
	if calls := restart(); slices.Contains(calls, "detect") {
		t.Errorf("nothing has changed: %v", calls)
	}
	h.w.print, h.w.none = "upgraded", true
	if calls := restart(); !slices.Contains(calls, "detect") || stored().Renderer != "none" || stored().Fingerprint != "upgraded" {
		t.Errorf("%v, stored %+v", calls, stored())
	}
	if len(h.w.running[1].boot.NICs[0].Addresses) == 0 {
		t.Error("the runtime does not set the addresses, which nobody in the guest does any more")
	}
	if calls := restart(); slices.Contains(calls, "detect") {
		t.Errorf("it is looked at again: %v", calls)
	}
}

// What would be written is shown and not written, for an instance in any state and for an image.
func TestRenderNetwork(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "old1"}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []manager.RenderOptions{{Name: "web1"}, {Name: "old1"}, {Image: "debian12"}} {
		r, err := h.RenderNetwork(ctx, o)
		want := o.Name
		if o.Image != "" {
			want = manager.HostnameOfImage
		}
		if err != nil || r.Reason != "" || len(r.Changes) != 1 || r.Changes[0].Before != nil || r.Changes[0].After.Content != want+"\n" || r.Changes[0].After.Mode != "0644" {
			t.Errorf("%+v: %+v, %v", o, r, err)
		}
		if len(h.w.network.NICs) != 1 || len(h.w.network.NICs[0].Addresses) != 2 {
			t.Errorf("%+v: rendered %+v", o, h.w.network)
		}
	}
	nics := []sysctl.GuestNIC{{Name: "lan0"}, {Name: "lan1"}}
	if _, err := h.RenderNetwork(ctx, manager.RenderOptions{Name: "old1", NICs: nics}); err != nil || len(h.w.network.NICs) != 2 || h.w.network.NICs[1].Name != "lan1" {
		t.Errorf("%+v, %v", h.w.network, err)
	}
	for _, o := range []manager.RenderOptions{{Name: "nobody"}, {Image: "nobody"}} {
		_, err := h.RenderNetwork(ctx, o)
		kind(t, err, sysctl.NotFound)
	}
	_, err := h.RenderNetwork(ctx, manager.RenderOptions{Name: "debian12"})
	kind(t, err, sysctl.NotFound)
	if hint := sysctl.HintOf(err); hint != "sysctl network render --image debian12" {
		t.Errorf("hint %q", hint)
	}
}

// Steps that an instance is not to have are taken back when it is made, and never later.
func TestPrepIsChosenWhenAnInstanceIsMade(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "plain")
	if slices.Contains(h.w.calls, "restore console") {
		t.Error("a step was taken back that nobody switched off")
	}
	for _, start := range []bool{false, true} {
		h.w.calls = nil
		name := map[bool]string{false: "web1", true: "web2"}[start]
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Start: start, Config: map[string]string{"guest.prep": "-console"}}); err != nil {
			t.Fatal(err)
		}
		back, write := slices.Index(h.w.calls, "restore console"), slices.Index(h.w.calls, "render")
		if back < 0 || back > write || !slices.Equal(h.w.skipped, []string{"console"}) {
			t.Errorf("start %v: %v, skipped %v", start, h.w.calls, h.w.skipped)
		}
	}
	h.w.calls = nil
	if err := h.Restart(ctx, "web2", manager.StopOptions{}); err != nil || slices.Contains(h.w.calls, "restore console") {
		t.Errorf("%v, %v", err, h.w.calls)
	}
	value := "-console"
	for name, set := range map[string]*string{"plain": &value, "web1": nil} {
		_, err := h.SetConfig(ctx, name, map[string]*string{"guest.prep": set})
		kind(t, err, sysctl.Invalid)
	}
	for _, bad := range []string{"-nonsense", "console"} {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "bad", Config: map[string]string{"guest.prep": bad, "limits.cpu": "x"}})
		var fields sysctl.FieldErrors
		if !errors.As(err, &fields) || len(fields) != 2 {
			t.Errorf("%s: %v", bad, err)
		}
		kind(t, h.CreateProfile(ctx, sysctl.Profile{Name: "p", Config: map[string]string{"guest.prep": bad}}), sysctl.Invalid)
		_, err = h.ImportImage(ctx, manager.ImportOptions{Path: t.TempDir(), Alias: "x", Prep: bad})
		kind(t, err, sysctl.Invalid)
	}
	if _, err := h.ImportImage(ctx, manager.ImportOptions{Path: t.TempDir(), Alias: "x", Prep: "-console"}); err != nil || !slices.Equal(h.w.skipped, []string{"console"}) {
		t.Errorf("%v, skipped %v", err, h.w.skipped)
	}
}

// The user's files are kept: all, or some.
func TestGuestNetworkKeep(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	set := func(key, value string) {
		t.Helper()
		if _, err := h.SetConfig(ctx, "web1", map[string]*string{key: &value}); err != nil {
			t.Fatal(err)
		}
		h.w.calls = nil
		if err := h.Restart(ctx, "web1", manager.StopOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	set("guest.network.keep", "/etc/hosts,/etc/resolv.conf")
	if !slices.Equal(h.w.network.Keep, []string{"/etc/hosts", "/etc/resolv.conf"}) {
		t.Errorf("%+v", h.w.network)
	}
	set("guest.network", "keep")
	r, err := h.RenderNetwork(ctx, manager.RenderOptions{Name: "web1"})
	if slices.Contains(h.w.calls, "render") || err != nil || len(r.Changes) > 0 || r.Reason != "guest.network is keep" {
		t.Errorf("%v: %+v, %v", h.w.calls, r, err)
	}
}

// What a template chose takes the place of what is found, when its image is made and whenever the guest is looked at again.
func TestChosenGuest(t *testing.T) {
	for halt, want := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGRTMIN+4": 38, "SIGRTMIN": 34, "": 37} {
		h := newHouse(t)
		h.w.chosen = sysctl.GuestChoice{Renderer: "ifupdown 0.6", Halt: halt}
		b := h.build(t, manager.BuildOptions{})
		if g := b.Image.Guest; g.Renderer != "ifupdown" || g.Dialect != "0.6" || !slices.Contains(g.Evidence, "template: network files of ifupdown 0.6") {
			t.Errorf("the image: %+v", g)
		}
		if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true}); err != nil {
			t.Fatal(err)
		}
		h.w.print, h.w.none = "upgraded", true // nobody would be found to configure the network
		kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{}), "")
		if h.w.signal != want {
			t.Errorf("%q: halted by %v, want %v", halt, h.w.signal, want)
		}
		kind(t, h.Start(t.Context(), "web1", manager.StartOptions{}), "")
		inst, err := h.db.Instance(t.Context(), "web1")
		if err != nil || inst.Guest.Renderer != "ifupdown" || inst.Guest.Dialect != "0.6" || inst.Guest.Fingerprint != "upgraded" {
			t.Errorf("looked at again: %+v, %v", inst.Guest, err)
		}
	}
}
