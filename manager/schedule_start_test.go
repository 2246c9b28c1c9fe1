package manager_test

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// With @startup each start by a verb makes a snapshot of what the instance was, in no time; one that fails leaves none.
func TestSnapshotAtStart(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	names := func() string {
		t.Helper()
		list, err := h.Snapshots(ctx, "web1")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range list {
			if !s.Scheduled {
				t.Errorf("%s: as if somebody had asked for it", s.Name)
			}
			names = append(names, s.Name)
		}
		return strings.Join(names, " ")
	}
	if _, err := h.SetConfig(ctx, "web1", map[string]*string{"snapshots.schedule": text("@startup"), "snapshots.expiry": text("1d")}); err != nil {
		t.Fatal(err)
	}
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), sysctl.Conflict) // it runs
	if got := names(); got != "" {
		t.Errorf("of one that runs: %s", got)
	}
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	if got := names(); got != "snap0" {
		t.Errorf("after a start: %s", got)
	}
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{}), "")
	if got := names(); got != "snap0 snap1" {
		t.Errorf("after a restart: %s", got)
	}
	if s, _ := h.Snapshots(ctx, "web1"); s[0].Expires.IsZero() {
		t.Error("it never expires")
	}

	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	if _, err := h.SetConfig(ctx, "web1", map[string]*string{"security.protection.start": text("true")}); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(ctx, "web1", manager.StartOptions{}); err == nil {
		t.Fatal("it starts")
	}
	if got := names(); got != "snap0 snap1" {
		t.Errorf("after a start that failed: %s", got)
	}
	if _, err := h.SetConfig(ctx, "web1", map[string]*string{"security.protection.start": nil, "snapshots.schedule": text("@daily")}); err != nil {
		t.Fatal(err)
	}
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	if got := names(); got != "snap0 snap1" {
		t.Errorf("without @startup: %s", got)
	}
}
