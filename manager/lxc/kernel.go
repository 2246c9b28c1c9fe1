package lxc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// resources are the kernel's numbers of the limits of a process (asm-generic/resource.h), by liblxc's names.
func resources() map[string]int {
	return map[string]int{"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE,
		"nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS,
		"rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK}
}

// kernel are the items of everything that the kernel is told for the guest, but for limits and system calls.
func (r *rendering) kernel(k sysctl.Kernel) {
	for _, name := range sortedKeys(k.Rlimits) {
		limit := k.Rlimits[name]
		r.add("lxc.prlimit."+name, rlimit(limit.Soft)+":"+rlimit(limit.Hard))
	}
	for _, name := range sortedKeys(k.Sysctls) {
		if liblxcSets(name) {
			r.add("lxc.sysctl."+name, k.Sysctls[name])
		}
	}
	if k.Nesting {
		// The kernel lets a user namespace mount a new /proc or /sys only where it can see one with nothing mounted over its parts
		// (fs/namespace.c, mount_too_revealing); those at their usual places are partly covered.
		r.add("lxc.mount.entry", "proc dev/.lxc/proc proc create=dir,optional 0 0")
		r.add("lxc.mount.entry", "sysfs dev/.lxc/sys sysfs create=dir,optional 0 0")
	}
}

// liblxcSets reports whether liblxc can make a setting: it does so when all but the network's part of the guest's /proc/sys
// is mounted read-only.
func liblxcSets(name string) bool { return strings.HasPrefix(name, "net.") }

// setSysctls is a pre-mount hook that makes the other settings, "" where there are none. It runs in the guest's namespaces, but sees
// the host's mounts: its /proc/sys shows whoever looks what is of their own namespaces. One that is refused ends the start.
func setSysctls(sysctls map[string]string) string {
	var script strings.Builder
	for _, name := range sortedKeys(sysctls) {
		if !liblxcSets(name) {
			script.WriteString("echo " + quote(sysctls[name]) + " >" + quote("/proc/sys/"+strings.ReplaceAll(name, ".", "/")) + " || exit 1; ")
		}
	}
	if script.Len() == 0 {
		return ""
	}
	return "/bin/sh -c " + quote(script.String()+"exit 0")
}

func rlimit(n uint64) string {
	if n == sysctl.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// checkRlimits refuses what the kernel would: more files than it lets any process open.
func checkRlimits(k sysctl.Kernel) error {
	limit, ok := k.Rlimits["nofile"]
	if !ok {
		return nil
	}
	b, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return err
	}
	most, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err == nil && limit.Hard > most {
		return sysctl.E(sysctl.Unsupported, "limits.kernel.nofile: the host lets no process open more than %d files", most).
			WithHint("sysctl -w fs.nr_open=%d", min(limit.Hard, 1<<30))
	}
	return err
}

// loadModules loads modules of the host's kernel that are not there yet.
func loadModules(ctx context.Context, names []string) error {
	for _, name := range names {
		if there(filepath.Join("/sys/module", strings.ReplaceAll(name, "-", "_"))) {
			continue
		}
		modprobe := tables{path: strings.Split(hookPath, ":")}.modprobe()
		if modprobe == "" {
			return sysctl.E(sysctl.Unsupported, "linux.kernel_modules: %s is not loaded, and there is no modprobe on this host", name).WithHint("apt install kmod")
		}
		out, err := exec.CommandContext(ctx, modprobe, "-b", "--", name).CombinedOutput()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return sysctl.E(sysctl.Unsupported, "linux.kernel_modules: %s: %s", name, lastLine(string(out), err.Error())).WithHint("modinfo %s", name)
		}
	}
	return nil
}

// lastLine is the last line of what a program said, or else.
func lastLine(said, other string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return other
}
