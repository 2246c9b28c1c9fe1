package lxc

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// gate is a named pipe that holds a guest's init back: the start-host hook reads a line from it where it is there. A starter
// that dies closes it, and the start ends.
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

// open lets the init run.
func (g gate) open() error {
	_, err := g.WriteString("go\n")
	return err
}

// remove takes the gate away when the init runs: a guest that reboots finds none.
func (g gate) remove() error { return os.Remove(g.Name()) }

// startHook is the start-host command line, for everything that is to happen before the guest's init runs. liblxc hands it to a
// shell, with "exec" before it and arguments behind (run_script_argv). The one gets a redirection, the others are the
// colon's: a second shell would take as long again, of every start. With the shell's own means: there is no PATH.
func startHook(gate, limits, wire string) string {
	return strings.Join(slices.DeleteFunc([]string{"</dev/null", passGate(gate), setLimits(limits), wire, ":"}, func(s string) bool { return s == "" }), "; ")
}

func passGate(path string) string {
	path = quote(path)
	return `[ ! -p ` + path + ` ] || read -r go <` + path + ` || exit 1`
}
