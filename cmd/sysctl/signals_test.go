package main

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running starts a command line whose fake waits, and returns when it does.
func running(t *testing.T, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command("sysctl", args...) // the test binary under this name, first on PATH
	cmd.Env = append(os.Environ(), "FAKE_STATE="+filepath.Join(t.TempDir(), "state"))
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	errs := bufio.NewReader(pipe)
	wantLine(t, errs, "web1: make")
	wantLine(t, errs, "web1: waiting")
	return cmd, errs
}

func wantLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	line, err := r.ReadString('\n')
	if strings.TrimSuffix(line, "\n") != want {
		t.Fatalf("read %q (%v), want %q", line, err, want)
	}
}

func send(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestFirstSignalUndoes(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(sig) { // as under nohup(1), and so it stays in what we start
			continue
		}
		cmd, errs := running(t, "launch", "slow", "web1", "-v")
		send(t, cmd, sig)
		wantLine(t, errs, "sysctl: interrupted, undoing…")
		wantLine(t, errs, "sysctl: launch web1: interrupted")
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("%v: exit status %d", sig, code)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	cmd, errs := running(t, "launch", "stuck", "web1", "-v")
	send(t, cmd, syscall.SIGINT)
	wantLine(t, errs, "sysctl: interrupted, undoing…")
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	for again := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-again.C: // the first of them are echoes
			cmd.Process.Signal(syscall.SIGTERM)
			continue
		case <-ended:
			again.Stop()
		}
		break
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit status %d", code)
	}
}

// timeout(1) sends its signal to us and then to the process group we are in: that is one interruption.
func TestEchoIsNoSecondSignal(t *testing.T) {
	cmd, errs := running(t, "launch", "slow", "web1", "-v")
	send(t, cmd, syscall.SIGTERM)
	send(t, cmd, syscall.SIGINT)
	wantLine(t, errs, "sysctl: interrupted, undoing…")
	wantLine(t, errs, "sysctl: launch web1: interrupted")
	cmd.Wait()
}

func TestIgnoredSignalsStayIgnored(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' HUP; exec sysctl launch slow web1 -v")
	cmd.Env = append(os.Environ(), "FAKE_STATE="+filepath.Join(t.TempDir(), "state"))
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	errs := bufio.NewReader(pipe)
	wantLine(t, errs, "web1: make")
	wantLine(t, errs, "web1: waiting")
	send(t, cmd, syscall.SIGHUP)
	send(t, cmd, syscall.SIGTERM)
	wantLine(t, errs, "sysctl: interrupted, undoing…")
	wantLine(t, errs, "sysctl: launch web1: interrupted") // SIGHUP would have been the second
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit status %d", code)
	}
}

func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	var errs strings.Builder
	cmd := exec.Command("sysctl", "help", "exit-codes")
	cmd.Stdout, cmd.Stderr = w, &errs
	cmd.Run()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGPIPE || errs.String() != "" {
		t.Errorf("%v, stderr %q", cmd.ProcessState, errs.String())
	}
}
