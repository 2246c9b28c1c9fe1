package templates

import (
	"encoding/binary"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// elf is the head of a program for a machine, followed by strings that it contains.
func elf(bits byte, machine uint16, strs ...string) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF")
	head[4], head[5] = bits/32, 1
	binary.LittleEndian.PutUint16(head[18:], machine)
	return string(head) + strings.Join(strs, "\x00") + "\x00"
}

const (
	x86   = 3
	x8664 = 62
)

// tree puts parts together.
func tree(parts ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, p := range parts {
		maps.Copy(out, p)
	}
	return out
}

// glibc64 is a 64-bit C library in its directory for the architecture.
func glibc64(version string) map[string]string {
	return map[string]string{
		"/lib/x86_64-linux-gnu/libc.so.6": elf(64, x8664, "GNU C Library (Debian GLIBC "+version+"-9) stable release version "+version+"."),
		"/bin/sh":                         elf(64, x8664, "/lib64/ld-linux-x86-64.so.2"),
	}
}

func debian12() map[string]string {
	return tree(glibc64("2.36"), map[string]string{
		"/etc/os-release":          "-> ../usr/lib/os-release",
		"/usr/lib/os-release":      "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n",
		"/etc/debian_version":      "12.11\n",
		"/sbin/init":               "-> /lib/systemd/systemd",
		"/lib/systemd/systemd":     elf(64, x8664, "/lib64/ld-linux-x86-64.so.2", "libsystemd-shared-252.so"),
		"/var/lib/dpkg/status":     "Package: systemd\nStatus: install ok installed\nVersion: 252.39-1~deb12u1\n\n",
		"/etc/machine-id":          "8f0d2bd7a0b14d0c8d5b4d3ab35d8d44\n",
		"/var/lib/dbus/machine-id": "8f0d2bd7a0b14d0c8d5b4d3ab35d8d44\n",
	})
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name string
		tree map[string]string
		want sysctl.Guest // without evidence
	}{
		{"debian 12", debian12(), sysctl.Guest{
			Family: "debian", ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", Arch: "amd64", Bits: 64,
			Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36", Packages: "dpkg"}},
		{"debian 8", tree(glibc64("2.19"), map[string]string{
			"/etc/os-release":      "PRETTY_NAME=\"Debian GNU/Linux 8 (jessie)\"\nID=debian\nVERSION_ID=\"8\"\n",
			"/sbin/init":           "-> ../lib/systemd/systemd",
			"/lib/systemd/systemd": elf(64, x8664, "/lib64/ld-linux-x86-64.so.2", "systemd 215 running in %ssystem mode. (+PAM)"),
			"/var/lib/dpkg/status": "",
		}), sysctl.Guest{
			Family: "debian", ID: "debian", Version: "8", Name: "Debian GNU/Linux 8 (jessie)", Arch: "amd64", Bits: 64,
			Init: "systemd", InitVersion: "215", Libc: "glibc", LibcVersion: "2.19", Packages: "dpkg"}},
		{"debian 7, 32 bits", map[string]string{
			"/etc/os-release":                  "PRETTY_NAME=\"Debian GNU/Linux 7 (wheezy)\"\nID=debian\nVERSION_ID=\"7\"\n",
			"/sbin/init":                       elf(32, x86, "/lib/ld-linux.so.2", "@(#) init 2.88dsf  26-Mar-2010  somebody"),
			"/etc/inittab":                     "id:2:initdefault:\n",
			"/lib/ld-linux.so.2":               "-> i386-linux-gnu/ld-2.13.so",
			"/lib/i386-linux-gnu/libc-2.13.so": "", "/lib/i386-linux-gnu/libc.so.6": "-> libc-2.13.so",
			"/var/lib/dpkg/status": "",
		}, sysctl.Guest{
			Family: "debian", ID: "debian", Version: "7", Name: "Debian GNU/Linux 7 (wheezy)", Arch: "i386", Bits: 32,
			Init: "sysvinit", InitVersion: "2.88", Libc: "glibc", LibcVersion: "2.13", Packages: "dpkg"}},
		{"debian 4", map[string]string{
			"/etc/debian_version": "4.0\n", "/sbin/init": elf(32, x86, "nothing to see"), "/etc/inittab": "id:2:initdefault:\n",
			"/var/lib/dpkg/status": "Package: sysv-rc\nVersion: 2.86.ds1-38\n\nPackage: sysvinit\nStatus: install ok installed\nDescription: init\n like\nVersion: 2.86.ds1-38+etchnhalf.1\n",
		}, sysctl.Guest{
			Family: "debian", ID: "debian", Version: "4", Name: "Debian GNU/Linux 4", Arch: "i386", Bits: 32,
			Init: "sysvinit", InitVersion: "2.86", Packages: "dpkg"}},
		{"debian sid", tree(debian12(), map[string]string{
			"/usr/lib/os-release": "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\n", "/etc/debian_version": "forky/sid\n",
		}), sysctl.Guest{
			Family: "debian", ID: "debian", Version: "sid", Name: "Debian GNU/Linux forky/sid", Arch: "amd64", Bits: 64,
			Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36", Packages: "dpkg"}},
		{"ubuntu 14.04", tree(glibc64("2.19"), map[string]string{
			"/etc/os-release":      "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME=\"Ubuntu 14.04.6 LTS\"\nVERSION_ID=\"14.04\"\n",
			"/etc/debian_version":  "jessie/sid\n",
			"/sbin/init":           elf(64, x8664, "/lib64/ld-linux-x86-64.so.2", "init (upstart 1.12.1)"),
			"/var/lib/dpkg/status": "",
		}), sysctl.Guest{
			Family: "debian", ID: "ubuntu", Version: "14.04", Name: "Ubuntu 14.04.6 LTS", Arch: "amd64", Bits: 64,
			Init: "upstart", InitVersion: "1.12.1", Libc: "glibc", LibcVersion: "2.19", Packages: "dpkg"}},
		{"ubuntu 10.04", map[string]string{
			"/etc/lsb-release":    "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\nDISTRIB_DESCRIPTION=\"Ubuntu 10.04.4 LTS\"\n",
			"/etc/debian_version": "squeeze/sid\n", "/sbin/init": elf(64, x8664, "upstart 0.6.5"),
		}, sysctl.Guest{
			Family: "debian", ID: "ubuntu", Version: "10.04", Name: "Ubuntu 10.04.4 LTS", Arch: "amd64", Bits: 64,
			Init: "upstart", InitVersion: "0.6.5"}},
		{"centos 5", map[string]string{
			"/etc/redhat-release": "CentOS release 5.11 (Final)\n", "/etc/inittab": "id:3:initdefault:\n",
			"/sbin/init":       elf(64, x8664, "/lib64/ld-linux-x86-64.so.2", "@(#) init 2.86  30-Jul-2004  somebody"),
			"/lib64/libc.so.6": "-> libc-2.5.so", "/lib64/libc-2.5.so": "", "/var/lib/rpm/Packages": "",
		}, sysctl.Guest{
			Family: "rhel", ID: "centos", Version: "5", Name: "CentOS release 5.11 (Final)", Arch: "amd64", Bits: 64,
			Init: "sysvinit", InitVersion: "2.86", Libc: "glibc", LibcVersion: "2.5", Packages: "rpm"}},
		{"centos 6", map[string]string{
			"/etc/redhat-release": "CentOS release 6.10 (Final)\n", "/etc/system-release": "-> redhat-release",
			"/sbin/init":       elf(64, x8664, "/lib64/ld-linux-x86-64.so.2", "init (upstart 0.6.5)"),
			"/etc/inittab":     "id:3:initdefault:\n",
			"/lib64/libc.so.6": "-> libc-2.12.so", "/lib64/libc-2.12.so": "", "/var/lib/rpm/Packages": "",
		}, sysctl.Guest{
			Family: "rhel", ID: "centos", Version: "6", Name: "CentOS release 6.10 (Final)", Arch: "amd64", Bits: 64,
			Init: "upstart", InitVersion: "0.6.5", Libc: "glibc", LibcVersion: "2.12", Packages: "rpm"}},
		{"centos 7", map[string]string{
			"/etc/os-release": "NAME=\"CentOS Linux\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\nPRETTY_NAME=\"CentOS Linux 7 (Core)\"\n",
			"/sbin":           "-> usr/sbin", "/lib": "-> usr/lib", "/lib64": "-> usr/lib64",
			"/usr/sbin/init": "-> ../lib/systemd/systemd", "/usr/lib/systemd/systemd": elf(64, x8664, "/lib64/ld-linux-x86-64.so.2", "systemd 219 running in %ssystem mode."),
			"/usr/lib64/libc.so.6": "-> libc-2.17.so", "/usr/lib64/libc-2.17.so": "", "/var/lib/rpm/Packages": "",
		}, sysctl.Guest{
			Family: "rhel", ID: "centos", Version: "7", Name: "CentOS Linux 7 (Core)", Arch: "amd64", Bits: 64,
			Init: "systemd", InitVersion: "219", Libc: "glibc", LibcVersion: "2.17", Packages: "rpm"}},
		{"a derived distribution nobody heard of", tree(debian12(), map[string]string{
			"/usr/lib/os-release": "ID=nocturne\nID_LIKE='ubuntu debian'\nVERSION_ID=3\n",
		}), sysctl.Guest{
			Family: "debian", ID: "nocturne", Version: "3", Name: "nocturne", Arch: "amd64", Bits: 64,
			Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36", Packages: "dpkg"}},
		{"alpine", map[string]string{
			"/etc/os-release": "ID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n", "/sbin/init": "-> /bin/busybox",
			"/bin/busybox":          elf(64, x8664, "/lib/ld-musl-x86_64.so.1", "BusyBox v1.36.1 (2024)"),
			"/lib/apk/db/installed": "C:Q1\nP:musl\nV:1.2.5-r0\n\n",
		}, sysctl.Guest{
			Family: "alpine", ID: "alpine", Version: "3.20", Name: "Alpine Linux v3.20", Arch: "amd64", Bits: 64,
			Init: "busybox", InitVersion: "1.36.1", Libc: "musl", LibcVersion: "1.2.5", Packages: "apk"}},
		{"void", map[string]string{
			"/etc/os-release": "ID=void\nNAME=Void\n", "/sbin": "-> usr/bin", "/usr/bin/init": "-> runit-init",
			"/usr/bin/runit-init": elf(64, 183, "/lib/ld-linux-aarch64.so.1"), "/var/db/xbps/x": "",
		}, sysctl.Guest{
			Family: "void", ID: "void", Name: "Void", Arch: "arm64", Bits: 64, Init: "runit", Libc: "glibc", Packages: "xbps"}},
		{"arch", map[string]string{
			"/etc/os-release": "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n", "/sbin": "-> usr/bin", "/usr/bin/init": "-> ../lib/systemd/systemd",
			"/usr/lib/systemd/systemd": elf(64, x8664, "libsystemd-shared-257.9-1.so"), "/var/lib/pacman/local/x": "",
		}, sysctl.Guest{
			Family: "arch", ID: "arch", Name: "Arch Linux", Arch: "amd64", Bits: 64, Init: "systemd", InitVersion: "257", Packages: "pacman"}},
		{"slackware", map[string]string{
			"/etc/slackware-version": "Slackware 14.2\n", "/etc/rc.d/rc.S": "#!/bin/sh\n", "/etc/inittab": "id:3:initdefault:\n",
			"/sbin/init": elf(64, x8664, "@(#) init 2.88dsf"),
		}, sysctl.Guest{
			Family: "slackware", ID: "slackware", Version: "14.2", Name: "Slackware 14.2", Arch: "amd64", Bits: 64, Init: "bsd", InitVersion: "2.88"}},
		{"no init, and links that lead out", tree(glibc64("2.36"), map[string]string{
			"/etc/os-release": "-> ../../../../../../usr/lib/nothing", "/sbin/init": "-> ../../../../../bin/none",
		}), sysctl.Guest{Arch: "amd64", Bits: 64, Libc: "glibc", LibcVersion: "2.36"}},
		{"an init that is a script", map[string]string{"/sbin/init": "#!/bin/sh\n"}, sysctl.Guest{}},
		{"empty", map[string]string{"/etc/": ""}, sysctl.Guest{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Detect(treetest.New(c.tree))
			if err != nil {
				t.Fatal(err)
			}
			evidence := strings.Join(got.Evidence, "\n")
			got.Evidence = nil
			if !equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v\nevidence:\n%s", got, c.want, evidence)
			}
			if evidence == "" {
				t.Error("no evidence")
			}
		})
	}
}

func equal(a, b sysctl.Guest) bool {
	a.Evidence, b.Evidence = nil, nil
	return strings.Join(fields(a), "|") == strings.Join(fields(b), "|")
}

func fields(g sysctl.Guest) []string {
	return []string{g.Family, g.ID, g.Version, g.Name, g.Arch, string(rune('0' + g.Bits/32)), g.Init, g.InitVersion, g.Libc, g.LibcVersion, g.Renderer, g.Dialect, g.Packages}
}

// asTree loads a directory into memory.
func asTree(t *testing.T, dir string) *treetest.Tree {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := strings.CutPrefix(p, dir)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			files[name] = "-> " + target
			return err
		case d.IsDir() && name != "":
			files[name+"/"] = ""
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			files[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return treetest.New(files)
}

// The distributions' own trees, where they lie beside the repository.
func TestRealTrees(t *testing.T) {
	for file, want := range map[string]sysctl.Guest{
		"alpine-2.6-amd64":  {Family: "alpine", ID: "alpine", Version: "2.6", Name: "Alpine Linux 2.6.6", Arch: "amd64", Bits: 64, Init: "busybox", InitVersion: "1.21.1", Libc: "uclibc", LibcVersion: "0.9.33.2", Packages: "apk"},
		"alpine-3.6-amd64":  {Family: "alpine", ID: "alpine", Version: "3.6", Name: "Alpine Linux v3.6", Arch: "amd64", Bits: 64, Init: "busybox", InitVersion: "1.26.2", Libc: "musl", LibcVersion: "1.1.16", Packages: "apk"},
		"alpine-3.20-amd64": {Family: "alpine", ID: "alpine", Version: "3.20", Name: "Alpine Linux v3.20", Arch: "amd64", Bits: 64, Init: "busybox", InitVersion: "1.36.1", Libc: "musl", LibcVersion: "1.2.5", Packages: "apk"},
		"alpine-3.20-i386":  {Family: "alpine", ID: "alpine", Version: "3.20", Name: "Alpine Linux v3.20", Arch: "i386", Bits: 32, Init: "busybox", InitVersion: "1.36.1", Libc: "musl", LibcVersion: "1.2.5", Packages: "apk"},
	} {
		t.Run(file, func(t *testing.T) {
			f, err := os.Open("../../shared/rootfs/" + file + ".tar.gz")
			if err != nil {
				needs.Skip(t, "rootfs", "needs a real root filesystem: %v", err)
			}
			defer f.Close()
			dir, _ := emptyDir(t)
			if _, err := Unpack(t.Context(), f, dir, UnpackOptions{}); err != nil {
				t.Fatal(err)
			}
			tree := asTree(t, dir)
			got, err := Detect(tree)
			if err != nil || !equal(got, want) {
				t.Errorf("got  %+v\nwant %+v\n%v", got, want, err)
			}
			names := prepared(t, tree, got)
			if !strings.Contains(names, "console") {
				t.Errorf("steps: %s", names)
			}
			inittab, err := tree.ReadFile("/etc/inittab")
			if err != nil || !strings.Contains(string(inittab), "\n::respawn:/sbin/getty 38400 console\n") || strings.Contains(string(inittab), "\ntty1:") {
				t.Errorf("inittab: %v\n%s", err, inittab)
			}
		})
	}
}
