package lxc

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// notAgain is in the place of a status where the guest has asked for a reboot, and liblxc could not start it again.
const notAgain = "reboot"

// Crash returns why the guest of the newest run has not ended in good order, "" where it has: it was halted, or its init
// has exited with status 0. It is not known of a run that goes on, that was killed by a verb, or whose monitor was killed too.
func (rt *Runtime) Crash(id int64) (cause string, known bool) {
	b, err := os.ReadFile(rt.paths.Ended(id))
	if err != nil {
		return "", false
	}
	if strings.TrimSpace(string(b)) == notAgain {
		return "its guest has rebooted, and liblxc could not start it again", true
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 16)
	if err != nil {
		return "", false // a keeper of before, or a disk without room
	}
	return crash(unix.WaitStatus(n)), true
}

// crash judges how an init ended. A guest that halts or reboots has its init killed by the kernel, with a signal that nobody else
// can kill it with (reboot(2), "Behavior inside PID namespaces").
func crash(s unix.WaitStatus) string {
	switch {
	case s.Signaled() && (s.Signal() == unix.SIGINT || s.Signal() == unix.SIGHUP):
		return ""
	case s.Signaled():
		return fmt.Sprintf("its init was killed by %s", unix.SignalName(s.Signal()))
	case s.ExitStatus() != 0:
		return fmt.Sprintf("its init exited with status %d", s.ExitStatus())
	}
	return ""
}
