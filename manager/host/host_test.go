package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// No two environments share an id, a name or a link.
func TestNamesOfDoNotOverlap(t *testing.T) {
	type span struct{ from, to uint64 }
	var spans []span
	seen := map[string]bool{}
	for n := range environments {
		names := namesOf(n)
		for _, s := range []string{names.bridge, "nft " + names.table, "cgroup " + names.cgroup, linkName(n)(1, 0, "abcdef")} {
			if seen[s] {
				t.Errorf("environment %d: %q is taken", n, s)
			}
			seen[s] = true
		}
		if len(names.bridge) > 15 {
			t.Errorf("bridge %q is too long", names.bridge)
		}
		s := span{uint64(names.ids.Base), uint64(names.ids.Base) + uint64(names.ids.Count)*uint64(names.ids.Size)}
		if s.from < 1<<19 || s.to > 1<<31 {
			t.Errorf("environment %d: ids %d to %d", n, s.from, s.to)
		}
		for m, o := range spans {
			if s.from < o.to && o.from < s.to {
				t.Errorf("environments %d and %d share ids", n, m)
			}
		}
		spans = append(spans, s)
	}
}

func TestLinkNamesFit(t *testing.T) {
	if name := linkName(environments-1)(1_500_000, 9, "0123456789"); len(name) > 15 {
		t.Errorf("%q has %d characters", name, len(name))
	}
	if linkName(1)(7, 0, "aaaa") == linkName(1)(7, 0, "bbbb") {
		t.Error("two runs share a link's name")
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		yaml string
		bad  string // in the error, "" for none
	}{
		{"", ""},
		{"network: {bridge: lab0, nat_table: lab, ipv4: 10.20.0.1/24, ipv6: 'fd00:1::1/64', nat: false}\nidmap: {base: 500000000, count: 10}\n", ""},
		{"network: {brigde: lab0}\n", "brigde"},
		{"network: {ipv4: 10.20.0.0/24}\n", "network.ipv4"},
		{"network: {ipv6: 10.20.0.1/24}\n", "network.ipv6"},
		{"network: {bridge: much-too-long-a-name}\n", "network.bridge"},
		{"idmap: {base: 1000}\n", "idmap"},
		{"idmap: {base: 4294900000, count: 3}\n", "idmap"},
		{"network: [\n", "config.yaml"},
		{"boot_limit: 5m\n", ""},
		{"boot_limit: -5m\n", "boot_limit"},
		{"boot_limit: long\n", "config.yaml"},
		{"storage: {shift: copy}\n", ""},
		{"storage: {shift: shiftfs}\n", "storage.shift"},
		{"storage: {pool: x}\n", "pool"},
		{"mirrors: {debian: 'file:///srv/debian'}\nremotes: {near: {type: simplestreams, url: 'https://images.example'}, hub: {type: oci, url: 'https://hub.example'}}\n", ""},
		{"mirrors: {debian: --x}\n", "mirrors.debian"},
		{"remotes: {near: {type: ftp, url: 'https://images.example'}}\n", "remotes.near"},
		{"remotes: {near: {type: oci, url: hub}}\n", "remotes.near"},
		{"remotes: {oci: {type: oci, url: 'https://hub.example'}}\n", "remotes.oci"},
		{"remotes: {'a/b': {type: oci, url: 'https://hub.example'}}\n", "remotes.a/b"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSettings(t.TempDir(), dir)
		if err == nil {
			_, _, err = s.apply(namesOf(1))
		}
		switch {
		case c.bad == "" && err != nil:
			t.Errorf("%q: %v", c.yaml, err)
		case c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad) || sysctl.KindOf(err) != sysctl.Invalid):
			t.Errorf("%q: error %v, want Invalid with %q", c.yaml, err, c.bad)
		}
	}
	// The environment's sources stand before the machine's, by name; nothing else is the machine's to say.
	machine, dir := t.TempDir(), t.TempDir()
	write := func(dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(machine, "mirrors: {debian: 'http://m.example', ubuntu: 'http://u.example'}\n")
	write(dir, "mirrors: {debian: 'http://e.example'}\n")
	if s, err := readSettings(machine, dir); err != nil || s.Mirrors["debian"] != "http://e.example" || s.Mirrors["ubuntu"] != "http://u.example" {
		t.Errorf("both: %+v %v", s.Mirrors, err)
	}
	for _, text := range []string{"network: {bridge: lab0}\n", "mirrors: {debian: --x}\n"} {
		write(machine, text)
		if _, err := readSettings(machine, dir); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), machine) {
			t.Errorf("%s: %v", text, err)
		}
	}
	s, err := readSettings(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if n, ids, err := s.apply(namesOf(0)); err != nil || n.Name != "sysbr0" || n.Table != "sysctl" || n.Config["ipv4.nat"] != "true" || n.Config["ipv6.nat"] != "true" || ids.Base != 0x70000000 {
		t.Errorf("defaults: %+v %+v %v", n, ids, err)
	}
}

func TestOnlineCPUs(t *testing.T) {
	cpus, err := onlineCPUs()
	if err != nil || len(cpus) == 0 {
		t.Errorf("onlineCPUs: %v, %v", cpus, err)
	}
	if total, err := totalMemory(); err != nil || total < 1<<20 {
		t.Errorf("totalMemory: %d, %v", total, err)
	}
}
