package lxc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Limit changes the limits of a running instance: memory, processes and CPUs of b; zero removes a
// limit. It fails with Conflict where the guest uses more memory than the new limit allows. They hold for the whole run: a
// guest that reboots keeps them.
func (rt *Runtime) Limit(id int64, b sysctl.Boot) error {
	var record strings.Builder
	for _, s := range rt.limits(b) {
		dir := filepath.Join(s.root, rt.paths.PayloadCgroup(id))
		file := filepath.Join(dir, s.file)
		var err error
		if s.controller == "cpuset" && !rt.cgroups.pure() {
			err = setCpuset(dir, s.value)
			for _, again := range []setting{{file: file, value: s.all}, {file: filepath.Join(dir, innerCgroup, s.file), value: s.value}} {
				fmt.Fprintf(&record, "%s %s\n", again.file, again.value)
			}
		} else {
			err = os.WriteFile(file, []byte(s.value+"\n"), 0)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return sysctl.E(sysctl.Conflict, "set %s to %s: %w", s.file, s.value, err)
		}
		fmt.Fprintf(&record, "%s %s\n", file, s.value)
	}
	path := rt.paths.Limits(id) // replaced whole: the guest may be rebooting
	err := os.WriteFile(path+".new", []byte(record.String()), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return sysctl.Wrap(err, "limits file")
}

// setting is a value for a file of an instance's cgroup; all is what the file could have at most.
type setting struct{ controller, root, file, value, all string }

// limits translates those of b for the hierarchies there are.
func (rt *Runtime) limits(b sysctl.Boot) []setting {
	memory, processes := setting{controller: "memory", file: "memory.max", value: "max"}, setting{controller: "pids", file: "pids.max", value: "max"}
	if !rt.cgroups.pure() {
		memory.file, memory.value = "memory.limit_in_bytes", "-1"
	}
	if b.Memory > 0 {
		memory.value = strconv.FormatInt(b.Memory, 10)
	}
	if b.Processes > 0 {
		processes.value = strconv.FormatInt(b.Processes, 10)
	}
	var found []setting
	for _, s := range []setting{memory, processes, {controller: "cpuset", file: "cpuset.cpus", value: b.CPUs}} {
		if s.root = rt.cgroups.v2; !rt.cgroups.pure() {
			s.root = rt.cgroups.v1[s.controller]
		}
		if s.root == "" {
			continue
		}
		if s.controller == "cpuset" {
			all, err := os.ReadFile(filepath.Join(s.root, rt.paths.Cgroup, s.file)) // what the parent has: no limit of its own
			if s.all = strings.TrimSpace(string(all)); s.value == "" && err != nil {
				continue
			}
			if s.value == "" {
				s.value = s.all
			}
		}
		found = append(found, s)
	}
	return found
}

// setLimits is the part of the start-host hook for limits: liblxc gives a guest that reboots cgroups with the limits that it
// was started with; this sets those that Limit has recorded.
func setLimits(record string) string {
	record = quote(record)
	return `[ ! -e ` + record + ` ] || while read -r file value; do echo "$value" >"$file"; done <` + record
}

// setCpuset gives a cpuset cgroup v1 and all below it the same CPUs. A child must always be a subset of its
// parent there (cpusets.rst) and does not follow it: first everybody gets the old and the new ones, from the
// top, then everybody loses the old ones, from the bottom.
func setCpuset(dir, cpus string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // the guest makes and removes cgroups meanwhile
	})
	if err != nil || len(dirs) == 0 {
		return err
	}
	old, err := os.ReadFile(filepath.Join(dir, "cpuset.cpus"))
	if err != nil {
		return err
	}
	write := func(dir, cpus string) error {
		err := os.WriteFile(filepath.Join(dir, "cpuset.cpus"), []byte(cpus), 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, d := range dirs {
		if err := write(d, strings.TrimSpace(string(old))+","+cpus); err != nil {
			return err
		}
	}
	slices.Reverse(dirs)
	for _, d := range dirs {
		if err := write(d, cpus); err != nil {
			return err
		}
	}
	return nil
}

// RemoveLogs removes what the runs of an instance have logged. Absent is success.
func (rt *Runtime) RemoveLogs(id int64) error {
	for _, f := range []string{rt.paths.Log(id), rt.paths.ConsoleLog(id), rt.paths.ConsoleLog(id) + ".1"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
