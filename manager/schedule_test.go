package manager_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// set changes keys of an instance.
func (h house) set(t *testing.T, name string, pairs ...string) {
	t.Helper()
	values := map[string]*string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = &pairs[i+1]
	}
	if _, err := h.SetConfig(t.Context(), name, values); err != nil {
		t.Fatal(err)
	}
}

// due keeps the schedules and says what was done.
func (h house) due(t *testing.T) string {
	t.Helper()
	done, err := h.KeepSchedules(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, d := range done {
		sign := "+"
		if d.Deleted {
			sign = "-"
		}
		words = append(words, sign+d.Name+"/"+d.Snapshot+d.Error)
	}
	return strings.Join(words, " ")
}

// A schedule is kept to the minute, once whoever calls, and what was missed is made up for once.
func TestKeepSchedules(t *testing.T) {
	h := newHouse(t)
	now := time.Date(2026, 11, 30, 12, 0, 30, 0, time.UTC)
	h.Now = func() time.Time { return now }
	h.launch(t, "web1")
	h.launch(t, "web2")
	h.set(t, "web1", "snapshots.schedule", "@hourly", "snapshots.expiry", "3H", "snapshots.pattern", "{{creation_date|date:'15-04'}}")
	step := func(hours float64, want string) {
		t.Helper()
		now = now.Add(time.Duration(hours * float64(time.Hour)))
		if got := h.due(t); got != want {
			t.Errorf("at %s: %q, want %q", now.Format("15:04"), got, want)
		}
		if got := h.due(t); got != "" {
			t.Errorf("called again at %s: %q", now.Format("15:04"), got)
		}
	}
	step(0, "") // seen
	step(0.5, "")
	step(0.5, "+web1/13-00")
	step(1, "+web1/14-00")
	step(3.5, "-web1/13-00 -web1/14-00 +web1/17-30") // the host was off
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{Force: true}), "")
	step(1, "")
	kind(t, h.Start(t.Context(), "web1", manager.StartOptions{}), "")
	step(0.1, "+web1/18-36")
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{Force: true}), "")
	h.set(t, "web1", "snapshots.schedule.stopped", "true")
	step(1, "+web1/19-36")
	// One that was made is none to make again, though it has been deleted since.
	kind(t, h.DeleteSnapshot(t.Context(), "web1", "19-36"), "")
	step(0.1, "")
	h.set(t, "web1", "snapshots.schedule", "0 0 1 1 *")
	step(1, "-web1/17-30") // another schedule begins now
	h.set(t, "web1", "snapshots.schedule", "")
	step(1, "-web1/18-36")
	if list := h.snapshots(t, "web2"); list != "" {
		t.Errorf("web2 has %s", list)
	}
}

// A snapshot that somebody makes himself is kept as long as the key or he says.
func TestSnapshotExpiry(t *testing.T) {
	h := newHouse(t)
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	h.Now = func() time.Time { return now }
	h.create(t, "web1")
	h.set(t, "web1", "snapshots.expiry", "1d")
	week, err := sysctl.ParseExpiry("1w")
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*sysctl.Expiry{"day": nil, "week": &week, "ever": {}} {
		if _, err := h.Snapshot(t.Context(), "web1", name, manager.SnapshotOptions{Expiry: e}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		days int
		want string
	}{{1, "-web1/day"}, {5, ""}, {1, "-web1/week"}, {9999, ""}} {
		now = now.AddDate(0, 0, c.days)
		if got := h.due(t); got != c.want {
			t.Errorf("on %s: %q, want %q", now.Format(time.DateOnly), got, c.want)
		}
	}
}

// A full disk keeps one instance from its snapshot, not the others from theirs, and is not tried again every minute.
func TestKeepSchedulesFailure(t *testing.T) {
	h := newHouse(t)
	now := time.Date(2026, 11, 30, 12, 0, 30, 0, time.UTC)
	h.Now = func() time.Time { return now }
	for _, name := range []string{"web1", "web2"} {
		h.launch(t, name)
		h.set(t, name, "snapshots.schedule", "@hourly")
	}
	h.due(t)
	now = now.Add(time.Hour)
	h.w.calls, h.w.failAt = nil, 2
	first := h.due(t)
	h.w.failAt = 0
	if !strings.Contains(first, "injected fault") || !strings.Contains(first, "+web2/snap0") {
		t.Errorf("first: %q", first)
	}
	now = now.Add(time.Minute)
	if again := h.due(t); again != "" {
		t.Errorf("again: %q", again)
	}
	now = now.Add(time.Hour)
	if next := h.due(t); !slices.Equal(strings.Fields(next), []string{"+web1/snap0", "+web2/snap1"}) {
		t.Errorf("an hour later: %q", next)
	}
}
