package manager_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// forced switches the measure on for a guest that does not need it.
var forced = map[string]string{"compat.vsyscall": "on"}

func (h house) instance(t *testing.T, name string) sysctl.Instance {
	t.Helper()
	inst, err := h.db.Instance(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

func (h house) layersLeft(t *testing.T) int {
	t.Helper()
	all, err := h.db.Layers(t.Context())
	if err != nil || len(all) != len(h.w.layers) {
		t.Errorf("%d layers in the database, %d on the machine, %v", len(all), len(h.w.layers), err)
	}
	return len(all)
}

// The layer of changed copies is made once for an image, is over it while the measure is in force, and goes with the last
// who needs it.
func TestPatchedLayer(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	for _, name := range []string{"web1", "web2"} {
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Start: true, Config: forced}); err != nil {
			t.Fatal(err)
		}
	}
	inst := h.instance(t, "web1")
	if h.w.scanned != 1 || h.layersLeft(t) != 2 {
		t.Errorf("looked into the layers %d times, %d layers", h.w.scanned, h.layersLeft(t))
	}
	p := inst.Patched
	if p.Layer == "" || p.Layer == inst.Layers[0] || p.Files != 2 || p.Own != 1 || strings.Join(p.Unsure, " ") != "/a" {
		t.Errorf("%+v", p)
	}
	if got := p.String(); got != "2 files of the image, 1 of its own; not sure of 1 file: /a" {
		t.Errorf("said: %q", got)
	}
	if h.w.tops[inst.ID] != p.Layer || !h.w.patchedUppers[inst.ID] {
		t.Errorf("mounted on %s, upper changed %v", h.w.tops[inst.ID], h.w.patchedUppers[inst.ID])
	}
	d, err := h.Info(ctx, "web1")
	if err != nil || d.Patched.Files != 2 {
		t.Errorf("info: %+v %v", d.Patched, err)
	}

	// Off, and on again: the same layer.
	set := func(name, value string) {
		t.Helper()
		stopped(t, h, name)
		_, err := h.SetConfig(ctx, name, map[string]*string{"compat.vsyscall": &value})
		kind(t, err, "")
		kind(t, h.Start(ctx, name, manager.StartOptions{}), "")
	}
	set("web1", "off")
	if now := h.instance(t, "web1"); now.Patched.Any() || h.w.tops[inst.ID] != inst.Layers[0] || h.w.patchedUppers[inst.ID] {
		t.Errorf("off: %+v, mounted on %s", now.Patched, h.w.tops[inst.ID])
	}
	set("web1", "on")
	if h.w.scanned != 1 || h.w.tops[inst.ID] != p.Layer {
		t.Errorf("on: mounted on %s, looked %d times", h.w.tops[inst.ID], h.w.scanned)
	}

	image := inst.Image
	kind(t, h.DeleteImage(ctx, image), "")
	kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{Force: true}), "")
	if h.layersLeft(t) != 2 {
		t.Errorf("%d layers are left for web2, want 2", h.layersLeft(t))
	}
	kind(t, h.Delete(ctx, "web2", manager.DeleteOptions{Force: true}), "")
	if h.layersLeft(t) != 0 {
		t.Errorf("%d layers are left for nobody", h.layersLeft(t))
	}
}

func stopped(t *testing.T, h house, name string) {
	t.Helper()
	kind(t, h.Stop(t.Context(), name, manager.StopOptions{Force: true}), "")
}

// Two who start at once make one layer.
func TestPatchedLayerIsMadeOnce(t *testing.T) {
	h := newHouse(t)
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name, Config: forced}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { kind(t, h.Start(t.Context(), name, manager.StartOptions{}), "") })
	}
	all.Wait()
	if h.w.scanned != 1 || h.layersLeft(t) != 2 {
		t.Errorf("looked %d times, %d layers", h.w.scanned, h.layersLeft(t))
	}
}

// Where a guest has nothing to change that is found out once too.
func TestNothingToPatch(t *testing.T) {
	h := newHouse(t)
	h.w.nothing = true
	for _, name := range []string{"web1", "web2"} {
		if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name, Start: true, Config: forced}); err != nil {
			t.Fatal(err)
		}
	}
	if inst := h.instance(t, "web1"); h.w.scanned != 1 || inst.Patched.Layer != "" || inst.Patched.Own != 1 || h.layersLeft(t) != 1 {
		t.Errorf("%+v, looked %d times", inst.Patched, h.w.scanned)
	}
}

// A host that has the page, or a guest that does not call it, is not looked into.
func TestPatchOnlyWhereNeeded(t *testing.T) {
	h := newHouse(t)
	h.w.host.Vsyscall = sysctl.VsyscallWorks
	h.launch(t, "web1")
	h.w.host.Vsyscall = sysctl.VsyscallNone
	h.launch(t, "web2")
	if h.w.scanned != 0 {
		t.Errorf("looked %d times", h.w.scanned)
	}
}

// What a guest was at its last start does not decide about its programs: it may have been made another since, older or newer.
func TestPatchOfWhatTheGuestIsNow(t *testing.T) {
	h := newHouse(t)
	h.w.host.Vsyscall = sysctl.VsyscallNone
	h.w.os.Arch, h.w.os.Libc, h.w.os.LibcVersion, h.w.print = "amd64", "glibc", "2.36", "as it was"
	h.launch(t, "web1")
	inst := h.instance(t, "web1")
	for _, c := range []struct {
		libc string
		want bool
	}{{"2.12", true}, {"2.13", true}, {"2.17", false}} {
		stopped(t, h, "web1")
		h.w.os.LibcVersion, h.w.print = c.libc, c.libc
		kind(t, h.Start(t.Context(), "web1", manager.StartOptions{}), "")
		now := h.instance(t, "web1")
		if now.Patched.Any() != c.want || h.w.patchedUppers[inst.ID] != c.want || h.w.tops[inst.ID] != now.Stack()[len(now.Stack())-1] {
			t.Errorf("glibc %s: %+v, upper %v, mounted on %s", c.libc, now.Patched, h.w.patchedUppers[inst.ID], h.w.tops[inst.ID])
		}
		if now.Guest.LibcVersion != c.libc {
			t.Errorf("remembered glibc %s", now.Guest.LibcVersion)
		}
	}
}

// A launch and a start with the measure that fail anywhere leave nothing on the machine that the next one does not use.
func TestPatchFaultAtEveryStep(t *testing.T) {
	launch := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Config: forced})
		return err
	}
	check := func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("the fault was lost")
		}
		if left := h.w.left(); left != "" && !strings.HasPrefix(left, "upper") {
			t.Errorf("left on the machine: %s", left)
		}
		if _, err := h.db.Instance(t.Context(), "web1"); err != nil {
			kind(t, launch(t, h, t.Context()), "")
		} else {
			kind(t, h.Start(t.Context(), "web1", manager.StartOptions{}), "")
		}
		inst := h.instance(t, "web1")
		if h.w.tops[inst.ID] != inst.Patched.Layer || inst.Patched.Layer == "" {
			t.Errorf("mounted on %s, patched %+v", h.w.tops[inst.ID], inst.Patched)
		}
		kind(t, h.Delete(t.Context(), "web1", manager.DeleteOptions{Force: true}), "")
	}
	everyFault(t, nil, launch, check)
	setup := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Config: forced})
		return err
	}
	everyFault(t, setup, func(_ *testing.T, h house, ctx context.Context) error {
		return h.Start(ctx, "web1", manager.StartOptions{})
	}, check)
}

// The instance that a template is finished in needs its programs changed too; the image gets them as they were.
func TestBuildPatches(t *testing.T) {
	for libc, want := range map[string]bool{"2.12": true, "2.36": false} {
		h := newHouse(t)
		h.w.script, h.w.trees = "install it", t.TempDir()
		h.w.host.Vsyscall = sysctl.VsyscallNone
		h.w.os.Libc, h.w.os.LibcVersion = "glibc", libc
		h.build(t, manager.BuildOptions{})
		at := func(call string) int { return slices.Index(h.w.calls, call) }
		if got := at("patch") >= 0; got != want || h.w.patched {
			t.Errorf("glibc %s: changed %v, still so %v", libc, got, h.w.patched)
		}
		if want && (at("patch") > at("runtime start") || at("undo patch") < at("runtime clear") || at("undo patch") > at("commit layer")) {
			t.Errorf("glibc %s: %q", libc, h.w.calls)
		}
	}
}

// What packages are installed by runs under the measures of its kind, but for those that are for an init.
func TestBuildMeasures(t *testing.T) {
	h := newHouse(t)
	h.w.script, h.w.trees = "install it", t.TempDir()
	h.w.host = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true, IA32: true, SELinuxFS: true, LegacyTables: true, LegacyUnloaded: true}
	h.w.os = sysctl.Guest{Family: "rhel", ID: "centos", Version: "7", Arch: "i386", Init: "systemd", InitVersion: "219", Libc: "glibc", LibcVersion: "2.12", Iptables: "legacy"}
	h.build(t, manager.BuildOptions{})
	want := sysctl.Compat{Files: 65536, Filesystems: true, PrivateDevices: sysctl.On}
	if got := h.w.booted; got.Compat != want || got.Arch != "i386" || got.Measures != nil {
		t.Errorf("booted for %s with %+v", got.Arch, got.Compat)
	}
}
