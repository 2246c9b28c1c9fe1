package manager_test

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// What cannot boot is refused before anything is changed, and what needs a measure is started with it.
func TestStartMeasures(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.w.host = sysctl.Host{Cgroups: sysctl.CgroupV2, Named: "it was forbidden"}
	on := map[string]string{"compat.cgroup-named": "on"}
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Config: on})
	kind(t, err, sysctl.Unsupported)
	if !strings.Contains(err.Error(), "it was forbidden") || h.w.left() != "" || len(h.names(t)) != 0 {
		t.Errorf("%v; left %q, %v", err, h.w.left(), h.names(t))
	}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Config: on}); err != nil {
		t.Fatalf("an instance that does not start here can be made here: %v", err)
	}
	calls := len(h.w.calls)
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), sysctl.Unsupported)
	if did := h.w.changed(calls); len(did) > 0 {
		t.Errorf("a refused start did %v", did)
	}
	h.w.host.Named = ""
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	if got := h.w.booted.Compat.Cgroups; got != sysctl.CgroupsNamed {
		t.Errorf("booted with %q", got)
	}
}

// What a measure wants in the guest's own files is written, for the host's kernel, and not where it is switched off or the
// guest may do by itself what it does for it.
func TestMeasuresInTheGuestsFiles(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]string
		want   bool
	}{
		{"forced", map[string]string{"compat.private-devices": "on"}, true},
		{"not needed", nil, false},
		{"switched off", map[string]string{"compat.private-devices": "off"}, false},
		{"privileged and forced", map[string]string{"compat.private-devices": "on", "security.privileged": "true"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.w.host = sysctl.Host{Cgroups: sysctl.CgroupV2, Release: "6.1.0"}
			_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Config: c.config})
			kind(t, err, "")
			if got, _ := h.w.root.ReadFile("/drop-in"); (string(got) == "6.1.0") != c.want {
				t.Errorf("written: %q", got)
			}
		})
	}
}
