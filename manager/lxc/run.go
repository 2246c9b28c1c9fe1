package lxc

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/sysctl-os/sysctl"
)

// runFile is what is written down of one run. It is on a tmpfs: after a reboot of the host nothing runs.
type runFile struct {
	RunID    string                   `json:"run_id"`
	Monitor  sysctl.Process           `json:"monitor"`
	Init     sysctl.Process           `json:"init"`
	Started  time.Time                `json:"started_at"`
	Links    map[string]string        `json:"links,omitempty"`    // host ends of interfaces, by device
	Measures []sysctl.Measure         `json:"measures,omitempty"` // it was started with: what is configured may be something else by now
	Rlimits  map[string]sysctl.Rlimit `json:"rlimits,omitempty"`
	RawIDs   string                   `json:"raw_ids,omitempty"`
}

// save writes the run file whole or not at all. The directory must exist.
func (r runFile) save(path string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func loadRun(path string) (runFile, bool, error) {
	var r runFile
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, false, sysctl.E(sysctl.Internal, "%s: not a run file: %w", path, err)
	}
	return r, true, nil
}

// State observes an instance: what the run file says, believed only as far as /proc agrees. It takes
// no lock and changes nothing.
func (rt *Runtime) State(id int64) sysctl.State {
	r, ok, err := loadRun(rt.paths.RunFile(id))
	switch {
	case err != nil:
		return sysctl.State{Status: sysctl.Broken, Problems: []string{err.Error()}}
	case !ok:
		return rt.unwritten(id)
	}
	s := sysctl.State{Status: sysctl.Stopped, RunID: r.RunID, Started: r.Started}
	if alive(r.Monitor) {
		s.Monitor = r.Monitor
	}
	if alive(r.Init) {
		s.Init = r.Init
	} else if s.Monitor.PID != 0 {
		if init, ok := initOf(s.Monitor.PID); ok && executed(init.PID) {
			s.Init = init
		}
	}
	if s.Init.PID == 0 {
		return s
	}
	s.Status, s.Measures, s.RawIDs, s.Links = sysctl.Running, r.Measures, r.RawIDs, r.Links
	if err := rt.wireFailure(id); err != nil {
		s.Problems = append(s.Problems, err.Error())
	}
	if rt.frozen(id) {
		s.Status = sysctl.Frozen
	}
	if s.Monitor.PID == 0 {
		s.Status = sysctl.Broken
		s.Problems = append(s.Problems, "its liblxc monitor is gone but its init still runs")
	}
	return s
}

// unwritten observes an instance without a run file: stopped, unless a start was killed between liblxc's
// clone and the writing of the file. Then the monitor is found through its cgroup.
func (rt *Runtime) unwritten(id int64) sysctl.State {
	if _, err := os.Lstat(rt.paths.Dir(id)); err != nil {
		return sysctl.State{Status: sysctl.Stopped}
	}
	s := sysctl.State{Status: sysctl.Stopped}
	for _, pid := range rt.cgroupPIDs(rt.paths.MonitorCgroup(id)) {
		if m, _, ok := identify(pid); ok {
			s.Monitor = m
			if init, ok := initOf(pid); ok {
				s.Init, s.Status = init, sysctl.Broken
				s.Problems = []string{"a start was interrupted"}
			}
		}
	}
	return s
}
