package compat

import (
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// older reports whether a version, "2.12", is known and before major.minor.
func older(version string, major, minor int) bool {
	a, rest, _ := strings.Cut(version, ".")
	b, _, _ := strings.Cut(rest, ".")
	x, err := strconv.Atoi(a)
	if err != nil {
		return false
	}
	y, _ := strconv.Atoi(b)
	return x < major || x == major && y < minor
}

// vsyscall is for programs that call a page the host's kernel does not give them.
func vsyscall() measure {
	return measure{
		ID:     "vsyscall",
		rows:   []int{7},
		who:    "x86-64 guests with glibc 2.13 or older (CentOS 5 and 6, Debian 4 to 7, Ubuntu 8.04 and 10.04, SLES 11)",
		needed: needsVsyscall,
		effect: func(c *sysctl.Compat) { c.Vsyscall = true },
		does: "runs copies of those of its files that call the vsyscall page, in which the call is a system call; the image stays as it is, " +
			"and what the guest installs while it runs is changed at its next start",
		without:  "its programs die with SIGSEGV (exit status 139), init first: the host's kernel runs with vsyscall=none",
		evidence: "arch/x86/entry/vsyscall/vsyscall_64.c; glibc before 2.14, sysdeps/unix/sysv/linux/x86_64/time.S",
		test:     "internal/roottest/testdata/vsyscall.txtar",
		told:     true,
	}
}

// needsVsyscall reports whether a guest's programs call a page that the host does not give them.
func needsVsyscall(h sysctl.Host, g sysctl.Guest) bool {
	return h.Vsyscall == sysctl.VsyscallNone && g.Arch == "amd64" && glibcBefore(g, 2, 14)
}

// installed is about the programs that come into a guest after its files were looked into.
func installed() remark {
	return remark{
		id:   "vsyscall-installed",
		rows: []int{7},
		who:  "the same guests as of the measure vsyscall, when they install or compile programs",
		when: func(h sysctl.Host, g sysctl.Guest) (why, way string) {
			if !needsVsyscall(h, g) {
				return "", ""
			}
			return "a C library or a static program that it installs while it runs dies with SIGSEGV until the next start; a reboot from inside is none",
				"sysctl restart NAME, after an update of its C library at once"
		},
		evidence: "files are looked into where nobody writes them: before the root is mounted",
		test:     "internal/make/host/tests/4-vsyscall.sh",
	}
}

// uname26 is for programs that do not understand a kernel's version of today.
func uname26() measure {
	return measure{
		ID:     "uname26",
		rows:   []int{9},
		who:    "whoever asks for it: Oracle 9i to 11g, DB2, VMware's tools, installers of that time",
		needed: func(sysctl.Host, sysctl.Guest) bool { return false },
		// The C library itself looked at the version until 2.36 (dl_discover_osversion).
		cannot: func(_ sysctl.Host, g sysctl.Guest) sysctl.Remark {
			if major, _ := numbers(g.Kernel); major >= 3 && older(g.LibcVersion, 2, 36) {
				return sysctl.Remark{Why: "the guest's own C library needs Linux " + g.Kernel + ` and would end every program with "FATAL: kernel too old" on a 2.6`,
					Way: "sysctl config unset NAME compat.uname26, and run what needs it by setarch --uname-2.6 in the guest"}
			}
			return sysctl.Remark{}
		},
		effect:   func(c *sysctl.Compat) { c.UNAME26 = true },
		does:     "has uname(2) say 2.6.x, as personality UNAME26 does",
		without:  "programs that look for 2.4 or 2.6 in the kernel's version refuse to run",
		evidence: "kernel/sys.c, override_release; glibc before 2.36, dl_discover_osversion",
		test:     "internal/roottest/testdata/measures.txtar",
	}
}
