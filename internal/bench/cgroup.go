package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ownCgroups makes a cgroup for name in the hierarchies systemd works in (cgroup v2 and v1's
// name=systemd), below our own, and returns their directories.
func ownCgroups(name string) ([]string, error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(self)), "\n") {
		fields := strings.SplitN(line, ":", 3)
		var mounts []string
		switch {
		case len(fields) < 3:
			continue
		case fields[1] == "name=systemd":
			mounts = []string{"/sys/fs/cgroup/systemd"}
		case fields[0] == "0":
			mounts = []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}
		}
		for _, mount := range mounts {
			parent := filepath.Join(mount, fields[2])
			if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
				continue
			}
			dir := filepath.Join(parent, "sysctl-bench-"+name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				return nil, errors.Join(err, removeCgroups(dirs))
			}
			dirs = append(dirs, dir)
			break
		}
	}
	return dirs, nil
}

// joining is a command prefix that enters the cgroups and then becomes what follows.
func joining(dirs []string) []string {
	var script strings.Builder
	for _, dir := range dirs {
		script.WriteString("echo $$ >" + dir + "/cgroup.procs\n")
	}
	script.WriteString(`exec "$@"`)
	return []string{"/bin/sh", "-ec", script.String(), "sh"}
}

// removeCgroups removes empty cgroups with all below them. Absent is success.
func removeCgroups(dirs []string) error {
	var errs []error
	for _, top := range dirs {
		var all []string
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		errs = append(errs, err)
		for _, dir := range slices.Backward(all) {
			if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
