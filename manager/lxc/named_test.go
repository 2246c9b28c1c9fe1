package lxc

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

func TestInNamed(t *testing.T) {
	rt := &Runtime{paths: Paths{Cgroup: "sysctl2"}}
	for cgroup, want := range map[string]bool{
		"": false, "/": false, "/sysctl2": false, "/sysctl2/1": true, "/sysctl2/1/init.scope": true,
		"/sysctl2/12": false, "/sysctl/1": false, "/sysctl21/1": false, "/user.slice/sysctl2/1": false,
	} {
		if got := rt.inNamed(cgroup, 1); got != want {
			t.Errorf("%q: %v", cgroup, got)
		}
	}
}

// A cgroup is made anew, whatever a killed run has left, and belongs to the guest's root.
func TestMakeNamed(t *testing.T) {
	needs.Root(t)
	n, err := openNamed()
	if err != nil {
		needs.Skip(t, "named", "no cgroup v1 hierarchy name=systemd: %v", err)
	}
	defer n.close()
	environment := "sysctl-test-" + strconv.Itoa(os.Getpid())
	cgroup := environment + "/7"
	defer func() {
		if err := removeTree(n.path(environment)); err != nil {
			t.Error(err)
		}
	}()
	if err := n.make(cgroup, sysctl.IDMap{}); err != nil {
		t.Fatal(err)
	}
	stale := n.path(cgroup + "/system.slice/cron.service")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := n.make(cgroup, sysctl.IDMap{Base: 70000, Size: 65536}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed run has left: %v", err)
	}
	for name, owner := range map[string]uint32{".": 70000, "tasks": 70000, "cgroup.procs": 70000, "notify_on_release": 0, "..": 0} {
		info, err := os.Stat(filepath.Join(n.path(cgroup), name))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != owner || st.Gid != owner {
			t.Errorf("%s belongs to %d:%d, want %d", name, st.Uid, st.Gid, owner)
		}
	}
	if n.empty() {
		t.Error("empty, with a cgroup in it")
	}
}
