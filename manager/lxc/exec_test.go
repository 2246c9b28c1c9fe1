package lxc

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		program, path string
		want          []string
	}{
		{"ls", "PATH=/usr/bin:/bin/", []string{"/usr/bin/ls", "/bin/ls"}},
		{"ls", "PATH=:/bin", []string{"ls", "/bin/ls"}},
		{"ls", "PATH=/", []string{"/ls"}},
		{"./ls", "PATH=/bin", []string{"./ls"}},
		{"/bin/ls", "PATH=/sbin", []string{"/bin/ls"}},
		{"", "PATH=/bin", nil},
	} {
		if got := candidates(c.program, []string{"A=b", c.path}); !slices.Equal(got, c.want) {
			t.Errorf("%q along %s: %q, want %q", c.program, c.path, got, c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct{ env, want []string }{
		{nil, []string{"container=lxc", "PATH=" + hookPath}},
		{[]string{"PATH=/bin", "A=b"}, []string{"PATH=/bin", "A=b", "container=lxc"}},
		{[]string{"container=", "PATH="}, []string{"container=", "PATH="}},
	} {
		if got := environment(c.env); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.env, got, c.want)
		}
	}
}

func TestExecRefuses(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir(), Cgroup: "sysctl-test"}}
	for _, c := range []struct {
		cmd  sysctl.Command
		want sysctl.Kind
	}{
		{sysctl.Command{}, sysctl.Invalid},
		{sysctl.Command{Argv: []string{"a\x00b"}}, sysctl.Invalid},
		{sysctl.Command{Argv: []string{"a"}, Env: []string{"A=\x00"}}, sysctl.Invalid},
		{sysctl.Command{Argv: []string{"a"}, Cwd: "/\x00"}, sysctl.Invalid},
		{sysctl.Command{Argv: []string{"a"}, UID: -1}, sysctl.Invalid},
		{sysctl.Command{Argv: []string{"a"}, Groups: []int{1, 1<<32 - 1}}, sysctl.Invalid},
		{sysctl.Command{Argv: []string{"true"}}, sysctl.Conflict},
	} {
		if _, err := rt.Exec(context.Background(), 1, c.cmd); sysctl.KindOf(err) != c.want {
			t.Errorf("%+v: %v", c.cmd, err)
		}
	}
}

func TestReadLabel(t *testing.T) {
	const stacked = "lxc-web1_</run/sysctl-lxc>//&:lxc-web1_<-run-sysctl-lxc>:unconfined"
	for _, c := range []struct{ file, content, want string }{
		{"attr/apparmor/current", stacked + " (enforce)\n", stacked},
		{"attr/current", "unconfined\n", "unconfined"},
		{"attr/current", "a profile (complain)\x00", "a profile"},
		{"attr/current", "\n", ""},
		{"attr/other", "x", ""},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, c.file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readLabel(dir); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v, want %q", c.content, got, err, c.want)
		}
	}
}

func TestHostID(t *testing.T) {
	m := idMap{inside: 0, outside: 1 << 30, size: 65536}
	for uid, want := range map[int]int{0: 1 << 30, 65535: 1<<30 + 65535, 65536: -1} {
		got, ok := m.host(uid)
		if ok != (want >= 0) || (ok && got != want) {
			t.Errorf("%d: %d, %v, want %d", uid, got, ok, want)
		}
	}
}

func TestMessage(t *testing.T) {
	if got := message(unix.ENOENT); got != "No such file or directory" {
		t.Error(got)
	}
}
