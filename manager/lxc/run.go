package lxc

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// runFile is what is written down of one run, before its init runs, and again with the processes when it does. Who starts may be
// killed in between: then the run goes on, and its processes are found. It is on a tmpfs: after a reboot of the host nothing runs.
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
	if r.Monitor.PID == 0 {
		r.Monitor = rt.monitor(id)
	}
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

// unwritten observes an instance without a run file: stopped, though what an interrupted start has left may be on its way out.
// That an init runs which nobody has written down is for the user to judge.
func (rt *Runtime) unwritten(id int64) sysctl.State {
	s := sysctl.State{Status: sysctl.Stopped}
	if _, err := os.Lstat(rt.paths.Dir(id)); err != nil {
		return s
	}
	if s.Monitor = rt.monitor(id); s.Monitor.PID == 0 {
		return s
	}
	if init, ok := initOf(s.Monitor.PID); ok && executed(init.PID) {
		s.Init, s.Status = init, sysctl.Broken
		s.Problems = []string{"its init runs, but what was written down of that run is gone"}
	}
	return s
}

// monitor finds the liblxc monitor of an instance in its cgroup, where its hooks are too, and what it has just forked for them: it is
// a keeper that is no other's child. PID 0 is none.
func (rt *Runtime) monitor(id int64) sysctl.Process {
	pids := rt.cgroupPIDs(rt.paths.MonitorCgroup(id))
	keepers := []string{filepath.Base(rt.bootProgram), filepath.Base(rt.keeper)} // which it was before boot was a program of its own
	for _, pid := range pids {
		program, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
		if err != nil || !slices.Contains(keepers, filepath.Base(strings.TrimSuffix(program, " (deleted)"))) { // installed anew meanwhile
			continue
		}
		if p, parent, ok := identify(pid); ok && alive(p) && !slices.Contains(pids, parent) {
			return p
		}
	}
	return sysctl.Process{}
}
