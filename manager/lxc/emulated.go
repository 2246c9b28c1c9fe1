package lxc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// binfmtDir is where the kernel lists the handlers of foreign programs (binfmt_misc).
const binfmtDir = "/proc/sys/fs/binfmt_misc"

// emulated lists the architectures whose programs an emulator runs in guests, as Guest.Arch names them, separated by spaces: those
// with a handler of QEMU's name that is enabled and was opened when it was registered (flag F); a guest has no emulator in its
// own files.
func emulated(dir string) string {
	arch := map[string]string{"x86_64": "amd64", "i386": "i386", "aarch64": "arm64", "arm": "armhf", "ppc64le": "ppc64el", "s390x": "s390x", "riscv64": "riscv64"}
	handlers, _ := filepath.Glob(filepath.Join(dir, "qemu-*"))
	var found []string
	for _, file := range handlers {
		b, _ := os.ReadFile(file)
		lines := strings.Split(string(b), "\n")
		fixed := slices.ContainsFunc(lines, func(l string) bool {
			flags, ok := strings.CutPrefix(l, "flags:")
			return ok && strings.Contains(flags, "F")
		})
		name := arch[strings.TrimPrefix(filepath.Base(file), "qemu-")]
		if lines[0] == "enabled" && fixed && name != "" {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}
