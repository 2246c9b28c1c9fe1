package compat

import "github.com/sysctl-os/sysctl"

// legacyTables is for iptables of the time before nft, which cannot load what it needs.
func legacyTables() measure {
	return measure{
		ID:   "iptables",
		rows: []int{29},
		who:  "guests whose iptables is not nft's (CentOS to 7, Debian to 9, Ubuntu to 18.04, Alpine to 3.18)",
		needed: func(h sysctl.Host, g sysctl.Guest) bool {
			return g.Iptables == "legacy" && h.LegacyTables && h.LegacyUnloaded
		},
		cannot: func(h sysctl.Host, _ sysctl.Guest) sysctl.Remark {
			if !h.LegacyTables {
				return sysctl.Remark{Why: "this kernel has no ip_tables and cannot load it", Way: "sysctl config unset NAME compat.iptables"}
			}
			return sysctl.Remark{}
		},
		effect: func(c *sysctl.Compat) { c.LegacyTables = true },
		does: "has the host load ip_tables, ip6_tables and the tables filter, nat, mangle and raw; " +
			"they stay loaded, and matches and targets follow by themselves",
		without:  `its iptables says "can't initialize iptables table": a guest cannot load modules`,
		evidence: "net/netfilter/x_tables.c, xt_request_find_table_lock; ip_tables itself is never requested",
		test:     "internal/make/host/tests/5-old.sh",
		told:     true,
	}
}

// noLegacyTables is what is left to say where the measure cannot be taken.
func noLegacyTables() remark {
	return remark{
		id:   "no-iptables",
		rows: []int{29},
		who:  "guests whose iptables is not nft's, on a kernel without ip_tables (RHEL 10)",
		when: func(h sysctl.Host, g sysctl.Guest) (why, way string) {
			if g.Iptables != "legacy" || h.LegacyTables {
				return "", ""
			}
			return "its iptables cannot work: this kernel has no ip_tables and cannot load it",
				"filter on the host by nft, or install an iptables for nft in the guest"
		},
		evidence: "CONFIG_IP_NF_IPTABLES_LEGACY",
		test:     "manager/compat/inside_test.go TestInside",
	}
}

// rpmdb is for databases that are mapped into memory while others write them.
func rpmdb() measure {
	return measure{
		ID:       "rpmdb",
		rows:     []int{32},
		who:      "guests with rpm and Berkeley DB: glibc before 2.29 (CentOS 4 to 8, SLES to 12)",
		needed:   func(_ sysctl.Host, g sysctl.Guest) bool { return g.Packages == "rpm" && glibcBefore(g, 2, 29) },
		effect:   func(c *sysctl.Compat) { c.CopyRPM = true },
		does:     "copies /var/lib/rpm out of the image when it first starts",
		without:  `yum says "Rpmdb checksum is invalid": a file that was mapped before its first change stays as it was (overlayfs)`,
		evidence: "Documentation/filesystems/overlayfs.rst, Non-standard behavior; moby issue 10180",
		test:     "internal/roottest/testdata/oldguest.txtar",
	}
}

// privateDevices is for services that may not make device nodes.
func privateDevices() measure {
	return measure{
		ID:   "private-devices",
		rows: []int{24},
		who:  "systemd before 239 in an unprivileged instance (CentOS 7, Debian 8 and 9, Ubuntu 15.04 to 18.04, SLES 12)",

		unprivileged: true,
		needed: func(_ sysctl.Host, g sysctl.Guest) bool {
			n := generation(g)
			return n > 0 && n < 239
		},
		effect:   func(c *sysctl.Compat) { c.PrivateDevices = sysctl.On },
		undo:     func(c *sysctl.Compat) { c.PrivateDevices = sysctl.Off },
		does:     "writes a drop-in with PrivateDevices=no for each unit that has it (/etc/systemd/system/UNIT.d/sysctl-private-devices.conf)",
		without:  "hostnamectl, timedatectl, localectl and other services fail with status 226/NAMESPACE",
		evidence: "systemd namespace.c, clone_device_node; systemd pull request 8417 (239)",
		test:     "internal/roottest/testdata/measures.txtar",
	}
}

// modules is for scripts that want the modules of the kernel that runs.
func modules() measure {
	return measure{
		ID:   "modules",
		rows: []int{42},
		who:  "guests with glibc before 2.17 and without systemd (CentOS 4 to 6, Debian 4 to 7, Ubuntu 8.04 to 12.04, SLES 10 and 11)",
		needed: func(_ sysctl.Host, g sysctl.Guest) bool {
			return foreignInit(g) && glibcBefore(g, 2, 17)
		},
		effect:   func(c *sysctl.Compat) { c.Modules = true },
		does:     "writes empty lists of modules for the host's kernel to /lib/modules, where it has modprobe",
		without:  `modprobe and depmod say "FATAL: Could not load modules.dep", and scripts that call them end`,
		evidence: "module-init-tools modprobe.c",
		test:     "internal/roottest/testdata/oldguest.txtar",
	}
}

// deviceNodes is about packages that bring device nodes.
func deviceNodes() remark {
	return remark{
		id:   "mknod",
		rows: []int{25},
		who:  "guests with rpm and glibc before 2.13 (CentOS 4 to 6, SLES 10 and 11), unprivileged",

		unprivileged: true,
		when: func(_ sysctl.Host, g sysctl.Guest) (why, way string) {
			if g.Packages != "rpm" || !glibcBefore(g, 2, 13) {
				return "", ""
			}
			return "packages that bring device nodes (dev, udev, MAKEDEV) cannot be updated in an unprivileged instance: mknod is refused",
				"rpm -U --excludepath=/dev, or exclude=dev udev MAKEDEV in /etc/yum.conf"
		},
		evidence: "fs/namei.c, vfs_mknod: CAP_MKNOD in the first user namespace",
		test:     "manager/compat/judge_test.go TestPrivileged",
	}
}

// oldSSH is about an sshd that no client of today talks to.
func oldSSH() remark {
	return remark{
		id:   "old-ssh",
		rows: []int{30},
		who:  "guests with glibc before 2.13 (CentOS 4 to 6, Debian 4 to 6, Ubuntu 8.04 and 10.04, SLES 10 and 11)",
		when: func(_ sysctl.Host, g sysctl.Guest) (why, way string) {
			if !glibcBefore(g, 2, 13) {
				return "", ""
			}
			return "ssh clients of today refuse its sshd: it offers ssh-rsa (SHA-1) and ssh-dss alone",
				"sysctl shell NAME, or ssh -o HostKeyAlgorithms=+ssh-rsa -o PubkeyAcceptedAlgorithms=+ssh-rsa -o KexAlgorithms=+diffie-hellman-group14-sha1, with an RSA key"
		},
		evidence: "OpenSSH release notes 8.8 and 10.0",
		test:     "manager/compat/inside_test.go TestInside",
	}
}

// oldTLS is about package sources that a guest cannot reach any more.
func oldTLS() remark {
	return remark{
		id:   "old-tls",
		rows: []int{31},
		who:  "guests with glibc before 2.17 (CentOS 4 to 6, Debian 4 to 7, Ubuntu 8.04 to 12.04, SLES 10 and 11)",
		when: func(_ sysctl.Host, g sysctl.Guest) (why, way string) {
			if !glibcBefore(g, 2, 17) {
				return "", ""
			}
			return "its package sources have moved to archives, and its TLS is too old for most servers",
				"let yum and apt use plain HTTP to an archive or to a proxy of your own; the built-in templates do"
		},
		evidence: "OpenSSL 0.9.8 and 1.0.1: no TLS 1.3, no chains without DST Root CA X3",
		test:     "manager/compat/inside_test.go TestInside",
	}
}
