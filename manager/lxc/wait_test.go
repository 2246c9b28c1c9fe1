package lxc

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// The monitor lives as long as its init does, whatever becomes of the wait, and ends with it.
func TestWaitEndsTheMonitor(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir(), Cgroup: "sysctl-test-none"}, cgroups: hierarchies{v2: cgroupRoot, all: []string{cgroupRoot}}}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	start := func() (*exec.Cmd, io.WriteCloser, sysctl.Process) {
		cmd := exec.Command("cat") // ends with its input
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		p, _, _ := identify(cmd.Process.Pid)
		return cmd, in, p
	}
	monitor, monitorEnd, monitorID := start()
	init, end, initID := start()
	if err := (runFile{RunID: "a", Monitor: monitorID, Init: initID}).save(rt.paths.RunFile(1)); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rt.Wait(over, 1); !errors.Is(err, context.Canceled) || !alive(monitorID) {
		t.Fatalf("cancelled: %v, monitor lives: %v", err, alive(monitorID))
	}
	before, waited := pidfds(t), make(chan error, 1)
	go func() { waited <- rt.Wait(t.Context(), 1) }()
	for pidfds(t) < before+2 { // it has looked, and waits
		runtime.Gosched()
	}
	end.Close()
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if err := init.Wait(); err != nil {
		t.Errorf("init: %v", err)
	}
	monitorEnd.Close()
	monitor.Wait()
	if s := monitor.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Errorf("monitor: %v", monitor.ProcessState)
	}
}

// pidfds is how many processes this one has descriptors of.
func pidfds(t *testing.T) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if is, _ := os.Readlink(fd); is == "anon_inode:[pidfd]" || strings.HasPrefix(is, "pidfd:") { // since Linux 6.9 they have inodes
			n++
		}
	}
	return n
}
