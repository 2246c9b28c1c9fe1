package lxc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// item is the value of a key that is there once, or "".
func item(t *testing.T, b sysctl.Boot, m measured, key string) string {
	t.Helper()
	var all []string
	for _, it := range Render(b, Host{measured: m}, Paths{Run: "/run/x", Cgroup: "x"}) {
		if it.Key == key {
			all = append(all, it.Value)
		}
	}
	if len(all) > 1 {
		t.Errorf("%s: %q", key, all)
	}
	return strings.Join(all, "")
}

// Nothing may ask the kernel for more files than the host allows: that fails without CAP_SYS_RESOURCE.
func TestFilesAreWithinTheHosts(t *testing.T) {
	b := sysctl.Boot{Compat: sysctl.Compat{Files: 65536}}
	for host, want := range map[uint64]string{1 << 20: "1024:65536", 4096: "1024:4096", 512: "512:512", ^uint64(0): "1024:65536"} {
		if got := item(t, b, measured{Files: host}, "lxc.prlimit.nofile"); got != want {
			t.Errorf("%d: %s, want %s", host, got, want)
		}
	}
	if got := item(t, sysctl.Boot{}, measured{Files: 99}, "lxc.prlimit.nofile"); got != "" {
		t.Errorf("without the measure: %s", got)
	}
}

func TestMeasured(t *testing.T) {
	rt := &Runtime{}
	if m, err := rt.measured(sysctl.Compat{}); err != nil || m.Files != 0 || m.Filesystems != "" || m.Lxcfs != nil {
		t.Errorf("looked at what nobody asked for: %+v, %v", m, err)
	}
	m, err := rt.measured(sysctl.Compat{Files: 1, Filesystems: true})
	if err != nil || m.Files == 0 || !strings.Contains(m.Filesystems, "proc\n") {
		t.Errorf("%+v, %v", m, err)
	}
}

// One of stat and uptime alone is worse than none.
func TestSafeOfLxcfs(t *testing.T) {
	for _, c := range []struct{ have, want []string }{
		{lxcfsFiles[:], lxcfsFiles[:]},
		{[]string{"proc/meminfo", "proc/stat"}, []string{"proc/meminfo"}},
		{[]string{"proc/uptime"}, nil},
		{nil, nil},
	} {
		if got := safeOfLxcfs(c.have); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.have, got, c.want)
		}
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct {
		name             string
		have, module     bool
		six              bool // the kernel has a module for IPv6
		modprobe         bool
		disabled         string
		possible, called bool
	}{
		{"in the kernel", true, false, false, false, "0", true, false},
		{"in the kernel, but for IPv6", true, true, true, true, "0", true, true},
		{"a module", false, true, false, true, "0", true, true},
		{"a module, and nobody to load it", false, true, true, false, "0", false, false},
		{"a module, and nothing may be loaded", false, true, false, true, "1", false, true},
		{"no module", false, false, false, true, "0", false, true},
		{"no modules at all", false, false, false, true, "", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := func(name, content string, mode os.FileMode) string {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), mode); err != nil {
					t.Fatal(err)
				}
				return path
			}
			tb := tables{names: filepath.Join(dir, "names"), names6: filepath.Join(dir, "names6"), modules: filepath.Join(dir, "modules/6.1.0"), disabled: filepath.Join(dir, "disabled"),
				path: []string{filepath.Join(dir, "none"), filepath.Join(dir, "sbin")}}
			if c.have {
				file("names", "", 0o600)
			}
			if c.module {
				file("modules/6.1.0/kernel/net/ipv4/netfilter/ip_tables.ko.xz", "", 0o600)
			}
			if c.six {
				file("modules/6.1.0/kernel/net/ipv6/netfilter/ip6_tables.ko", "", 0o600)
			}
			if c.modprobe {
				file("sbin/modprobe", "#!/bin/sh\necho \"$@\" >"+dir+"/called\n", 0o700)
			}
			if c.disabled != "" {
				file("disabled", c.disabled+"\n", 0o600)
			}
			if got := tb.possible(); got != c.possible {
				t.Errorf("possible: %v", got)
			}
			tb.load(t.Context())
			called, err := os.ReadFile(filepath.Join(dir, "called"))
			if (err == nil) != c.called || c.called && !strings.HasPrefix(string(called), "-a -q ip_tables ip6_tables iptable_filter ") {
				t.Errorf("called: %s, %v", called, err)
			}
		})
	}
}
