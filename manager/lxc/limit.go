package lxc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Limit changes the limits of a running instance: memory, processes and CPUs of b; zero removes a
// limit. It fails with Conflict where the guest uses more memory than the new limit allows.
func (rt *Runtime) Limit(id int64, b sysctl.Boot) error {
	type setting struct{ controller, file, value string }
	memory, processes := "max", "max"
	if b.Memory > 0 {
		memory = strconv.FormatInt(b.Memory, 10)
	}
	if b.Processes > 0 {
		processes = strconv.FormatInt(b.Processes, 10)
	}
	memoryFile := "memory.max"
	if !rt.cgroups.pure() {
		memoryFile = "memory.limit_in_bytes"
		if b.Memory == 0 {
			memory = "-1"
		}
	}
	for _, s := range []setting{{"memory", memoryFile, memory}, {"pids", "pids.max", processes}, {"cpuset", "cpuset.cpus", b.CPUs}} {
		root := rt.cgroups.v2
		if !rt.cgroups.pure() {
			root = rt.cgroups.v1[s.controller]
		}
		if root == "" {
			continue
		}
		dir := filepath.Join(root, rt.paths.PayloadCgroup(id))
		file := filepath.Join(dir, s.file)
		value := s.value
		if s.controller == "cpuset" && value == "" {
			b, err := os.ReadFile(filepath.Join(root, rt.paths.Cgroup, s.file)) // what the parent has: no limit of its own
			if err != nil {
				continue
			}
			value = strings.TrimSpace(string(b))
		}
		if s.controller == "cpuset" && !rt.cgroups.pure() {
			if err := setCpuset(dir, value); err != nil {
				return sysctl.E(sysctl.Conflict, "set %s to %s: %w", s.file, value, err)
			}
			continue
		}
		err := os.WriteFile(file, []byte(value+"\n"), 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return sysctl.E(sysctl.Conflict, "set %s to %s: %w", s.file, value, err)
		}
	}
	return nil
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
