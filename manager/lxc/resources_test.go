package lxc

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

func fill(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestResourcesUnified(t *testing.T) {
	dir := fill(t, map[string]string{
		"cpu.stat": "usage_usec 1500000\nuser_usec 1\n", "cpuset.cpus.effective": "0-1\n", "cpu.max": "50000 100000\n",
		"memory.current": "1048576\n", "memory.max": "2097152\n", "memory.stat": "anon 5\nfile 4096\nfile_mapped 7\n", "memory.swap.current": "0\n",
		"pids.current": "7\n", "pids.max": "max\n", "io.stat": "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n",
		"memory.pressure": "some avg10=1.50 avg60=0.50 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.25 avg300=0.00 total=1\n",
	})
	r := unknown()
	unified(dir, &r)
	want := sysctl.Resources{CPU: 1500 * time.Millisecond, CPUs: "0-1", CPULimit: 0.5, Memory: 1 << 20, MemoryMax: 2 << 20, Cache: 4096, Swap: 0,
		Processes: 7, ProcsMax: 0, Read: 101, Written: 202, Pressure: []sysctl.Pressure{{Of: "memory", Some10: 1.5, Some60: 0.5, Full10: 1, Full60: 0.25}}}
	if fmt.Sprint(r) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	r = unknown()
	unified(t.TempDir(), &r)
	if fmt.Sprint(r) != fmt.Sprint(unknown()) {
		t.Errorf("of nothing: %+v", r)
	}
}

func TestResourcesLegacy(t *testing.T) {
	dir := fill(t, map[string]string{
		"cpuacct/g/cpuacct.usage": "1500000000\n", "cpu/g/cpu.cfs_quota_us": "-1\n", "cpu/g/cpu.cfs_period_us": "100000\n", "cpuset/g/cpuset.cpus": "1\n",
		"memory/g/memory.usage_in_bytes": "1048576\n", "memory/g/memory.limit_in_bytes": "9223372036854771712\n", "memory/g/memory.stat": "cache 1\ntotal_cache 4096\n",
		"memory/g/memory.memsw.usage_in_bytes": "1048586\n", "pids/g/pids.current": "7\n", "pids/g/pids.max": "100\n",
		"blkio/g/blkio.throttle.io_service_bytes": "8:0 Read 100\n8:0 Write 200\n8:0 Total 300\n8:16 Read 1\n8:16 Write 2\nTotal 303\n",
	})
	h := hierarchies{v1: map[string]string{}}
	for _, c := range []string{"cpuacct", "cpu", "cpuset", "memory", "pids", "blkio"} {
		h.v1[c] = filepath.Join(dir, c)
	}
	r := unknown()
	h.legacy("g", &r)
	want := sysctl.Resources{CPU: 1500 * time.Millisecond, CPUs: "1", CPULimit: 0, Memory: 1 << 20, MemoryMax: 0, Cache: 4096, Swap: 10,
		Processes: 7, ProcsMax: 100, Read: 101, Written: 202, Pressure: []sysctl.Pressure{}}
	if fmt.Sprint(r) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	r = unknown()
	hierarchies{}.legacy("g", &r)
	if fmt.Sprint(r) != fmt.Sprint(unknown()) {
		t.Errorf("of nothing: %+v", r)
	}
}

func TestTraffic(t *testing.T) {
	got := traffic(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    2000      20    1    2    0     0          0         0     3000      30    3    4    0     0       0          0
`)
	want := []sysctl.Traffic{{Name: "eth0", Received: 2000, PacketsReceived: 20, Sent: 3000, PacketsSent: 30, Errors: 4, Dropped: 6}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
	if len(traffic("eth0: 1 2\n:\nnonsense")) != 0 {
		t.Error("of nonsense")
	}
}

func TestHostResources(t *testing.T) {
	r := (&Runtime{}).HostResources()
	if r.CPU <= 0 || r.MemoryMax <= 0 || r.Memory <= 0 || r.Memory > r.MemoryMax || r.CPUs == "" || r.Processes <= 0 {
		t.Errorf("%+v", r)
	}
	if got := busy("cpu  10 20 30 1000 500 1 2 3 4 5\n"); got != 660*time.Millisecond {
		t.Errorf("busy: %s", got)
	}
}
