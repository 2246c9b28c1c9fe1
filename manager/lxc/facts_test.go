package lxc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestHost(t *testing.T) {
	dir := t.TempDir()
	rt := &Runtime{paths: Paths{Run: dir}, cgroups: hierarchies{v2: cgroupRoot}}
	h, err := rt.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h.Major < 4 || h.Cgroups != sysctl.CgroupV2 || !h.Unified || h.Arch == "" {
		t.Errorf("%+v", h)
	}
	maps, err := exec.Command("cat", "/proc/self/maps").Output()
	if err != nil {
		t.Fatal(err)
	}
	// The kernel shows the page in every process's maps unless vsyscall=none (vsyscall_64.c, get_gate_vma).
	if shown := strings.Contains(string(maps), "[vsyscall]"); h.Arch == "amd64" && shown != (h.Vsyscall == sysctl.VsyscallWorks) {
		t.Errorf("vsyscall %q, in maps %v", h.Vsyscall, shown)
	}
	rt.cgroups = hierarchies{}
	again, err := rt.Host(t.Context())
	if err != nil || again.Vsyscall != h.Vsyscall || again.IA32 != h.IA32 || again.Cgroups != sysctl.CgroupV1 {
		t.Errorf("remembered %+v, %v", again, err)
	}
}

// A program that dies and one that the kernel does not take must not be told for one that works.
func TestTryTellsHowItEnded(t *testing.T) {
	fault := append([]byte{0x0f, 0x0b}, make([]byte, 8)...) // ud2
	err := try(t.Context(), executable(2, 62, fault))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGILL {
		t.Errorf("a program that dies: %v", err)
	}
	if err := try(t.Context(), []byte("\x7fELF and nothing more")); !errors.Is(err, syscall.ENOEXEC) {
		t.Errorf("no program at all: %v", err)
	}
}

// What a trial that was interrupted did not find out is not remembered for the rest of the boot.
func TestInterruptedTrialsAreForgotten(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tryIA32(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("i386: %v", err)
	}
	if _, err := rt.tried(ctx); runtime.GOARCH == "amd64" && !errors.Is(err, context.Canceled) {
		t.Errorf("all: %v", err)
	}
	if left, err := os.ReadDir(rt.paths.Run); runtime.GOARCH == "amd64" && (err != nil || len(left) > 0) {
		t.Errorf("remembered: %v %v", left, err)
	}
}

func TestVersion(t *testing.T) {
	for release, want := range map[string][2]int{"6.1.0-56-amd64": {6, 1}, "6.18.44": {6, 18}, "7.0-rc1": {7, 0}, "odd": {0, 0}} {
		if a, b := version(release); a != want[0] || b != want[1] {
			t.Errorf("%s is %d.%d", release, a, b)
		}
	}
}
