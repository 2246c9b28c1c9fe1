package lxc

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// HostResources reads what this host has and uses (proc(5)).
func (rt *Runtime) HostResources() sysctl.Resources {
	r := unknown()
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		r.CPU = busy(string(b))
	}
	r.CPUs = firstLine("/sys/devices/system/cpu/online")
	r.CPULimit, r.ProcsMax = 0, readInt("/proc/sys/kernel/pid_max")
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		m := meminfo(string(b))
		r.MemoryMax, r.Memory = m["MemTotal"], m["MemTotal"]-m["MemAvailable"]
		r.Cache, r.Swap = m["Cached"], m["SwapTotal"]-m["SwapFree"]
	}
	if f := strings.Fields(firstLine("/proc/loadavg")); len(f) > 3 {
		if _, all, ok := strings.Cut(f[3], "/"); ok {
			if n, err := strconv.ParseInt(all, 10, 64); err == nil {
				r.Processes = n
			}
		}
	}
	if b, err := os.ReadFile("/proc/diskstats"); err == nil {
		r.Read, r.Written = disks(string(b))
	}
	if b, err := os.ReadFile("/proc/self/net/dev"); err == nil {
		r.Networks = traffic(string(b))
	}
	for _, of := range []string{"cpu", "memory", "io"} {
		if p, ok := pressure("/proc/pressure/"+of, of); ok {
			r.Pressure = append(r.Pressure, p)
		}
	}
	return r
}

// busy is the time that CPUs were not idle: the first line of /proc/stat without idle and iowait; guest time is in user's.
func busy(stat string) time.Duration {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 8 {
		return -1
	}
	var ticks int64
	for i, s := range f[1:min(len(f), 9)] {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && i != 3 && i != 4 {
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ
}

// meminfo reads bytes by name.
func meminfo(text string) map[string]int64 {
	m := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.ParseInt(f[0], 10, 64)
			m[name] = n << 10
		}
	}
	return m
}

// disks sums bytes read and written of whole disks (iostats.rst): of what lies on others nothing is counted twice.
func disks(text string) (read, written int64) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		name := strings.ReplaceAll(f[2], "/", "!")
		if _, err := os.Stat("/sys/block/" + name + "/device"); err != nil {
			continue // a partition, or made of others
		}
		r, _ := strconv.ParseInt(f[5], 10, 64)
		w, _ := strconv.ParseInt(f[9], 10, 64)
		read, written = read+r*512, written+w*512
	}
	return read, written
}
