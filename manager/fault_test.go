package manager_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// everyFault runs verb once for every changing call it makes to the machine, each time on a fresh house
// in which exactly that call fails, before or after it has done its work, with or without a Ctrl-C
// at the same moment. The calls are discovered by running: the loop ends when no call was left to fail.
func everyFault(t *testing.T, setup, verb func(*testing.T, house, context.Context) error, check func(*testing.T, house, error)) {
	for _, mode := range []string{"before", "after", "cancelled"} {
		n := 1
		for ; ; n++ {
			h := newHouse(t)
			if setup != nil {
				if err := setup(t, h, t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			h.w.calls, h.w.failAt, h.w.after = nil, n, mode == "after"
			if mode == "cancelled" {
				h.w.cancel, h.w.after = cancel, true
			}
			err := verb(t, h, ctx)
			h.w.failAt, h.w.cancel = 0, nil
			cancel()
			if len(h.w.calls) < n {
				if err != nil {
					t.Fatalf("%s: no fault was injected and it failed: %v", mode, err)
				}
				break
			}
			name := fmt.Sprintf("%s call %d (%s)", mode, n, h.w.calls[n-1])
			t.Run(name, func(t *testing.T) { check(t, h, err) })
		}
		if n < 3 {
			t.Fatalf("%s: only %d calls were found to fail", mode, n-1)
		}
	}
}

func launchWeb(t *testing.T, h house, ctx context.Context) error {
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true})
	return err
}

// A launch that fails anywhere leaves nothing, and the same launch works afterwards.
func TestLaunchFaultAtEveryStep(t *testing.T) {
	everyFault(t, nil, launchWeb, func(t *testing.T, h house, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error = %v, want the injected one", err)
		}
		if left := h.w.left(); left != "" {
			t.Errorf("left on the machine: %s", left)
		}
		if names := h.names(t); len(names) != 0 {
			t.Errorf("left in the database: %v", names)
		}
		h.launch(t, "web1")
	})
}

// A start that fails leaves the instance stopped, as it was, and can be tried again.
func TestStartFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1"})
		return err
	}
	start := func(t *testing.T, h house, ctx context.Context) error {
		return h.Start(ctx, "web1", manager.StartOptions{})
	}
	everyFault(t, setup, start, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if left := h.w.left(); left != "upper 1" {
			t.Errorf("on the machine: %q, want only the upper", left)
		}
		if err := h.Start(t.Context(), "web1", manager.StartOptions{}); err != nil {
			t.Errorf("second try: %v", err)
		}
	})
}

// A delete that fails half-way can always be finished by deleting again.
func TestDeleteFaultAtEveryStep(t *testing.T) {
	del := func(t *testing.T, h house, ctx context.Context) error {
		return h.Delete(ctx, "web1", manager.DeleteOptions{Force: true})
	}
	everyFault(t, launchWeb, del, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if err := h.Delete(t.Context(), "web1", manager.DeleteOptions{}); err != nil && sysctl.KindOf(err) != sysctl.NotFound {
			// Only a delete that changed nothing yet may ask for --force again.
			if err := h.Delete(t.Context(), "web1", manager.DeleteOptions{Force: true}); err != nil {
				t.Fatalf("second try: %v", err)
			}
		}
		if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
			t.Errorf("left: %q, %v", left, h.names(t))
		}
	})
}

// A stop that fails leaves an instance that stops at the next try, and never a lost one.
func TestStopFaultAtEveryStep(t *testing.T) {
	stop := func(t *testing.T, h house, ctx context.Context) error {
		return h.Stop(ctx, "web1", manager.StopOptions{})
	}
	everyFault(t, launchWeb, stop, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if err := h.Stop(t.Context(), "web1", manager.StopOptions{Force: true}); err != nil {
			t.Fatalf("stop --force: %v", err)
		}
		if left := h.w.left(); left != "upper 1" {
			t.Errorf("left: %q", left)
		}
		if err := h.Start(t.Context(), "web1", manager.StartOptions{}); err != nil {
			t.Errorf("start again: %v", err)
		}
	})
}

// The database can refuse any statement too: every table a launch writes gets a trigger that aborts.
func TestLaunchDatabaseFaults(t *testing.T) {
	for _, trigger := range []string{
		"BEFORE INSERT ON instances", "BEFORE UPDATE ON instances", "BEFORE INSERT ON nics", "BEFORE INSERT ON instance_layers",
		"BEFORE INSERT ON images", "BEFORE INSERT ON layers", "BEFORE INSERT ON networks", "BEFORE INSERT ON image_aliases",
	} {
		t.Run(trigger, func(t *testing.T) {
			h := newHouse(t)
			raw, err := sql.Open("sqlite3", h.path)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if _, err := raw.Exec("CREATE TRIGGER fault " + trigger + " BEGIN SELECT RAISE(ABORT, 'injected'); END"); err != nil {
				t.Fatal(err)
			}
			if err := launchWeb(t, h, t.Context()); err == nil {
				t.Fatal("launched in spite of the trigger")
			}
			if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
				t.Errorf("left: %q, %v", left, h.names(t))
			}
			if _, err := raw.Exec("DROP TRIGGER fault"); err != nil {
				t.Fatal(err)
			}
			h.launch(t, "web1")
		})
	}
}

// What a start that was killed has left settles itself, whoever comes next.
func TestStartAfterAKilledStart(t *testing.T) {
	killed := func(t *testing.T, h house, ctx context.Context) error {
		err := launchWeb(t, h, ctx)
		if err == nil {
			h.w.running[1].torn = true
		}
		return err
	}
	for name, verb := range map[string]func(house, context.Context) error{
		"start":   func(h house, ctx context.Context) error { return h.Start(ctx, "web1", manager.StartOptions{}) },
		"restart": func(h house, ctx context.Context) error { return h.Restart(ctx, "web1", manager.StopOptions{}) },
		"autostart": func(h house, ctx context.Context) error {
			results, err := h.Autostart(ctx, manager.AutostartOptions{})
			for _, r := range results {
				if r.Error != "" {
					err = errors.New(r.Error)
				}
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if err := killed(t, h, t.Context()); err != nil {
				t.Fatal(err)
			}
			kind(t, verb(h, t.Context()), "")
			if left := h.w.left(); !isRunning(h) || left != "link sy1.1, run 1, upper 1" && left != "link sy1.0, run 1, upper 1" {
				t.Errorf("on the machine: %s", left)
			}
		})
	}
	t.Run("delete", func(t *testing.T) {
		h := newHouse(t)
		if err := killed(t, h, t.Context()); err != nil {
			t.Fatal(err)
		}
		kind(t, h.Delete(t.Context(), "web1", manager.DeleteOptions{}), "")
		if left := h.w.left(); left != "" {
			t.Errorf("on the machine: %s", left)
		}
	})
	t.Run("autostart --crashed", func(t *testing.T) { // nobody asked it to start anything, but the monitor need not stay
		h := newHouse(t)
		if err := killed(t, h, t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Autostart(t.Context(), manager.AutostartOptions{Crashed: true}); err != nil {
			t.Fatal(err)
		}
		if left := h.w.left(); left != "upper 1" {
			t.Errorf("on the machine: %s", left)
		}
	})
	start := func(t *testing.T, h house, ctx context.Context) error {
		return h.Start(ctx, "web1", manager.StartOptions{})
	}
	everyFault(t, killed, start, func(t *testing.T, h house, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error = %v, want the injected one", err)
		}
		kind(t, start(t, h, t.Context()), "")
		if !isRunning(h) {
			t.Error("it does not run")
		}
	})
}

// A launch that was killed leaves a half-made row: the same launch, or a delete, removes it; a start refuses.
func TestHalfMade(t *testing.T) {
	halfMade := func(t *testing.T) house {
		h := newHouse(t)
		h.launch(t, "web1")
		inst, err := h.db.Instance(t.Context(), "web1")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.db.MarkReady(t.Context(), inst.ID, false); err != nil {
			t.Fatal(err)
		}
		return h
	}
	t.Run("launch again", func(t *testing.T) {
		h := halfMade(t)
		h.launch(t, "web1")
		if left := h.w.left(); left != "link sy2.0, run 2, upper 2" {
			t.Errorf("on the machine: %s", left)
		}
	})
	t.Run("start", func(t *testing.T) {
		h := halfMade(t)
		if err := h.Start(t.Context(), "web1", manager.StartOptions{}); sysctl.KindOf(err) != sysctl.Conflict {
			t.Errorf("start: %v", err)
		}
	})
	t.Run("list", func(t *testing.T) {
		h := halfMade(t)
		all, err := h.List(t.Context())
		if err != nil || len(all) != 1 || len(all[0].State.Problems) != 1 {
			t.Errorf("list: %+v, %v", all, err)
		}
	})
	t.Run("delete", func(t *testing.T) {
		h := halfMade(t)
		if err := h.Delete(t.Context(), "web1", manager.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if left := h.w.left(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("autostart", func(t *testing.T) {
		h := halfMade(t)
		if _, err := h.Autostart(t.Context(), manager.AutostartOptions{}); err != nil {
			t.Fatal(err)
		}
		if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
			t.Errorf("left: %s, %v", left, h.names(t))
		}
	})
}

// untilNoFault does something in one house again and again, each time with a later call of the machine's that fails, until it
// succeeds. failed looks at what each failure leaves.
func (h house) untilNoFault(do func() error, failed func(step int, err error)) {
	for step := 1; ; step++ {
		h.w.calls, h.w.failAt = nil, step
		err := do()
		h.w.failAt = 0
		if err == nil {
			return
		}
		failed(step, err)
	}
}
