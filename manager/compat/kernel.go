package compat

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// numbers are the first two of a version, 0 where there is none.
func numbers(version string) (major, minor int) {
	a, rest, _ := strings.Cut(version, ".")
	b, _, _ := strings.Cut(rest, ".")
	major, _ = strconv.Atoi(a)
	minor, _ = strconv.Atoi(b)
	return major, minor
}

// kernelTooOld is for a guest that is newer than its host.
func kernelTooOld() remark {
	return remark{
		id:   "kernel-too-old",
		rows: []int{8},
		who:  "guests whose C library was built for a newer kernel than the host's",
		when: func(h sysctl.Host, g sysctl.Guest) (why, way string) {
			major, minor := numbers(g.Kernel)
			if h.Major == 0 || major < h.Major || major == h.Major && minor <= h.Minor {
				return "", ""
			}
			return fmt.Sprintf("its C library needs Linux %s and this host has %s: every program would end with \"FATAL: kernel too old\"", g.Kernel, h.Release),
				"boot the host with Linux " + g.Kernel + " or later, or use an older release of the guest's system"
		},
		evidence: "ELF note .note.ABI-tag of libc.so.6 (glibc csu/abi-note.c)",
		test:     "internal/roottest/testdata/oldguest.txtar",
	}
}

// noIA32 is for 32-bit guests on kernels that run 64-bit programs alone.
func noIA32() remark {
	return remark{
		id:   "ia32",
		rows: []int{10},
		who:  "guests for i386",
		when: func(h sysctl.Host, g sysctl.Guest) (why, way string) {
			if g.Arch != "i386" || h.Arch != "amd64" || h.IA32 {
				return "", ""
			}
			return "its programs are for i386, and this kernel refuses to run them (ENOEXEC, tried)",
				"boot the host with ia32_emulation=1, or with a kernel that has CONFIG_IA32_EMULATION; on SUSE install grub2-compat-ia32"
		},
		evidence: "arch/x86/entry/common.c, ia32_emulation_override_cmdline; Linux 6.7",
		test:     "manager/compat/inside_test.go TestRefusals",
	}
}
