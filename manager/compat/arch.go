package compat

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// foreign is for guests whose programs this processor does not run. Whether a 64-bit one runs the 32-bit programs of its
// own kind is not told by its name.
func foreign() remark {
	return remark{
		id:  "architecture",
		who: "guests for another processor",
		when: func(h sysctl.Host, g sysctl.Guest) (why, way string) {
			own := map[string]string{"amd64": "i386", "arm64": "armhf"}
			if h.Arch == "" || g.Arch == "" || g.Arch == h.Arch || g.Arch == own[h.Arch] || slices.Contains(strings.Fields(h.Emulated), g.Arch) {
				return "", ""
			}
			return "its programs are for " + g.Arch + ", this host's processor is " + h.Arch + ", and no emulator is registered for them",
				"take an image for " + h.Arch + ", or have the host emulate " + g.Arch + ": apt-get install qemu-user-static"
		},
		evidence: "binfmt_misc, flag F (fs/binfmt_misc.c)",
		test:     "manager/compat/arch_test.go TestForeign",
	}
}
