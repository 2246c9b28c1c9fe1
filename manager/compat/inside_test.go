package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// inside are the measures of this test: what a guest finds in /proc, /dev and its own files.
func inside() []string {
	return sysctl.Measures()[slices.Index(sysctl.Measures(), "cmdline"):]
}

func TestInside(t *testing.T) {
	host := sysctl.Host{Release: "6.1.0", Major: 6, Minor: 1, Arch: "amd64", Cgroups: sysctl.CgroupHybrid, Unified: true, IA32: true, Vsyscall: sysctl.VsyscallWorks, LegacyTables: true, LegacyUnloaded: true}
	login, selinux, fuse, bare, builtin := host, host, host, host, host
	builtin.LegacyUnloaded = false
	login.LoginUID, selinux.SELinuxFS, fuse.Lxcfs, bare.LegacyTables = true, true, "/var/lib/lxcfs", false
	guest := func(init, version, libc, packages, iptables string) sysctl.Guest {
		return sysctl.Guest{ID: "x", Init: init, InitVersion: version, Libc: "glibc", LibcVersion: libc, Arch: "amd64", Packages: packages, Iptables: iptables}
	}
	centos5 := guest("sysvinit", "2.86", "2.5", "rpm", "legacy")
	centos7 := guest("systemd", "219", "2.17", "rpm", "legacy")
	debian12 := guest("systemd", "252", "2.36", "dpkg", "nft")
	alpine := sysctl.Guest{ID: "alpine", Init: "busybox", InitVersion: "1.36", Libc: "musl", LibcVersion: "1.2.5", Packages: "apk", Iptables: "legacy"}
	off := func(ids ...string) map[string]sysctl.Choice {
		m := map[string]sysctl.Choice{}
		for _, id := range ids {
			m[id] = sysctl.Off
		}
		return m
	}
	for _, c := range []struct {
		name    string
		host    sysctl.Host
		guest   sysctl.Guest
		choices map[string]sysctl.Choice
		want    string
		notes   string
	}{
		{"an ordinary guest", host, debian12, nil, "", ""},
		{"and one that somebody starts from a login", login, debian12, nil, "loginuid", ""},
		{"and one on a host with everything", func() sysctl.Host { h := selinux; h.Lxcfs = "/x"; return h }(), debian12, nil, "", ""},
		{"debian 12 without systemd", host, guest("sysvinit", "3.06", "2.36", "dpkg", "nft"), nil, "cmdline dev-shm", ""},
		{"alpine", host, alpine, nil, "cmdline dev-shm iptables", ""},
		{"alpine on a kernel that has the tables", builtin, alpine, nil, "cmdline dev-shm", ""},
		{"alpine on a kernel without tables", bare, alpine, nil, "cmdline dev-shm", "no-iptables"},
		{"centos 5", host, centos5, nil, "cmdline dev-shm nofile iptables rpmdb modules", "mknod old-ssh old-tls"},
		{"centos 5 beside lxcfs", fuse, centos5, nil, "cmdline dev-shm nofile lxcfs iptables rpmdb modules", "mknod old-ssh old-tls"},
		{"centos 5 on a kernel with SELinux", selinux, centos5, nil, "cmdline filesystems dev-shm nofile iptables rpmdb modules", "mknod old-ssh old-tls"},
		{"and switched off", selinux, centos5, off("filesystems", "rpmdb"), "cmdline dev-shm nofile iptables modules", "filesystems rpmdb mknod old-ssh old-tls"},
		{"centos 7", selinux, centos7, nil, "nofile iptables rpmdb private-devices", ""},
		{"centos 7 beside lxcfs", fuse, centos7, nil, "nofile lxcfs iptables rpmdb private-devices", ""},
		{"fedora 15 to 20", host, guest("systemd", "204", "2.17", "rpm", ""), nil, "cmdline nofile rpmdb private-devices", ""},
		{"debian 8", host, guest("systemd", "215", "2.19", "dpkg", ""), nil, "nofile private-devices", ""},
		{"ubuntu 18.04", fuse, guest("systemd", "237", "2.27", "dpkg", ""), nil, "nofile private-devices", ""},
		{"debian 10", fuse, guest("systemd", "241", "2.28", "dpkg", ""), nil, "", ""},
		{"centos 8", host, guest("systemd", "239", "2.28", "rpm", ""), nil, "rpmdb", ""},
		{"a guest that nobody knows", host, sysctl.Guest{}, nil, "", "unknown-guest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.host, c.guest, sysctl.Spec{Compat: c.choices})
			var got, notes []string
			for _, m := range v.Measures {
				if slices.Contains(inside(), m.ID) {
					got = append(got, m.ID)
				}
			}
			for _, n := range v.Notes {
				notes = append(notes, n.ID)
			}
			if strings.Join(got, " ") != c.want || strings.Join(notes, " ") != c.notes {
				t.Errorf("measures %v, notes %v, want %s and %s", got, notes, c.want, c.notes)
			}
		})
	}
}

// Every refusal says why and what helps.
func TestRefusals(t *testing.T) {
	host := sysctl.Host{Release: "6.1.0-56-amd64", Major: 6, Minor: 1, Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true}
	newer := sysctl.Guest{ID: "x", Init: "systemd", InitVersion: "300", Libc: "glibc", LibcVersion: "3.1", Arch: "amd64", Kernel: "6.2.0"}
	same, i386, old := newer, newer, newer
	same.Kernel, i386.Kernel, i386.Arch = "6.1.99", "2.6.32", "i386"
	old.Kernel, old.LibcVersion = "3.2.0", "2.31"
	early := old
	early.Kernel, early.LibcVersion = "2.6.18", "2.12"
	ia32 := host
	ia32.IA32 = true
	arm := host
	arm.Arch = "arm64"
	on := func(id string) map[string]sysctl.Choice { return map[string]sysctl.Choice{id: sysctl.On} }
	for _, c := range []struct {
		name      string
		host      sysctl.Host
		guest     sysctl.Guest
		choices   map[string]sysctl.Choice
		want      string
		why, help string
	}{
		{"newer than the host", host, newer, nil, "kernel-too-old", "needs Linux 6.2.0 and this host has 6.1.0-56-amd64", "6.2.0 or later"},
		{"as new as the host", host, same, nil, "", "", ""},
		{"a host of unknown age", sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2}, newer, nil, "", "", ""},
		{"32 bits on 64 alone", host, i386, nil, "ia32", "for i386", "ia32_emulation=1"},
		{"32 bits", ia32, i386, nil, "", "", ""},
		{"32 bits on another machine", arm, i386, nil, "architecture", "for i386", "emulate i386"},
		{"2.6 for a guest that needs 3", host, old, on("uname26"), "uname26", "needs Linux 3.2.0", "setarch"},
		{"2.6 for a guest that does not ask", host, newer, on("uname26"), "kernel-too-old", "", ""},
		{"2.6 for an old guest", host, early, on("uname26"), "", "", ""},
		{"lxcfs without lxcfs", host, same, on("lxcfs"), "lxcfs", "no lxcfs runs", "install lxcfs"},
		{"iptables without tables", host, same, on("iptables"), "iptables", "no ip_tables", "config unset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.host, c.guest, sysctl.Spec{Compat: c.choices})
			if c.want == "" {
				if !v.Boots {
					t.Errorf("refused: %v", v.Refusals)
				}
				return
			}
			if len(v.Refusals) != 1 || v.Refusals[0].ID != c.want || !strings.Contains(v.Refusals[0].Why, c.why) || !strings.Contains(v.Refusals[0].Way, c.help) {
				t.Errorf("refusals %+v", v.Refusals)
			}
		})
	}
}
