package compat

import (
	"github.com/sysctl-os/sysctl"
)

// glibcBefore reports whether a guest's C library is glibc and older: the plainest sign of its time.
func glibcBefore(g sysctl.Guest, major, minor int) bool {
	return g.Libc == "glibc" && older(g.LibcVersion, major, minor)
}

// foreignInit reports whether a guest is known to have another init than systemd.
func foreignInit(g sysctl.Guest) bool { return g.Init != "" && g.Init != "systemd" }

// cmdline is for boot scripts that take the host's boot parameters for theirs.
func cmdline() measure {
	return measure{
		ID:   "cmdline",
		rows: []int{18},
		who:  "all but systemd 215 and newer, which reads its own arguments in a container",
		needed: func(_ sysctl.Host, g sysctl.Guest) bool {
			n := generation(g)
			return foreignInit(g) || n > 0 && n < 215
		},
		effect:   func(c *sysctl.Compat) { c.Cmdline = true },
		does:     `has /proc/cmdline say "rw" in the place of the host's boot parameters`,
		without:  "its boot scripts obey the host's boot parameters: single, quiet, ro, init=, softlevel=",
		evidence: "systemd util.c, proc_cmdline (215); OpenRC and rc.sysinit read /proc/cmdline",
		test:     "internal/roottest/testdata/measures.txtar",
	}
}

// filesystems is for a library that takes a kernel with SELinux for a policy of its own.
func filesystems() measure {
	return measure{
		ID:       "filesystems",
		rows:     []int{23},
		who:      "guests with glibc before 2.17 on a host with SELinux (CentOS 4 to 6, Debian 7, Ubuntu 12.04)",
		needed:   func(h sysctl.Host, g sysctl.Guest) bool { return h.SELinuxFS && glibcBefore(g, 2, 17) },
		effect:   func(c *sysctl.Compat) { c.Filesystems = true },
		does:     "has /proc/filesystems leave out selinuxfs",
		without:  "its libselinux believes that SELinux is on: logins, rpm and restorecon fail over labels",
		evidence: "libselinux 2.0 enabled.c, is_selinux_enabled",
		test:     "internal/roottest/testdata/measures.txtar",
	}
}

// sharedMemory is for systems in which nobody mounts /dev/shm in a container.
func sharedMemory() measure {
	return measure{
		ID:       "dev-shm",
		rows:     []int{20},
		who:      "all inits but systemd, which mounts it",
		needed:   func(_ sysctl.Host, g sysctl.Guest) bool { return foreignInit(g) },
		effect:   func(c *sysctl.Compat) { c.SharedMemory = true },
		does:     "mounts a tmpfs on /dev/shm before init runs, of half of limits.memory, or of the host's memory; a disk in memory there has its own size",
		without:  "sem_open and shm_open fail: it has no /dev/shm, which boot scripts only remount (Oracle: ORA-00845)",
		evidence: "glibc shm-directory.c; rc.sysinit of CentOS 5 and 6; OpenRC's devfs is not run in a container",
		test:     "internal/roottest/testdata/oldguest.txtar",
	}
}

// tmpfs is for a systemd that tells the sizes of its own filesystems in memory from the host's.
func tmpfs() measure {
	return measure{
		ID:      "tmpfs",
		rows:    []int{20},
		who:     "systemd, in an instance with limits.memory",
		limited: true,
		needed:  func(_ sysctl.Host, g sysctl.Guest) bool { return g.Init == "systemd" },
		effect:  func(c *sysctl.Compat) { c.Tmpfs = true },
		does:    "mounts /run and /dev/shm before init runs, of a fifth and of half of limits.memory",
		without: "they are of a share of the host's memory: journald keeps up to a tenth of /run there, and who fills one is killed " +
			"for want of memory (OOM) and not told that it is full",
		evidence: "systemd mount-setup.c, mount_table: no size before 246, 20% of RAM since; journald-server.c, cache_space_refresh; mm/shmem.c, shmem_default_max_blocks",
		test:     "internal/roottest/testdata/tmpfs.txtar",
	}
}

// openFiles is for programs that close every file that could be open.
func openFiles() measure {
	return measure{
		ID:       "nofile",
		rows:     []int{28},
		who:      "guests with glibc before 2.28, of the time of Python 2 (CentOS 4 to 7, Debian to 9, Ubuntu to 18.04, SLES to 12)",
		needed:   func(_ sysctl.Host, g sysctl.Guest) bool { return glibcBefore(g, 2, 28) },
		effect:   func(c *sysctl.Compat) { c.Files = 65536 },
		does:     "lets its processes open 65536 files at most, and 1024 unless they ask for more",
		without:  "where the host allows a thousand million files yum, cups, sshd and others spend minutes in close(2)",
		evidence: "Python 2 subprocess.c, close_fds; moby issue 38814; rpm issue 2081",
		test:     "internal/roottest/testdata/oldguest.txtar",
	}
}

// loginUID is for guests that are started from somebody's login.
func loginUID() measure {
	return measure{
		ID:       "loginuid",
		rows:     []int{21},
		who:      "all, where they are started from a login session of the host",
		needed:   func(h sysctl.Host, _ sysctl.Guest) bool { return h.LoginUID },
		effect:   func(c *sysctl.Compat) { c.LoginUID = true },
		does:     "starts it without the audit login id of whoever starts it, so that its logins can have their own",
		without:  `old sshd, cron and login end sessions at once: "Cannot make/remove an entry for the specified session"`,
		evidence: "kernel/audit.c, audit_set_loginuid_perm; pam_loginuid of Linux-PAM before 1.2",
		test:     "internal/roottest/testdata/oldguest.txtar",
	}
}

// lxcfs is for programs that take the host's memory and processors for theirs.
func lxcfs() measure {
	return measure{
		ID:     "lxcfs",
		rows:   []int{35, 36},
		who:    "guests with glibc before 2.26, where lxcfs runs on the host; later ones ask sysinfo(2), which lxcfs does not change",
		needed: func(h sysctl.Host, g sysctl.Guest) bool { return h.Lxcfs != "" && glibcBefore(g, 2, 26) },
		cannot: func(h sysctl.Host, _ sysctl.Guest) sysctl.Remark {
			if h.Lxcfs == "" {
				return sysctl.Remark{Why: "no lxcfs runs on this host", Way: "apt install lxcfs, or the like; or sysctl config unset NAME compat.lxcfs"}
			}
			return sysctl.Remark{}
		},
		effect:   func(c *sysctl.Compat) { c.Lxcfs = true },
		does:     "mounts cpuinfo, diskstats, loadavg, meminfo, stat, swaps and uptime of lxcfs over those of /proc; stat and uptime only together",
		without:  "free, Java 6 to 8, Oracle and MySQL see the memory and processors of the host",
		evidence: "lxcfs README; glibc sysdeps/unix/sysv/linux/getsysstats.c before 2.26; procps 3.2 sysinfo.c (Unknown HZ value)",
		test:     "internal/roottest/testdata/lxcfs.txtar",
	}
}
