package lxc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// Resources reads what a running instance uses and may use: a dozen small files of its cgroups, and its interfaces as
// its init sees them. What no controller counts is -1.
func (rt *Runtime) Resources(id int64, init sysctl.Process) sysctl.Resources {
	r := unknown()
	path := rt.paths.PayloadCgroup(id)
	if rt.cgroups.pure() {
		unified(filepath.Join(rt.cgroups.v2, path), &r)
	} else {
		rt.cgroups.legacy(path, &r)
	}
	if alive(init) {
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(init.PID) + "/net/dev"); err == nil && alive(init) {
			r.Networks = traffic(string(b))
		}
	}
	return r
}

func unknown() sysctl.Resources {
	return sysctl.Resources{CPU: -1, CPULimit: -1, Memory: -1, MemoryMax: -1, Cache: -1, Swap: -1, Processes: -1, ProcsMax: -1,
		Read: -1, Written: -1, Pressure: []sysctl.Pressure{}}
}

// unified reads a cgroup v2 (cgroup-v2.rst).
func unified(dir string, r *sysctl.Resources) {
	file := func(name string) string { return filepath.Join(dir, name) }
	if n := fieldOf(file("cpu.stat"), "usage_usec"); n >= 0 {
		r.CPU = time.Duration(n) * time.Microsecond
	}
	r.CPUs = firstLine(file("cpuset.cpus.effective"))
	if f := strings.Fields(firstLine(file("cpu.max"))); len(f) == 2 {
		r.CPULimit = quotaShare(f[0], f[1])
	}
	r.Memory, r.MemoryMax = readInt(file("memory.current")), readMax(file("memory.max"))
	r.Cache = fieldOf(file("memory.stat"), "file")
	r.Swap = readInt(file("memory.swap.current"))
	r.Processes, r.ProcsMax = readInt(file("pids.current")), readMax(file("pids.max"))
	if b, err := os.ReadFile(file("io.stat")); err == nil {
		r.Read, r.Written = 0, 0
		for f := range strings.FieldsSeq(string(b)) {
			key, value, _ := strings.Cut(f, "=")
			n, err := strconv.ParseInt(value, 10, 64)
			switch {
			case err != nil:
			case key == "rbytes":
				r.Read += n
			case key == "wbytes":
				r.Written += n
			}
		}
	}
	for _, of := range []string{"cpu", "memory", "io"} {
		if p, ok := pressure(file(of+".pressure"), of); ok {
			r.Pressure = append(r.Pressure, p)
		}
	}
}

// legacy reads the hierarchies of cgroup v1 that there are.
func (h hierarchies) legacy(path string, r *sysctl.Resources) {
	file := func(controller, name string) string {
		dir, ok := h.v1[controller]
		if !ok {
			return ""
		}
		return filepath.Join(dir, path, name)
	}
	if n := readInt(file("cpuacct", "cpuacct.usage")); n >= 0 {
		r.CPU = time.Duration(n)
	}
	if r.CPUs = firstLine(file("cpuset", "cpuset.effective_cpus")); r.CPUs == "" {
		r.CPUs = firstLine(file("cpuset", "cpuset.cpus"))
	}
	if quota := firstLine(file("cpu", "cpu.cfs_quota_us")); quota != "" {
		r.CPULimit = quotaShare(strings.Replace(quota, "-1", "max", 1), firstLine(file("cpu", "cpu.cfs_period_us")))
	}
	r.Memory, r.MemoryMax = readInt(file("memory", "memory.usage_in_bytes")), readInt(file("memory", "memory.limit_in_bytes"))
	if r.MemoryMax > 1<<60 { // "none" is the largest number of whole pages
		r.MemoryMax = 0
	}
	r.Cache = fieldOf(file("memory", "memory.stat"), "total_cache")
	if n := readInt(file("memory", "memory.memsw.usage_in_bytes")); n >= 0 && r.Memory >= 0 {
		r.Swap = max(0, n-r.Memory)
	}
	r.Processes, r.ProcsMax = readInt(file("pids", "pids.current")), readMax(file("pids", "pids.max"))
	b, err := os.ReadFile(file("blkio", "blkio.throttle.io_service_bytes_recursive"))
	if err != nil {
		b, err = os.ReadFile(file("blkio", "blkio.throttle.io_service_bytes"))
	}
	if err != nil {
		return
	}
	r.Read, r.Written = 0, 0
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line) // MAJOR:MINOR Read N
		if len(f) != 3 {
			continue
		}
		n, err := strconv.ParseInt(f[2], 10, 64)
		switch {
		case err != nil:
		case f[1] == "Read":
			r.Read += n
		case f[1] == "Write":
			r.Written += n
		}
	}
}

// quotaShare is how many CPUs' time a quota of each period is; 0: no limit.
func quotaShare(quota, period string) float64 {
	if quota == "max" {
		return 0
	}
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || p <= 0 {
		return -1
	}
	return q / p
}

func firstLine(path string) string {
	b, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// readMax reads a limit: "max" is none, 0.
func readMax(path string) int64 {
	if firstLine(path) == "max" {
		return 0
	}
	return readInt(path)
}

// fieldOf finds "KEY NUMBER" in a file; -1 where it is not.
func fieldOf(path, key string) int64 {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// pressure reads a PSI file (accounting/psi.rst). Where the kernel was told to keep none, it cannot be read.
func pressure(path, of string) (sysctl.Pressure, bool) {
	p := sysctl.Pressure{Of: of}
	b, err := os.ReadFile(path)
	if err != nil {
		return p, false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		ten, _ := strconv.ParseFloat(strings.TrimPrefix(f[1], "avg10="), 64)
		sixty, _ := strconv.ParseFloat(strings.TrimPrefix(f[2], "avg60="), 64)
		if f[0] == "some" {
			p.Some10, p.Some60 = ten, sixty
		} else {
			p.Full10, p.Full60 = ten, sixty
		}
	}
	return p, true
}

// traffic reads /proc/PID/net/dev: after two lines of headings NAME: and eight numbers of each direction. The loopback
// interface is left out.
func traffic(text string) []sysctl.Traffic {
	list := []sysctl.Traffic{}
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if name = strings.TrimSpace(name); !ok || len(f) < 16 || name == "lo" {
			continue
		}
		n := make([]int64, 16)
		for i := range n {
			n[i], _ = strconv.ParseInt(f[i], 10, 64)
		}
		list = append(list, sysctl.Traffic{Name: name, Received: n[0], PacketsReceived: n[1], Sent: n[8], PacketsSent: n[9],
			Errors: n[2] + n[10], Dropped: n[3] + n[11]})
	}
	return list
}
