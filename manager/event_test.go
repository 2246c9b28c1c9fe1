package manager_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// told is what has happened, one word each.
func (h house) told(t *testing.T, types ...string) string {
	t.Helper()
	var words []string
	err := h.Events(t.Context(), manager.EventOptions{Types: types}, func(e sysctl.Event) error {
		words = append(words, strings.TrimPrefix(e.Action, "instance-")+":"+e.Name+e.Context["snapshot"]+e.Context["old_name"])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(words, " ")
}

func TestEvents(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	launch := func(name string) {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Start: true})
		kind(t, err, "")
	}
	launch("web1")
	kind(t, h.Freeze(ctx, "web1"), "")
	kind(t, h.Unfreeze(ctx, "web1"), "")
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true}), "")
	snap(t, h, "web1", "s")
	kind(t, h.RenameSnapshot(ctx, "web1", "s", "s2"), "")
	memory := "1GiB"
	_, err := h.SetConfig(ctx, "web1", map[string]*string{"limits.memory": &memory})
	kind(t, err, "")
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{Force: true}), "")
	kind(t, h.Restore(ctx, "web1", "s2", manager.StartOptions{}), "")
	kind(t, h.Rename(ctx, "web1", "web2"), "")
	kind(t, h.Delete(ctx, "web2", manager.DeleteOptions{}), "")
	want := "created:web1 started:web1 paused:web1 resumed:web1 stopped:web1 started:web1 snapshot-created:web1s snapshot-renamed:web1s2s updated:web1 " +
		"stopped:web1 restored:web1 renamed:web2web1 deleted:web2"
	if got := h.told(t, "instance"); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
	if got := h.told(t, "*-deleted"); got != "deleted:web2" {
		t.Errorf("of a pattern: %s", got)
	}
	if all := h.told(t); !strings.Contains(all, "image-created:") || !strings.Contains(all, "image-alias-created:debian12") {
		t.Errorf("of images: %s", all)
	}

	// What fails has not happened.
	before := h.told(t)
	h.w.failAt = len(h.w.calls) + 4
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "never", Start: true})
	if err == nil {
		t.Fatal("nothing failed")
	}
	h.w.failAt = 0
	if got := h.told(t); got != before {
		t.Errorf("a launch that failed told %s", strings.TrimPrefix(got, before))
	}
}

// TestEventsOfKilledVerbs is of runs whose verb could not tell of them.
func TestEventsOfKilledVerbs(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true})
	kind(t, err, "")
	id := h.instance(t, "web1").ID
	delete(h.w.running, id) // the host lost power
	if got := h.told(t, "instance"); got != "created:web1 started:web1 stopped:web1" {
		t.Errorf("after a power cut: %s", got)
	}
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	kind(t, h.DB.RunEnded(ctx, id, "", sysctl.InstanceStopped), "") // as if nobody had told of that start
	want := "created:web1 started:web1 stopped:web1 started:web1 stopped:web1 started:web1"
	for range 2 {
		if got := h.told(t, "instance"); got != want {
			t.Errorf("told\n%s\nwant\n%s", got, want)
		}
	}
}

func TestFollowEvents(t *testing.T) {
	h := newHouse(t)
	h.create(t, "old")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := make(chan string)
	done := make(chan error, 1)
	go func() {
		o := manager.EventOptions{Follow: true, Since: time.Unix(1, 0), Types: []string{"instance"}}
		done <- h.Events(ctx, o, func(e sysctl.Event) error {
			select {
			case seen <- e.Action + " " + e.Name:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	next := func() string {
		select {
		case s := <-seen:
			return s
		case err := <-done:
			t.Fatalf("it ended with %v", err)
		case <-ctx.Done():
			t.Fatal("nothing in a minute: ", h.told(t))
		}
		return ""
	}
	if got := next(); got != "instance-created old" {
		t.Errorf("what had happened: %s", got)
	}
	for _, name := range []string{"a", "b", "c"} {
		h.create(t, name)
		if got := next(); got != "instance-created "+name {
			t.Errorf("of %s: %s", name, got)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}
