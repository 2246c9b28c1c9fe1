package lxc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Limit changes the limits of a running instance to those of b. It fails with Conflict where one cannot be: the guest
// uses more memory than that, or has given a child more than it would have itself. What it has written until then stays: the
// caller sets the old ones again. They hold for the whole run: a guest that reboots keeps them. What Unenforced names is left out.
func (rt *Runtime) Limit(id int64, b sysctl.Boot) error {
	list := rt.settings(b.Limits)
	if err := rt.enable(id, list); err != nil {
		return err
	}
	for _, s := range list {
		if err := rt.apply(id, s); err != nil {
			if s.controller == "memory" && errors.Is(err, unix.EBUSY) {
				err = errors.New("the guest uses more, which cannot be taken from it: let it end something, or set it while it is stopped")
			}
			return sysctl.E(sysctl.Conflict, "%s: set %s to %s: %w", s.key, s.file, s.value, err)
		}
	}
	return rt.saveLimits(id, list)
}

// Unenforced returns the keys of b's limits that no cgroup of this host can enforce on the running instance.
func (rt *Runtime) Unenforced(id int64, b sysctl.Boot) []string {
	var missing []string
	able := map[string]bool{}
	for _, s := range rt.settings(b.Limits) {
		if !s.limits() || able[s.key] {
			continue
		}
		_, err := os.Stat(rt.file(id, s))
		able[s.key] = err == nil || rt.canEnable(s)
		if !able[s.key] && !slices.Contains(missing, s.key) {
			missing = append(missing, s.key)
		}
	}
	return slices.DeleteFunc(missing, func(key string) bool { return able[key] })
}

// settings are those of this host: each controller's of the version that it has here.
func (rt *Runtime) settings(l sysctl.Limits) []setting {
	return append(settings(l, rt.cgroups.pure()), huge(l.HugePages, rt.root("hugetlb") == rt.cgroups.v2)...)
}

// root is where a controller's hierarchy is mounted, "" where it is in none. On a hybrid host those that no v1 hierarchy
// has are in the unified one.
func (rt *Runtime) root(controller string) string {
	if dir := rt.cgroups.v1[controller]; dir != "" && !rt.cgroups.pure() {
		return dir
	}
	return rt.cgroups.v2
}

// file is the file of a setting, "" where no hierarchy has its controller.
func (rt *Runtime) file(id int64, s setting) string {
	if rt.root(s.controller) == "" {
		return ""
	}
	cgroup := rt.paths.PayloadCgroup(id)
	if s.whole {
		cgroup = rt.paths.InstanceCgroup(id)
	}
	return filepath.Join(rt.root(s.controller), cgroup, s.file)
}

// canEnable reports whether a setting's controller is one of a hybrid host's unified hierarchy, where liblxc enables none.
func (rt *Runtime) canEnable(s setting) bool {
	if rt.cgroups.pure() || rt.cgroups.v2 == "" || rt.root(s.controller) != rt.cgroups.v2 {
		return false
	}
	b, err := os.ReadFile(filepath.Join(rt.cgroups.v2, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(b)), s.controller)
}

// enabling are the files through which a controller comes down to an instance's cgroup.
func (rt *Runtime) enabling(id int64) []string {
	var files []string
	for _, dir := range []string{"", rt.paths.Cgroup, rt.paths.InstanceCgroup(id)} {
		files = append(files, filepath.Join(rt.cgroups.v2, dir, "cgroup.subtree_control"))
	}
	return files
}

// enable enables what liblxc has not.
func (rt *Runtime) enable(id int64, list []setting) error {
	for _, s := range list {
		if !s.limits() || !rt.canEnable(s) {
			continue
		}
		for _, file := range rt.enabling(id) {
			if err := writeCgroup(file, "+"+s.controller); err != nil {
				return sysctl.Wrap(err, "%s: enable controller %s", s.key, s.controller)
			}
		}
	}
	return nil
}

// apply writes one limit.
func (rt *Runtime) apply(id int64, s setting) error {
	file := rt.file(id, s)
	value := rt.value(s)
	if value == "" || file == "" {
		return nil
	}
	var err error
	if s.controller == "cpuset" && !rt.cgroups.pure() {
		err = setCpuset(filepath.Dir(file), value)
	} else {
		err = writeCgroup(file, value)
	}
	if s.before != "" && errors.Is(err, unix.EINVAL) { // it is larger than the other one is yet
		err = writeCgroup(filepath.Join(filepath.Dir(file), s.before), "-1")
		if err == nil {
			err = writeCgroup(file, value)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Unenforced
	}
	return err
}

// writeCgroup writes a file that must be there: cgroupfs has another error than that for one that would have to be made.
func writeCgroup(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value + "\n")
	return err
}

// value is what is written for a setting, also where it does not limit; "" where this host has no word for that.
func (rt *Runtime) value(s setting) string {
	if s.value != "" {
		return s.value
	}
	file := "/proc/sys/vm/swappiness"
	if s.controller == "cpuset" {
		file = filepath.Join(rt.root(s.controller), rt.paths.Cgroup, s.file) // what the parent has: no limit of its own
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// saveLimits records limits for the start-host hook: lines of a file and its value. The file is replaced whole, as the guest may be
// rebooting.
func (rt *Runtime) saveLimits(id int64, list []setting) error {
	var record strings.Builder
	line := func(file, value string) { fmt.Fprintf(&record, "%s %s\n", file, value) }
	for _, s := range list {
		file, value := rt.file(id, s), rt.value(s)
		if value == "" || file == "" {
			continue
		}
		if s.limits() && rt.canEnable(s) {
			for _, file := range rt.enabling(id) {
				line(file, "+"+s.controller)
			}
		}
		if s.before != "" {
			line(filepath.Join(filepath.Dir(file), s.before), "-1")
		}
		if s.controller == "cpuset" && !rt.cgroups.pure() { // a child is a subset of its parent at every moment
			line(file, rt.value(setting{controller: s.controller, file: s.file}))
			line(filepath.Join(filepath.Dir(file), innerCgroup, s.file), value)
		}
		line(file, value)
	}
	path := rt.paths.Limits(id)
	err := os.WriteFile(path+".new", []byte(record.String()), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return sysctl.Wrap(err, "limits file")
}

// lateLimits records what liblxc cannot set, for the hook of the start itself.
func (rt *Runtime) lateLimits(id int64, b sysctl.Boot) error {
	list := slices.DeleteFunc(rt.settings(b.Limits), func(s setting) bool { return !s.late || !s.limits() })
	if len(list) == 0 {
		return nil
	}
	return rt.saveLimits(id, list)
}

// setLimits is the part of the start-host hook for limits: liblxc gives a guest that reboots cgroups with the limits that it
// was started with; this sets those that Limit has recorded, and at the start those that liblxc has no word for.
func setLimits(record string) string {
	record = quote(record)
	return `[ ! -e ` + record + ` ] || while read -r file value; do [ ! -e "$file" ] || echo "$value" >"$file"; done <` + record
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
		err := writeCgroup(filepath.Join(dir, "cpuset.cpus"), cpus)
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
