package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// commands measures what our command itself costs: start-up, handing on, and list over many instances.
func (b *bench) commands(ctx context.Context, o *ours, stopped, running int) error {
	if err := b.handOn(ctx, o); err != nil {
		return err
	}
	return b.list(ctx, o, stopped, running)
}

// handOn compares a call that is the system's own sysctl's with and without us before it.
func (b *bench) handOn(ctx context.Context, o *ours) error {
	system, err := systemSysctl(o.sysctl.path)
	if err != nil {
		return err
	}
	for range 5 * b.rounds {
		for _, c := range []struct {
			op   op
			peer string
			p    program
			args []string
		}{
			{opVersion, oursName, o.sysctl, []string{"version"}},
			{opReal, realName, program{path: system}, []string{"-n", "kernel.hostname"}},
			{opHandOn, oursName, o.sysctl, []string{"-n", "kernel.hostname"}},
		} {
			begin := time.Now()
			if _, err := c.p.run(ctx, c.args...); err != nil {
				return err
			}
			b.res.time(c.op, c.peer, time.Since(begin))
		}
	}
	return nil
}

// systemSysctl is the first sysctl on PATH, or where root's PATH would have it, that is not ours.
func systemSysctl(ours string) (string, error) {
	self, err := os.Stat(ours)
	if err != nil {
		return "", err
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		path := filepath.Join(dir, "sysctl")
		if info, err := os.Stat(path); err == nil && info.Size() != self.Size() {
			return path, nil
		}
	}
	return "", errors.New("the system has no sysctl of its own (package procps)")
}

// list measures the process time (user and system) of list over many stopped and running instances, and of info about one.
func (b *bench) list(ctx context.Context, o *ours, stopped, running int) error {
	names := make([]string, stopped+running)
	for i := range names {
		names[i] = b.newName()
	}
	if err := each(names[:stopped], 4, func(name string) error {
		b.note(o, name, false)
		return o.Create(ctx, name)
	}); err != nil {
		return err
	}
	if err := each(names[stopped:], 4, func(name string) error { return b.launch(ctx, o, name) }); err != nil {
		return err
	}
	for range 2 * b.rounds {
		for _, c := range []struct {
			op   op
			args []string
		}{{opList, []string{"list", "--format", "json"}}, {opInfo, []string{"info", names[len(names)-1], "--format", "json"}}} {
			cmd := o.sysctl.command(ctx, c.args...)
			if _, err := output(cmd); err != nil {
				return err
			}
			b.res.time(c.op, oursName, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	if err := each(names[:stopped], 4, func(name string) error {
		defer b.forget(o, name)
		return o.Delete(ctx, name)
	}); err != nil {
		return err
	}
	return each(names[stopped:], 4, func(name string) error { return b.remove(ctx, o, name) })
}
