package lxc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// hierarchies are the cgroup mounts that liblxc uses: it looks under /sys/fs/cgroup only
// (cgfsng.c, initialize_cgroups). v2 is the unified one, "" where there is none.
type hierarchies struct {
	v2  string
	v1  map[string]string // controller (or "name=systemd") to mount point
	all []string
}

const cgroupRoot = "/sys/fs/cgroup"

// probeCgroups reads the layout: pure v2, hybrid or v1.
func probeCgroups() (hierarchies, error) {
	h := hierarchies{v1: map[string]string{}}
	var fsinfo unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &fsinfo); err != nil {
		return h, sysctl.E(sysctl.Unsupported, "cgroups: %s is not mounted: %w", cgroupRoot, err)
	}
	if fsinfo.Type == unix.CGROUP2_SUPER_MAGIC {
		h.v2 = cgroupRoot
		h.all = []string{cgroupRoot}
		return h, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return h, err
	}
	for _, e := range entries {
		dir := filepath.Join(cgroupRoot, e.Name())
		if e.Type()&fs.ModeSymlink != 0 || unix.Statfs(dir, &fsinfo) != nil {
			continue
		}
		switch fsinfo.Type {
		case unix.CGROUP2_SUPER_MAGIC:
			h.v2 = dir
			h.all = append(h.all, dir)
		case unix.CGROUP_SUPER_MAGIC:
			for c := range strings.SplitSeq(e.Name(), ",") {
				h.v1[c] = dir
			}
			h.all = append(h.all, dir)
		}
	}
	if len(h.all) == 0 {
		return h, sysctl.E(sysctl.Unsupported, "cgroups: nothing is mounted under %s", cgroupRoot).
			WithHint("mount -t cgroup2 cgroup2 %s", cgroupRoot)
	}
	return h, nil
}

// pure reports a cgroup2-only host.
func (h hierarchies) pure() bool { return h.v2 == cgroupRoot }

// frozen reads the freezer of an instance.
func (rt *Runtime) frozen(id int64) bool {
	path := rt.paths.PayloadCgroup(id)
	if dir, ok := rt.cgroups.v1["freezer"]; ok {
		b, _ := os.ReadFile(filepath.Join(dir, path, "freezer.state"))
		return strings.HasPrefix(string(b), "FR") // FROZEN, FREEZING
	}
	b, _ := os.ReadFile(filepath.Join(rt.cgroups.v2, path, "cgroup.freeze"))
	return strings.HasPrefix(string(b), "1")
}

// cgroupPIDs lists the processes in a cgroup, from the first hierarchy that has any.
func (rt *Runtime) cgroupPIDs(path string) []int {
	for _, h := range rt.cgroups.all {
		if pids := readPIDs(filepath.Join(h, path)); len(pids) > 0 {
			return pids
		}
	}
	return nil
}

// Usage reads what a running instance uses from its cgroups. What no controller counts is -1.
func (rt *Runtime) Usage(id int64) sysctl.Usage {
	u := sysctl.Usage{Processes: -1, Memory: -1, CPU: -1, Disk: -1}
	path := rt.paths.PayloadCgroup(id)
	if rt.cgroups.pure() {
		dir := filepath.Join(rt.cgroups.v2, path)
		u.Processes = readInt(filepath.Join(dir, "pids.current"))
		u.Memory = readInt(filepath.Join(dir, "memory.current"))
		b, _ := os.ReadFile(filepath.Join(dir, "cpu.stat"))
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "usage_usec "); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
					u.CPU = time.Duration(n) * time.Microsecond
				}
			}
		}
		return u
	}
	if dir, ok := rt.cgroups.v1["pids"]; ok {
		u.Processes = readInt(filepath.Join(dir, path, "pids.current"))
	}
	if dir, ok := rt.cgroups.v1["memory"]; ok {
		u.Memory = readInt(filepath.Join(dir, path, "memory.usage_in_bytes"))
	}
	if dir, ok := rt.cgroups.v1["cpuacct"]; ok {
		if n := readInt(filepath.Join(dir, path, "cpuacct.usage")); n >= 0 {
			u.CPU = time.Duration(n)
		}
	}
	return u
}

func readInt(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// pidsBelow lists the processes in a cgroup and the cgroups below it. A cgroup that goes away meanwhile
// has none.
func pidsBelow(dir string) []int {
	var pids []int
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			pids = append(pids, readPIDs(path)...)
		}
		return nil
	})
	return pids
}

func readPIDs(dir string) []int {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// untilEvent returns when a cgroup v2's cgroup.events has a line, or with ctx's error. The file is pollable:
// POLLPRI when it changes (cgroup-v2.rst).
func untilEvent(ctx context.Context, dir, line string) error {
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return pollFile(ctx, int(f.Fd()), unix.POLLPRI, func() (bool, error) {
		buf := make([]byte, 256)
		n, err := unix.Pread(int(f.Fd()), buf, 0)
		if errors.Is(err, unix.ENODEV) {
			return true, nil // the cgroup is gone
		}
		return strings.Contains(string(buf[:max(n, 0)]), line), err
	})
}

// removeCgroups removes everything below and including a cgroup in every hierarchy of roots. Its
// processes have ended; on cgroup v1 the last of them may still count for a moment, for which there is
// no event. Absent is success.
func (rt *Runtime) removeCgroups(ctx context.Context, path string, roots []string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for try := 0; ; try++ {
		var errs []error
		for _, h := range roots {
			if err := removeTree(filepath.Join(h, path)); err != nil {
				errs = append(errs, err)
			}
		}
		err := errors.Join(errs...)
		if !errors.Is(err, unix.EBUSY) || try == 1000 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// removeTree removes a cgroup and its children, deepest first. Only directories can be removed in a
// cgroup filesystem; files go with them.
func removeTree(dir string) error {
	if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}
