package lxc

import (
	"slices"
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"
)

// setting is one limit as a file of a cgroup and what goes into it. Pure; where the file is, rt.place says.
type setting struct {
	key        string // the config key it is of
	controller string
	file       string
	value      string
	none       string // what the file has where nothing is limited; "" of what only the host knows
	// whole: of the cgroup that holds all of an instance and stands beside the other instances', as a weight counts among
	// siblings. Else it is of the guest's.
	whole bool
	// before has another file of the same cgroup that must not be smaller: it is opened first.
	before string
	// late: the start-host hook sets it, as liblxc sets only files of the guest's cgroup and fails where a kernel has no such
	// file (memory.memsw.* and memory.swap.* need swapaccount).
	late bool
}

// limits reports whether it differs from what holds anyway.
func (s setting) limits() bool { return s.value != s.none }

// settings translates limits for cgroup v2 or v1, in the order in which they are to be written.
func settings(l sysctl.Limits, v2 bool) []setting {
	if v2 {
		return slices.Concat(memory2(l), []setting{pids(l), cpus(l)}, time2(l.CPU), disk(l.DiskShare, 100, "io.bfq.weight", "io.weight"))
	}
	return slices.Concat(memory1(l), []setting{pids(l), cpus(l)}, time1(l.CPU),
		disk(l.DiskShare, 100, "blkio.bfq.weight"), disk(l.DiskShare, 500, "blkio.weight"))
}

const memoryKey, swapKey, eagerKey = "limits.memory", "limits.memory.swap", "limits.memory.swap.priority"

func memory2(l sysctl.Limits) []setting {
	hard, soft, swap := "max", "max", "max"
	switch {
	case l.Memory > 0 && l.MemorySoft:
		soft = number(l.Memory)
	case l.Memory > 0:
		hard = number(l.Memory)
	}
	switch {
	case l.Swap.Off:
		swap = "0"
	case l.Swap.Bytes > 0:
		swap = number(l.Swap.Bytes)
	}
	all := []setting{
		{key: memoryKey, controller: "memory", file: "memory.max", value: hard, none: "max"},
		{key: memoryKey, controller: "memory", file: "memory.high", value: soft, none: "max"},
		{key: swapKey, controller: "memory", file: "memory.swap.max", value: swap, none: "max", late: true},
	}
	if l.SwapYield > 0 {
		all = append(all, setting{key: eagerKey, controller: "memory", file: "memory.swappiness", value: swappiness(l), late: true})
	}
	return all
}

// memory1: swap has no limit of its own there, only together with memory.
func memory1(l sysctl.Limits) []setting {
	hard, soft, both := "-1", "-1", "-1"
	switch {
	case l.Memory > 0 && l.MemorySoft:
		soft = number(l.Memory)
	case l.Memory > 0 && (l.Swap.Off || l.Swap.Bytes > 0):
		hard, both = number(l.Memory), number(l.Memory+l.Swap.Bytes)
	case l.Memory > 0:
		hard = number(l.Memory)
	}
	const memsw = "memory.memsw.limit_in_bytes"
	return []setting{
		{key: memoryKey, controller: "memory", file: "memory.limit_in_bytes", value: hard, none: "-1", before: memsw},
		{key: memoryKey, controller: "memory", file: "memory.soft_limit_in_bytes", value: soft, none: "-1"},
		{key: swapKey, controller: "memory", file: memsw, value: both, none: "-1", late: true},
		{key: eagerKey, controller: "memory", file: "memory.swappiness", value: swappiness(l), late: true},
	}
}

// swappiness is how willingly the kernel swaps, 60 by default; "" where everybody's holds.
func swappiness(l sysctl.Limits) string {
	switch {
	case l.Swap.Off:
		return "0"
	case l.SwapYield > 0:
		return strconv.Itoa(60 + 4*l.SwapYield)
	}
	return ""
}

func pids(l sysctl.Limits) setting {
	s := setting{key: "limits.processes", controller: "pids", file: "pids.max", value: "max", none: "max"}
	if l.Processes > 0 {
		s.value = number(l.Processes)
	}
	return s
}

func cpus(l sysctl.Limits) setting {
	return setting{key: "limits.cpu", controller: "cpuset", file: "cpuset.cpus", value: l.CPUs}
}

const allowanceKey, shareKey = "limits.cpu.allowance", "limits.cpu.priority"

func time2(c sysctl.CPUTime) []setting {
	weight, most := share(c), "max 100000"
	if c.Quota > 0 {
		most = microseconds(c.Quota) + " " + microseconds(c.Period)
	}
	return []setting{
		{key: shareKey, controller: "cpu", file: "cpu.weight", value: strconv.Itoa(max(weight-c.Yield, 1)), none: "100", whole: true, late: true},
		{key: allowanceKey, controller: "cpu", file: "cpu.max", value: most, none: "max 100000"},
	}
}

// time1: a quota must fit its period at every moment.
func time1(c sysctl.CPUTime) []setting {
	quota, period := "-1", "100000"
	if c.Quota > 0 {
		quota, period = microseconds(c.Quota), microseconds(c.Period)
	}
	const file = "cpu.cfs_quota_us"
	return []setting{
		{key: shareKey, controller: "cpu", file: "cpu.shares", value: strconv.Itoa(max(1024*share(c)/100-c.Yield, 2)), none: "1024", whole: true, late: true},
		{key: allowanceKey, controller: "cpu", file: "cpu.cfs_period_us", value: period, none: "100000", before: file},
		{key: allowanceKey, controller: "cpu", file: file, value: quota, none: "-1"},
	}
}

func share(c sysctl.CPUTime) int {
	if c.Share == 0 {
		return 100
	}
	return c.Share
}

// disk is the weight of a share of -5…5 where everybody has usual: a hundredth at the lowest, twice at the highest.
func disk(share, usual int, files ...string) []setting {
	weight := max(usual*(share+5)/5, usual/50)
	controller := "blkio"
	if files[0][:2] == "io" {
		controller = "io"
	}
	var all []setting
	for _, f := range files {
		all = append(all, setting{key: "limits.disk.priority", controller: controller, file: f, value: strconv.Itoa(weight), none: strconv.Itoa(usual), whole: true, late: true})
	}
	return all
}

// huge are the limits of huge pages: of those that are used, and of those that are reserved.
func huge(pages map[string]int64, v2 bool) []setting {
	limit, reserved, none := "limit_in_bytes", "rsvd.limit_in_bytes", "-1"
	if v2 {
		limit, reserved, none = "max", "rsvd.max", "max"
	}
	var all []setting
	for _, size := range []string{"64KB", "1MB", "2MB", "1GB"} {
		value := none
		if n, limited := pages[size]; limited {
			value = number(n)
		}
		for _, f := range []string{limit, reserved} {
			all = append(all, setting{key: "limits.hugepages." + size, controller: "hugetlb", file: "hugetlb." + size + "." + f,
				value: value, none: none, late: true})
		}
	}
	return all
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func microseconds(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }
