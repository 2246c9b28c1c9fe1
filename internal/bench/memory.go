package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// hostMemory is the PSS in bytes of all that a peer keeps running on the host for one instance: the
// ancestors of the guest's init up to pid 1, us, or a daemon that serves every instance, and each host
// process that has the instance's name on its command line.
func hostMemory(name string, initPID int, daemons []string) (int64, error) {
	guest, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", initPID))
	if err != nil {
		return 0, err
	}
	keepers := map[int]bool{}
	for pid, err := parent(initPID); pid > 1 && pid != os.Getpid(); pid, err = parent(pid) {
		if err != nil {
			return 0, err
		}
		if isDaemon(pid, daemons) {
			break
		}
		keepers[pid] = true
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range procs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		line, _ := os.ReadFile(dir + "/cmdline")
		ns, _ := os.Readlink(dir + "/ns/pid")
		if pid > 1 && pid != os.Getpid() && bytes.Contains(line, []byte(name)) && ns != guest {
			keepers[pid] = true
		}
	}
	var total int64
	for pid := range keepers {
		n, err := pss(pid)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func parent(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return field(status, "PPid:")
}

func isDaemon(pid int, daemons []string) bool {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	for _, d := range daemons {
		if strings.TrimSpace(string(comm)) == d {
			return true
		}
	}
	return false
}

// pss is the process's proportional set size in bytes.
func pss(pid int) (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	kib, err := field(rollup, "Pss:")
	return int64(kib) << 10, err
}

// field returns the number after a label at the beginning of a line.
func field(text []byte, label string) (int, error) {
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), label); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("no line %q", label)
}
