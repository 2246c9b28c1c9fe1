package lxc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Probe finds out what running instances needs of this host.
func (rt *Runtime) Probe(ctx context.Context) []sysctl.Fact {
	facts := []sysctl.Fact{kernel(), rt.liblxc(ctx), rt.layout(), rt.controllers(), userNamespaces(ctx), rt.keeperThere(), apparmor()}
	return append(facts, rt.guestFacts(ctx)...)
}

// The oldest kernel is where mount_setattr(2) came (commit 2a1867219c7b). Layers of overlays can be idmapped from 5.19 on (commit bc70682a497c):
// storage finds that out by trying, and copies them where they cannot.
const oldestMajor, oldestMinor = 5, 12

func kernel() sysctl.Fact {
	f := sysctl.Fact{Name: "kernel", Level: sysctl.OK}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		f.Level, f.Cost = sysctl.Warning, err.Error()
		return f
	}
	f.Value = unix.ByteSliceToString(u.Release[:])
	major, rest, _ := strings.Cut(f.Value, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(strings.SplitN(minor, "-", 2)[0])
	if err1 == nil && err2 == nil && (a < oldestMajor || a == oldestMajor && b < oldestMinor) {
		f.Level, f.Cost = sysctl.Fatal, "mounts cannot be changed before kernel 5.12 (mount_setattr): instances do not start"
		f.Repair = "apt-get install linux-image-amd64 && reboot"
	}
	return f
}

func (rt *Runtime) liblxc(ctx context.Context) sysctl.Fact {
	f := sysctl.Fact{Name: "liblxc", Level: sysctl.OK}
	out, err := exec.CommandContext(ctx, rt.keeper, "version").Output()
	if err != nil {
		f.Value, f.Level, f.Cost, f.Repair = "unknown", sysctl.Fatal, "instances do not start ("+err.Error()+")", "apt-get install liblxc1"
		return f
	}
	f.Value = strings.TrimSpace(string(out))
	parts := strings.SplitN(f.Value, ".", 3)
	if major, err := strconv.Atoi(parts[0]); err == nil && major < 5 {
		f.Level, f.Cost, f.Repair = sysctl.Warning, "only liblxc 5.0.2 and newer are tried", "apt-get install liblxc1"
	}
	return f
}

func (rt *Runtime) layout() sysctl.Fact {
	f := sysctl.Fact{Name: "cgroup layout", Level: sysctl.OK}
	switch {
	case rt.cgroups.pure():
		f.Value = "v2"
	case rt.cgroups.v2 != "":
		f.Value = "hybrid (v1 controllers, v2 at " + rt.cgroups.v2 + ")"
	default:
		f.Value, f.Level = "v1", sysctl.Warning
		f.Cost = "guests with systemd 256 and newer do not boot"
		f.Repair = "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
	}
	return f
}

func (rt *Runtime) controllers() sysctl.Fact {
	f := sysctl.Fact{Name: "cgroup controllers", Level: sysctl.OK}
	have := map[string]bool{}
	for c := range rt.cgroups.v1 {
		have[c] = true
	}
	if rt.cgroups.v2 != "" {
		b, err := os.ReadFile(rt.cgroups.v2 + "/cgroup.controllers")
		if err != nil {
			f.Level, f.Cost = sysctl.Warning, err.Error()
			return f
		}
		for _, c := range strings.Fields(string(b)) {
			have[c] = true
		}
	}
	var found, missing []string
	for _, c := range []string{"memory", "cpuset", "pids"} {
		if have[c] {
			found = append(found, c)
		} else {
			missing = append(missing, c)
		}
	}
	f.Value = strings.Join(found, " ")
	if len(missing) > 0 {
		f.Level = sysctl.Warning
		f.Cost = "limits that need " + strings.Join(missing, ", ") + " have no effect"
	}
	return f
}

// userNamespaces tries one: a child in a user namespace of its own.
func userNamespaces(ctx context.Context) sysctl.Fact {
	f := sysctl.Fact{Name: "user namespaces", Value: "work", Level: sysctl.OK}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "version")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	err := cmd.Start()
	if err == nil {
		cmd.Process.Kill()
		cmd.Wait() // killed by us: its status says nothing
		return f
	}
	f.Value, f.Level, f.Cost = "refused", sysctl.Fatal, "unprivileged instances do not start ("+err.Error()+")"
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		f.Repair = "sysctl -w user.max_user_namespaces=10000"
	}
	return f
}

func (rt *Runtime) keeperThere() sysctl.Fact {
	f := sysctl.Fact{Name: "keeper", Value: rt.keeper, Level: sysctl.OK}
	if err := unix.Access(rt.keeper, unix.X_OK); err != nil {
		f.Level, f.Cost, f.Repair = sysctl.Fatal, "instances do not start ("+err.Error()+")", "make install"
	}
	return f
}

func apparmor() sysctl.Fact {
	f := sysctl.Fact{Name: "AppArmor", Value: "off", Level: sysctl.OK}
	switch appArmor() {
	case confined:
		f.Value = "on"
	case unconfined:
		f.Value, f.Level = "on, without apparmor_parser", sysctl.Warning
		f.Cost, f.Repair = "instances run unconfined by AppArmor", "apt-get install apparmor"
	}
	return f
}
