package templates

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// prepared applies what Prepare wants and makes sure that it then wants nothing more. It returns the steps.
func prepared(t *testing.T, tree *treetest.Tree, g sysctl.Guest) string {
	t.Helper()
	changes, names, err := Prepare(tree, g, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Why == "" {
			t.Errorf("%s: no reason", c.Path)
		}
	}
	if err := sysctl.Apply(tree, changes); err != nil {
		t.Fatal(err)
	}
	again, more, err := Prepare(tree, g, PrepareOptions{})
	if err != nil || len(again) > 0 || len(more) > 0 {
		t.Errorf("the second time: %v %v %v", more, again, err)
	}
	return strings.Join(names, " ")
}

func TestPrepare(t *testing.T) {
	unit := "[Unit]\n"
	for _, c := range []struct {
		name  string
		guest sysctl.Guest
		tree  map[string]string
		steps string
		want  map[string]string // after; "" with a path in gone
		gone  string
	}{
		{
			name: "debian 12", guest: sysctl.Guest{Family: "debian", ID: "debian", Version: "12", Init: "systemd", InitVersion: "252"},
			tree: map[string]string{
				"/etc/machine-id": "8f0d2bd7\n", "/var/lib/dbus/machine-id": "8f0d2bd7\n", "/var/lib/systemd/random-seed": "xx",
				"/etc/fstab":            "# made by hand\nUUID=1 / ext4 defaults 0 1\n",
				"/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n", "/usr/sbin/sshd": "x", "/etc/ssh/ssh_host_rsa_key": "k", "/etc/ssh/ssh_host_rsa_key.pub": "k", "/etc/ssh/sshd_config": "c",
				"/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf", "/etc/securetty": "ttyS0\nconsole",
				"/lib": "-> usr/lib", "/usr/lib/systemd/system/dev-hugepages.mount": unit, "/usr/lib/systemd/system/getty@.service": unit,
				"/usr/lib/systemd/system/console-getty.service": unit, "/usr/lib/systemd/system/systemd-udevd.service": unit,
				"/usr/lib/systemd/system/systemd-binfmt.service": unit, "/etc/systemd/system/systemd-binfmt.service": "mine",
			},
			steps: "machine-id ssh-hostkeys random-seed fstab-empty resolv-conf securetty policy-rc-d console udev-off kernel-mounts-off",
			want: map[string]string{
				"/etc/machine-id": "", "/var/lib/dbus/machine-id": "-> /etc/machine-id",
				"/etc/fstab":           "# made by hand\n#sysctl# UUID=1 / ext4 defaults 0 1\n",
				"/etc/ssh/sshd_config": "c", "/etc/resolv.conf": "", "/etc/securetty": "ttyS0\nconsole\npts/0\npts/1\npts/2\npts/3\n",
				"/etc/systemd/system/sysctl-ssh-keys.service":                         sshKeysUnit,
				"/etc/systemd/system/multi-user.target.wants/sysctl-ssh-keys.service": "-> /etc/systemd/system/sysctl-ssh-keys.service",
				"/etc/systemd/system/dev-hugepages.mount":                             "-> /dev/null",
				"/etc/systemd/system/systemd-udevd.service":                           "-> /dev/null",
				"/etc/systemd/system/systemd-binfmt.service":                          "mine",
				"/etc/systemd/system/getty@tty1.service":                              "-> /dev/null",
				"/etc/systemd/system/getty.target.wants/console-getty.service":        "-> /usr/lib/systemd/system/console-getty.service",
			},
			gone: "/var/lib/systemd/random-seed /usr/sbin/policy-rc.d /etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_rsa_key.pub /etc/systemd/system/sys-kernel-debug.mount",
		}, {
			name: "ubuntu with resolved", guest: sysctl.Guest{Family: "debian", ID: "ubuntu", Version: "22.04", Init: "systemd", InitVersion: "249"},
			tree: map[string]string{
				"/etc/machine-id": "", "/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf", "/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 0\n",
				"/etc/systemd/system/sysinit.target.wants/systemd-resolved.service": "-> /lib/systemd/system/systemd-resolved.service",
			},
			steps: "machine-id", // its mode
			want:  map[string]string{"/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf", "/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 0\n"},
		}, {
			name: "debian 7", guest: sysctl.Guest{Family: "debian", ID: "debian", Version: "7", Init: "sysvinit", InitVersion: "2.88"},
			tree: map[string]string{
				"/var/lib/dbus/machine-id": "x\n", "/usr/sbin/sshd": "x", "/etc/ssh/ssh_host_dsa_key": "k", "/sbin/getty": "x", "/sbin/init": "x", "/etc/init.d/powerfail": "x", "/sbin/shutdown": "x",
				"/etc/inittab": "# the tab\nid:2:initdefault:\nca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now\npf::powerwait:/etc/init.d/powerfail start\n1:2345:respawn:/sbin/getty 38400 tty1\n#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\n",
			},
			steps: "machine-id ssh-hostkeys mtab-link console power-fail",
			want: map[string]string{
				"/etc/inittab":                  "# the tab\nid:2:initdefault:\nca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now\n#sysctl# pf::powerwait:/etc/init.d/powerfail start\n#sysctl# 1:2345:respawn:/sbin/getty 38400 tty1\n#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\nco:12345:respawn:/sbin/getty 38400 console\np0::powerfail:/sbin/init 0\n",
				"/etc/init.d/sysctl-ssh-keys":   sshKeysScript,
				"/etc/rc2.d/S01sysctl-ssh-keys": "-> ../init.d/sysctl-ssh-keys",
			},
			gone: "/var/lib/dbus/machine-id /etc/ssh/ssh_host_dsa_key /etc/machine-id",
		}, {
			name: "centos 5", guest: sysctl.Guest{Family: "rhel", ID: "centos", Version: "5", Init: "sysvinit", InitVersion: "2.86"},
			tree: map[string]string{
				"/etc/ssh/ssh_host_key": "k", "/usr/sbin/sshd": "x", "/sbin/init": "x", "/sbin/mingetty": "x", "/sbin/shutdown": "x", "/etc/rc.d/rc.sysinit": "x",
				"/etc/inittab": "si::sysinit:/etc/rc.d/rc.sysinit\npf::powerfail:/sbin/shutdown -f -h +2 \"Power Failure\"\n1:2345:respawn:/sbin/mingetty tty1\nx:5:respawn:/etc/X11/prefdm -nodaemon\n",
			},
			steps: "ssh-hostkeys mtab-link console power-fail",
			want: map[string]string{
				"/etc/inittab": "si::sysinit:/etc/rc.d/rc.sysinit\n#sysctl# pf::powerfail:/sbin/shutdown -f -h +2 \"Power Failure\"\n#sysctl# 1:2345:respawn:/sbin/mingetty tty1\n#sysctl# x:5:respawn:/etc/X11/prefdm -nodaemon\nco:12345:respawn:/sbin/mingetty --nohangup console\np0::powerfail:/sbin/init 0\np6::ctrlaltdel:/sbin/init 6\n",
			},
			gone: "/etc/ssh/ssh_host_key /etc/init.d/sysctl-ssh-keys",
		}, {
			name: "alpine with openrc", guest: sysctl.Guest{Family: "alpine", ID: "alpine", Version: "3.20", Init: "busybox", InitVersion: "1.36.1"},
			tree: map[string]string{
				"/sbin/openrc": "x", "/sbin/getty": "x", "/etc/rc.conf": "# which\n#rc_sys=\"\"\nrc_logger=\"NO\"\n",
				"/etc/inittab": "::sysinit:/sbin/openrc sysinit\ntty1::respawn:/sbin/getty 38400 tty1\n::shutdown:/sbin/openrc shutdown\n",
			},
			steps: "console openrc-sys-lxc",
			want: map[string]string{
				"/etc/rc.conf": "# which\n#rc_sys=\"\"\nrc_sys=\"lxc\"\nrc_logger=\"NO\"\n",
				"/etc/inittab": "::sysinit:/sbin/openrc sysinit\n#sysctl# tty1::respawn:/sbin/getty 38400 tty1\n::shutdown:/sbin/openrc shutdown\n::respawn:/sbin/getty 38400 console\n",
			},
		}, {
			name: "a guest that is not known", guest: sysctl.Guest{Family: "debian", ID: "debian"},
			tree: map[string]string{"/etc/machine-id": "x"}, want: map[string]string{"/etc/machine-id": "x"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := treetest.New(c.tree)
			if got := prepared(t, tree, c.guest); got != c.steps {
				t.Errorf("steps %q, want %q", got, c.steps)
			}
			files := tree.Files()
			for name, want := range c.want {
				if got, ok := files[name]; !ok || got != want {
					t.Errorf("%s (there: %v):\n%s\nwant:\n%s", name, ok, got, want)
				}
			}
			for name := range strings.FieldsSeq(c.gone) {
				if _, ok := files[name]; ok {
					t.Errorf("%s is there", name)
				}
			}
		})
	}
}

func TestStepsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Steps() {
		if s.Name == "" || s.Version < 1 || s.Why == "" || len(s.Touches) == 0 || seen[s.Name] {
			t.Errorf("step %+v", s)
		}
		seen[s.Name] = true
	}
}

// What would ask on the console, or look after disks, does not start, but for what the administrator wrote himself.
func TestNothingAsksAtFirstBoot(t *testing.T) {
	for _, unit := range strings.Fields("systemd-firstboot.service initial-setup.service jeos-firstboot.service fstrim.timer e2scrub_reap.service raid-check.timer") {
		tree := treetest.New(map[string]string{"/usr/lib/systemd/system/" + unit: "[Unit]\n", "/usr/lib/systemd/system/fstrim.service": "[Unit]\n"})
		prepared(t, tree, sysctl.Guest{Family: "rhel", ID: "centos", Version: "9", Init: "systemd", InitVersion: "252"})
		files := tree.Files()
		if files["/etc/systemd/system/"+unit] != "-> /dev/null" || files["/etc/systemd/system/fstrim.service"] != "" {
			t.Errorf("%s: %v", unit, files)
		}
	}
}

// The tables are what insserv makes when the scripts are removed, of a real Debian 12.
func TestWithoutScripts(t *testing.T) {
	for _, c := range []struct{ name, table, names, want string }{
		{"boot", "TARGETS = hwclock.sh hostname.sh mountdevsubfs.sh mountall.sh checkroot-bootclean.sh checkroot.sh checkfs.sh\nINTERACTIVE = checkroot.sh checkfs.sh\n" +
			"mountdevsubfs.sh: mountkernfs.sh\nmountall.sh: checkfs.sh checkroot-bootclean.sh\ncheckroot-bootclean.sh: checkroot.sh\n" +
			"checkroot.sh: mountdevsubfs.sh hostname.sh hwclock.sh\ncheckfs.sh: checkroot.sh\n",
			"hwclock.sh checkroot.sh checkfs.sh",
			"TARGETS = hostname.sh mountdevsubfs.sh mountall.sh checkroot-bootclean.sh\nINTERACTIVE =\n" +
				"mountdevsubfs.sh: mountkernfs.sh\nmountall.sh: mountdevsubfs.sh hostname.sh checkroot-bootclean.sh\ncheckroot-bootclean.sh: mountdevsubfs.sh hostname.sh\n"},
		{"nothing after", "TARGETS = a b\nINTERACTIVE =\nb: a\n", "a", "TARGETS = b\nINTERACTIVE =\n"},
		{"not there", "TARGETS =  a b\n\nb:  a\n", "c", "TARGETS =  a b\n\nb:  a\n"},
		{"in a ring", "TARGETS = a b c\na: b\nb: a\nc: a\n", "a b", "TARGETS = c\n"},
	} {
		if got := withoutScripts(c.table, strings.Fields(c.names)); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}
