package templates

import (
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

func TestCarry(t *testing.T) {
	const dir, drop = "/etc/systemd/system/", "/sysctl-private-devices.conf"
	units := map[string]string{
		"/usr/lib/systemd/system/systemd-hostnamed.service":              "[Service]\nExecStart=/x\nPrivateDevices=yes\n",
		"/usr/lib/systemd/system/dbus-org.freedesktop.hostname1.service": "-> systemd-hostnamed.service",
		"/usr/lib/systemd/system/rtkit@.service":                         "[Service]\n privatedevices = 1\n",
		"/usr/lib/systemd/system/sshd.service":                           "[Service]\nPrivateDevices=no\n#PrivateDevices=yes\n",
		dir + "mine.service":                                             "[Service]\nPrivateDevices=on\n",
		dir + "mine.service.d/user.conf":                                 "[Service]\nNice=1\n",
	}
	systemd := sysctl.Guest{ID: "centos", Init: "systemd", InitVersion: "219"}
	upstart := sysctl.Guest{ID: "centos", Init: "upstart", Libc: "glibc", LibcVersion: "2.12"}
	want := []string{dir + "rtkit@.service.d" + drop, dir + "systemd-hostnamed.service.d" + drop, dir + "mine.service.d" + drop}
	rpm := map[string]string{"/var/lib/rpm/Packages": "db", "/var/lib/rpm/Name": "db", "/usr/lib/sysimage/rpm/rpmdb.sqlite": "sql"}
	lists := []string{"/lib/modules/6.1.0/modules.dep", "/lib/modules/6.1.0/modules.alias", "/lib/modules/6.1.0/modules.symbols",
		"/lib/modules/6.1.0/modules.order", "/lib/modules/6.1.0/modules.builtin"}
	for _, c := range []struct {
		name   string
		guest  sysctl.Guest
		tree   map[string]string
		effect sysctl.Compat
		want   []string // paths written
		gone   []string // paths removed
		up     []string
	}{
		{"nothing", systemd, units, sysctl.Compat{}, nil, nil, nil},
		{"private devices", systemd, units, sysctl.Compat{PrivateDevices: sysctl.On}, want, nil, nil},
		{"private devices again", systemd, tree(units, map[string]string{want[0]: "[Service]\nPrivateDevices=no\n"}),
			sysctl.Compat{PrivateDevices: sysctl.On}, want[1:], nil, nil},
		{"private devices off", systemd, tree(units, map[string]string{want[0]: "x", want[2]: "x"}), sysctl.Compat{PrivateDevices: sysctl.Off},
			nil, []string{want[2], want[0]}, nil},
		{"rpm", upstart, rpm, sysctl.Compat{CopyRPM: true}, nil, nil, []string{"/var/lib/rpm"}},
		{"no rpm", upstart, map[string]string{"/var/lib/rpm/rpmdb.sqlite": "sql"}, sysctl.Compat{CopyRPM: true}, nil, nil, nil},
		{"modules", upstart, map[string]string{"/sbin/modprobe": "x"}, sysctl.Compat{Modules: true}, lists, nil, nil},
		{"modules and no modprobe", upstart, map[string]string{"/bin/sh": "x"}, sysctl.Compat{Modules: true}, nil, nil, nil},
		{"modules of its own", upstart, map[string]string{"/sbin/modprobe": "x", lists[0]: "kernel/x.ko:"}, sysctl.Compat{Modules: true}, nil, nil, nil},
		{"a guest that nobody knows", sysctl.Guest{}, tree(units, rpm), sysctl.Compat{PrivateDevices: sysctl.On, CopyRPM: true}, nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := treetest.New(c.tree)
			changes, up, err := Carry(in, c.guest, c.effect, "6.1.0")
			var written, gone []string
			for _, ch := range changes {
				if ch.Why == "" {
					t.Errorf("%s: no reason", ch.Path)
				}
				if ch.Remove {
					gone = append(gone, ch.Path)
				} else {
					written = append(written, ch.Path)
				}
			}
			slices.Sort(gone)
			slices.Sort(c.gone)
			if err != nil || !slices.Equal(written, c.want) || !slices.Equal(gone, c.gone) || !slices.Equal(up, c.up) {
				t.Errorf("writes %v, removes %v, copies %v, %v", written, gone, up, err)
			}
			if err := sysctl.Apply(in, changes); err != nil {
				t.Fatal(err)
			}
			if again, _, _ := Carry(in, c.guest, c.effect, "6.1.0"); len(again) > 0 {
				t.Errorf("the second time: %v", again)
			}
		})
	}
}
