package lxc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Freeze stops every process of a running instance, and returns when they have stopped; Unfreeze lets them
// go on. Both are idempotent. The outer cgroup is frozen, which the guest cannot reach; liblxc's
// own freezer takes the inner one, which it can.
func (rt *Runtime) Freeze(ctx context.Context, id int64) error { return rt.setFrozen(ctx, id, true) }

// Unfreeze is the reverse of Freeze.
func (rt *Runtime) Unfreeze(ctx context.Context, id int64) error { return rt.setFrozen(ctx, id, false) }

func (rt *Runtime) setFrozen(ctx context.Context, id int64, frozen bool) error {
	if dir, ok := rt.cgroups.v1["freezer"]; ok {
		word := "THAWED"
		if frozen {
			word = "FROZEN"
		}
		file := filepath.Join(dir, rt.paths.PayloadCgroup(id), "freezer.state")
		// A process in the middle of a system call can hold up a freeze: the kernel then says FREEZING and
		// tries again at each read (freezer-subsystem.rst). There is no event to wait for.
		return setFile(file, word, func() (bool, error) {
			b, err := os.ReadFile(file)
			return strings.TrimSpace(string(b)) == word, errors.Join(err, ctx.Err())
		})
	}
	dir := filepath.Join(rt.cgroups.v2, rt.paths.PayloadCgroup(id))
	word := "0"
	if frozen {
		word = "1"
	}
	events, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return sysctl.Wrap(err, "freezer")
	}
	defer events.Close()
	return setFile(filepath.Join(dir, "cgroup.freeze"), word, func() (bool, error) {
		buf := make([]byte, 256)
		n, err := unix.Pread(int(events.Fd()), buf, 0)
		if err != nil || strings.Contains(string(buf[:max(n, 0)]), "frozen "+word) {
			return true, err
		}
		// cgroup.events is pollable: POLLPRI when it changes (cgroup-v2.rst). A time limit, so that ctx is seen.
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}, 100)
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
		return false, errors.Join(err, ctx.Err())
	})
}

// setFile writes word to a file and asks done until it says yes or fails.
func setFile(file, word string, done func() (bool, error)) error {
	if err := os.WriteFile(file, []byte(word), 0); err != nil {
		return sysctl.Wrap(err, "freezer")
	}
	for {
		if ok, err := done(); ok || err != nil {
			return sysctl.Wrap(err, "freezer")
		}
	}
}
