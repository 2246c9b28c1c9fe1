package lxc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

// everyLimit has a limit of every kind, none of which is what holds anyway.
func everyLimit() sysctl.Limits {
	return sysctl.Limits{
		Memory: 1 << 29, Swap: sysctl.Swap{Bytes: 1 << 28}, SwapYield: 10, CPUs: "0", Processes: 99, DiskShare: 5,
		CPU:       sysctl.CPUTime{Share: 50, Quota: 25 * time.Millisecond, Period: 50 * time.Millisecond, Yield: 3},
		HugePages: map[string]int64{"2MB": 4 << 20},
	}
}

// limiting are the settings that limit something, as file=value.
func limiting(l sysctl.Limits, v2 bool) []string {
	var list []string
	for _, s := range append(settings(l, v2), huge(l.HugePages, v2)...) {
		if s.limits() {
			list = append(list, s.file+"="+s.value)
		}
	}
	return list
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name   string
		l      sysctl.Limits
		v1, v2 string
	}{
		{"nothing", sysctl.Limits{}, "", ""},
		{"memory", sysctl.Limits{Memory: 4096}, "memory.limit_in_bytes=4096", "memory.max=4096"},
		{"soft", sysctl.Limits{Memory: 4096, MemorySoft: true}, "memory.soft_limit_in_bytes=4096", "memory.high=4096"},
		{"no swap", sysctl.Limits{Memory: 4096, Swap: sysctl.Swap{Off: true}},
			"memory.limit_in_bytes=4096 memory.memsw.limit_in_bytes=4096 memory.swappiness=0", "memory.max=4096 memory.swap.max=0"},
		{"some swap", sysctl.Limits{Memory: 4096, Swap: sysctl.Swap{Bytes: 8192}},
			"memory.limit_in_bytes=4096 memory.memsw.limit_in_bytes=12288", "memory.max=4096 memory.swap.max=8192"},
		{"share", sysctl.Limits{CPU: sysctl.CPUTime{Share: 25}}, "cpu.shares=256", "cpu.weight=25"},
		{"least share", sysctl.Limits{CPU: sysctl.CPUTime{Share: 1, Yield: 10}}, "cpu.shares=2", "cpu.weight=1"},
		{"priority", sysctl.Limits{CPU: sysctl.CPUTime{Yield: 4}}, "cpu.shares=1020", "cpu.weight=96"},
		{"time", sysctl.Limits{CPU: sysctl.CPUTime{Quota: 25 * time.Millisecond, Period: 50 * time.Millisecond}},
			"cpu.cfs_period_us=50000 cpu.cfs_quota_us=25000", "cpu.max=25000 50000"},
		{"usual period", sysctl.Limits{CPU: sysctl.CPUTime{Quota: 200 * time.Millisecond, Period: 100 * time.Millisecond}},
			"cpu.cfs_quota_us=200000", "cpu.max=200000 100000"},
		{"disk, most", sysctl.Limits{DiskShare: 5}, "blkio.bfq.weight=200 blkio.weight=1000", "io.bfq.weight=200 io.weight=200"},
		{"disk, least", sysctl.Limits{DiskShare: -5}, "blkio.bfq.weight=2 blkio.weight=10", "io.bfq.weight=2 io.weight=2"},
		{"pages", sysctl.Limits{HugePages: map[string]int64{"2MB": 0}},
			"hugetlb.2MB.limit_in_bytes=0 hugetlb.2MB.rsvd.limit_in_bytes=0", "hugetlb.2MB.max=0 hugetlb.2MB.rsvd.max=0"},
		{"swapped sooner", sysctl.Limits{SwapYield: 10}, "memory.swappiness=100", "memory.swappiness=100"}, // v2 has no such file: Unenforced
	} {
		if got := strings.Join(limiting(c.l, false), " "); got != c.v1 {
			t.Errorf("%s, v1: %s; want %s", c.name, got, c.v1)
		}
		if got := strings.Join(limiting(c.l, true), " "); got != c.v2 {
			t.Errorf("%s, v2: %s; want %s", c.name, got, c.v2)
		}
	}
}

// limitFiles makes a tree that looks like the cgroup hierarchies of a hybrid host to Limit: it takes what is written, as a kernel that knows these files.
func limitFiles(t *testing.T) *Runtime {
	t.Helper()
	dir := t.TempDir()
	rt := &Runtime{paths: Paths{Run: dir, Cgroup: "sysctl"}, cgroups: hierarchies{v2: filepath.Join(dir, "unified"), v1: map[string]string{}}}
	for _, c := range []string{"memory", "pids", "cpu", "blkio"} {
		rt.cgroups.v1[c] = filepath.Join(dir, c)
	}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(file string) {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("pids hugetlb\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range append(settings(everyLimit(), false), huge(everyLimit().HugePages, true)...) {
		if s.controller != "cpuset" && !strings.Contains(s.file, "blkio.weight") && !strings.Contains(s.file, "rsvd") {
			put(rt.file(1, s))
		}
	}
	put(filepath.Join(rt.cgroups.v2, "cgroup.controllers"))
	for _, f := range rt.enabling(1) {
		put(f)
	}
	return rt
}

func TestLimitHybrid(t *testing.T) {
	rt := limitFiles(t)
	b := sysctl.Boot{Limits: everyLimit()}
	b.CPUs = ""
	if missing := rt.Unenforced(1, b); len(missing) > 0 {
		t.Errorf("not enforced: %q", missing)
	}
	if err := rt.Limit(1, b); err != nil {
		t.Fatal(err)
	}
	content := func(path ...string) string {
		b, err := os.ReadFile(filepath.Join(append([]string{rt.paths.Run}, path...)...))
		if err != nil {
			t.Error(err)
		}
		return strings.SplitN(string(b), "\n", 2)[0]
	}
	for path, want := range map[string]string{
		"memory/sysctl/1/guest/memory.limit_in_bytes": "536870912", "memory/sysctl/1/guest/memory.memsw.limit_in_bytes": "805306368",
		"cpu/sysctl/1/cpu.shares": "509", "cpu/sysctl/1/guest/cpu.cfs_quota_us": "25000", "blkio/sysctl/1/blkio.bfq.weight": "200",
		"unified/sysctl/1/guest/hugetlb.2MB.max": "4194304", "unified/sysctl/1/cgroup.subtree_control": "+hugetlb", "unified/cgroup.subtree_control": "+hugetlb",
	} {
		if got := content(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	record, err := os.ReadFile(rt.paths.Limits(1))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(record), "\n")
	at := func(suffix string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, suffix) })
	}
	order := []int{at("memory.memsw.limit_in_bytes -1"), at("memory.limit_in_bytes 536870912"), at("memory.memsw.limit_in_bytes 805306368")}
	if order[0] < 0 || !slices.IsSorted(order) {
		t.Errorf("the reboot's order is %v:\n%s", order, record)
	}
	if at("unified/cgroup.subtree_control +hugetlb") > at("hugetlb.2MB.max 4194304") {
		t.Errorf("the controller is enabled too late:\n%s", record)
	}

	b.DiskShare, b.CPU.Share = 0, 0
	if err := rt.Limit(1, b); err != nil {
		t.Fatal(err)
	}
	if got := content("cpu/sysctl/1/cpu.shares") + " " + content("blkio/sysctl/1/blkio.bfq.weight"); got != "1021 100" {
		t.Errorf("back to usual: %s", got)
	}
	if err := os.Remove(filepath.Join(rt.paths.Run, "blkio/sysctl/1/blkio.bfq.weight")); err != nil {
		t.Fatal(err)
	}
	b.DiskShare = 1
	if got := rt.Unenforced(1, b); !slices.Equal(got, []string{"limits.disk.priority"}) {
		t.Errorf("a kernel without weights: %q", got)
	}
	if err := rt.Limit(1, b); err != nil {
		t.Errorf("a kernel without weights: %v", err)
	}
	if _, err := os.Stat(filepath.Join(rt.paths.Run, "blkio/sysctl/1/blkio.bfq.weight")); err == nil {
		t.Error("the file was made")
	}
}

func TestLateLimits(t *testing.T) {
	rt := limitFiles(t)
	if err := rt.lateLimits(1, sysctl.Boot{Limits: sysctl.Limits{Memory: 1 << 20, Processes: 5}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(rt.paths.Limits(1)); err == nil {
		t.Error("liblxc sets these by itself, but they were recorded")
	}
	if err := rt.lateLimits(1, sysctl.Boot{Limits: everyLimit()}); err != nil {
		t.Fatal(err)
	}
	record, err := os.ReadFile(rt.paths.Limits(1))
	if err != nil || !strings.Contains(string(record), "/cpu/sysctl/1/cpu.shares 509\n") || strings.Contains(string(record), "pids") {
		t.Errorf("%v:\n%s", err, record)
	}
}
