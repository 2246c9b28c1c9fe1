package manager_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// A running instance has the limits of an edited profile at once, unless its own keys say otherwise.
func TestProfileLimitsAreLive(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	small := sysctl.Profile{Name: "small", Config: map[string]string{"limits.processes": "100"}}
	kind(t, h.CreateProfile(ctx, small), "")
	for _, name := range []string{"web1", "web2"} {
		o := manager.CreateOptions{Source: "debian12", Name: name, Start: true, Profiles: []string{"default", "small"}}
		if name == "web2" {
			o.Config = map[string]string{"limits.processes": "7"}
		}
		if _, err := h.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	small.Config = map[string]string{"limits.processes": "50", "limits.memory": "1MiB", "limits.cpu.allowance": "30%"}
	kind(t, h.UpdateProfile(ctx, small, nil), "")
	one, two := h.w.running[1].boot, h.w.running[2].boot
	if one.Processes != 50 || one.Memory != 1<<20 || one.CPU.Share != 30 || two.Processes != 7 || two.Memory != 1<<20 {
		t.Errorf("limits %+v and %+v", one.Limits, two.Limits)
	}

	small.Config = map[string]string{"limits.processes": "20"}
	h.w.calls, h.w.failAt = nil, 2 // the second instance cannot have it
	err := h.UpdateProfile(ctx, small, nil)
	if h.w.failAt = 0; err == nil || !strings.Contains(err.Error(), "instance web2") {
		t.Errorf("error %v, want one that names web2", err)
	}
	if one := h.w.running[1].boot; one.Processes != 50 || one.Memory != 1<<20 {
		t.Errorf("the first one kept what was refused: %+v", one.Limits)
	}
	if p, _, _ := h.Profile(ctx, "small"); p.Config["limits.processes"] != "50" {
		t.Errorf("the profile was changed: %v", p.Config)
	}
}

// A limit that this kernel has no file for is refused while the instance runs; what a profile has of it does not keep others
// from being set.
func TestLimitThatNobodyEnforces(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	weight, processes := "8", "9"
	_, err := h.SetConfig(ctx, "web1", map[string]*string{"limits.disk.priority": &weight, "limits.processes": &processes})
	kind(t, err, sysctl.Unsupported)
	if b := h.w.running[1].boot; b.Processes != 0 || b.DiskShare != 0 {
		t.Errorf("something was changed: %+v", b.Limits)
	}
	kind(t, h.UpdateProfile(ctx, sysctl.Profile{Name: "default", Config: map[string]string{"limits.disk.priority": "8"}}, nil), "")
	var said []string
	note := func(line string) { said = append(said, line) }
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true, Note: note}), "")
	if want := "limits.disk.priority has no effect: no cgroup of this host can enforce it"; len(said) != 1 || said[0] != want {
		t.Errorf("a start says %q, want %q", said, want)
	}
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"limits.processes": &processes})
	kind(t, err, "")
	if b := h.w.running[1].boot; b.Processes != 9 {
		t.Errorf("limits %+v", b.Limits)
	}
}

// A limit that cannot be set leaves what was.
func TestLimitIsTakenBack(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	processes, memory := "9", "1MiB"
	_, err := h.SetConfig(ctx, "web1", map[string]*string{"limits.processes": &processes})
	kind(t, err, "")
	h.w.calls, h.w.failAt, h.w.after = nil, 1, true
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"limits.memory": &memory})
	if h.w.failAt = 0; err == nil {
		t.Fatal("no error")
	}
	if b := h.w.running[1].boot; b.Processes != 9 || b.Memory != 0 {
		t.Errorf("limits %+v", b.Limits)
	}
}

// CPUs by number are refused where the host has not got them; what came from a host with more has those that are here, if any.
func TestCPUsThatAreNotThere(t *testing.T) {
	h := newHouse(t) // with CPUs 0 to 3
	ctx := t.Context()
	h.launch(t, "web1")
	refused := func(err error) {
		t.Helper()
		if kind(t, err, sysctl.Unsupported); err != nil && !strings.Contains(err.Error(), "limits.cpu: this host has no CPU 4: it has 0,1,2,3") {
			t.Errorf("error %v", err)
		}
	}
	set := func(value string) error {
		_, err := h.SetConfig(ctx, "web1", map[string]*string{"limits.cpu": &value})
		return err
	}
	refused(set("3-5"))
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web2", Config: map[string]string{"limits.cpu": "4-4"}})
	refused(err)
	kind(t, set("2-3"), "")
	if b := h.w.running[1].boot; b.CPUs != "2-3" {
		t.Errorf("limits %+v", b.Limits)
	}

	h.Manager.CPUs = func() ([]int, error) { return []int{0, 1, 2}, nil }
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true}), "")
	if b := h.w.running[1].boot; b.CPUs != "2" {
		t.Errorf("limits %+v", b.Limits)
	}
}

// A restart that could not start again is refused before it stops anything.
func TestRestartThatCannotStart(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	h.launch(t, "web2")
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	set := func(name string, keys ...string) {
		t.Helper()
		all := map[string]*string{}
		for i := 0; i < len(keys); i += 2 {
			all[keys[i]] = &keys[i+1]
		}
		if _, err := h.SetConfig(ctx, name, all); err != nil {
			t.Fatal(err)
		}
	}
	runs := func() bool { return h.w.running[1] != nil && h.w.running[2] != nil }
	set("web1", "devices.data.type", "disk", "devices.data.source", dir, "devices.data.path", "/data")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true}), sysctl.NotFound)

	set("web2", "security.idmap.base", "5000000")
	set("web1", "devices.data.required", "false", "security.idmap.base", "5000000") // both ask for them, and neither has them
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true}), "")
	kind(t, h.Restart(ctx, "web2", manager.StopOptions{Force: true}), sysctl.Exists)
	if !runs() {
		t.Error("what could not start again was stopped")
	}
}
