package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// peer is a way to run the same Debian tree as a system container. Its methods are what a user would
// type, one command (or two) each; they return when the command does. Methods other than Prepare and
// Close are safe for several instances at once.
type peer interface {
	Name() string
	// About says in a few words what is measured: version and kind of container.
	About() string
	// Prepare makes the base image from the tree. It fails with errMissing where the peer is not
	// on this machine.
	Prepare(ctx context.Context, e *env) error
	Create(ctx context.Context, name string) error
	// Launch is Create and Start the way the peer's users do it.
	Launch(ctx context.Context, name string) error
	Start(ctx context.Context, name string) error
	// Exec runs a program (absolute path) inside and returns its standard output.
	Exec(ctx context.Context, name string, argv ...string) ([]byte, error)
	// Stop shuts the guest down cleanly; Kill at once. Both return when it is gone.
	Stop(ctx context.Context, name string) error
	Kill(ctx context.Context, name string) error
	Delete(ctx context.Context, name string) error
	// Init is the pid of the guest's first process as the host sees it.
	Init(ctx context.Context, name string) (int, error)
	// Store is the directory that grows with every instance, or "" where it cannot be told.
	Store() string
	// Close removes what Prepare made. Instances are gone by then.
	Close(ctx context.Context) error
}

// errMissing says that a peer is not on this machine, or not usable as it is.
var errMissing = errors.New("not on this machine")

func missing(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMissing, fmt.Sprintf(format, args...))
}

// env is what the peers share: trees and room on the machine's disk.
type env struct {
	dir     string // removed at the end
	tree    string // the Debian tree, owned by host ids
	shifted string // the same with every id moved up by idBase; below lxcPath, as lxc-copy wants it
}

// Host ids of the containers of peers that leave the choice to us.
const (
	idBase = 1_000_000
	idSize = 65_536
)

// program is one executable with its environment.
type program struct {
	path string
	env  []string // nil: ours
	pre  []string // arguments before all others
}

// lookup finds a program on PATH or fails with errMissing.
func lookup(name string) (program, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return program{}, missing("no %s", name)
	}
	return program{path: path}, nil
}

// run runs the program without standard input and returns its standard output. A failure carries the
// last lines it wrote.
func (p program) run(ctx context.Context, args ...string) ([]byte, error) {
	return output(p.command(ctx, args...))
}

// command prepares a call. Ctrl-C on our terminal reaches it through ctx alone, as an interrupt that lets
// it clean up; commands that remove things on a context of their own are not hit by it.
func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, append(append([]string{}, p.pre...), args...)...)
	cmd.Env = p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output lets the command write into files, not pipes: a daemon that it leaves behind and that keeps
// them open then does not hold up the clock.
func output(cmd *exec.Cmd) ([]byte, error) {
	var said [2]*os.File
	for i := range said {
		f, err := os.CreateTemp("", "sysctl-bench-")
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil {
			return nil, err
		}
		said[i] = f
	}
	cmd.Stdout, cmd.Stderr = said[0], said[1]
	runErr := cmd.Run()
	out, err := readBack(said[0])
	if runErr == nil || err != nil {
		return out, err
	}
	errs, err := readBack(said[1])
	return out, errors.Join(fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), runErr, tail(errs, out)), err)
}

func readBack(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
}

// tail is the end of what a failed command said.
func tail(texts ...[]byte) string {
	s := strings.TrimSpace(string(bytes.Join(texts, nil)))
	return s[max(0, len(s)-400):]
}
