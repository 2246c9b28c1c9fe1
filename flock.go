package sysctl

import (
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
