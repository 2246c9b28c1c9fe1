package lxc

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// gate is a named pipe that holds a guest's init back: the start-host hook waits at it where it is there. It is open when it is
// gone, all at once: a starter who is killed has either let the init run or not. One that dies before closes it, and the start ends
// where the hook waits already; a hook that comes later waits until the next verb clears what is left.
type gate struct{ *os.File }

// shutGate makes the gate of an instance. One that an interrupted start has left is used again.
func (rt *Runtime) shutGate(id int64) (gate, error) {
	path := rt.paths.Gate(id)
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return gate{}, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // to read as well: what is written waits for a reader
	return gate{f}, err
}

// open lets the init run. A guest that reboots finds no gate.
func (g gate) open() error {
	if err := os.Remove(g.Name()); err != nil {
		return err
	}
	_, err := g.WriteString("go\n") // wakes who waits already
	return err
}

// startHook adds the hook, and tells the keeper of it, which needs no shell where there is only a gate to wait at (boot.c).
func (r *rendering) startHook(b sysctl.Boot, p Paths) {
	line := startHook(p.Gate(b.Instance), p.Limits(b.Instance), wireHook(p.Wiring(b.Instance), b.Wire))
	r.add(keeperKey+"hook", line)
	r.add(keeperKey+"gate", p.Gate(b.Instance))
	r.add(keeperKey+"limits", p.Limits(b.Instance))
	r.add(keeperKey+"wiring", p.Wiring(b.Instance))
	r.add("lxc.hook.start-host", line)
}

// startHook is the start-host command line, for everything that is to happen before the guest's init runs. liblxc hands it to a
// shell, with "exec" before it and arguments behind (run_script_argv). The one gets a redirection, the others are the
// colon's: a second shell would take as long again, of every start. With the shell's own means: there is no PATH.
func startHook(gate, limits, wire string) string {
	return strings.Join(slices.DeleteFunc([]string{"</dev/null", passGate(gate), setLimits(limits), wire, ":"}, func(s string) bool { return s == "" }), "; ")
}

func passGate(path string) string {
	path = quote(path)
	return `[ ! -p ` + path + ` ] || read -r go <` + path + ` || [ ! -p ` + path + ` ] || exit 1`
}
