package lxc

import (
	"os"
	"path/filepath"
	"testing"
)

func TestEmulated(t *testing.T) {
	dir := t.TempDir()
	if got := emulated(dir); got != "" {
		t.Errorf("nothing: %q", got)
	}
	for name, text := range map[string]string{
		"qemu-arm":     "enabled\ninterpreter /usr/libexec/qemu-binfmt/arm-binfmt-P\nflags: POCF\noffset 0\n",
		"qemu-aarch64": "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\noffset 0\n",
		"qemu-s390x":   "enabled\ninterpreter /usr/bin/qemu-s390x\nflags: P\n", // has to be found in the guest
		"qemu-riscv64": "disabled\ninterpreter /usr/bin/qemu-riscv64\nflags: F\n",
		"qemu-hppa":    "enabled\nflags: F\n", // no guest's
		"python3.11":   "enabled\nflags: F\n",
		"status":       "enabled\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := emulated(dir); got != "arm64 armhf" {
		t.Errorf("%q", got)
	}
}

// A host has its architecture under the name that its guests have it.
func TestMachine(t *testing.T) {
	for uname, want := range map[string]string{"x86_64": "amd64", "aarch64": "arm64", "i686": "i386", "armv7l": "armhf", "ppc64le": "ppc64el", "riscv64": "riscv64"} {
		if got := machine(uname); got != want {
			t.Errorf("%s: %q", uname, got)
		}
	}
}
