package netconfig

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// patience with dnsmasq, which starts and ends in milliseconds.
const serverPatience = 20 * time.Second

// run runs a program to its end and returns its last line. What it leaves behind, a daemon, is not waited for.
func run(ctx context.Context, program string, args ...string) (string, error) {
	said, err := os.CreateTemp("", "sysctl-said-*")
	if err != nil {
		return "", err
	}
	defer said.Close()
	os.Remove(said.Name())
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = "/", []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}, said, said
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true} // a Ctrl-C in the terminal is not for it
	err = c.Run()
	text, _ := os.ReadFile("/proc/self/fd/" + strconv.Itoa(int(said.Fd())))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), "dnsmasq: ")
	if last == "" && err != nil {
		last = err.Error()
	}
	return last, err
}

// lockServers takes the lock of an environment's servers: flock on their directory. Without making it, unlock is nil where it is not there.
func lockServers(n sysctl.Network, make bool) (unlock func(), err error) {
	dir := filepath.Dir(serverOf(n).dir)
	for {
		if make {
			if err := os.MkdirAll(dir, 0o711); err != nil {
				return nil, err
			}
		}
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			if make {
				continue // its last network has just gone
			}
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if err := sysctl.Flock(f, unix.LOCK_EX); err != nil {
			f.Close()
			return nil, err
		}
		locked, err1 := f.Stat()
		there, err2 := os.Stat(dir)
		if err1 == nil && err2 == nil && os.SameFile(locked, there) {
			return func() { f.Close() }, nil
		}
		f.Close() // it was removed while we waited
	}
}

// process opens the running dnsmasq: a pidfd, or -1. The number in its file counts only where that process was told of our file.
func (s server) process() int {
	b, err := os.ReadFile(s.file("pid"))
	pid, bad := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || bad != nil || pid <= 1 {
		return -1
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !bytes.Contains(line, []byte("--conf-file="+s.file("conf")+"\x00")) {
		unix.Close(fd)
		return -1
	}
	return fd
}

func (s server) running() bool {
	fd := s.process()
	if fd >= 0 {
		unix.Close(fd)
	}
	return fd >= 0
}

func (s server) signal(sig unix.Signal) error {
	fd := s.process()
	if fd < 0 {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// end ends the process and waits for its end.
func (s server) end(ctx context.Context) error {
	fd := s.process()
	if fd < 0 {
		return nil
	}
	defer unix.Close(fd)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return err
		}
		for end := time.Now().Add(serverPatience); time.Now().Before(end); {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
			if n > 0 {
				return nil
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return sysctl.E(sysctl.Busy, "does not end")
}
