package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// echo is how soon after the first a signal is still that one: timeout(1) and sudo send what they pass on twice, to us
// and to our process group, and a key that is held down repeats.
const echo = 500 * time.Millisecond

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP cancels. The second one, where it is
// no echo of the first, ends the process at once, with the terminal restored. Signals that were ignored when we
// were started (nohup, a job in the background) stay ignored.
func (a *app) interruptible(ctx context.Context, undoes bool) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	caught := make(chan os.Signal, 2)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(caught, sig)
		}
	}
	done := make(chan struct{})
	go a.hangup(caught, done)
	go func() {
		select {
		case <-caught:
		case <-done:
			return
		}
		if undoes {
			a.note("sysctl: interrupted, undoing…")
		}
		cancel()
		for first := time.Now(); ; {
			select {
			case <-caught:
				if time.Since(first) < echo {
					continue
				}
				a.tty.restore()
				os.Exit(codeOf(context.Canceled))
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		close(done)
		cancel()
	}
}

// keepBrokenPipes turns SIGPIPE into an error of the write until the returned func is called: a verb in
// the middle of its work must not die because nobody reads its progress any more. Unlike an ignored
// signal, a caught one is not inherited by the programs we run.
func keepBrokenPipes() func() {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGPIPE)
	return func() { signal.Stop(caught) }
}

// dieOfBrokenPipe ends the process by SIGPIPE, as cat and ls end when their reader goes away. The Go runtime raises it
// at a write to a broken standard output when nobody has asked for the signal.
func dieOfBrokenPipe() {
	signal.Reset(syscall.SIGPIPE)
	_, _ = os.Stdout.Write([]byte("\n"))
}
