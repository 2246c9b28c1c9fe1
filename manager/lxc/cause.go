package lxc

import (
	"os"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// causes maps what liblxc writes to what it means. First match wins; the texts are liblxc 5 and 6.
var causes = [...]struct {
	text string // in an ERROR line of the log
	kind sysctl.Kind
	msg  string
	hint string
}{
	{"No such file or directory - Failed to exec \"/sbin/init\"", sysctl.Unsupported, "the guest has no /sbin/init that can run here", ""},
	{"Failed to exec \"", sysctl.Unsupported, "the guest's init cannot be executed", ""},
	{"newuidmap", sysctl.Unsupported, "the id mapping could not be set up", "sysctl check"},
	{"Failed to create network device", sysctl.Internal, "a network interface could not be created", "sysctl check"},
	{"Failed to attach", sysctl.Internal, "a network interface could not be attached to its bridge", "sysctl network list"},
	{"Failed to load config section \"seccomp\"", sysctl.Unsupported, "liblxc has no seccomp support", ""},
	{"apparmor", sysctl.Unsupported, "the AppArmor profile could not be loaded", "sysctl check"},
	{"Device or resource busy - Failed to set \"memory", sysctl.Conflict, "limits.memory is too little for the guest to start", "sysctl config show NAME --expanded"},
	{"Cannot allocate memory - ", sysctl.Conflict, "there is too little memory for the guest to start: limits.memory, or the host's", "sysctl config show NAME --expanded"},
	{"Failed to set \"memory", sysctl.Unsupported, "this host has no cgroup controller for limits.memory", "sysctl check"},
	{"Failed to set \"pids", sysctl.Unsupported, "this host has no cgroup controller for limits.processes", "sysctl check"},
	{"Failed to set \"cpuset", sysctl.Unsupported, "this host has no cgroup controller for limits.cpu, or not these CPUs", "sysctl check"},
	{"Failed to set \"cpu.", sysctl.Unsupported, "this host has no cgroup controller for limits.cpu.allowance", "sysctl check"},
	{"Failed to setup sysctl", sysctl.Unsupported, "a setting of linux.sysctl.* is not the guest's to make, or not to this value", "sysctl config show NAME --expanded"},
	{"Script exited with status", sysctl.Unsupported, "a setting of linux.sysctl.* is not the guest's to make, or not to this value", "sysctl config show NAME --expanded"},
	{"Failed to setup proc", sysctl.Invalid, "raw.lxc has a line that this liblxc or kernel does not take", "sysctl config show NAME --expanded"},
	{"Invalid capability", sysctl.Invalid, "raw.lxc has a line that this liblxc or kernel does not take", "sysctl config show NAME --expanded"},
	{"No space left on device", sysctl.NoSpace, "no space left on device", ""},
	{"Failed to mount", sysctl.Internal, "a mount failed", ""},
}

// cause makes the error of a failed start: the probable cause out of liblxc's log where there is one,
// else its first ERROR line, else what the keeper said.
func (rt *Runtime) cause(of sysctl.Boot, said string) error {
	if err := rt.wireFailure(of.Instance); err != nil {
		return err
	}
	b, _ := os.ReadFile(rt.paths.Log(of.Instance)) // absent: liblxc did not get so far
	line := probable(string(b))
	if line == "" {
		line = said
	}
	for _, c := range causes {
		if strings.Contains(line, c.text) {
			e := sysctl.E(c.kind, "%s (%s)", c.msg, line)
			if c.hint != "" {
				return e.WithHint("%s", strings.ReplaceAll(c.hint, "NAME", of.Name))
			}
			return e
		}
	}
	return sysctl.E(sysctl.Internal, "liblxc: %s", line)
}

// probable returns the message of the first ERROR line of a liblxc log. A line reads
// "lxc NAME TIMESTAMP LEVEL CATEGORY - FILE:FUNCTION:LINE - MESSAGE".
func probable(log string) string {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, " ERROR ") {
			continue
		}
		parts := strings.SplitN(line, " - ", 3)
		return strings.TrimSpace(parts[len(parts)-1])
	}
	return ""
}
