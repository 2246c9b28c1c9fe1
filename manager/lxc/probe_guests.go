package lxc

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// guestFacts are what the compat table goes by, for people: what each costs, where no measure makes up for it.
func (rt *Runtime) guestFacts(ctx context.Context) []sysctl.Fact {
	h, err := rt.Host(ctx)
	if err != nil {
		return []sysctl.Fact{{Name: "old guests", Value: "unknown", Level: sysctl.Warning, Cost: "instances do not start (" + err.Error() + ")"}}
	}
	return factsOf(h)
}

func factsOf(h sysctl.Host) []sysctl.Fact {
	return []sysctl.Fact{vsyscallFact(h), ia32Fact(h), namedFact(h), lxcfsFact(h), tablesFact(h), loginFact(h), selinuxFact(h)}
}

func vsyscallFact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "vsyscall page", Value: string(h.Vsyscall), Level: sysctl.OK}
	switch h.Vsyscall {
	case sysctl.VsyscallNone:
		f.Value = "none (guests with glibc 2.13 or older get the measure vsyscall)"
	case sysctl.VsyscallAbsent:
		f.Value = "no program of this architecture has it"
	}
	return f
}

func ia32Fact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "i386 programs", Value: "run", Level: sysctl.OK}
	switch {
	case h.IA32:
	case h.Arch != "amd64":
		f.Value = "not on this architecture"
	default:
		f.Value, f.Level, f.Cost = "do not run", sysctl.Warning, "32-bit guests do not boot"
		f.Repair = "boot the host with ia32_emulation=1, and a kernel that is built with CONFIG_IA32_EMULATION"
	}
	return f
}

func namedFact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "named cgroup v1 hierarchy", Value: "can be made", Level: sysctl.OK}
	switch {
	case h.Cgroups != sysctl.CgroupV2:
		f.Value = "not needed: cgroup v1 is there"
	case h.Named != "":
		f.Value, f.Level, f.Cost = "refused", sysctl.Warning, "guests with systemd before 230 (CentOS 7, Debian 8, Ubuntu 16.04) do not boot: "+h.Named
		f.Repair = "boot the host with a kernel that has cgroup v1, without cgroup_no_v1=named; in a container, do it outside"
	}
	return f
}

func lxcfsFact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "lxcfs", Value: h.Lxcfs, Level: sysctl.OK}
	if h.Lxcfs == "" {
		f.Value, f.Level, f.Repair = "does not run", sysctl.Warning, "apt-get install lxcfs"
		f.Cost = "guests see this host's memory, CPUs and uptime in /proc, and old programs size themselves by them"
	}
	return f
}

func tablesFact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "legacy iptables", Value: "works in guests", Level: sysctl.OK}
	switch {
	case h.LegacyTables && h.LegacyUnloaded:
		f.Value = "works in guests: modules are loaded when one needs them"
	case !h.LegacyTables:
		f.Value, f.Level, f.Cost = "not in this kernel", sysctl.Warning, "the iptables of guests from before nft says \"can't initialize iptables table\""
	}
	return f
}

func loginFact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "login uid", Value: "not set", Level: sysctl.OK}
	if h.LoginUID {
		f.Value = "set by this login session"
	}
	return f
}

func selinuxFact(h sysctl.Host) sysctl.Fact {
	f := sysctl.Fact{Name: "selinuxfs", Value: "not in this kernel", Level: sysctl.OK}
	if h.SELinuxFS {
		f.Value = "in /proc/filesystems"
	}
	return f
}
