package manager_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// clock is a time that only passes while somebody waits.
type clock struct {
	now    time.Time
	waited []time.Duration
	during func() // what happens while somebody waits
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.now, c.waited = c.now.Add(d), append(c.waited, d)
	if c.during != nil {
		c.during()
	}
	return ctx.Err()
}

// crashHouse has an instance web1 that runs, and a clock.
func crashHouse(t *testing.T, config map[string]string) (house, *clock) {
	t.Helper()
	h := newHouse(t)
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.Now, h.Sleep = func() time.Time { return c.now }, c.sleep
	h.w.crashes, h.w.now = map[int64]string{}, h.Now
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Config: config, Start: true}); err != nil {
		t.Fatal(err)
	}
	return h, c
}

// ends has the guest of web1 end by itself, and settles that.
func (h house) ends(t *testing.T, cause string) {
	t.Helper()
	r := h.w.running[1]
	if r == nil {
		t.Fatal("it does not run")
	}
	h.w.crashes[1] = cause
	close(r.ended)
	kind(t, h.Settle(t.Context(), 1, r.id, "stop"), "")
}

func (h house) crashes(t *testing.T) sysctl.Crashes {
	t.Helper()
	d, err := h.Info(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	return d.Crashes
}

// powered reports whether web1 counts as running.
func (h house) powered(t *testing.T) bool {
	t.Helper()
	on, err := h.db.Powered(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return on[1]
}

var autorestart = map[string]string{"boot.autorestart": "true"}

// A guest that crashes again and again is started again ten times, after pauses that grow, and then left stopped.
func TestCrashesInARow(t *testing.T) {
	h, c := crashHouse(t, autorestart)
	for range 10 {
		h.ends(t, "killed by SIGKILL")
		if h.w.running[1] == nil || !h.powered(t) {
			t.Fatalf("after %d crashes it was not started again: %+v", h.crashes(t).Count, h.crashes(t))
		}
		c.now = c.now.Add(59 * time.Second)
	}
	h.ends(t, "killed by SIGKILL")
	if h.w.running[1] != nil || h.powered(t) {
		t.Error("it was started once too often")
	}
	s := time.Second
	if want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s, 30 * s}; !slices.Equal(c.waited, want) {
		t.Errorf("waited %v, want %v", c.waited, want)
	}
	if got := h.crashes(t); got.Count != 11 || got.Cause != "killed by SIGKILL" || !got.Due.IsZero() || !got.Last.Equal(c.now) {
		t.Errorf("crashes: %+v", got)
	}
	kind(t, h.Start(t.Context(), "web1", manager.StartOptions{}), "")
	if got := h.crashes(t); got.Count != 0 {
		t.Errorf("a start forgets: %+v", got)
	}
}

// A minute of life begins a new row.
func TestCrashAfterALongLife(t *testing.T) {
	h, c := crashHouse(t, autorestart)
	for range 3 {
		h.ends(t, "killed by SIGSEGV")
		c.now = c.now.Add(time.Minute)
	}
	h.ends(t, "killed by SIGSEGV")
	if got := h.crashes(t); got.Count != 1 || len(c.waited) != 0 {
		t.Errorf("crashes %+v, waited %v", got, c.waited)
	}
}

func TestNotRestarted(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]string
		cause  string
		count  int
	}{
		"halted":                  {autorestart, "", 0},
		"crashed, but not wanted": {nil, "killed by SIGKILL", 1},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := crashHouse(t, c.config)
			if !h.powered(t) {
				t.Error("it runs, and nobody knows")
			}
			h.ends(t, c.cause)
			if h.w.running[1] != nil || h.powered(t) || h.crashes(t).Count != c.count || h.crashes(t).Cause != c.cause {
				t.Errorf("running %v, powered %v, %+v", h.w.running[1], h.powered(t), h.crashes(t))
			}
		})
	}
	t.Run("killed by a verb", func(t *testing.T) {
		h, _ := crashHouse(t, autorestart)
		id := h.w.running[1].id
		kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{Force: true}), "")
		h.w.crashes[1] = "killed by SIGKILL"
		kind(t, h.Settle(t.Context(), 1, id, "stop"), "")
		if h.w.running[1] != nil || h.powered(t) || h.crashes(t).Count != 0 {
			t.Errorf("running %v, powered %v, %+v", h.w.running[1], h.powered(t), h.crashes(t))
		}
	})
}

// Who stops, starts, deletes or takes down with the host an instance that waits to be started again has the last word.
func TestVerbsWhileARestartIsDue(t *testing.T) {
	for name, c := range map[string]struct {
		do      func(h house, ctx context.Context) error
		runs    bool
		powered bool
	}{
		"stop":     {func(h house, ctx context.Context) error { return h.Stop(ctx, "web1", manager.StopOptions{}) }, false, false},
		"start":    {func(h house, ctx context.Context) error { return h.Start(ctx, "web1", manager.StartOptions{}) }, true, true},
		"delete":   {func(h house, ctx context.Context) error { return h.Delete(ctx, "web1", manager.DeleteOptions{}) }, false, false},
		"autostop": {func(h house, ctx context.Context) error { _, err := h.Autostop(ctx, nil); return err }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h, clock := crashHouse(t, autorestart)
			h.ends(t, "killed by SIGKILL") // the first is at once
			var run string
			clock.during = func() {
				if r := h.w.running[1]; r != nil {
					t.Fatal("it runs already")
				}
				kind(t, c.do(h, t.Context()), "")
				if r := h.w.running[1]; r != nil {
					run = r.id
				}
			}
			h.ends(t, "killed by SIGKILL")
			if r := h.w.running[1]; (r != nil) != c.runs || h.powered(t) != c.powered || r != nil && r.id != run {
				t.Errorf("runs %v, powered %v", r != nil, h.powered(t))
			}
		})
	}
}

// A start that fails is a crash more, not a loop without end.
func TestRestartFails(t *testing.T) {
	h, c := crashHouse(t, autorestart)
	h.w.layers = map[string]bool{}
	h.ends(t, "killed by SIGKILL")
	got := h.crashes(t)
	if got.Count != 11 || !strings.Contains(got.Cause, "is missing") || !got.Due.IsZero() || len(c.waited) != 9 || h.powered(t) {
		t.Errorf("%+v after %d pauses", got, len(c.waited))
	}
}

// Whatever fails while a crash is settled, autostart --crashed or the next start finish it, and it is no loop.
func TestSettleFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		h.w.crashes = map[int64]string{1: "killed by SIGKILL"}
		h.Sleep = func(context.Context, time.Duration) error { return nil }
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Config: autorestart, Start: true})
		return err
	}
	settle := func(t *testing.T, h house, ctx context.Context) error {
		close(h.w.running[1].ended)
		return h.Settle(ctx, 1, h.w.running[1].id, "stop")
	}
	everyFault(t, setup, settle, func(t *testing.T, h house, err error) {
		if !isRunning(h) {
			if r := h.w.running[1]; r != nil {
				r.gone = true
			}
			if _, err := h.Autostart(t.Context(), manager.AutostartOptions{Crashed: true}); err != nil {
				t.Fatal(err)
			}
		}
		if !isRunning(h) {
			t.Errorf("it does not run after %v", err)
		}
		if left := h.w.left(); left != "link sy1.0, run 1, upper 1" {
			t.Errorf("on the machine: %s", left)
		}
	})
}

func isRunning(h house) bool { return (fakeRuntime{h.w}).State(1).Status == sysctl.Running }

// gone ends the guest of web1 and its monitor.
func (h house) gone() {
	h.w.running[1].gone = true
	close(h.w.running[1].ended)
}

// The settling process is killed at any moment, or there was none as the monitor was killed too.
func TestLostRuns(t *testing.T) {
	crashed := manager.AutostartOptions{Crashed: true}
	for name, c := range map[string]struct {
		prepare func(h house)
		runs    bool
		count   int
	}{
		"nobody noticed a crash":    {func(h house) { h.w.crashes[1] = "killed by SIGKILL"; h.gone() }, true, 1},
		"the monitor was killed":    {func(h house) { h.gone() }, true, 1},
		"nobody noticed a halt":     {func(h house) { h.w.crashes[1] = ""; h.gone() }, false, 0},
		"it runs":                   {func(house) {}, true, 0},
		"the host has booted since": {func(h house) { delete(h.w.running, 1) }, false, 0},
		"killed when it had noted it": {func(h house) {
			noted := sysctl.Crashes{Count: 1, Last: h.Now(), Cause: "x", Due: h.Now().Add(time.Second), Run: h.w.running[1].id}
			if err := h.db.SetCrashes(context.Background(), 1, noted, true); err != nil {
				panic(err)
			}
			h.gone()
		}, true, 1},
		"killed while it waited": {func(h house) {
			delete(h.w.running, 1)
			due := sysctl.Crashes{Count: 3, Last: h.Now(), Cause: "x", Due: h.Now().Add(time.Second)}
			if err := h.db.SetCrashes(context.Background(), 1, due, true); err != nil {
				panic(err)
			}
		}, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := crashHouse(t, autorestart)
			c.prepare(h)
			for range 2 { // the second has nothing to do
				if _, err := h.Autostart(t.Context(), crashed); err != nil {
					t.Fatal(err)
				}
			}
			if isRunning(h) != c.runs || h.crashes(t).Count != c.count {
				t.Errorf("runs %v, %+v", isRunning(h), h.crashes(t))
			}
		})
	}
}

// What was running when the host went down runs again, but for what says no; what was stopped does not.
func TestLastStateIsRestored(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	for name, config := range map[string]map[string]string{
		"was-on": nil, "never": {"boot.autostart": "false"}, "always": {"boot.autostart": "true"}, "was-off": nil, "halted": nil,
	} {
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Config: config, Start: name != "always"}); err != nil {
			t.Fatal(err)
		}
	}
	kind(t, h.Stop(ctx, "was-off", manager.StopOptions{}), "")
	inst, err := h.db.Instance(ctx, "halted")
	if err != nil {
		t.Fatal(err)
	}
	h.w.crashes = map[int64]string{inst.ID: ""}
	r := h.w.running[inst.ID]
	close(r.ended)
	kind(t, h.Settle(ctx, inst.ID, r.id, "stop"), "")

	back := func(how string, want ...string) {
		t.Helper()
		results, err := h.Autostart(ctx, manager.AutostartOptions{})
		var names []string
		for _, r := range results {
			names = append(names, r.Name+r.Error)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s: started %v, %v; want %v", how, names, err, want)
		}
	}
	stopped, err := h.Autostop(ctx, nil)
	if err != nil || len(stopped) != 2 || len(h.w.running) != 0 {
		t.Fatalf("stopped %v, %v; %d run", stopped, err, len(h.w.running))
	}
	back("orderly", "always", "was-on")
	h.w.running = map[int64]*run{}
	back("power cut", "always", "was-on")
	back("again")
}

// The highest priority stops first; a frozen guest halts too, one that hangs is killed, and one failure keeps nobody.
func TestAutostop(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	for name, config := range map[string]map[string]string{
		"db": {"boot.stop.priority": "-1"}, "web": {"boot.stop.priority": "10"}, "mid": nil,
		"hangs": {"boot.host_shutdown_timeout": "1", "boot.stop.priority": "5"}, "kill": {"boot.host_shutdown_action": "force-stop"},
	} {
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Config: config, Start: true}); err != nil {
			t.Fatal(err)
		}
	}
	of := func(name string) *run {
		inst, err := h.db.Instance(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return h.w.running[inst.ID]
	}
	of("hangs").halts = false
	kill := of("kill")
	kind(t, h.Freeze(ctx, "mid"), "")
	results, err := h.Autostop(ctx, nil)
	var names []string
	for _, r := range results {
		names = append(names, r.Name+r.Error)
	}
	slices.Sort(names[2:4]) // side by side
	if want := []string{"web", "hangs", "kill", "mid", "db"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("stopped %v, %v; want %v", names, err, want)
	}
	if len(h.w.running) != 0 {
		t.Errorf("%d run", len(h.w.running))
	}
	select {
	case <-kill.ended:
		t.Error("what is to be killed was asked to halt")
	default:
	}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "stuck", Start: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "fine", Start: true}); err != nil {
		t.Fatal(err)
	}
	h.w.calls, h.w.failAt = nil, 1
	results, err = h.Autostop(ctx, nil)
	failed := 0
	for _, r := range results {
		if strings.Contains(r.Error, errInjected.Error()) {
			failed++
		}
	}
	if err != nil || len(results) != 2 || failed != 1 || errors.Is(err, errInjected) {
		t.Errorf("%v, %v", results, err)
	}
}
