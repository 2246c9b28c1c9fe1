package lxc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Start boots an instance on root, a detached mount, with disks, detached mounts that go to b.Disks, and returns once its init runs. On failure the
// error names the probable cause; what is left over is removed by Clear, which the caller calls.
// A cancelled ctx ends the keeper. Holds the environment's cgroup lock shared meanwhile.
func (rt *Runtime) Start(ctx context.Context, b sysctl.Boot, root *os.File, disks []*os.File) (sysctl.State, error) {
	if err := rt.prepare(b.Instance); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "run directory")
	}
	unlock, err := rt.lockCgroups(unix.LOCK_SH)
	if err != nil {
		return sysctl.State{}, err
	}
	defer unlock()
	pid, err := rt.runKeeper(ctx, b, root, disks)
	if err != nil {
		return sysctl.State{}, err
	}
	init, monitor, ok := identify(pid)
	if !ok {
		return sysctl.State{}, rt.cause(b.Instance, "init ended at once")
	}
	mon, _, ok := identify(monitor)
	if !ok {
		return sysctl.State{}, rt.cause(b.Instance, "monitor ended at once")
	}
	r := runFile{RunID: b.RunID, Init: init, Monitor: mon, Started: time.Now()}
	if err := r.save(rt.paths.RunFile(b.Instance)); err != nil {
		return sysctl.State{}, sysctl.Wrap(err, "run file")
	}
	return sysctl.State{Status: sysctl.Running, Init: init, Monitor: mon, RunID: b.RunID, Started: r.Started}, nil
}

// runKeeper runs the keeper to its end and returns the init's pid.
func (rt *Runtime) runKeeper(ctx context.Context, b sysctl.Boot, root *os.File, disks []*os.File) (int, error) {
	born, join, err := rt.keeperCgroup(b.Instance)
	if err != nil {
		return 0, err
	}
	if born != nil {
		defer born.Close()
	}
	request, err := rt.request(b, join)
	if err != nil {
		return 0, err
	}
	defer request.Close()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, rt.keeper)
	cmd.Dir = "/"
	// liblxc insists on newuidmap, and so on /etc/subuid, where it finds that program (conf.c, lxc_map_ids).
	// We are root and give out ranges of our own, so it must not find it; apparmor_parser is all it needs.
	cmd.Env = []string{"PATH=/nonexistent"}
	if rt.host().AppArmor == confined {
		cmd.Env = []string{"PATH=/usr/sbin:/sbin"}
	}
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.ExtraFiles = append([]*os.File{request, root}, disks...)
	// A keeper must not outlive who started it, and works for nobody: the death signal is bound to the thread.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if born != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(born.Fd())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// liblxc's monitor inherits nothing of ours (close_all_fds), but a keeper killed half-way can leave a
	// child that holds the pipes.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, os.ErrNotExist):
			return 0, sysctl.E(sysctl.Unsupported, "start: %s is not installed", rt.keeper).WithHint("make install")
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return 0, sysctl.Wrap(err, "keeper")
		}
		return 0, rt.cause(b.Instance, strings.TrimSpace(errOut.String()))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil || pid <= 0 {
		return 0, rt.cause(b.Instance, "init ended at once")
	}
	return pid, nil
}

// keeperCgroup makes the cgroup that a keeper and all it starts are in from the first moment: open, to be born
// in, on cgroup v2 (CLONE_INTO_CGROUP), where joining later costs an RCU grace period; else the file
// through which it joins.
func (rt *Runtime) keeperCgroup(id int64) (born *os.File, join string, err error) {
	root := rt.cgroups.v2
	if root == "" {
		root = rt.cgroups.all[0]
	}
	dir := filepath.Join(root, rt.paths.KeeperCgroup(id))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, "", sysctl.Wrap(err, "cgroup")
	}
	if rt.cgroups.v2 == "" {
		return nil, filepath.Join(dir, "cgroup.procs"), nil
	}
	born, err = os.Open(dir)
	return born, "", sysctl.Wrap(err, "cgroup")
}

// request renders a boot into the keeper's input (cmd/sysctl-keeper), in an anonymous file.
func (rt *Runtime) request(b sysctl.Boot, join string) (*os.File, error) {
	fd, err := unix.MemfdCreate("boot", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, sysctl.Wrap(err, "memfd_create")
	}
	f := os.NewFile(uintptr(fd), "boot")
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "%s\x00%s\x00%s\x00%s\x00", rt.paths.lxcName(b.Instance), lxcPath, rootDir, join)
	fmt.Fprintf(&buf, "%d\x00", len(b.Disks))
	for _, path := range b.Disks {
		fmt.Fprintf(&buf, "%s\x00", path)
	}
	for _, it := range Render(b, rt.host(), rt.paths) {
		fmt.Fprintf(&buf, "%s\x00%s\x00", it.Key, it.Value)
	}
	if _, err := f.WriteAt(buf.Bytes(), 0); err != nil {
		f.Close()
		return nil, sysctl.Wrap(err, "boot request")
	}
	return f, nil
}

// lockCgroups guards the environment's own directory in the cgroup hierarchies: starts hold it shared,
// whoever removes the directory holds it alone.
func (rt *Runtime) lockCgroups(how int) (unlock func(), err error) {
	dir := filepath.Join(rt.paths.Run, "lock")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "cgroups"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
