package manager_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (h house) diff(t *testing.T, name, from, to string) string {
	t.Helper()
	list, err := h.Diff(t.Context(), name, manager.DiffOptions{From: from, To: to})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range list {
		lines = append(lines, d.Change+" "+d.Path)
	}
	return strings.Join(lines, ", ")
}

func TestDiff(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.create(t, "web1")
	h.write(t, "web1", "a")
	snap(t, h, "web1", "one")
	h.write(t, "web1", "b")
	snap(t, h, "web1", "two")
	h.write(t, "web1", "c")
	for _, status := range []string{"stopped", "running"} {
		for _, c := range []struct{ from, to, want string }{
			{"", "", "added /a, added /b, added /c"},
			{"one", "", "added /b, added /c"},
			{"one", "two", "added /b"},
			{"two", "one", "deleted /b"},
		} {
			if got := h.diff(t, "web1", c.from, c.to); got != c.want {
				t.Errorf("%s: %q to %q: %s, want %s", status, c.from, c.to, got, c.want)
			}
		}
		if status == "stopped" {
			kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
		}
	}
	packages, err := h.DiffPackages(ctx, "web1", manager.DiffOptions{})
	if got := fmt.Sprint(packages); err != nil || got != "[{new  added  1 []} {nginx  changed 1 2 [/b]}]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, o := range []manager.DiffOptions{{From: "none"}, {To: "none"}} {
		_, err := h.Diff(ctx, "web1", o)
		kind(t, err, sysctl.NotFound)
	}
	_, err = h.Diff(ctx, "nobody", manager.DiffOptions{})
	kind(t, err, sysctl.NotFound)

	// What verbs take away under a comparison is no difference.
	h.w.meanwhile = func() { kind(t, h.Restore(ctx, "web1", "one", manager.StartOptions{}), "") }
	_, err = h.Diff(ctx, "web1", manager.DiffOptions{})
	kind(t, err, sysctl.Conflict)
	h.w.meanwhile = func() { kind(t, h.DeleteSnapshot(ctx, "web1", "two"), "") }
	_, err = h.Diff(ctx, "web1", manager.DiffOptions{From: "two"})
	kind(t, err, sysctl.Conflict)
	h.w.meanwhile = func() { kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{Force: true}), "") }
	_, err = h.Diff(ctx, "web1", manager.DiffOptions{})
	kind(t, err, sysctl.Conflict)
}
