package lxc

// #cgo LDFLAGS: -lpthread
// #include "warm.h"
import "C"

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Warm is called as early as a verb knows that it will start something, and returns at once: what a start needs in any
// case is done while the verb looks up, claims and mounts.
func (rt *Runtime) Warm() {
	coming := make(chan started, 1)
	select {
	case rt.ahead <- coming:
	default:
		return // there is one
	}
	rt.warmCgroups()
	go func() {
		k, err := runKeeper(rt.bootProgram)
		coming <- started{k, err}
	}()
}

// Close ends a keeper that was started ahead and has got no work.
func (rt *Runtime) Close() {
	select {
	case coming := <-rt.ahead:
		if s := <-coming; s.err == nil {
			s.keeper.close()
		}
	default:
	}
}

// warmCgroups makes the kernel ready for the moves between cgroups that a start consists of. The
// first write to a cgroup.procs after a quiet while waits for an RCU grace period, tens of milliseconds on
// an idle machine, and those that follow soon do not (kernel/rcu/sync.c under cgroup_threadgroup_rwsem). Moving to
// where one is changes nothing; a failure costs only time. It is begun, and not waited for.
func (rt *Runtime) warmCgroups() {
	if fd, err := unix.Open(rt.ownProcs(), unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		C.warm(C.int(fd))
	}
}

// keepWarm does so again until ctx ends, each time before the kernel would fall back: a guest that halts starts a dozen programs
// with some quiet between them, each in a cgroup of its own.
func (rt *Runtime) keepWarm(ctx context.Context) {
	f, err := os.OpenFile(rt.ownProcs(), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	tick := time.NewTicker(4 * time.Millisecond) // less than a grace period
	defer tick.Stop()
	for {
		if _, err := f.WriteString("0"); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ownProcs is the cgroup.procs of this process's cgroup in some hierarchy, "" where there is none.
func (rt *Runtime) ownProcs() string {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, ok := rt.cgroups.v1[parts[1]]
		if parts[0] == "0" {
			root, ok = rt.cgroups.v2, rt.cgroups.v2 != ""
		}
		if ok {
			return filepath.Join(root, parts[2], "cgroup.procs")
		}
	}
	return ""
}
