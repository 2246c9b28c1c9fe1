package lxc

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Host looks at this machine as far as its guests care. What takes a child to find out cannot change before the next boot
// and is remembered in a file of the run directory, which that boot empties; a file that is not right is made again.
func (rt *Runtime) Host(ctx context.Context) (sysctl.Host, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return sysctl.Host{}, sysctl.Wrap(err, "uname")
	}
	h := sysctl.Host{Release: unix.ByteSliceToString(u.Release[:]), Arch: machine(unix.ByteSliceToString(u.Machine[:]))}
	h.Major, h.Minor = version(h.Release)
	h.Cgroups, h.Unified = rt.layoutOf(), rt.cgroups.v2 != ""
	h.Named = refusesNamed()
	h.LoginUID = loginUID()
	h.SELinuxFS = filesystem("selinuxfs")
	h.Emulated = emulated(binfmtDir)
	h.Lxcfs = lxcfsDir()
	legacy := hostTables(h.Release)
	h.LegacyTables = legacy.possible()
	h.LegacyUnloaded = h.LegacyTables && !legacy.have() && legacy.loadable()
	t, err := rt.tried(ctx)
	h.Vsyscall, h.IA32 = t.Vsyscall, t.IA32
	return h, err
}

func (rt *Runtime) layoutOf() sysctl.CgroupLayout {
	switch {
	case rt.cgroups.pure():
		return sysctl.CgroupV2
	case rt.cgroups.v2 != "":
		return sysctl.CgroupHybrid
	}
	return sysctl.CgroupV1
}

// trials is what is found out by running a program.
type trials struct {
	Boot     string // which boot of which machine
	Vsyscall sysctl.VsyscallState
	IA32     bool
}

// tried returns what was found out in this boot, or finds it out. Two who do that at the same time write the same.
func (rt *Runtime) tried(ctx context.Context) (trials, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return trials{}, err
	}
	file := filepath.Join(rt.paths.Run, "host")
	var t trials
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &t) == nil && t.Boot == strings.TrimSpace(string(boot)) {
		return t, nil
	}
	t = trials{Boot: strings.TrimSpace(string(boot)), Vsyscall: sysctl.VsyscallAbsent}
	if runtime.GOARCH == "amd64" {
		if t.Vsyscall, err = tryVsyscall(ctx); err != nil {
			return t, err
		}
		if t.IA32, err = tryIA32(ctx); err != nil {
			return t, err
		}
	}
	b, err := json.Marshal(t)
	if err != nil {
		return t, err
	}
	tmp, err := os.CreateTemp(rt.paths.Run, ".host-*")
	if err != nil {
		return t, nil // it is only remembered for the next one
	}
	tmp.Write(b)
	if tmp.Close() != nil || os.Rename(tmp.Name(), file) != nil {
		os.Remove(tmp.Name())
	}
	return t, nil
}

// tryVsyscall calls the page in a child, which dies of it where the kernel was built or booted with vsyscall=none.
func tryVsyscall(ctx context.Context) (sysctl.VsyscallState, error) {
	err := try(ctx, vsyscallProgram())
	if err == nil {
		return sysctl.VsyscallWorks, nil
	}
	if exit, ok := err.(*exec.ExitError); ok && exit.Sys().(interface{ Signal() unix.Signal }).Signal() == unix.SIGSEGV {
		return sysctl.VsyscallNone, nil
	}
	return "", sysctl.Wrap(err, "try the vsyscall page")
}

// tryIA32 runs a program for i386, which a kernel without that does not take (ENOEXEC), or which dies where only its system
// calls are not there. What fails for another reason says nothing of the kernel.
func tryIA32(ctx context.Context) (bool, error) {
	err := try(ctx, ia32Program())
	var died *exec.ExitError
	if ctx.Err() == nil && (errors.Is(err, unix.ENOEXEC) || errors.As(err, &died)) {
		return false, nil
	}
	return err == nil, sysctl.Wrap(err, "try a program for i386")
}

// try runs a program that is not in any file and returns how it ended.
func try(ctx context.Context, program []byte) error {
	f, err := memfile("trial")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(program, 0); err != nil {
		return err
	}
	// A descriptor that is open for writing cannot be executed; read-only, by its name, it can.
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3")
	r, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return err
	}
	f.Close()
	defer r.Close()
	cmd.ExtraFiles = []*os.File{r}
	return cmd.Run()
}

// machine is uname(2)'s machine as guests' architectures are named.
func machine(m string) string {
	switch m {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "i386", "i486", "i586", "i686":
		return "i386"
	case "armv7l", "armv8l":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	}
	return m
}

// version takes the first two numbers out of a kernel's release; what is no number is 0.
func version(release string) (major, minor int) {
	a, rest, _ := strings.Cut(release, ".")
	b, _, _ := strings.Cut(rest, ".")
	b, _, _ = strings.Cut(b, "-")
	major, _ = strconv.Atoi(a)
	minor, _ = strconv.Atoi(b)
	return major, minor
}

// initCgroupNamespace is the inode of the first cgroup namespace (PROC_CGROUP_INIT_INO, include/linux/proc_ns.h): a
// hierarchy can be made from nowhere else (cgroup1_root_to_use, kernel/cgroup/cgroup-v1.c).
const initCgroupNamespace = "cgroup:[4026531835]"

// refusesNamed says why no hierarchy with only a name can be made, or "".
func refusesNamed() string {
	if !filesystem("cgroup") {
		return "this kernel has no cgroup v1 any more"
	}
	line, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(line)) {
		list, ok := strings.CutPrefix(word, "cgroup_no_v1=")
		for name := range strings.SplitSeq(list, ",") {
			if ok && name == "named" {
				return "the host was booted with cgroup_no_v1=named"
			}
		}
	}
	if ns, err := os.Readlink("/proc/self/ns/cgroup"); err == nil && ns != initCgroupNamespace {
		return "this host is a container itself, in a cgroup namespace of its own"
	}
	return ""
}

// filesystem reports whether the kernel has one of that name.
func filesystem(name string) bool {
	b, _ := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == name {
			return true
		}
	}
	return false
}

// noLoginUID is what the kernel says of a process that belongs to no login session (AUDIT_UID_UNSET).
const noLoginUID = "4294967295"

// loginUID reports whether this process belongs to a login session. A guest's processes inherit it, and may not set
// another one (audit_set_loginuid_perm, kernel/audit.c).
func loginUID() bool {
	b, err := os.ReadFile("/proc/self/loginuid")
	return err == nil && strings.TrimSpace(string(b)) != noLoginUID
}
