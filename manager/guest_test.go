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
