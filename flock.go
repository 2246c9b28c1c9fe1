package sysctl

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Flock is flock(2) that no signal interrupts: Go's runtime sends itself some. The errors are the kernel's, EWOULDBLOCK among them
// where how has LOCK_NB. The lock is the open file's: closing it gives it back.
func Flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// WaitFlock is Flock that ctx can end, with its error. Without the lock f is closed: at once, or as soon as the kernel lets go of it.
func WaitFlock(ctx context.Context, f *os.File, how int) error {
	got := make(chan error, 1)
	go func() { got <- Flock(f, how) }()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		go func() {
			<-got
			f.Close()
		}()
		return ctx.Err()
	}
}
