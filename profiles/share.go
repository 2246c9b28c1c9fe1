package profiles

import (
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// maxPriority is the highest of LXD's priorities; the lowest is 0.
const maxPriority = 10

func priorities() []string {
	list := make([]string, maxPriority+1)
	for i := range list {
		list[i] = strconv.Itoa(i)
	}
	return list
}

func parsePriority(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > maxPriority {
		return 0, bad(`%q is not a priority: write a whole number from 0 to %d`, s, maxPriority)
	}
	return int(n), nil
}

// The kernel takes a period of 1 ms to 1 s, and at least 1 ms of it (kernel/sched/core.c, tg_set_cfs_bandwidth).
const minQuota, minPeriod, maxPeriod = time.Millisecond, time.Millisecond, time.Second

// parseAllowance reads limits.cpu.allowance into t: a share in percent, or a time in each period.
func parseAllowance(t *sysctl.CPUTime, s string) error {
	const right = `write a share such as "50%", or a time in each period such as "25ms/100ms"`
	if digits, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.ParseUint(digits, 10, 8)
		if err != nil || n < 1 || n > 100 {
			return bad("%q is not a share from 1%% to 100%%: %s", s, right)
		}
		t.Share, t.Quota, t.Period = int(n), 0, 0
		return nil
	}
	first, second, _ := strings.Cut(s, "/")
	quota, ok1 := milliseconds(first)
	period, ok2 := milliseconds(second)
	switch {
	case !ok1 || !ok2:
		return bad("%q is no allowance: %s", s, right)
	case period < minPeriod || period > maxPeriod:
		return bad("%q has a period that the kernel does not take: it goes from %v to %v", s, minPeriod, maxPeriod)
	case quota < minQuota || quota > maxCPUs*period:
		return bad("%q has a time that cannot be: it goes from %v to %v", s, minQuota, maxCPUs*period)
	}
	t.Share, t.Quota, t.Period = 0, quota, period
	return nil
}

func milliseconds(s string) (time.Duration, bool) {
	digits, ok := strings.CutSuffix(s, "ms")
	n, err := strconv.ParseUint(digits, 10, 32)
	return time.Duration(n) * time.Millisecond, ok && err == nil
}

// parseSwap reads limits.memory.swap: whether, or how much.
func parseSwap(s string) (sysctl.Swap, error) {
	if n, err := ParseSize(s); err == nil && s != "0" && s != "1" {
		return sysctl.Swap{Off: n == 0, Bytes: n}, nil
	}
	on, err := parseBool(s)
	if err != nil {
		return sysctl.Swap{}, bad(`%q is neither true, false nor a size: write "true", "false" or a size such as "512MiB"`, s)
	}
	return sysctl.Swap{Off: !on}, nil
}
