package lxc

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The hook ends well when there is no gate, or when it was opened before or after the hook came to it, and badly when the
// starter is gone.
func TestStartHook(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	limit := filepath.Join(t.TempDir(), "memory.max")
	if err := os.WriteFile(rt.paths.Limits(1), []byte(limit+" 4096\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hook := func() *exec.Cmd { // as run_script_argv has it run
		return exec.Command("/bin/sh", "-c", "exec "+startHook(rt.paths.Gate(1), rt.paths.Limits(1), wireHook(rt.paths.Wiring(1), []string{"sh", "-c", `echo "$LXC_PID" >"$0"`, limit}))+" sysctl-1 lxc start-host")
	}
	shut := func() gate {
		g, err := rt.shutGate(1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
		return g
	}
	set := func() string {
		b, _ := os.ReadFile(limit)
		if err := os.WriteFile(limit, nil, 0o600); err != nil { // one that is not there is left out
			t.Fatal(err)
		}
		return string(b)
	}
	set()
	if out, err := hook().CombinedOutput(); err != nil || set() != "4096\n" {
		t.Errorf("no gate: %v: %s", err, out)
	}
	g := shut()
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	if out, err := hook().CombinedOutput(); err != nil || set() != "4096\n" {
		t.Errorf("an open gate: %v: %s", err, out)
	}
	waiting := hook()
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Wait(); err != nil || set() != "4096\n" {
		t.Errorf("a gate that is opened: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	abandoned := hook()
	if err := abandoned.Start(); err != nil {
		t.Fatal(err)
	}
	starter, err := os.OpenFile(rt.paths.Gate(1), os.O_WRONLY, 0) // waits for the hook
	if err != nil {
		t.Fatal(err)
	}
	starter.Close()
	if err := abandoned.Wait(); err == nil || set() != "" {
		t.Errorf("an abandoned gate: %v", err)
	}
	if err := g.remove(); err != nil {
		t.Error(err)
	}

	// It is wired where there is something to, and does not boot where that fails.
	if err := os.WriteFile(rt.paths.Wiring(1), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	wired := hook()
	wired.Env = append(os.Environ(), "LXC_PID=4711")
	if out, err := wired.CombinedOutput(); err != nil || set() != "4711\n" {
		t.Errorf("wiring: %v: %s", err, out)
	}
	os.Remove(rt.paths.Limits(1))
	os.Remove(limit)
	if err := os.Mkdir(limit, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := hook().Run(); err == nil {
		t.Error("a failed wiring went unnoticed")
	}
}
