package lxc

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// What is missing says what it costs; what a measure makes up for is no warning.
func TestGuestFacts(t *testing.T) {
	whole := sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true, Vsyscall: sysctl.VsyscallWorks, IA32: true, Lxcfs: "/var/lib/lxcfs", LegacyTables: true}
	for _, c := range []struct {
		name   string
		change func(*sysctl.Host)
		warns  string // of which fact
		value  string // that some fact has
	}{
		{"nothing is missing", func(*sysctl.Host) {}, "", "/var/lib/lxcfs"},
		{"vsyscall=none", func(h *sysctl.Host) { h.Vsyscall = sysctl.VsyscallNone }, "", "none (guests with glibc 2.13 or older get the measure vsyscall)"},
		{"no i386", func(h *sysctl.Host) { h.IA32 = false }, "i386 programs", "do not run"},
		{"another machine", func(h *sysctl.Host) { h.IA32, h.Arch, h.Vsyscall = false, "arm64", sysctl.VsyscallAbsent }, "", "not on this architecture"},
		{"no named hierarchy", func(h *sysctl.Host) { h.Named = "it was forbidden" }, "named cgroup v1 hierarchy", "refused"},
		{"it is there", func(h *sysctl.Host) { h.Named, h.Cgroups = "it was forbidden", sysctl.CgroupHybrid }, "", "not needed: cgroup v1 is there"},
		{"no lxcfs", func(h *sysctl.Host) { h.Lxcfs = "" }, "lxcfs", "does not run"},
		{"no tables", func(h *sysctl.Host) { h.LegacyTables = false }, "legacy iptables", "not in this kernel"},
		{"a login", func(h *sysctl.Host) { h.LoginUID = true }, "", "set by this login session"},
		{"selinux", func(h *sysctl.Host) { h.SELinuxFS = true }, "", "in /proc/filesystems"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := whole
			c.change(&h)
			var warns, values []string
			for _, f := range factsOf(h) {
				values = append(values, f.Value)
				if f.Name == "" || f.Value == "" || (f.Level == sysctl.OK) != (f.Cost == "") {
					t.Errorf("%+v", f)
				}
				if f.Level != sysctl.OK {
					warns = append(warns, f.Name)
				}
			}
			if strings.Join(warns, ", ") != c.warns || !strings.Contains(strings.Join(values, "\n")+"\n", c.value+"\n") {
				t.Errorf("warns of %q; values %q", warns, values)
			}
		})
	}
}
