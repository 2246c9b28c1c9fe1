package lxc

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// stat is the part of /proc/PID/stat that identifies a process (proc(5)).
type stat struct {
	state  byte
	flags  uint64
	parent int
	start  uint64
}

// readStat reads /proc/PID/stat. The command name may hold anything, so fields count from the last ')'.
func readStat(pid int) (stat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return stat{}, false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return stat{}, false
	}
	parent, _ := strconv.Atoi(f[1])
	flags, _ := strconv.ParseUint(f[6], 10, 64)
	start, err := strconv.ParseUint(f[19], 10, 64)
	return stat{state: f[0][0], flags: flags, parent: parent, start: start}, err == nil
}

// Flags of a process (include/linux/sched.h).
const (
	exiting = 0x4  // PF_EXITING
	forked  = 0x40 // PF_FORKNOEXEC: it has not executed anything since it was forked
)

// ended reports whether the process will never run an instruction of its program again: it is dead, or the kernel is
// taking it apart, which can wait for an RCU grace period or a disk.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' || s.flags&exiting != 0 }

// alive reports whether p still runs: same start time, and not ended.
func alive(p sysctl.Process) bool {
	if p.PID == 0 {
		return false
	}
	s, ok := readStat(p.PID)
	return ok && s.start == p.Start && !s.ended()
}

// identify returns the identity of a running pid.
func identify(pid int) (sysctl.Process, int, bool) {
	s, ok := readStat(pid)
	return sysctl.Process{PID: pid, Start: s.start}, s.parent, ok
}

// initOf finds the guest's init among the children of its monitor: the one that is pid 1 of an inner
// pid namespace. A guest that reboots gets a new init from the same monitor.
func initOf(monitor int) (sysctl.Process, bool) {
	m := strconv.Itoa(monitor)
	b, err := os.ReadFile("/proc/" + m + "/task/" + m + "/children")
	if err != nil {
		return sysctl.Process{}, false
	}
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil || !isInit(pid) {
			continue
		}
		if p, _, ok := identify(pid); ok && alive(p) {
			return p, true
		}
	}
	return sysctl.Process{}, false
}

// executed reports whether a process has become another program than the one it was forked from. Before that a guest's init is
// still liblxc, in the midst of making the guest: whoever entered it would see the host's files and none of the limits.
func executed(pid int) bool {
	s, ok := readStat(pid)
	return ok && s.flags&forked == 0
}

// isInit reports whether pid is process 1 of a nested pid namespace (NSpid of /proc/PID/status).
func isInit(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(rest)
			return len(f) > 1 && f[len(f)-1] == "1"
		}
	}
	return false
}
