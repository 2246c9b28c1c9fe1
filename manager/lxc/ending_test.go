package lxc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCrash(t *testing.T) {
	for status, want := range map[unix.WaitStatus]string{
		0:                         "",
		unix.WaitStatus(1 << 8):   "its init exited with status 1",
		unix.WaitStatus(2):        "", // reboot(2): halt, power off
		unix.WaitStatus(1):        "", // reboot(2): restart
		unix.WaitStatus(9):        "its init was killed by SIGKILL",
		unix.WaitStatus(11 + 128): "its init was killed by SIGSEGV", // and dumped core
	} {
		if got := crash(status); got != want {
			t.Errorf("status %#x: %q, want %q", uint32(status), got, want)
		}
	}
}

func TestCrashIsKnownFromTheHook(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	if err := os.MkdirAll(rt.paths.Dir(7), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"": false, "\n": false, "nonsense\n": false, "9\n": true, "2\n": true, "99999999\n": false} {
		if err := os.WriteFile(rt.paths.Ended(7), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, known := rt.Crash(7); known != want {
			t.Errorf("%q: known is %v", text, known)
		}
	}
	if _, known := rt.Crash(8); known {
		t.Error("nothing is known of a run without a file")
	}
}
