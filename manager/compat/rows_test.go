package compat

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestEveryKnownTroubleIsAnswered(t *testing.T) {
	answered := map[int][]string{}
	note := func(by string, rows []int) {
		for _, n := range rows {
			if n < 1 || n > known {
				t.Errorf("%s: there is no trouble %d", by, n)
			}
			answered[n] = append(answered[n], by)
		}
	}
	for _, m := range table() {
		note(m.ID, m.rows)
		if m.who == "" || m.does == "" || m.without == "" || m.evidence == "" {
			t.Errorf("%s explains nothing", m.ID)
		}
	}
	for _, r := range slices.Concat(refusals(), notes()) {
		note(r.id, r.rows)
		if r.who == "" || r.evidence == "" {
			t.Errorf("%s explains nothing", r.id)
		}
	}
	for _, a := range Elsewhere() {
		note(a.Trouble, a.rows)
		if a.Does == "" || (a.Room == "") != (a.Test == "") {
			t.Errorf("%s: %+v", a.Trouble, a)
		}
	}
	for n := 1; n <= known; n++ {
		if answered[n] == nil {
			t.Errorf("nothing answers %d", n)
		}
	}
}

// What is done, here or elsewhere, is shown by a test that is there.
func TestAnswersAreTested(t *testing.T) {
	shown := func(what, test string) {
		file, name, isGo := strings.Cut(test, " ")
		b, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil || isGo && !strings.Contains(string(b), "func "+name+"(") {
			t.Errorf("%s: %q: %v", what, test, err)
		}
	}
	measures, reasons, conditions := Rows()
	for _, r := range slices.Concat(measures, reasons, conditions) {
		shown(r.ID, r.Test)
	}
	for _, a := range Elsewhere() {
		if a.Test != "" {
			shown(a.Trouble, a.Test)
		}
	}
}

// Names are told apart by users and by programs.
func TestNamesAreOfOne(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range table() {
		if seen[m.ID] {
			t.Errorf("two are called %s", m.ID)
		}
		seen[m.ID] = true
	}
	for _, r := range slices.Concat(refusals(), notes()) {
		if seen[r.id] {
			t.Errorf("two are called %s", r.id)
		}
		seen[r.id] = true
	}
}

// Every measure can be switched on, where the host lets it, and then changes something; and off.
func TestEveryMeasureHasAnEffect(t *testing.T) {
	able := sysctl.Host{Cgroups: sysctl.CgroupV2, Unified: true, LegacyTables: true, Lxcfs: "/var/lib/lxcfs", Major: 6}
	for _, id := range sysctl.Measures() {
		host := able
		if id == "cgroup2" {
			host.Cgroups = sysctl.CgroupHybrid
		}
		g := sysctl.Guest{ID: "x", Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36"}
		v := Judge(host, g, sysctl.Spec{Compat: map[string]sysctl.Choice{id: sysctl.On}})
		if !v.Boots || len(v.Measures) != 1 || v.Measures[0].ID != id || !v.Measures[0].Forced || v.Effect == (sysctl.Compat{}) {
			t.Errorf("%s on: %+v", id, v)
		}
		if v := Judge(host, g, sysctl.Spec{}); len(v.Measures) > 0 || v.Effect != (sysctl.Compat{}) {
			t.Errorf("an ordinary guest: %+v", v)
		}
		want := sysctl.Compat{}
		if id == "private-devices" {
			want.PrivateDevices = sysctl.Off
		}
		if v := Judge(host, g, sysctl.Spec{Compat: map[string]sysctl.Choice{id: sysctl.Off}}); len(v.Measures) > 0 || v.Effect != want {
			t.Errorf("%s off: %+v", id, v)
		}
	}
}
