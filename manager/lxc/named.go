package lxc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// named is the cgroup v1 hierarchy name=systemd of a host that has cgroup v2 alone, mounted nowhere: whoever needs it opens a
// mount of its own, which is gone with the descriptor. The kernel keeps the hierarchy as long as it has a child
// (cgroup_kill_sb, kernel/cgroup/cgroup-v1.c). It has no controllers, so it takes nothing away from cgroup v2. See
// doc/adr/0010-named-hierarchy.md.
type named struct{ mount *os.File }

// openNamed makes the hierarchy, where it is not there, and opens it. EBUSY: it has no child any more and is being taken apart.
// The options are those that systemd mounts it with.
func openNamed() (named, error) {
	fd, err := unix.Fsopen("cgroup", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return named{}, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fd)
	for _, flag := range []string{"none", "xattr"} {
		if err := unix.FsconfigSetFlag(fd, flag); err != nil {
			return named{}, os.NewSyscallError("fsconfig", err)
		}
	}
	if err := unix.FsconfigSetString(fd, "name", "systemd"); err != nil {
		return named{}, os.NewSyscallError("fsconfig", err)
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return named{}, os.NewSyscallError("fsconfig", err)
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return named{}, os.NewSyscallError("fsmount", err)
	}
	return named{os.NewFile(uintptr(mount), "name=systemd")}, nil
}

func (n named) close() { n.mount.Close() }

// path is of a cgroup in the hierarchy, as long as it is open.
func (n named) path(cgroup string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(n.mount.Fd())), cgroup)
}

// make makes a cgroup that belongs to a guest's root, and all below it with it. What a run that was killed has left there is
// removed before.
func (n named) make(cgroup string, m sysctl.IDMap) error {
	dir := n.path(cgroup)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := removeTree(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if m.Size == 0 {
		return nil
	}
	for _, name := range []string{".", "cgroup.procs", "tasks"} {
		if err := os.Chown(filepath.Join(dir, name), int(m.Base), int(m.Base)); err != nil {
			return err
		}
	}
	return nil
}

// empty reports whether nobody has a cgroup in the hierarchy.
func (n named) empty() bool {
	entries, err := os.ReadDir(n.path("."))
	for _, e := range entries {
		if e.IsDir() {
			return false
		}
	}
	return err == nil
}

// namedTries is how often the hierarchy is looked at that is on its way out, one millisecond apart: there is no event.
const namedTries = 300

// makeNamed makes an instance's cgroup in the hierarchy and opens the file through which its keeper, and so the monitor and the
// guest, get there. A guest's init sees the cgroup that it was born in as the root.
func (rt *Runtime) makeNamed(ctx context.Context, b sysctl.Boot) (procs *os.File, err error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	n, err := openNamed()
	for try := 0; errors.Is(err, unix.EBUSY) && try < namedTries; try++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		n, err = openNamed()
	}
	if err != nil {
		return nil, sysctl.E(sysctl.Unsupported, "cgroup v1 hierarchy name=systemd: %w", err).WithHint("sysctl check")
	}
	defer n.close()
	cgroup := rt.paths.InstanceCgroup(b.Instance)
	if err := n.make(cgroup, b.IDMap); err != nil {
		return nil, sysctl.Wrap(err, "cgroup v1 hierarchy name=systemd")
	}
	return os.OpenFile(filepath.Join(n.path(cgroup), "cgroup.procs"), os.O_WRONLY, 0)
}

// namedCgroup is the cgroup of a process, "self" or a pid, in the hierarchy; "" where the host has no such hierarchy.
func namedCgroup(pid string) string {
	b, _ := os.ReadFile("/proc/" + pid + "/cgroup") // of a process that has ended: none
	for line := range strings.Lines(string(b)) {
		if _, cgroup, ok := strings.Cut(line, ":name=systemd:"); ok {
			return strings.TrimSuffix(cgroup, "\n")
		}
	}
	return ""
}

// inNamed reports whether a cgroup is an instance's or below it.
func (rt *Runtime) inNamed(cgroup string, id int64) bool {
	return strings.HasPrefix(cgroup+"/", "/"+rt.paths.InstanceCgroup(id)+"/")
}

// roots are the roots of all hierarchies in which an instance may have cgroups, until release.
func (rt *Runtime) roots() (roots []string, release func(), err error) {
	if !rt.cgroups.pure() || namedCgroup("self") == "" {
		return rt.cgroups.all, func() {}, nil
	}
	n, err := openNamed()
	if errors.Is(err, unix.EBUSY) {
		return rt.cgroups.all, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return append([]string{n.path(".")}, rt.cgroups.all...), n.close, nil
}

// forgetNamed has the kernel take the hierarchy away when it has no child any more. The kernel looks at that when a mount
// goes, and a child that was removed counts until an RCU grace period later. What somebody has mounted stays; a
// hierarchy that stays for another reason is in nobody's way, so there is no error.
func (rt *Runtime) forgetNamed(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for try := 0; try < namedTries && namedCgroup("self") != "" && !namedMounted(); try++ {
		if n, err := openNamed(); err == nil {
			empty := n.empty()
			n.close()
			if !empty {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// namedMounted reports whether somebody has mounted the hierarchy where this process sees it (proc(5), mountinfo).
func namedMounted() bool {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), " - ")
		f := strings.Fields(rest)
		if len(f) > 2 && f[0] == "cgroup" && strings.Contains(","+f[2]+",", ",name=systemd,") {
			return true
		}
	}
	return false
}

// lookNamed opens the tasks file of a guest's cgroup in the hierarchy, where its init is in there.
func (rt *Runtime) lookNamed(e *entry, id int64, init sysctl.Process) error {
	if !rt.inNamed(namedCgroup(strconv.Itoa(init.PID)), id) {
		return nil
	}
	n, err := openNamed()
	if err != nil {
		return err
	}
	defer n.close()
	f, err := os.OpenFile(filepath.Join(n.path(rt.paths.InstanceCgroup(id)), "tasks"), os.O_WRONLY, 0)
	if err == nil {
		e.tasks = append(e.tasks, f)
	}
	return err
}

// leaveNamed moves this process to the root of the hierarchy, where it is below the environment's directory.
func (rt *Runtime) leaveNamed() error {
	if !rt.cgroups.pure() || !strings.HasPrefix(namedCgroup("self"), "/"+rt.paths.Cgroup+"/") {
		return nil
	}
	n, err := openNamed()
	if err != nil {
		return err
	}
	defer n.close()
	return os.WriteFile(n.path("cgroup.procs"), []byte("0"), 0)
}
