package templates

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// toolRun is one run of a tool that makes a tree.
type toolRun struct {
	program  string
	args     []string
	env      []string // added to the environment
	progress sysctl.Progress
	log      io.Writer
	files    []*os.File // the tool's descriptors from 3 on
}

// run runs the tool to its end. It is process 1 of a process namespace: with it dies whatever it started, in
// whatever session that put itself, and with the last of them goes the mount namespace with its mounts. The
// tool dies with this process too.
func (r toolRun) run(ctx context.Context) error {
	temp, err := os.MkdirTemp("", "sysctl-build-")
	if err != nil {
		return sysctl.Wrap(err, "temporary directory")
	}
	defer os.RemoveAll(temp)
	out := &toolOutput{log: r.log, progress: r.progress}
	cmd := exec.CommandContext(ctx, r.program, r.args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, r.files
	cmd.Dir, cmd.Env = "/", append(toolEnv(os.Environ(), temp), r.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // this one makes the mounts private, Cloneflags would not
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second // for the output of processes that are being killed
	// Pdeathsig is sent when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	out.flush()
	if err == nil {
		return nil
	}
	return r.failed(ctx, err, out)
}

// failed says why the tool failed, with its last lines.
func (r toolRun) failed(ctx context.Context, err error, out *toolOutput) error {
	tool, last := path.Base(r.program), out.cause()
	if ctx.Err() != nil {
		return sysctl.E(sysctl.Canceled, "%s: %w", tool, ctx.Err())
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return r.notStarted(err)
	}
	const realRoot = "bootstrap tools need real root: not inside a container"
	kind, hint := sysctl.Unavailable, "try again, or name another mirror"
	switch {
	case strings.Contains(last, "No space left on device"):
		kind, hint = sysctl.NoSpace, "df -h"
	case strings.Contains(last, "Operation not permitted"), strings.Contains(last, "Permission denied"):
		kind, hint = sysctl.Unsupported, realRoot
	case strings.Contains(last, "Invalid argument"): // chown to an id that this user namespace does not have
		kind, hint = sysctl.Unsupported, realRoot
	}
	return sysctl.E(kind, "%s: %v: %s", tool, err, last).WithHint("%s", hint)
}

// notStarted says why the tool did not even begin: no mirror has anything to do with that.
func (r toolRun) notStarted(err error) error {
	kind, hint := sysctl.Internal, r.program+" --version"
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS): // CLONE_NEWPID, clone(2)
		kind, hint = sysctl.Unsupported, "the kernel needs process and mount namespaces: sysctl check"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		kind, hint = sysctl.Unsupported, "bootstrap tools need real root, and a program that may be executed: not inside a container"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		kind, hint = sysctl.NoSpace, "sysctl -w user.max_pid_namespaces=65536 user.max_mnt_namespaces=65536"
	}
	return sysctl.E(kind, "%s: cannot be started: %w", path.Base(r.program), err).WithHint("%s", hint)
}

// toolEnv is the environment of a tool: ours, but for what would change its messages or its result.
func toolEnv(env []string, temp string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return key == "LANG" || key == "LANGUAGE" || key == "TMPDIR" || key == "HOME" || strings.HasPrefix(key, "LC_") ||
			strings.HasPrefix(key, "DEB")
	})
	env = append(env, "SOURCE_DATE_EPOCH="+strconv.Itoa(sourceDate))
	return append(env, "LC_ALL=C.UTF-8", "HOME=/root", "TMPDIR="+temp, "DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true")
}

// sourceDate is the day on which accounts are made, in seconds since 1970, whenever a tool makes them
// (reproducible-builds.org/specs/source-date-epoch): 2020-01-01.
const sourceDate = 1577836800

// lastLines is how many lines of a tool's output an error shows.
const lastLines = 10

// toolOutput passes a tool's output on and keeps its last lines. "I: what" is a step.
type toolOutput struct {
	log      io.Writer
	progress sysctl.Progress
	line     []byte
	last     []string
}

// Write implements io.Writer. A log that fails does not stop the tool.
func (o *toolOutput) Write(p []byte) (int, error) {
	if o.log != nil {
		if _, err := o.log.Write(p); err != nil {
			o.log = nil
		}
	}
	rest := p
	for {
		i := bytes.IndexAny(rest, "\r\n")
		if i < 0 {
			o.line = append(o.line, rest...)
			if len(o.line) > 4096 {
				o.flush()
			}
			return len(p), nil
		}
		o.line = append(o.line, rest[:i]...)
		o.flush()
		rest = rest[i+1:]
	}
}

// flush takes the line there is.
func (o *toolOutput) flush() {
	line := strings.TrimSpace(string(o.line))
	o.line = o.line[:0]
	if line == "" {
		return
	}
	if step, ok := strings.CutPrefix(line, "I: "); ok {
		o.progress.Report(strings.TrimSuffix(step, "..."), 0, 0)
	}
	if o.last = append(o.last, line); len(o.last) > lastLines {
		o.last = o.last[1:]
	}
}

// cause is the end of the output: the lines marked as errors where there are any.
func (o *toolOutput) cause() string {
	lines := slices.DeleteFunc(slices.Clone(o.last), func(l string) bool {
		return !strings.HasPrefix(l, "E: ") && !strings.HasPrefix(l, "Error: ") && !strings.HasPrefix(l, "FATAL ERROR")
	})
	telling := slices.DeleteFunc(slices.Clone(lines), isEcho)
	if len(telling) > 0 {
		lines = telling
	}
	if len(lines) == 0 {
		lines = o.last
	}
	if len(lines) == 0 {
		return "it said nothing"
	}
	return strings.Join(lines, "; ")
}

// isEcho reports whether a line only says that something failed of which another line says why.
func isEcho(l string) bool {
	return strings.HasPrefix(l, "E: ") && strings.HasSuffix(l, " failed") || strings.HasSuffix(l, " failed to run") ||
		strings.HasPrefix(l, "E: Some index files failed to download.")
}
