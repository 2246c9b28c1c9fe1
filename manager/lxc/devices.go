package lxc

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/sysctl-os/sysctl"
)

// Devices returns what a run has of devices, as noted by Start and SetDevices; false where nobody has noted it.
func (rt *Runtime) Devices(id int64) (sysctl.RunDevices, bool, error) {
	path := rt.paths.Devices(id)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	d := sysctl.RunDevices{}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, false, sysctl.E(sysctl.Internal, "%s: not a list of devices: %w", path, err)
	}
	return d, true, nil
}

// SetDevices notes what a run has of devices. The note is replaced whole: the guest may be rebooting.
func (rt *Runtime) SetDevices(id int64, d sysctl.RunDevices) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	path := rt.paths.Devices(id)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// MountSpaces are where the mounts of a running instance are: where liblxc begins whenever the guest reboots, and the guest itself.
func (rt *Runtime) MountSpaces(s sysctl.State) []sysctl.MountSpace {
	return []sysctl.MountSpace{{Process: s.Monitor, Dir: rootDir}, {Process: s.Init}}
}
