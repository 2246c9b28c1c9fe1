package manager_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// Each means has its share of the timeout, one that fails leaves its time to the others, and the user is told which it was
// where it was not the first. The time is synctest's.
func TestStopMeans(t *testing.T) {
	for _, c := range []struct {
		name     string
		timeout  time.Duration
		signal   bool                  // the guest halts by it
		commands map[string]halterFake // that the guest has
		at       time.Duration         // when it was ended
		did      string                // commands, and when
		note     string
	}{
		{name: "signal", signal: true},
		{
			name:     "telinit",
			commands: map[string]halterFake{"telinit 0": {halts: true}},
			at:       10 * time.Second, did: "telinit 0@10s",
			note: `halted after running "telinit 0" inside: the signal alone had not ended it within 10s`,
		}, {
			name: "the last", timeout: time.Minute,
			commands: map[string]halterFake{"telinit 0": {status: 1}, "init 0": {}, "poweroff": {halts: true}},
			at:       40 * time.Second, did: "telinit 0@20s init 0@20s poweroff@40s",
			note: `halted after running "init 0", "poweroff" inside: the signal alone had not ended it within 20s`,
		}, {
			name:     "one hangs",
			commands: map[string]halterFake{"telinit 0": {hangs: true}, "init 0": {hangs: true, halts: true}},
			at:       16666666666, did: "telinit 0@10s init 0@16.666666666s",
			note: `halted after running "telinit 0", "init 0" inside: the signal alone had not ended it within 10s`,
		}, {
			name: "none is there", timeout: 6 * time.Second,
			at: 6 * time.Second, did: "telinit 0@2s init 0@2s poweroff@2s",
			note: `killed: it has not halted within 6s (SIGRTMIN+3: still running, "telinit 0": not there, "init 0": not there, "poweroff": not there)`,
		}, {
			name:     "deaf",
			commands: map[string]halterFake{"telinit 0": {}, "init 0": {err: sysctl.E(sysctl.Conflict, "no more processes")}, "poweroff": {hangs: true}},
			at:       30 * time.Second, did: "telinit 0@10s init 0@16.666666666s poweroff@16.666666666s",
			note: `killed: it has not halted within 30s (SIGRTMIN+3: still running, "telinit 0": still running, "init 0": no more processes, "poweroff": still running)`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				h.launch(t, "web1")
				h.w.running[1].halts = c.signal
				h.w.halters = c.commands
				begin := time.Now()
				h.w.since = begin
				var notes []string
				kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{Timeout: c.timeout, Note: func(line string) { notes = append(notes, line) }}), "")
				if h.w.running[1] != nil {
					t.Error("it runs")
				}
				if took := time.Since(begin).Round(time.Millisecond); took != c.at.Round(time.Millisecond) {
					t.Errorf("took %s, want %s", took, c.at)
				}
				if did := strings.Join(h.w.halted, " "); did != c.did {
					t.Errorf("did %q, want %q", did, c.did)
				}
				if got := strings.Join(notes, "|"); got != c.note {
					t.Errorf("said %q, want %q", got, c.note)
				}
			})
		})
	}
}

// A stop that is interrupted while a command is tried leaves the guest halting.
func TestStopInterruptedInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.launch(t, "web1")
		h.w.running[1].halts = false
		h.w.halters = map[string]halterFake{"telinit 0": {hangs: true}}
		h.w.since = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(11*time.Second, cancel)
		p := func(step string, _, _ int64) {
			if strings.Contains(step, "killing") {
				t.Errorf("said %q", step)
			}
		}
		kind(t, h.Stop(ctx, "web1", manager.StopOptions{Progress: p}), sysctl.Canceled)
		if h.w.running[1] == nil || !slices.Equal(h.w.halted, []string{"telinit 0@10s"}) {
			t.Errorf("running %v, did %q", h.w.running, h.w.halted)
		}
	})
}
