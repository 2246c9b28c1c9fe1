package compat

import (
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestJudge(t *testing.T) {
	v2 := sysctl.Host{IA32: true, Cgroups: sysctl.CgroupV2, Unified: true, Vsyscall: sysctl.VsyscallNone, Arch: "amd64"}
	hybrid := sysctl.Host{IA32: true, Cgroups: sysctl.CgroupHybrid, Unified: true, Vsyscall: sysctl.VsyscallWorks, Arch: "amd64"}
	v1, blocked := hybrid, v2
	v1.Cgroups, v1.Unified = sysctl.CgroupV1, false
	blocked.Named = "the kernel was booted with cgroup_no_v1=named"
	guest := func(init, version, libc string) sysctl.Guest {
		return sysctl.Guest{ID: "x", Init: init, InitVersion: version, Libc: "glibc", LibcVersion: libc, Arch: "amd64"}
	}
	i386 := guest("upstart", "0.6.5", "2.12")
	i386.Arch = "i386"
	musl := guest("busybox", "1.20", "0.9.9")
	musl.Libc = "musl"
	first := []string{"cgroup-named", "cgroup2", "vsyscall", "uname26"} // the others have tests of their own
	choose := func(id string, c sysctl.Choice) map[string]sysctl.Choice { return map[string]sysctl.Choice{id: c} }
	for _, c := range []struct {
		name    string
		host    sysctl.Host
		guest   sysctl.Guest
		choices map[string]sysctl.Choice
		want    []string
		refused string
		note    string
	}{
		{"centos 7 on v2", v2, guest("systemd", "219", "2.17"), nil, []string{"cgroup-named"}, "", ""},
		{"centos 7 on hybrid", hybrid, guest("systemd", "219", "2.17"), nil, nil, "", ""},
		{"ubuntu 16.04", v2, guest("systemd", "229", "2.23"), nil, []string{"cgroup-named"}, "", ""},
		{"debian 8, told by its package", v2, guest("systemd", "215.17", "2.19"), nil, []string{"cgroup-named"}, "", ""},
		{"debian 9", v2, guest("systemd", "232", "2.24"), nil, nil, "", ""},
		{"a systemd of unknown age", v2, guest("systemd", "", "2.24"), nil, nil, "", ""},
		{"a kernel that refuses", blocked, guest("systemd", "219", "2.17"), nil, nil, "cgroup-named", ""},
		{"a kernel that refuses, and nobody asks", blocked, guest("systemd", "252", "2.36"), nil, nil, "", ""},
		{"switched off", v2, guest("systemd", "219", "2.17"), choose("cgroup-named", sysctl.Off), nil, "", "cgroup-named"},
		{"switched on", v2, guest("systemd", "252", "2.36"), choose("cgroup-named", sysctl.On), []string{"cgroup-named"}, "", ""},
		{"switched on where it cannot", hybrid, guest("systemd", "252", "2.36"), choose("cgroup-named", sysctl.On), nil, "cgroup-named", ""},
		{"both views", v2, guest("systemd", "252", "2.36"), map[string]sysctl.Choice{"cgroup-named": sysctl.On, "cgroup2": sysctl.On}, []string{"cgroup-named"}, "cgroup2", ""},
		{"the other view", v2, guest("systemd", "219", "2.17"), choose("cgroup2", sysctl.On), []string{"cgroup-named"}, "cgroup2", ""},
		{"the other view alone", v2, guest("systemd", "252", "2.36"), choose("cgroup2", sysctl.On), []string{"cgroup2"}, "", ""},
		{"auto", v2, guest("systemd", "252", "2.36"), choose("cgroup-named", sysctl.Auto), nil, "", ""},
		{"debian 13 on hybrid", hybrid, guest("systemd", "257", "2.41"), nil, []string{"cgroup2"}, "", ""},
		{"debian 13 on hybrid, told by its package", hybrid, guest("systemd", "257.13", "2.41"), nil, []string{"cgroup2"}, "", ""},
		{"debian 12 on hybrid", hybrid, guest("systemd", "252", "2.36"), nil, nil, "", ""},
		{"debian 13 on v1", v1, guest("systemd", "257", "2.41"), nil, nil, "cgroup2", ""},
		{"debian 13 on v2", v2, guest("systemd", "257", "2.41"), nil, nil, "", ""},
		{"centos 6 on vsyscall=none", v2, guest("upstart", "0.6.5", "2.12"), nil, []string{"vsyscall"}, "", ""},
		{"centos 6 where it works", hybrid, guest("upstart", "0.6.5", "2.12"), nil, nil, "", ""},
		{"centos 6 i386", v2, i386, nil, nil, "", ""},
		{"musl has a low number", v2, musl, nil, nil, "", ""},
		{"ubuntu 12.04", v2, guest("upstart", "1.5", "2.15"), nil, nil, "", ""},
		{"2.4 is older than 2.14", v2, guest("sysvinit", "", "2.4"), nil, []string{"vsyscall"}, "", ""},
		{"uname26 on request", hybrid, guest("sysvinit", "", "2.5"), choose("uname26", sysctl.On), []string{"uname26"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.host, c.guest, sysctl.Spec{Compat: c.choices})
			var got []string
			for _, m := range v.Measures {
				if slices.Contains(first, m.ID) {
					got = append(got, m.ID)
				}
				if m.Does == "" || m.Because == "" {
					t.Errorf("%s explains nothing", m.ID)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("measures %v, want %v", got, c.want)
			}
			only(t, "refused", v.Refusals, c.refused)
			v.Notes = slices.DeleteFunc(v.Notes, func(r sysctl.Remark) bool { return !slices.Contains(first, r.ID) })
			only(t, "note", v.Notes, c.note)
			if v.Boots != (c.refused == "") {
				t.Errorf("boots %v", v.Boots)
			}
		})
	}
}

// only fails unless there is one remark of that name, or none where the name is "".
func only(t *testing.T, what string, all []sysctl.Remark, id string) {
	t.Helper()
	if id == "" && len(all) > 0 || id != "" && (len(all) != 1 || all[0].ID != id || all[0].Why == "") {
		t.Errorf("%s: %v, want %q", what, all, id)
	}
}

// Filesystems in memory are as large as the instance's memory says, of guests that mount them by themselves and where there is a limit.
func TestTmpfs(t *testing.T) {
	h := sysctl.Host{Cgroups: sysctl.CgroupV2, Unified: true, Major: 6}
	for _, c := range []struct {
		init   string
		memory sysctl.Memory
		choice sysctl.Choice
		taken  bool
		noted  bool
	}{
		{"systemd", sysctl.Memory{Bytes: 1 << 30}, "", true, false},
		{"systemd", sysctl.Memory{Percent: 10}, "", true, false},
		{"systemd", sysctl.Memory{}, "", false, false},
		{"systemd", sysctl.Memory{}, sysctl.On, true, false},
		{"systemd", sysctl.Memory{}, sysctl.Off, false, false},
		{"systemd", sysctl.Memory{Bytes: 1 << 30}, sysctl.Off, false, true},
		{"sysvinit", sysctl.Memory{Bytes: 1 << 30}, "", false, false},
		{"", sysctl.Memory{Bytes: 1 << 30}, "", false, false},
	} {
		g := sysctl.Guest{ID: "x", Init: c.init, InitVersion: "252", Libc: "glibc", LibcVersion: "2.36"}
		v := Judge(h, g, sysctl.Spec{Memory: c.memory, Compat: map[string]sysctl.Choice{"tmpfs": c.choice}})
		noted := slices.ContainsFunc(v.Notes, func(r sysctl.Remark) bool { return r.ID == "tmpfs" })
		if taken(v.Measures, "tmpfs") != c.taken || v.Effect.Tmpfs != c.taken || noted != c.noted {
			t.Errorf("%+v: %+v", c, v)
		}
	}
}

func TestEffects(t *testing.T) {
	old := sysctl.Guest{ID: "x", Init: "systemd", InitVersion: "219", Libc: "glibc", LibcVersion: "2.13", Arch: "amd64"}
	v := Judge(sysctl.Host{Cgroups: sysctl.CgroupV2, Vsyscall: sysctl.VsyscallNone}, old, sysctl.Spec{Compat: map[string]sysctl.Choice{"uname26": sysctl.On}})
	want := sysctl.Compat{Cgroups: sysctl.CgroupsNamed, Vsyscall: true, UNAME26: true, Files: 65536, PrivateDevices: sysctl.On}
	if v.Effect != want {
		t.Errorf("effect %+v, want %+v", v.Effect, want)
	}
}

// The names are written down twice: the nouns have them for who checks compat.<measure>.
func TestMeasuresAreNamed(t *testing.T) {
	var ids []string
	for _, m := range table() {
		ids = append(ids, m.ID)
	}
	if !slices.Equal(ids, sysctl.Measures()) {
		t.Errorf("the table has %v, the nouns %v", ids, sysctl.Measures())
	}
}

// A privileged instance may make device nodes: it is not told that it cannot, and nothing is done about it unless asked for.
func TestPrivileged(t *testing.T) {
	h := sysctl.Host{Cgroups: sysctl.CgroupHybrid, Unified: true, Major: 6}
	old := sysctl.Guest{ID: "x", Init: "systemd", InitVersion: "219", Libc: "glibc", LibcVersion: "2.12", Packages: "rpm"}
	for _, c := range []struct {
		name     string
		spec     sysctl.Spec
		measured bool
		noted    []string
	}{
		{"unprivileged", sysctl.Spec{}, true, []string{"mknod"}},
		{"privileged", sysctl.Spec{Privileged: true}, false, nil},
		{"privileged, forced", sysctl.Spec{Privileged: true, Compat: map[string]sysctl.Choice{"private-devices": sysctl.On}}, true, nil},
		{"privileged, switched off", sysctl.Spec{Privileged: true, Compat: map[string]sysctl.Choice{"private-devices": sysctl.Off}}, false, nil},
	} {
		v := Judge(h, old, c.spec)
		measured := slices.ContainsFunc(v.Measures, func(m sysctl.Measure) bool { return m.ID == "private-devices" })
		var noted []string
		for _, n := range v.Notes {
			if n.ID == "mknod" || n.ID == "private-devices" {
				noted = append(noted, n.ID)
			}
		}
		if measured != c.measured || (v.Effect.PrivateDevices == sysctl.On) != c.measured || !slices.Equal(noted, c.noted) {
			t.Errorf("%s: measured %v, notes %v, effect %q", c.name, measured, noted, v.Effect.PrivateDevices)
		}
	}
}
