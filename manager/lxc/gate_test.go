package lxc

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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
	g.Close()
	if out, err := hook().CombinedOutput(); err != nil || set() != "4096\n" {
		t.Errorf("an open gate, whose starter is gone: %v: %s", err, out)
	}
	g = shut()
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
	g.Close()
	left := shut()
	torn := hook()
	if err := torn.Start(); err != nil {
		t.Fatal(err)
	}
	untilOpened(t, torn.Process.Pid, left.Name())
	if err := os.Remove(left.Name()); err != nil { // killed before it could wake the hook
		t.Fatal(err)
	}
	left.Close()
	if err := torn.Wait(); err != nil || set() != "4096\n" {
		t.Errorf("a gate that is opened by a starter who is killed meanwhile: %v", err)
	}
	g = shut()
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
	if err := os.Remove(rt.paths.Gate(1)); err != nil {
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

// untilOpened returns when a process has a file open.
func untilOpened(t *testing.T, pid int, path string) {
	t.Helper()
	for {
		fds, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd/*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if is, _ := os.Readlink(fd); is == path {
				return
			}
		}
		runtime.Gosched()
	}
}
