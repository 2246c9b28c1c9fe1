package lxc

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/sysctl-os/sysctl"
)

// What a run is wired with is written down before it boots: the start-host hook reads it at each boot of the guest, and who clears the
// run takes it away again.

// SetWiring replaces it whole: the guest may be rebooting. A run that has none has no file.
func (rt *Runtime) SetWiring(id int64, w sysctl.Wiring) error {
	path := rt.paths.Wiring(id)
	if w.Empty() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Wiring is what an instance's run is wired with; again reports that it runs already, and its guest boots another time.
func (rt *Runtime) Wiring(id int64) (w sysctl.Wiring, again bool, err error) {
	r, _, err := loadRun(rt.paths.RunFile(id))
	again = err == nil && r.Init.PID != 0 // it is written down before init runs, and its processes afterwards (Start)
	text, err := os.ReadFile(rt.paths.Wiring(id))
	if errors.Is(err, fs.ErrNotExist) {
		return w, again, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	return w, again, sysctl.Wrap(err, "read %s", rt.paths.Wiring(id))
}

// failure is an error on its way from the hook to who starts the instance.
type failure struct {
	Kind sysctl.Kind `json:"kind"`
	Msg  string      `json:"msg"`
	Hint string      `json:"hint,omitempty"`
}

// WireFailed leaves word of why an instance could not be wired; nil takes it back.
func (rt *Runtime) WireFailed(id int64, why error) error {
	path := rt.paths.WireFailure(id)
	if why == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(failure{Kind: sysctl.KindOf(why), Msg: why.Error(), Hint: sysctl.HintOf(why)})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// wireFailure is what WireFailed has left, or nil.
func (rt *Runtime) wireFailure(id int64) error {
	text, err := os.ReadFile(rt.paths.WireFailure(id))
	if err != nil {
		return nil
	}
	var f failure
	if err := json.Unmarshal(text, &f); err != nil {
		return nil
	}
	e := sysctl.E(f.Kind, "%s", f.Msg)
	if f.Hint != "" {
		return e.WithHint("%s", f.Hint)
	}
	return e
}

// wireHook is the part of the start-host hook that has the instance wired: liblxc's LXC_PID says which init. Without it the guest does
// not boot. "": nothing is to be done.
func wireHook(wiring string, command []string) string {
	if len(command) == 0 {
		return ""
	}
	return "[ ! -e " + quote(wiring) + " ] || PATH=" + hookPath + " " + quoteAll(command) + " >/dev/null 2>&1 || exit 1"
}

// stopHook is the command line by which the host's interfaces come back when a guest has ended, or reboots: its network namespace, which liblxc
// names in the last words, is there for the last time. "": nothing is to be done. The exit status is always 0: liblxc must not care.
func stopHook(cards string, command []string) string {
	if len(command) == 0 {
		return ""
	}
	return "/bin/sh -c " + quote("[ -e "+quote(cards)+" ] || exit 0; for a; do case $a in net:*) PATH="+hookPath+" "+quoteAll(command)+" ${a#net:} >/dev/null 2>&1;; esac; done; exit 0")
}
