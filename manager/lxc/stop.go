package lxc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Wait returns when the init that runs now has ended, or with ctx's error. A stopped instance returns
// at once. The monitor ends with its init: the first thing that liblxc would do is delete the veth pairs, where a kill comes too
// late until the kernel has waited for RCU (netdev_run_todo). Clear does what is left to do.
func (rt *Runtime) Wait(ctx context.Context, id int64) error {
	s := rt.State(id)
	if s.Init.PID == 0 || s.Monitor.PID == 0 {
		return wait(ctx, s.Init)
	}
	monitor, err := unix.PidfdOpen(s.Monitor.PID, 0) // beforehand: it is a race
	if err != nil || !alive(s.Monitor) {
		return wait(ctx, s.Init)
	}
	defer unix.Close(monitor)
	warm, cool := context.WithCancel(ctx)
	defer cool()
	go rt.keepWarm(warm)
	if err := wait(ctx, s.Init); err != nil {
		return err
	}
	if _, err := os.Lstat(rt.paths.Cards(id)); err == nil {
		return nil // it holds the network namespace that the host's interfaces are in
	}
	unix.PidfdSendSignal(monitor, unix.SIGKILL, nil, 0)
	return nil
}

// Gone returns when neither init nor monitor run any more, or with ctx's error.
func (rt *Runtime) Gone(ctx context.Context, id int64) error {
	for {
		s := rt.State(id)
		if s.Init.PID == 0 && s.Monitor.PID == 0 {
			return nil
		}
		p := s.Monitor
		if p.PID == 0 {
			p = s.Init
		}
		if err := wait(ctx, p); err != nil {
			return err
		}
	}
}

// Settled says that a verb takes care of the end of this run: the post-stop hook does nothing any more.
// Idempotent.
func (rt *Runtime) Settled(id int64) error {
	if err := unix.Unlink(rt.paths.Marker(id)); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// Leave takes this process out of a run that has ended: a hook's child is born in its monitor's cgroups, which it
// could not remove from inside, and in its mount namespace, where the root would stay mounted, and the
// upper in use, for as long as the child lives. Elsewhere there is nothing to leave.
func (rt *Runtime) Leave() error {
	for _, dir := range []string{rootDir, filesDir} {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return sysctl.Wrap(err, "unmount %s", dir)
		}
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), ":/"+rt.paths.Cgroup+"/") {
		return nil
	}
	if err := rt.leaveNamed(); err != nil {
		return err
	}
	for _, h := range rt.cgroups.all {
		if err := os.WriteFile(filepath.Join(h, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	return nil
}

// Clear ends whatever still runs of an instance, at once, and removes all that a run leaves on the
// host: cgroups and run directory. Interfaces of the host that the run took are the host's again. The host ends of its NICs go with its network namespace, for which the
// kernel needs a moment more (cleanup_net); nobody has to wait for it, as every run has links of its own
// names. It does itself what liblxc's monitor would do, because on cgroup v1 the monitor needs half a second for it (it moves itself into a pivot cgroup of
// every hierarchy, an RCU grace period each). A run whose directory was wiped is still known by its cgroups.
// Idempotent; absent is success.
func (rt *Runtime) Clear(ctx context.Context, id int64) error {
	if !rt.leftovers(id) {
		return nil
	}
	if err := rt.Settled(id); err != nil {
		return err
	}
	if err := rt.endAndGiveBack(ctx, id); err != nil {
		return err
	}
	if err := rt.unwire(ctx, id); err != nil {
		return sysctl.Wrap(err, "take the wiring away")
	}
	if err := rt.clearCgroups(ctx, id); err != nil {
		return sysctl.Wrap(err, "remove cgroups")
	}
	if err := rt.clearAppArmor(id); err != nil {
		return sysctl.Wrap(err, "remove AppArmor profile")
	}
	return os.RemoveAll(rt.paths.Dir(id))
}

// Rebooting takes away what is left of the cgroups of a guest that reboots, between its old init and the new one. liblxc tries that
// once, makes them anew and gives the whole guest up where one is still there (cgfsng.c, cgfsng_payload_create, which says "Numerical
// result out of range"): for a process that has just ended, and for one that somebody on the host has put there. Called by the post-stop
// hook, which liblxc waits for. Idempotent.
func (rt *Runtime) Rebooting(ctx context.Context, id int64) error {
	path := rt.paths.PayloadCgroup(id)
	if rt.cgroups.v2 != "" {
		if err := rt.kill(path); err != nil {
			return err
		}
	}
	roots, release, err := rt.roots()
	if err != nil {
		return err
	}
	defer release()
	for range 10 { // seconds, at most: it is a reboot or none
		if err = rt.removeCgroups(ctx, path, roots); !errors.Is(err, unix.EBUSY) {
			break
		}
	}
	return sysctl.Wrap(err, "remove cgroups")
}

// Kill ends a guest at once: when it returns, no process of it runs any more, nor will. What the kernel and liblxc's monitor
// still have to take apart goes on behind the user's back, and the post-stop hook clears after it as when a guest halts by itself
// (doc/adr/0006); who cannot wait for that calls Clear. Idempotent.
func (rt *Runtime) Kill(ctx context.Context, id int64) error {
	if rt.cgroups.v2 == "" {
		return rt.Clear(ctx, id)
	}
	dir := filepath.Join(rt.cgroups.v2, rt.paths.PayloadCgroup(id))
	if err := rt.kill(rt.paths.PayloadCgroup(id)); err != nil {
		return err
	}
	// A process that sleeps in the kernel dies when it wakes up: there is no event for "all have begun to exit".
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for slices.ContainsFunc(pidsBelow(dir), runs) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := rt.endForwarders(ctx, rt.paths.ProxyCgroup(id)); err != nil {
		return err
	}
	if err := rt.unwire(ctx, id); err != nil {
		return err
	}
	// Without its run file a run is over, whoever looks.
	if err := os.Remove(rt.paths.RunFile(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// runs reports whether a process can still run instructions of its program.
func runs(pid int) bool {
	s, ok := readStat(pid)
	return ok && !s.ended()
}

// leftovers reports whether a run has left its directory or a cgroup.
func (rt *Runtime) leftovers(id int64) bool {
	exists := func(path string) bool {
		_, err := os.Lstat(path)
		return !errors.Is(err, os.ErrNotExist)
	}
	return exists(rt.paths.Dir(id)) || slices.ContainsFunc(rt.cgroups.all, func(h string) bool {
		return exists(filepath.Join(h, rt.paths.InstanceCgroup(id)))
	})
}

// end kills every process of an instance, at once and together, and returns when none is left: guest,
// monitor, a keeper whose starter was killed, a hook's child. All are in cgroups below the instance's own:
// the keeper joins one before it starts anything.
func (rt *Runtime) end(ctx context.Context, id int64) error {
	if rt.cgroups.v2 == "" {
		return rt.endOneByOne(ctx, id)
	}
	if err := rt.kill(rt.paths.InstanceCgroup(id)); err != nil {
		return err
	}
	return untilEvent(ctx, filepath.Join(rt.cgroups.v2, rt.paths.InstanceCgroup(id)), "populated 0")
}

// kill sends SIGKILL to all processes in and below a cgroup v2, at once and together (cgroup.kill, since Linux 5.14;
// cgroup-v2.rst). One that is frozen on cgroup v1 only takes it when it is thawed. An absent cgroup is success.
func (rt *Runtime) kill(path string) error {
	err := os.WriteFile(filepath.Join(rt.cgroups.v2, path, "cgroup.kill"), []byte("1"), 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	rt.thaw(path)
	return nil
}

// thaw lets everything in and below a cgroup of the v1 freezer go on: the instance, and what the guest has frozen of itself.
// What cannot be thawed has gone.
func (rt *Runtime) thaw(path string) {
	freezer, ok := rt.cgroups.v1["freezer"]
	if !ok {
		return
	}
	filepath.WalkDir(filepath.Join(freezer, path), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.WriteFile(filepath.Join(path, "freezer.state"), []byte("THAWED"), 0)
		}
		return nil
	})
}

// endOneByOne is end on a host without cgroup v2: what appears while it kills is killed in the next round.
func (rt *Runtime) endOneByOne(ctx context.Context, id int64) error {
	for {
		var victims []sysctl.Process
		for _, h := range rt.cgroups.all {
			for _, pid := range pidsBelow(filepath.Join(h, rt.paths.InstanceCgroup(id))) {
				if p, _, ok := identify(pid); ok && alive(p) {
					victims = append(victims, p)
				}
			}
		}
		if len(victims) == 0 {
			return nil
		}
		for _, p := range victims {
			if err := signal(p, unix.SIGKILL); err != nil {
				return err
			}
		}
		rt.thaw(rt.paths.InstanceCgroup(id))
		for _, p := range victims {
			if err := wait(ctx, p); err != nil {
				return err
			}
		}
	}
}

// clearCgroups removes the instance's cgroups, and the environment's directory with the last of them.
func (rt *Runtime) clearCgroups(ctx context.Context, id int64) error {
	roots, release, err := rt.roots()
	if err != nil {
		return err
	}
	err = rt.removeCgroups(ctx, rt.paths.InstanceCgroup(id), roots)
	if err == nil {
		err = rt.removeEnvironment(roots)
	}
	release()
	if err == nil && len(roots) > len(rt.cgroups.all) {
		rt.forgetNamed(ctx)
	}
	return err
}

// removeEnvironment removes the environment's directory in every hierarchy of roots where no instance is in it.
func (rt *Runtime) removeEnvironment(roots []string) error {
	// One after the other: of two who clear at the same time, the one that finds the other's cgroup still there must not
	// keep the other, whose cgroup goes then, from looking.
	next, err := rt.lock("clear", unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer next()
	unlock, err := rt.lockCgroups(unix.LOCK_EX | unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil // somebody starts right now
	}
	if err != nil {
		return err
	}
	defer unlock()
	for _, h := range roots {
		err := unix.Rmdir(filepath.Join(h, rt.paths.Cgroup))
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}

// signal sends sig to p, unless its pid belongs to somebody else by now.
func signal(p sysctl.Process, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !alive(p) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// wait returns when p has ended, or with ctx's error. A pidfd becomes readable when its process exits
// (pidfd_open(2)); an eventfd wakes the poll when ctx ends.
func wait(ctx context.Context, p sysctl.Process) error {
	if p.PID == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !alive(p) {
		return nil
	}
	return pollFile(ctx, fd, unix.POLLIN, func() (bool, error) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
		return fds[0].Revents != 0, err
	})
}

// pollFile asks done, and asks again whenever poll(2) reports events on fd, until it says yes or fails or ctx
// ends. An eventfd wakes the poll for ctx.
func pollFile(ctx context.Context, fd int, events int16, done func() (bool, error)) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken // the descriptor must not be closed, and reused, under the write
		}
		unix.Close(wake)
	}()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
