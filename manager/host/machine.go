package host

import (
	"os"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// onlineCPUs reads the host's CPUs (sysfs, devices/system/cpu/online: kernel list format).
func onlineCPUs() ([]int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, sysctl.Wrap(err, "online CPUs")
	}
	all, ok := sysctl.ListCPUs(string(b))
	if !ok {
		return nil, sysctl.E(sysctl.Internal, "online CPUs: cannot read %q", b)
	}
	return all, nil
}

// totalMemory is the host's memory in bytes (sysinfo(2)).
func totalMemory() (int64, error) {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return 0, sysctl.Wrap(err, "sysinfo")
	}
	return int64(s.Totalram) * int64(s.Unit), nil
}
