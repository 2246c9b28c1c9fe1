package lxc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Freeze stops every process of a running instance, and returns when they have stopped; Unfreeze lets them
// go on. Both are idempotent. The outer cgroup is frozen, which the guest cannot reach; liblxc's
// own freezer takes the inner one, which it can.
func (rt *Runtime) Freeze(ctx context.Context, id int64) error { return rt.setFrozen(ctx, id, true) }

// Unfreeze is the reverse of Freeze.
func (rt *Runtime) Unfreeze(ctx context.Context, id int64) error { return rt.setFrozen(ctx, id, false) }

// Hold freezes a running instance for a moment, and remembers that it was not the user who did: Release undoes it, also
// after the death of the process that called Hold. The caller holds the instance's lock.
func (rt *Runtime) Hold(ctx context.Context, id int64) error {
	if err := os.WriteFile(rt.paths.Held(id), nil, 0o600); err != nil {
		return sysctl.Wrap(err, "freezer")
	}
	return rt.setFrozen(ctx, id, true)
}

// Release lets an instance that Hold froze go on. One that nobody holds is left as it is, frozen or not.
func (rt *Runtime) Release(ctx context.Context, id int64) error {
	held := rt.paths.Held(id)
	if _, err := os.Lstat(held); err != nil {
		return nil
	}
	if err := rt.setFrozen(ctx, id, false); err != nil && !errors.Is(err, fs.ErrNotExist) { // else it has ended
		return err
	}
	if err := os.Remove(held); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return sysctl.Wrap(err, "freezer")
	}
	return nil
}

func (rt *Runtime) setFrozen(ctx context.Context, id int64, frozen bool) error {
	if dir, ok := rt.cgroups.v1["freezer"]; ok {
		word := "THAWED"
		if frozen {
			word = "FROZEN"
		}
		file := filepath.Join(dir, rt.paths.PayloadCgroup(id), "freezer.state")
		if err := os.WriteFile(file, []byte(word), 0); err != nil {
			return sysctl.Wrap(err, "freezer")
		}
		// A process in the middle of a system call can hold up a freeze: the kernel then says FREEZING and
		// tries again at each read (freezer-subsystem.rst). There is no event to wait for.
		for {
			b, err := os.ReadFile(file)
			if err := errors.Join(err, ctx.Err()); err != nil || strings.TrimSpace(string(b)) == word {
				return sysctl.Wrap(err, "freezer")
			}
		}
	}
	dir := filepath.Join(rt.cgroups.v2, rt.paths.PayloadCgroup(id))
	word := "0"
	if frozen {
		word = "1"
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte(word), 0); err != nil {
		return sysctl.Wrap(err, "freezer")
	}
	return sysctl.Wrap(untilEvent(ctx, dir, "frozen "+word), "freezer")
}
