package sysctl

import (
	"strconv"
	"strings"
)

// ListCPUs reads CPUs in the kernel's list format, such as "0-2,5" (cpuset(7), List format). false: it is not one.
func ListCPUs(list string) ([]int, bool) {
	var all []int
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil {
			return nil, false
		}
		for c := from; c <= to; c++ {
			all = append(all, c)
		}
	}
	return all, true
}
