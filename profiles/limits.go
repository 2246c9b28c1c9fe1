package profiles

import (
	"strconv"

	"github.com/sysctl-os/sysctl"
)

// maxProcesses is the largest number the pids controller takes (PID_MAX_LIMIT in the kernel's threads.h).
const maxProcesses = 4 << 20

// limitFields is the part of the table that the cgroup controllers enforce.
func limitFields() []field[sysctl.Spec] {
	list := []field[sysctl.Spec]{{
		Key: Key{Name: "limits.cpu", Type: "CPUs", Default: "no limit", Example: "0-3,5", Live: true,
			Doc: "How many CPUs the instance may use (`2`), or which ones (`0-3,5`). To pin it to one CPU write a range: `1-1`."},
		set: func(s *sysctl.Spec, _, v string) error {
			cpu, err := parseCPU(v)
			s.CPU.Count, s.CPU.Set = cpu.Count, cpu.Set
			return err
		},
	}, {
		Key: Key{Name: "limits.cpu.allowance", Type: "share or time", Default: "100%", Example: "25ms/100ms", Live: true,
			Doc: "How much CPU time the instance gets: `50%` is half a usual share, where others want the CPUs too; `25ms/100ms` is at most so much in every 100 ms, of all CPUs together."},
		set: func(s *sysctl.Spec, _, v string) error { return parseAllowance(&s.CPU.Time, v) },
	}, {
		Key: Key{Name: "limits.cpu.priority", Type: "0 to 10", Default: "10", Example: "5", Values: priorities(), Live: true,
			Doc: "Of instances with the same share of CPU time, the one with the higher priority gets a little more of it."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parsePriority(v)
			s.CPU.Time.Yield = maxPriority - n
			return err
		},
	}, {
		Key: Key{Name: "limits.disk.priority", Type: "0 to 10", Default: "5", Example: "8", Values: priorities(), Live: true,
			Doc: "The instance's weight among those that wait for the same disk; needs a kernel and an I/O scheduler with weights (BFQ, or io.cost)."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parsePriority(v)
			s.DiskShare = n - maxPriority/2
			return err
		},
	}, {
		Key: Key{Name: "limits.memory", Type: "size", Default: "no limit", Example: "512MiB", Live: true,
			Doc: "How much memory the instance may use: a size, or a share of the host's memory (`25%`)."},
		set: func(s *sysctl.Spec, _, v string) error { return parseMemory(&s.Memory, v) },
	}, {
		Key: Key{Name: "limits.memory.enforce", Type: "hard or soft", Default: "hard", Example: "soft", Values: []string{"hard", "soft"}, Live: true,
			Doc: "Whether limits.memory always holds, or only where the host runs short of memory."},
		set: func(s *sysctl.Spec, _, v string) error {
			if v != "hard" && v != "soft" {
				return bad(`%q is neither "hard" nor "soft"`, v)
			}
			s.Memory.Soft = v == "soft"
			return nil
		},
	}, {
		Key: Key{Name: "limits.memory.swap", Type: "bool or size", Default: "true", Example: "false", Values: bools(), Live: true,
			Doc: "Whether the instance may be swapped out, or how much of it. On cgroup v1 it needs limits.memory, whose swap it limits."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Memory.Swap, err = parseSwap(v)
			return err
		},
	}, {
		Key: Key{Name: "limits.memory.swap.priority", Type: "0 to 10", Default: "10", Example: "5", Values: priorities(), Live: true,
			Doc: "The lower, the sooner the instance is swapped out (cgroup v1 only: v2 has no such thing)."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := parsePriority(v)
			s.Memory.Yield = maxPriority - n
			return err
		},
	}, {
		Key: Key{Name: "limits.processes", Type: "integer", Default: "no limit", Example: "2000", Live: true,
			Doc: "How many processes and threads the instance may have."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := strconv.ParseUint(v, 10, 31)
			if err != nil || n == 0 || n > maxProcesses {
				return bad(`%q is not a number of processes: write a whole number from 1 to %d, such as "2000"`, v, maxProcesses)
			}
			s.Processes = int64(n)
			return nil
		},
	}}
	for _, page := range []string{"64KB", "1MB", "2MB", "1GB"} { // LXD's
		list = append(list, field[sysctl.Spec]{
			Key: Key{Name: "limits.hugepages." + page, Type: "size", Default: "no limit", Example: "1GiB", Live: true,
				Doc: "How much memory the instance may have in huge pages of this size, where the host has reserved any."},
			set: func(s *sysctl.Spec, _, v string) error {
				n, err := ParseSize(v)
				if err != nil {
					return err
				}
				if s.HugePages == nil {
					s.HugePages = map[string]int64{}
				}
				s.HugePages[page] = n
				return nil
			},
		})
	}
	return list
}
