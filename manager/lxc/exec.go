package lxc

import (
	"context"
	"errors"
	"fmt"
	"os"
	ossignal "os/signal"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Exec runs one command in a running instance: all its namespaces, its cgroup, its capabilities, seccomp
// and LSM profile. It returns the exit status, 128+N when signal N ended it, 127 or 126 when it was not
// found or not executable, as a shell does. When ctx ends, the command is sent SIGKILL. An instance that
// does not run, or no longer, is a Conflict.
//
// A command is a session of its own: in ours it could type into our terminal. Where it has our own standard input, what our
// terminal sends us (SIGINT, SIGQUIT, SIGHUP) is passed on to all its processes and does nothing else.
func (rt *Runtime) Exec(ctx context.Context, id int64, c sysctl.Command) (int, error) {
	switch s := rt.State(id); {
	case len(c.Argv) == 0:
		return 0, sysctl.E(sysctl.Invalid, "no command to run")
	case slices.ContainsFunc(slices.Concat(c.Argv, c.Env, []string{c.Cwd}), func(s string) bool { return strings.Contains(s, "\x00") }):
		return 0, sysctl.E(sysctl.Invalid, "command, environment and directory must hold no NUL byte")
	case slices.ContainsFunc(append([]int{c.UID, c.GID}, c.Groups...), func(n int) bool { return n < 0 || n >= 1<<32-1 }):
		return 0, sysctl.E(sysctl.Invalid, "user and groups must be numbers from 0 to 4294967294") // -1 would change nothing
	case s.Init.PID == 0:
		return 0, errNotRunning()
	case s.Status == sysctl.Frozen:
		return 0, sysctl.E(sysctl.Conflict, "it is frozen")
	default:
		return rt.execBeside(ctx, id, s.Init, c)
	}
}

func errNotRunning() error { return sysctl.E(sysctl.Conflict, "it is not running any more") }

func (rt *Runtime) execBeside(ctx context.Context, id int64, init sysctl.Process, c sysctl.Command) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	e, err := rt.entry(id, init)
	if err == nil {
		defer e.close()
		var b begun
		if b, err = e.begin(ctx, c); err == nil {
			return b.end(ctx, c)
		}
	}
	if ctx.Err() == nil && !alive(init) {
		return 0, errNotRunning() // whatever could not be done: this is why
	}
	return 0, err
}

// begun is a command that has been made a child of ours: it runs, or could not be run for a reason.
type begun struct {
	pid    int
	reason error // of execve(2)
}

// end waits for the command.
func (b begun) end(ctx context.Context, c sysctl.Command) (int, error) {
	if b.reason == nil && c.Stdin != nil && c.Stdin.Fd() == 0 {
		defer passOn(b.pid)()
	}
	ws, err := reap(ctx, b.pid)
	switch {
	case err != nil:
		return 0, sysctl.Wrap(err, "wait for the command")
	case b.reason != nil:
		stderr := c.Stderr
		if stderr == nil {
			stderr = os.Stderr
		}
		fmt.Fprintf(stderr, "sysctl: %s: %s\n", c.Argv[0], message(b.reason))
		if errors.Is(b.reason, unix.ENOENT) {
			return 127, nil
		}
		return 126, nil
	case ws.Signaled():
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// passOn sends the signals of our terminal to the command's process group, instead of to whoever else asked for them, until
// the func it returns is called.
func passOn(pid int) (stop func()) {
	sigs := []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGHUP}
	ossignal.Ignore(sigs...)
	got := make(chan os.Signal, len(sigs))
	ossignal.Notify(got, sigs...)
	go func() {
		for s := range got {
			unix.Kill(-pid, s.(unix.Signal)) // it may have ended
		}
	}()
	return func() {
		ossignal.Stop(got)
		close(got)
	}
}

// message is an errno's text as other programs write it.
func message(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// reap waits for a child of ours; when ctx ends, it is sent SIGKILL.
func reap(ctx context.Context, pid int) (ws unix.WaitStatus, err error) {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		unix.Kill(pid, unix.SIGKILL)
		close(killed)
	})
	err = restarted(func() error { return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) })
	if !stop() {
		<-killed // until here the pid is our child's
	}
	if err != nil {
		return 0, err
	}
	err = restarted(func() error {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		return err
	})
	return ws, err
}

// restarted repeats a call that a signal interrupts.
func restarted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// candidates are the paths that a command may be at, as execvp(3) would try them along the environment's PATH.
func candidates(program string, env []string) []string {
	if program == "" {
		return nil
	}
	if strings.Contains(program, "/") {
		return []string{program}
	}
	var found []string
	dirs, _ := variable(env, "PATH")
	for dir := range strings.SplitSeq(dirs, ":") {
		found = append(found, path.Join(dir, program)) // an empty one is the working directory
	}
	return found
}

// variable looks one up as getenv(3) would.
func variable(env []string, name string) (value string, ok bool) {
	for _, kv := range env {
		if value, ok = strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// environment adds what every program in a guest may rely on, as liblxc gives it to init.
func environment(env []string) []string {
	for _, kv := range []string{"container=lxc", "PATH=" + hookPath} {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := variable(env, name); !ok {
			env = append(slices.Clip(env), kv)
		}
	}
	return env
}
