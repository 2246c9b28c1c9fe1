package manager_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func text(s string) *string { return &s }

// A profile's keys and devices are changed one by one, reach who runs, and keep the comments; what would break an instance is refused.
func TestSetProfile(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	const yaml = "# ours\ndescription: x\nconfig:\n  user.a: b # why\n"
	kind(t, h.CreateProfile(ctx, sysctl.Profile{Name: "shared", Description: "x", Config: map[string]string{"user.a": "b"}, Text: yaml}), "")
	h.launch(t, "web1")
	if _, err := h.AddProfile(ctx, "web1", "shared"); err != nil {
		t.Fatal(err)
	}
	is := func(want string) {
		t.Helper()
		p, _, err := h.Profile(ctx, "shared")
		if err != nil || p.Text != want {
			t.Errorf("%v; it is\n%s\nwant\n%s", err, p.Text, want)
		}
	}
	disk := sysctl.Device{"type": "disk", "source": "/usr", "path": "/a"}
	kind(t, h.AddProfileDevice(ctx, "shared", "data", disk, nil), "")
	if got := h.mounted(t); got != "/usr on /a" {
		t.Errorf("mounted %q", got)
	}
	kind(t, h.AddProfileDevice(ctx, "shared", "data", disk, nil), sysctl.Exists)
	kind(t, h.AddProfileDevice(ctx, "shared", "da ta", disk, nil), sysctl.Invalid)
	kind(t, h.SetProfile(ctx, "shared", map[string]*string{"devices.data.path": text("/b"), "user.a": text("c")}, nil), "")
	if got := h.mounted(t); got != "/usr on /b" {
		t.Errorf("mounted %q", got)
	}
	const full = "# ours\ndescription: x\nconfig:\n  user.a: c # why\ndevices:\n  data:\n    path: /b\n    source: /usr\n    type: disk\n"
	is(full)

	// Mistakes change nothing.
	for _, set := range []map[string]*string{
		{"limits.memory": text("lots"), "user.a": text("d")},
		{"limits.nothing": nil},
		{"devices.data.path": nil},
		{"devices.data": text("x")},
		{"security.privileged": text("true")},
		{"devices.other.path": text("/x")},
	} {
		kind(t, h.SetProfile(ctx, "shared", set, nil), sysctl.Invalid)
	}
	kind(t, h.SetProfile(ctx, "nobody", map[string]*string{"user.a": text("x")}, nil), sysctl.NotFound)
	kind(t, h.RemoveProfileDevices(ctx, "shared", []string{"data", "absent"}, nil), sysctl.NotFound)
	is(full)

	kind(t, h.SetProfile(ctx, "shared", map[string]*string{"user.a": nil, "user.absent": nil}, nil), "")
	kind(t, h.RemoveProfileDevices(ctx, "shared", []string{"data"}, nil), "")
	if got := h.mounted(t); got != "" {
		t.Errorf("mounted %q", got)
	}
	is("# ours\ndescription: x\nconfig: {}\ndevices: {}\n")

	// What waits is told.
	h.w.lost = "/etc"
	var told []string
	kind(t, h.AddProfileDevice(ctx, "shared", "data", sysctl.Device{"type": "disk", "source": "/etc", "path": "/b"}, func(line string) { told = append(told, line) }), "")
	if len(told) != 1 || !strings.HasPrefix(told[0], "web1: its devices are as they were until its next start") {
		t.Errorf("told %q", told)
	}
}

// Who change a profile at once all have their say.
func TestSetProfileAtOnce(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	kind(t, h.CreateProfile(ctx, sysctl.Profile{Name: "shared"}), "")
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			key := "user." + string(rune('a'+i))
			if err := h.SetProfile(ctx, "shared", map[string]*string{key: text("x")}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if p, _, _ := h.Profile(ctx, "shared"); len(p.Config) != 16 {
		t.Errorf("it has %d keys of 16: %v", len(p.Config), p.Config)
	}
}
