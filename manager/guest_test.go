package manager_test

import (
	"slices"
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
}
