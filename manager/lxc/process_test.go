package lxc

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// A guest that reboots has a process 1 for a moment that is still liblxc. Nobody may take it for the guest's init.
func TestStateWaitsForTheGuestsInit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making a pid namespace needs root")
	}
	// Go cannot fork without executing; every Debian has perl.
	monitor := exec.Command("perl", "-e", fmt.Sprintf(`$| = 1; syscall(%d, %d) == 0 or die "unshare: $!";
if (!fork) { print "forked\n"; <STDIN>; exec "/bin/sh", "-c", "echo executed; read line" } wait`, unix.SYS_UNSHARE, unix.CLONE_NEWPID))
	in, err := monitor.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := monitor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := monitor.Start(); err != nil {
		t.Fatal(err)
	}
	defer monitor.Wait()
	defer in.Close()
	said := bufio.NewScanner(out)
	rt := &Runtime{paths: Paths{Run: t.TempDir(), Cgroup: "none"}}
	m, _, _ := identify(monitor.Process.Pid)
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (runFile{RunID: "r", Monitor: m, Started: time.Now()}).save(rt.paths.RunFile(1)); err != nil {
		t.Fatal(err)
	}
	status := func(word string) sysctl.State {
		if !said.Scan() || strings.TrimSpace(said.Text()) != word {
			t.Fatalf("the helper said %q, not %q", said.Text(), word)
		}
		return rt.State(1)
	}
	if s := status("forked"); s.Status != sysctl.Stopped || s.Init.PID != 0 || s.Monitor.PID == 0 {
		t.Errorf("before it has executed its init: %+v", s)
	}
	if _, err := in.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	if s := status("executed"); s.Status != sysctl.Running || s.Init.PID == 0 {
		t.Errorf("after: %+v", s)
	}
	in.Write([]byte("end\n"))
}
