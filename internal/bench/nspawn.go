package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// nspawn is systemd-nspawn over an overlay that we mount. It stays in the foreground, so that a start
// has "returned" when it sends READY=1.
type nspawn struct {
	program
	nsenter program
	version string
	lower   string
	store   string

	mu      sync.Mutex
	running map[string]*spawned
}

type spawned struct {
	cmd     *exec.Cmd
	leader  int
	done    chan struct{}
	cgroups []string
}

func (n *nspawn) Name() string  { return "nspawn" }
func (n *nspawn) About() string { return n.version + ", unprivileged, overlay, no network" }
func (n *nspawn) Store() string { return n.store }

func (n *nspawn) Prepare(ctx context.Context, e *env) error {
	var err error
	if n.program, err = lookup("systemd-nspawn"); err != nil {
		return err
	}
	if n.nsenter, err = lookup("nsenter"); err != nil {
		return err
	}
	out, err := n.run(ctx, "--version")
	if err != nil {
		return err
	}
	n.version, _, _ = strings.Cut(string(out), "\n")
	n.lower, n.store, n.running = e.shifted, filepath.Join(e.dir, "nspawn"), map[string]*spawned{}
	return os.Mkdir(n.store, 0o755)
}

func (n *nspawn) root(name string) string { return filepath.Join(n.store, name, "root") }

func (n *nspawn) Create(_ context.Context, name string) error {
	dir := filepath.Join(n.store, name)
	for _, d := range []string{"", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(dir, "upper"), idBase, idBase)
}

func (n *nspawn) Launch(ctx context.Context, name string) error {
	if err := n.Create(ctx, name); err != nil {
		return err
	}
	return n.Start(ctx, name)
}

func (n *nspawn) Start(ctx context.Context, name string) error {
	dir := filepath.Join(n.store, name)
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", n.lower, filepath.Join(dir, "upper"), filepath.Join(dir, "work"))
	if err := syscall.Mount("overlay", n.root(name), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	s, err := n.spawn(ctx, name)
	if err != nil {
		return errors.Join(err, syscall.Unmount(n.root(name), syscall.MNT_DETACH))
	}
	n.mu.Lock()
	n.running[name] = s
	n.mu.Unlock()
	return nil
}

func (n *nspawn) spawn(ctx context.Context, name string) (*spawned, error) {
	address := filepath.Join(n.store, name, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer os.Remove(address)
	defer socket.Close()
	args := []string{n.path, "--quiet", "--private-network", "--console=pipe", "--boot",
		"--private-users=" + strconv.Itoa(idBase) + ":" + strconv.Itoa(idSize),
		"--machine=" + name, "--directory=" + n.root(name), "--kill-signal=SIGRTMIN+3"}
	s := &spawned{done: make(chan struct{})}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		// Without systemd on the host nobody makes a scope: give it a cgroup of its own.
		if s.cgroups, err = ownCgroups(name); err != nil {
			return nil, err
		}
		args = append(joining(s.cgroups), append(args, "--register=no", "--keep-unit")...)
	}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+address)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // its exit status is the guest's business
		close(s.done)
	}()
	if s.leader, err = readiness(ctx, socket, s.done); err != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		return nil, errors.Join(err, removeCgroups(s.cgroups))
	}
	return s, nil
}

// readiness waits for READY=1 and returns the leader's pid sent with it.
func readiness(ctx context.Context, socket *net.UnixConn, ended <-chan struct{}) (int, error) {
	type answer struct {
		leader int
		err    error
	}
	got := make(chan answer, 1)
	if err := socket.SetReadDeadline(time.Now().Add(bootLimit)); err != nil {
		return 0, err
	}
	go func() {
		buf := make([]byte, 4096)
		for leader := 0; ; {
			k, err := socket.Read(buf)
			if err != nil {
				got <- answer{err: err}
				return
			}
			ready := false
			for line := range strings.SplitSeq(string(buf[:k]), "\n") {
				if pid, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
					leader, _ = strconv.Atoi(pid)
				}
				ready = ready || line == "READY=1"
			}
			if ready && leader != 0 {
				got <- answer{leader: leader}
				return
			}
		}
	}()
	select {
	case a := <-got:
		return a.leader, a.err
	case <-ended:
		return 0, errors.New("systemd-nspawn ended before it was ready")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (n *nspawn) get(name string) (*spawned, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.running[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("nspawn %s is not running", name)
}

func (n *nspawn) Exec(ctx context.Context, name string, argv ...string) ([]byte, error) {
	s, err := n.get(name)
	if err != nil {
		return nil, err
	}
	return n.nsenter.run(ctx, append([]string{"--target", strconv.Itoa(s.leader), "--all", "--"}, argv...)...)
}

func (n *nspawn) Stop(ctx context.Context, name string) error {
	s, err := n.get(name)
	if err != nil {
		return err
	}
	return n.end(ctx, name, s, s.cmd.Process.Pid, syscall.SIGTERM)
}

func (n *nspawn) Kill(ctx context.Context, name string) error {
	s, err := n.get(name)
	if err != nil {
		return err
	}
	return n.end(ctx, name, s, s.leader, syscall.SIGKILL)
}

func (n *nspawn) end(ctx context.Context, name string, s *spawned, pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	delete(n.running, name)
	n.mu.Unlock()
	return errors.Join(syscall.Unmount(n.root(name), 0), removeCgroups(s.cgroups))
}

func (n *nspawn) Delete(_ context.Context, name string) error {
	return os.RemoveAll(filepath.Join(n.store, name))
}

func (n *nspawn) Init(_ context.Context, name string) (int, error) {
	s, err := n.get(name)
	if err != nil {
		return 0, err
	}
	return s.leader, nil
}

func (n *nspawn) Close(context.Context) error { return nil }
