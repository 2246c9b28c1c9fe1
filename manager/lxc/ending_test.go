package lxc

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	for text, want := range map[string]bool{"": false, "\n": false, "nonsense\n": false, "9\n": true, "2\n": true, "reboot\n": true, "99999999\n": false} {
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

// What the hook starts, and what it has written down by then, in the life of a guest that reboots twice and then cannot be started
// again, or halts.
func TestHookTellsAFailedReboot(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	if err := os.MkdirAll(rt.paths.Dir(7), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rt.paths.Marker(7), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	settle := []string{"/bin/sh", "-c", `exec >>"$0"; echo "settle $LXC_TARGET" $(cat "$1" 2>/dev/null)`, said.Name(), rt.paths.Ended(7)}
	ends := func(target, ended, reboots string) string {
		t.Helper()
		if err := said.Truncate(0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", "exec "+hook(rt.paths.Marker(7), rt.paths.Ended(7), rt.paths.Reboots(7), settle))
		cmd.Env = []string{"LXC_TARGET=" + target, "SYSCTL_ENDED=" + ended, "SYSCTL_REBOOTS=" + reboots}
		r, w, err := os.Pipe() // closed when what goes on behind it has ended too
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd.ExtraFiles = []*os.File{w}
		err = cmd.Run()
		w.Close()
		if _, readErr := io.ReadAll(r); err != nil || readErr != nil {
			t.Fatal(err, readErr)
		}
		b, err := os.ReadFile(said.Name())
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	for _, c := range [][4]string{
		{"reboot", "1", "1", "settle reboot"}, {"reboot", "1", "2", "settle reboot"},
		{"reboot", "1", "2", "settle stop reboot"}, {"stop", "2", "2", "settle stop 2"},
	} {
		if got := ends(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%v: %q", c, got)
		}
	}
	if err := os.Remove(rt.paths.Marker(7)); err != nil {
		t.Fatal(err)
	}
	if got := ends("stop", "2", "2"); got != "" {
		t.Errorf("settled already: %q", got)
	}
}
