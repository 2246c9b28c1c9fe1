package lxc

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestHaltSignal(t *testing.T) {
	for init, want := range map[string]unix.Signal{
		"systemd": 37, "busybox": unix.SIGUSR2, "openrc": unix.SIGTERM, "sysvinit": unix.SIGPWR, "upstart": unix.SIGPWR,
		"bsd": unix.SIGPWR, "runit": unix.SIGCONT, "finit": unix.SIGUSR2, "": unix.SIGPWR,
	} {
		if got := (&Runtime{}).HaltSignal(init); got != want {
			t.Errorf("%q: %v, want %v", init, got, want)
		}
	}
}
