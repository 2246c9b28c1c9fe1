package lxc

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

var update = flag.Bool("update", false, "write the golden files")

func TestRenderGolden(t *testing.T) {
	p := Paths{Run: "/run/sysctl", Cgroup: "sysctl"}
	full := sysctl.Boot{
		Instance: 7, Name: "web1", RunID: "ab12", Hostname: "web1", Arch: "amd64", IDMap: sysctl.IDMap{Base: 1 << 30, Size: 65536},
		Environment: map[string]string{"LANG": "C.UTF-8", "A": "b c"}, Limits: sysctl.Limits{Memory: 1 << 29, CPUs: "0,2", Processes: 500},
		NICs: []sysctl.BootNIC{
			{Type: "veth", Link: "sysbr0", HostName: "sy0-7.0", Name: "eth0", MAC: "00:16:3e:00:00:01", MTU: 1400},
		},
		Settle: []string{"env", "SYSCTL_DIR=/it's", "/usr/local/bin/sysctl", "settle", "7", "ab12"},
		Wire:   []string{"env", "SYSCTL_DIR=/it's", "/usr/local/bin/sysctl", "wire", "7"},
	}
	unknown := sysctl.Boot{Instance: 8, Name: "old", Hostname: "old", Arch: "i386", NICs: []sysctl.BootNIC{{
		Type: "veth", Link: "sysbr0", HostName: "sy0-8.0", Name: "eth0", MAC: "00:16:3e:00:00:03",
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("fd00::3/64")},
		Gateway4:  netip.MustParseAddr("10.1.2.1"), Gateway6: netip.MustParseAddr("fd00::1"),
	}}}
	for _, c := range []struct {
		name string
		b    sysctl.Boot
		h    Host
	}{
		{"v1", full, Host{}},
		{"v2-apparmor", full, Host{Cgroup2: true, AppArmor: confined}},
		{"privileged-unknown-i386", unknown, Host{Cgroup2: true, AppArmor: unconfined}},
		{"named", sysctl.Boot{Instance: 7, Name: "old", Hostname: "old", Compat: sysctl.Compat{Cgroups: sysctl.CgroupsNamed}}, Host{Cgroup2: true}},
		{"cgroup2", sysctl.Boot{Instance: 7, Name: "new", Hostname: "new", Compat: sysctl.Compat{Cgroups: sysctl.CgroupsV2}}, Host{}},
		{"measures", sysctl.Boot{
			Instance: 10, Name: "old", Hostname: "old", Arch: "i386", IDMap: sysctl.IDMap{Base: 1 << 30, Size: 65536}, Limits: sysctl.Limits{Memory: 1 << 29},
			Compat: sysctl.Compat{UNAME26: true, LoginUID: true, Cmdline: true, Filesystems: true, SharedMemory: true, Files: 65536, Lxcfs: true,
				LegacyTables: true, CopyRPM: true, Modules: true, PrivateDevices: sysctl.On},
		}, Host{Cgroup2: true, measured: measured{Files: 1 << 20, Filesystems: "nodev\tsysfs\nnodev\tselinuxfs\n\text4\n",
			LxcfsDir: "/var/lib/lxcfs", Lxcfs: []string{"proc/meminfo", "proc/stat", "proc/uptime"}}}},
		{"disks", sysctl.Boot{Instance: 13, Name: "d", Hostname: "d", Compat: sysctl.Compat{Tmpfs: true}, Disks: []sysctl.BootDisk{
			{Path: "/srv/data"}, {Path: "/dev/shm", InDev: true}, {Path: `/dev/a b\c`, InDev: true, File: true}}}, Host{}},
		{"limits-v1", sysctl.Boot{Instance: 11, Name: "l", Hostname: "l", Limits: everyLimit()}, Host{}},
		{"limits-v2", sysctl.Boot{Instance: 11, Name: "l", Hostname: "l", Limits: everyLimit()}, Host{Cgroup2: true}},
		{"kernel", sysctl.Boot{Instance: 12, Name: "k", Hostname: "k", IDMap: sysctl.IDMap{Base: 1 << 30, Size: 65536, Raw: "uid 1000 1000"}, Compat: sysctl.Compat{Files: 65536}, Kernel: sysctl.Kernel{
			Rlimits: map[string]sysctl.Rlimit{"nofile": {Soft: 5, Hard: sysctl.Unlimited}, "core": {}}, Sysctls: map[string]string{"net.ipv4.ip_forward": "1", "kernel.msgmax": "it's"},
			Nesting: true, Calls: denied("bpf"), Raw: []sysctl.RawItem{{Key: "lxc.proc.oom_score_adj", Value: "5"}},
		}}, Host{measured: measured{Files: 1 << 20}}},
		{"no-network", sysctl.Boot{Instance: 9, Name: "n", Hostname: "n"}, Host{}},
	} {
		var b strings.Builder
		for _, it := range Render(c.b, c.h, p) {
			b.WriteString(it.Key + " = " + it.Value + "\n")
		}
		file := filepath.Join("testdata", c.name+".conf")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs from %s (go test ./manager/lxc -run Golden -update):\n%s", c.name, file, b.String())
		}
	}
}

func TestProbableCause(t *testing.T) {
	log := `lxc sysctl-1 20261120184818.650 WARN     conf - ../src/lxc/conf.c:lxc_map_ids:3628 - newuidmap binary is missing
lxc sysctl-1 20261120184818.720 ERROR    start - ../src/lxc/start.c:print:99 - Permission denied - Could not access /x
lxc sysctl-1 20261120184818.721 ERROR    sync - ../src/lxc/sync.c:sync_wait:34 - An error occurred in another process
`
	if got := probable(log); got != "Permission denied - Could not access /x" {
		t.Errorf("probable = %q", got)
	}
	if got := probable("nothing here\n"); got != "" {
		t.Errorf("probable = %q", got)
	}
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	if err := rt.cause(sysctl.Boot{Instance: 1, Name: "web1"}, "start: No space left on device"); sysctl.KindOf(err) != sysctl.NoSpace {
		t.Errorf("cause = %v", err)
	}
	if err := rt.cause(sysctl.Boot{Instance: 1, Name: "web1"}, "Failed to exec command"); strings.Contains(err.Error(), "init") { // ovs-vsctl, for one
		t.Errorf("cause = %v", err)
	}
	if err := rt.cause(sysctl.Boot{Instance: 1, Name: "web1"}, `Device or resource busy - Failed to set "memory.limit_in_bytes" to "10"`); !strings.Contains(err.Error(), "too little") ||
		sysctl.HintOf(err) != "sysctl config show web1 --expanded" {
		t.Errorf("cause = %v", err)
	}
	if err := rt.cause(sysctl.Boot{Instance: 1, Name: "web1"}, "who knows"); !strings.Contains(err.Error(), "who knows") {
		t.Errorf("cause = %v", err)
	}
}

func TestAlive(t *testing.T) {
	me, parent, ok := identify(os.Getpid())
	if !ok || parent != os.Getppid() || !alive(me) {
		t.Errorf("identify: %v, parent %d, %v", me, parent, ok)
	}
	me.Start++
	if alive(me) {
		t.Error("a reused pid is taken for the process")
	}
	if alive(sysctl.Process{}) {
		t.Error("no process is alive")
	}
}

func TestBroadcast(t *testing.T) {
	for prefix, want := range map[string]string{"10.1.2.3/24": " 10.1.2.255", "10.1.2.3/8": " 10.255.255.255", "10.1.2.3/30": " 10.1.2.3", "10.1.2.3/31": "", "10.1.2.3/32": ""} {
		if got := broadcast(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s: %q, want %q", prefix, got, want)
		}
	}
}

// A run whose run directory was wiped is known by its cgroups: the next start would stumble over them.
func TestClearFindsCgroups(t *testing.T) {
	root := t.TempDir()
	rt := &Runtime{paths: Paths{Run: t.TempDir(), Cgroup: "sysctl"}, cgroups: hierarchies{all: []string{root}}}
	if err := os.MkdirAll(filepath.Join(rt.paths.Run, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, rt.paths.MonitorCgroup(1))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rt.Clear(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, rt.paths.InstanceCgroup(1))); !os.IsNotExist(err) {
			t.Errorf("the cgroup is still there: %v", err)
		}
	}
}

func TestStateBelievesNothing(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir(), Cgroup: "sysctl-test-none"}, cgroups: hierarchies{v2: cgroupRoot, all: []string{cgroupRoot}}}
	if s := rt.State(1); s.Status != sysctl.Stopped {
		t.Errorf("no run file: %+v", s)
	}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	me, _, _ := identify(os.Getpid())
	reused := sysctl.Process{PID: me.PID, Start: me.Start + 1}
	for _, c := range []struct {
		r    runFile
		want sysctl.Status
	}{
		{runFile{RunID: "a", Monitor: reused, Init: reused}, sysctl.Stopped},
		{runFile{RunID: "a", Monitor: me, Init: reused}, sysctl.Stopped},
		{runFile{RunID: "a", Monitor: reused, Init: me}, sysctl.Broken},
		{runFile{RunID: "a", Monitor: me, Init: me}, sysctl.Running},
		{runFile{RunID: "a"}, sysctl.Stopped}, // its start was killed, and nothing of it is left
	} {
		if err := c.r.save(rt.paths.RunFile(1)); err != nil {
			t.Fatal(err)
		}
		if s := rt.State(1); s.Status != c.want || s.RunID != "a" {
			t.Errorf("%+v: %+v, want %s", c.r, s, c.want)
		}
	}
	if err := os.WriteFile(rt.paths.RunFile(1), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := rt.State(1); s.Status != sysctl.Broken || len(s.Problems) == 0 {
		t.Errorf("torn run file: %+v", s)
	}
}
