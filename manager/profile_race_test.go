package manager_test

import (
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// A profile that is edited while an instance is made or started with it: the instance has what the profile is in the end.
func TestProfileEditedDuringALaunch(t *testing.T) {
	profile := func(processes string) sysctl.Profile {
		return sysctl.Profile{Name: "small", Config: map[string]string{"limits.processes": processes}}
	}
	// ready has an instance that runs, so that an edit comes to limit it, and before it in the order of names one that does not.
	ready := func(t *testing.T) (h house, launch func(name string, start bool, p sysctl.Progress) error) {
		h = newHouse(t)
		kind(t, h.CreateProfile(t.Context(), profile("100")), "")
		launch = func(name string, start bool, p sysctl.Progress) error {
			_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name, Start: start, Profiles: []string{"small"}, Progress: p})
			return err
		}
		kind(t, launch("web1", true, nil), "")
		kind(t, launch("web0", false, nil), "")
		return h, launch
	}
	has := func(h house, id int64) {
		t.Helper()
		if r := h.w.running[id]; r == nil || r.boot.Processes != 50 {
			t.Errorf("instance %d: %+v", id, r)
		}
	}

	t.Run("between the check and the claim", func(t *testing.T) {
		h, launch := ready(t)
		kind(t, launch("web3", true, func(step string, _, _ int64) {
			if step == "claim name and addresses" {
				kind(t, h.UpdateProfile(t.Context(), profile("50"), nil), "")
			}
		}), "")
		if info, err := h.Info(t.Context(), "web3"); err != nil || h.w.running[info.ID].boot.Processes != 50 {
			t.Errorf("%+v, %v", info.State, err)
		}
		has(h, 1)
	})

	edit := func(h house, meanwhile func() error) {
		t.Helper()
		h.w.during = func(call string) {
			if call == "limit" {
				h.w.during = nil
				kind(t, meanwhile(), "")
			}
		}
		kind(t, h.UpdateProfile(t.Context(), profile("50"), nil), "")
		if h.w.during != nil {
			t.Error("nothing happened meanwhile")
		}
		has(h, 1)
	}
	t.Run("launched in the middle of the edit", func(t *testing.T) {
		h, launch := ready(t)
		edit(h, func() error { return launch("web3", true, nil) })
		has(h, 3)
	})
	t.Run("started in the middle of the edit", func(t *testing.T) {
		h, _ := ready(t)
		edit(h, func() error { return h.Start(t.Context(), "web0", manager.StartOptions{}) })
		has(h, 2)
	})
}
