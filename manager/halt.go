package manager

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// DefaultStopTimeout is how long a guest may take to halt.
const DefaultStopTimeout = 30 * time.Second

// signalShare is which part of the timeout the signal to init has to itself: a third. The commands that come after it share
// the rest, and harm no guest that is halting slowly: whether it has begun to cannot be told from outside.
const signalShare = 3

// halting is one guest's way to its end.
type halting struct {
	m       *Manager
	inst    sysctl.Instance
	timeout time.Duration
	whole   context.Context // the timeout
	past    []string        // what was tried, and what came of it
	ran     []string        // commands that did not fail
}

// halt has a guest halt: by the signal to init, then by each of the guest's own commands, run inside, until its init has ended
// or the timeout is over. That it has not halted is no error: the caller ends it by force. What it was that ended it is told
// where it was not the signal. A cancelled ctx leaves the guest halting.
func (m *Manager) halt(ctx context.Context, inst sysctl.Instance, o StopOptions) error {
	h := &halting{m: m, inst: inst, timeout: o.Timeout}
	if h.timeout <= 0 {
		h.timeout = DefaultStopTimeout
	}
	var cancel context.CancelFunc
	h.whole, cancel = context.WithTimeout(ctx, h.timeout)
	defer cancel()
	o.Progress.Report("halt", 0, 0)
	ended, err := h.signal()
	commands := m.Runtime.HaltCommands(inst.Guest.Init)
	for i, argv := range commands {
		if ended || err != nil || ctx.Err() != nil {
			break
		}
		o.Progress.Report("halt by "+quoted(argv)+" inside", 0, 0)
		ended, err = h.command(argv, len(commands)-i)
	}
	if !ended && err == nil { // commands that cannot be run leave time
		ended, err = h.wait(h.whole)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case !ended:
		o.Progress.Report("killing the guest: it has not halted within "+h.timeout.String(), 0, 0)
	}
	if note := h.note(ended); note != "" && o.Note != nil {
		o.Note(note)
	}
	return nil
}

// signal tries init's own signal.
func (h *halting) signal() (ended bool, err error) {
	sig := h.m.haltSignal(h.inst.Guest)
	if err := h.m.Runtime.Signal(h.inst.ID, sig); err != nil {
		return false, err
	}
	share, cancel := context.WithTimeout(h.whole, h.timeout/signalShare)
	defer cancel()
	ended, err = h.wait(share)
	h.past = append(h.past, SignalName(sig)+": still running")
	return ended, err
}

// command tries a command of the guest's, which has an equal part of what time there is for it and those after it. One
// that fails leaves its time to them.
func (h *halting) command(argv []string, left int) (ended bool, err error) {
	until, _ := h.whole.Deadline()
	share, cancel := context.WithTimeout(h.whole, time.Until(until)/time.Duration(left))
	defer cancel()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer null.Close()
	status, err := h.m.Runtime.Exec(share, h.inst.ID, sysctl.Command{
		Argv: argv, Env: []string{defaultPath, "HOME=/root"}, Cwd: "/", Stdin: null, Stdout: null, Stderr: null,
	})
	outcome := "still running"
	switch {
	case err != nil && share.Err() == nil:
		outcome = err.Error()
	case status == 127:
		outcome = "not there"
	case status > 0 && status < 128: // above: ended by a signal, such as that of the guest's end
		outcome = fmt.Sprintf("failed with status %d", status)
	}
	h.past = append(h.past, quoted(argv)+": "+outcome)
	if outcome != "still running" {
		return false, nil
	}
	h.ran = append(h.ran, quoted(argv))
	return h.wait(share)
}

// wait returns whether the guest has ended before ctx did.
func (h *halting) wait(ctx context.Context) (ended bool, err error) {
	err = h.m.Runtime.Wait(ctx, h.inst.ID)
	if err != nil && ctx.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

// note is what the user should know of how the guest was ended, or "".
func (h *halting) note(ended bool) string {
	switch {
	case !ended:
		return fmt.Sprintf("killed: it has not halted within %s (%s)", h.timeout, strings.Join(h.past, ", "))
	case h.ran != nil:
		return fmt.Sprintf("halted after running %s inside: the signal alone had not ended it within %s", strings.Join(h.ran, ", "), h.timeout/signalShare)
	}
	return ""
}

func quoted(argv []string) string { return `"` + strings.Join(argv, " ") + `"` }

// haltSignal is the signal that asks a guest's init to halt: the one that was chosen, or its kind's.
func (m *Manager) haltSignal(g sysctl.Guest) syscall.Signal {
	if rt, ok := strings.CutPrefix(g.Chosen.Halt, "SIGRTMIN"); ok {
		n, _ := strconv.Atoi(rt) // recipes are checked; without a number it is the first
		return syscall.Signal(rtMin + n)
	}
	if sig := unix.SignalNum(g.Chosen.Halt); sig != 0 {
		return sig
	}
	return m.Runtime.HaltSignal(g.Init)
}

// rtMin is glibc's SIGRTMIN.
const rtMin = 34

// SignalName is a signal as people write it.
func SignalName(sig syscall.Signal) string {
	if sig >= rtMin {
		return fmt.Sprintf("SIGRTMIN+%d", sig-rtMin)
	}
	return unix.SignalName(sig)
}
