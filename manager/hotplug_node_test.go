package manager_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// nodes describes the device nodes of a world's only instance, and what its filter lets through.
func (h house) nodes() string {
	var all []string
	for _, at := range []string{"/dev/a", "/dev/b", "/dev/c"} {
		if numbers := h.w.mounts["1001:"+at]; numbers != "" {
			all = append(all, numbers+" on "+at)
		}
	}
	for _, n := range h.w.allowed {
		all = append(all, n.Numbers())
	}
	return strings.Join(all, ", ")
}

func node(source, path string) sysctl.Device {
	return sysctl.Device{"type": "unix-block", "source": source, "path": path}
}

// Device nodes come and go while the instance runs; the run's wiring has note of them, and a device that has other numbers when the guest
// reboots is made with those.
func TestNodesArePluggedLive(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true,
		Devices: map[string]sysctl.Device{"a": node("/dev/1", "/dev/a")}}); err != nil {
		t.Fatal(err)
	}
	wire := func() {
		if err := h.Wire(ctx, 1, 1001); err != nil {
			t.Error(err)
		}
	}
	wire() // the hook's part of the start
	for _, c := range []struct {
		set  []string
		want string
	}{
		{nil, "b 7:6 on /dev/a, b 7:6"},
		{[]string{"devices.b.type=unix-char", "devices.b.source=/dev/22"}, ""},
		{[]string{"devices.b.path=/dev/b"}, "b 7:6 on /dev/a, c 7:7 on /dev/b, b 7:6, c 7:7"},
		{[]string{"devices.b.source=/dev/333"}, "b 7:6 on /dev/a, c 7:8 on /dev/b, b 7:6, c 7:8"},
		{[]string{"devices.a"}, "c 7:8 on /dev/b, c 7:8"},
		{[]string{"devices.b.major=9", "devices.b.minor=1"}, "c 9:1 on /dev/b, c 9:1"},
		{[]string{"devices.b"}, ""},
	} {
		live, err := h.SetConfig(ctx, "web1", sets(c.set...))
		if err != nil || len(live) != len(c.set) {
			t.Fatalf("%v: live %v, %v", c.set, live, err)
		}
		if got := h.nodes(); c.want != "" && got != c.want {
			t.Errorf("%v: %q, want %q", c.set, got, c.want)
		}
		before := h.nodes()
		clear(h.w.mounts)
		h.w.allowed = nil
		if wire(); h.nodes() != before { // the guest reboots
			t.Errorf("%v: after a reboot %q, before it %q", c.set, h.nodes(), before)
		}
	}
}

// One that is not there is refused, or waits for the next start; one that has gone is told of when the guest reboots, and the others are there.
func TestNodesThatAreGone(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.w.lost = "/dev/gone"
	o := manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Devices: map[string]sysctl.Device{"a": node("/dev/gone", "/dev/a"), "b": node("/dev/1", "/dev/b")}}
	_, err := h.Create(ctx, o)
	kind(t, err, sysctl.NotFound)
	if _, err := h.db.Instance(ctx, "web1"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("of the refused one there is %v", err)
	}
	o.Devices["a"]["required"] = "false"
	if _, err := h.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if w, _, _ := (fakeRuntime{h.w}).Wiring(1); len(w.Nodes) != 1 || w.IDMap.Size == 0 {
		t.Errorf("wired with %+v", w)
	}
	again := sets("devices.a.required=false")
	if live, err := h.SetConfig(ctx, "web1", again); err != nil || len(live) > 0 {
		t.Errorf("still gone: live %v, %v", live, err)
	}
	h.w.lost = ""
	if live, err := h.SetConfig(ctx, "web1", again); err != nil || len(live) != 1 || h.w.mounts["1001:/dev/a"] == "" {
		t.Errorf("there: live %v, %v, %q", live, err, h.nodes())
	}
	h.w.lost = "/dev/1"
	clear(h.w.mounts)
	if err := h.Wire(ctx, 1, 1001); err != nil || !strings.Contains(fmt.Sprint(h.w.unwired), "device b: /dev/1 is missing") || h.w.mounts["1001:/dev/a"] == "" {
		t.Errorf("a reboot without: %v, told %v, %q", err, h.w.unwired, h.nodes())
	}
}

// The guest's ids are those that it has, or is to have.
func TestNodesOfNobody(t *testing.T) {
	h := newHouse(t)
	d := node("/dev/1", "/dev/a")
	d["uid"] = "65536"
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Devices: map[string]sysctl.Device{"a": d}})
	if err == nil || !strings.Contains(err.Error(), "devices.a.uid: the guest has no user 65536") {
		t.Error(err)
	}
	o := manager.CreateOptions{Source: "debian12", Name: "web1", Devices: map[string]sysctl.Device{"a": d}, Config: map[string]string{"security.privileged": "true"}}
	if _, err := h.Create(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// A change that fails anywhere leaves configuration and guest as they were.
func TestNodeFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Devices: map[string]sysctl.Device{"a": node("/dev/1", "/dev/a")}})
		if err == nil {
			err = h.Wire(ctx, 1, 1001)
		}
		return err
	}
	change := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.SetConfig(ctx, "web1", sets("devices.a", "devices.b.type=unix-char", "devices.b.path=/dev/b"))
		return err
	}
	everyFault(t, setup, change, func(t *testing.T, h house, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error = %v, want the injected one", err)
		}
		if got := h.nodes(); got != "b 7:6 on /dev/a, b 7:6" {
			t.Errorf("nodes %q", got)
		}
		if err := change(t, h, t.Context()); err != nil || h.nodes() != "c 7:6 on /dev/b, c 7:6" {
			t.Errorf("the second time: %v, %q", err, h.nodes())
		}
	})
}
