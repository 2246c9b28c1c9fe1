package compat

import (
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// generation is a systemd's version, or 0 where the init is another one or its version is not known.
func generation(g sysctl.Guest) int {
	if g.Init != "systemd" {
		return 0
	}
	major, _, _ := strings.Cut(g.InitVersion, ".") // a package's version has a second number since 243
	n, _ := strconv.Atoi(major)
	return n
}

// cgroupNamed is for a systemd that knows only cgroup v1, where there is no cgroup v1.
func cgroupNamed() measure {
	return measure{
		ID:     "cgroup-named",
		rows:   []int{1, 2, 3, 5},
		who:    "systemd before 230 (CentOS 7, Debian 8, Ubuntu 16.04, SLES 12, Amazon Linux 2)",
		needed: needsNamed,
		cannot: func(h sysctl.Host, _ sysctl.Guest) sysctl.Remark {
			switch {
			case h.Cgroups != sysctl.CgroupV2:
				return sysctl.Remark{Why: "this host has cgroup v1: the hierarchy is there already", Way: "sysctl config unset NAME compat.cgroup-named"}
			case h.Named != "":
				return sysctl.Remark{Why: "the guest's systemd needs the cgroup v1 hierarchy name=systemd, and " + h.Named,
					Way: "boot the host without cgroup_no_v1=named, or install a newer systemd in the guest"}
			}
			return sysctl.Remark{}
		},
		effect:   func(c *sysctl.Compat) { c.Cgroups = sysctl.CgroupsNamed },
		does:     "gives the guest a cgroup v1 hierarchy of its own, name=systemd, which has no controllers; limits stay those of cgroup v2",
		without:  `its systemd ends with "Failed to mount cgroup at /sys/fs/cgroup/systemd: Operation not permitted"`,
		evidence: "systemd 219 mount-setup.c; kernel/cgroup/cgroup-v1.c, cgroup1_root_to_use",
		test:     "internal/roottest/testdata/named.txtar",
		told:     true,
	}
}

func needsNamed(h sysctl.Host, g sysctl.Guest) bool {
	n := generation(g)
	return h.Cgroups == sysctl.CgroupV2 && n > 0 && n < 230
}

// namedSeen is what others on the host see of the hierarchy.
func namedSeen() remark {
	return remark{
		id:   "cgroup-named-seen",
		rows: []int{4},
		who:  "the same guests as of the measure cgroup-named",
		when: func(h sysctl.Host, g sysctl.Guest) (why, way string) {
			if !needsNamed(h, g) || h.Named != "" {
				return "", ""
			}
			return "until the last such guest stops every process of the host has a line name=systemd in /proc/PID/cgroup, and liblxc, where users run it without root, makes no systemd scope for what they start", ""
		},
		evidence: "kernel/cgroup/cgroup.c, proc_cgroup_show; liblxc cgfsng.c, unpriv_systemd_create_scope",
		test:     "internal/make/host/tests/6-named.sh",
	}
}

// cgroup2 is for a systemd that knows only cgroup v2, where there are v1 hierarchies too. Those from 230 to 255 know both and
// get what they take by themselves: v1 with its controllers where the host has that, and else the cgroup2 that liblxc
// mounts for every guest. From 258 on systemd mounts cgroup2 by itself, whatever there is.
func cgroup2() measure {
	return measure{
		ID:      "cgroup2",
		rows:    []int{6},
		instead: "cgroup-named",
		who:     "systemd 256 and newer (Debian 13, Fedora 41, RHEL 10)",
		needed: func(h sysctl.Host, g sysctl.Guest) bool {
			return h.Cgroups != sysctl.CgroupV2 && generation(g) >= 256
		},
		cannot: func(h sysctl.Host, _ sysctl.Guest) sysctl.Remark {
			if !h.Unified {
				return sysctl.Remark{Why: "the guest's systemd needs cgroup v2, which is not mounted on this host",
					Way: "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"}
			}
			return sysctl.Remark{}
		},
		effect:   func(c *sysctl.Compat) { c.Cgroups = sysctl.CgroupsV2 },
		does:     "gives the guest cgroup v2 alone; what its services may use can be limited as far as the host's controllers are there",
		without:  "its systemd, up to 257, takes the host's cgroup v1, which it supports no more and for which others refuse to boot",
		evidence: "systemd NEWS 256, 258; cgroup-util.c, cg_is_unified_wanted; Debian 13 on a hybrid host, tried",
		test:     "internal/roottest/testdata/systemd.txtar",
	}
}
