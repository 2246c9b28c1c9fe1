package profiles

import (
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// maxCPUs is the most CPUs a kernel can be built for (NR_CPUS on x86).
const maxCPUs = 8192

// parseCPU reads limits.cpu. A plain number is how many CPUs, as in LXD; anything with a comma or a
// range is a set, returned in the kernel's list format: sorted, merged, "1-1" as "1".
func parseCPU(s string) (sysctl.CPU, error) {
	if !strings.ContainsAny(s, ",-") {
		n, ok := cpuNumber(s)
		if !ok || n == 0 {
			return sysctl.CPU{}, bad(`%q is not a number of CPUs: write a number from 1 to %d, or a set such as "0-3,5"`, s, maxCPUs)
		}
		return sysctl.CPU{Count: n}, nil
	}
	set := make([]bool, maxCPUs+1) // the last one stays false and ends the last range
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		low, ok1 := cpuNumber(from)
		high, ok2 := cpuNumber(to)
		switch {
		case !ok1 || !ok2:
			return sysctl.CPU{}, bad(`%q is not a set of CPUs: write numbers and ranges, such as "0-3,5"`, s)
		case low > high:
			return sysctl.CPU{}, bad("%q has the range %q the wrong way round: write %q", s, part, to+"-"+from)
		case high >= maxCPUs:
			return sysctl.CPU{}, bad("%q has a CPU that cannot exist: the numbers go from 0 to %d", s, maxCPUs-1)
		}
		for i := low; i <= high; i++ {
			set[i] = true
		}
	}
	return sysctl.CPU{Set: cpuList(set)}, nil
}

// cpuNumber reads up to maxCPUs; strconv alone would take signs.
func cpuNumber(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n <= maxCPUs
}

// cpuList writes a set, whose last element is false, in the kernel's list format.
func cpuList(set []bool) string {
	var parts []string
	for i := 0; i < len(set); i++ {
		if !set[i] {
			continue
		}
		low := i
		for set[i+1] {
			i++
		}
		part := strconv.Itoa(low)
		if i > low {
			part += "-" + strconv.Itoa(i)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}
