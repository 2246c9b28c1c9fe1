package lxc

import (
	"fmt"
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

func TestHaltCommands(t *testing.T) {
	for init, want := range map[string]string{
		"systemd": "[[systemctl poweroff] [poweroff]]", "busybox": "[[poweroff]]", "openrc": "[[openrc-shutdown --poweroff now] [poweroff]]",
		"sysvinit": "[[telinit 0] [init 0] [poweroff]]", "upstart": "[[telinit 0] [init 0] [poweroff]]", "bsd": "[[telinit 0] [init 0] [poweroff]]",
		"runit": "[[init 0] [poweroff]]", "finit": "[[initctl poweroff] [poweroff]]", "": "[[telinit 0] [poweroff]]",
	} {
		if got := fmt.Sprint((&Runtime{}).HaltCommands(init)); got != want {
			t.Errorf("%q: %s, want %s", init, got, want)
		}
	}
}
