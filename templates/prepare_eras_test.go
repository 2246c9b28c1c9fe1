package templates

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

const quietSysinit = `#!/bin/bash
# hwclock is set below
[ -x /sbin/hwclock ] && : /sbin/hwclock $CLOCKFLAGS
: /sbin/start_udev
{ : rmmod some_module ; : modprobe some_module ; : rmmod some_module ; } >/dev/null 2>&1
false modprobe usbcore >/dev/null 2>&1 && mount -n -t usbfs /proc/bus/usb /proc/bus/usb
if [ -x /usr/bin/rhgb-client ] && false /usr/bin/rhgb-client --ping ; then
	chvt 1
fi
if ! : modprobe ipv6; then
	echo "no ipv6"
fi
if [ -x /sbin/lvm ]; then
	action $"Setting up Logical Volume Management:" : /sbin/lvm vgchange -a y
	if false /sbin/lvm.static vgscan > /dev/null 2>&1 ; then
		action_silent "One more:" : /sbin/dmraid -ay -i \
			-p "$name"
	fi
fi
sets=$(LC_ALL=C /sbin/dmraid -s)
echo "raidautorun /dev/md0" | : nash --quiet
grep -qw x || action $"Swap: " : swapon $partition
fsckoptions="-a"
: fsck -T -A $fsckoptions
rc=$?
: plymouth --sysinit &
sysctl -e -p /etc/sysctl.conf
`

// What each era's files become.
func TestPreparedEras(t *testing.T) {
	const gone = "it is not there"
	off := func(text string) string {
		return mapLines(text, func(line string) string { return marked + line })
	}
	for name, want := range map[string]map[string]string{
		"centos5": {
			"/etc/rc.d/rc.sysinit": quietSysinit, "/etc/rc.sysinit": "-> rc.d/rc.sysinit", "/etc/mtab": "-> /proc/mounts",
			"/etc/rc.d/init.d/halt":    "awk '$2 ~ /^\\/$|^\\/proc|^\\/dev|^\\/sys/{next} {print $2}' /proc/mounts\n[ -x /sbin/hwclock ] && action $\"Syncing\" : /sbin/hwclock --systohc\n",
			"/etc/rc.d/init.d/syslog":  "start() {\n\tdaemon syslogd $SYSLOGD_OPTIONS\n\tdaemon : klogd $KLOGD_OPTIONS\n}\n",
			"/etc/rc.d/rc3.d/S05kudzu": gone, "/etc/rc.d/rc3.d/K95kudzu": "-> ../init.d/kudzu", "/etc/rc.d/rc3.d/S10network": "-> ../init.d/network",
			"/etc/rc.d/rc3.d/S11auditd": gone, "/etc/rc.d/rc3.d/K89auditd": "-> ../init.d/auditd", "/etc/rc.d/rc2.d/K88auditd": "-> ../init.d/auditd",
			"/etc/pam.d/login":    "session    optional     pam_loginuid.so\nsession    required     pam_limits.so\n",
			"/etc/pam.d/remote":   "-> login",
			"/etc/selinux/config": "# SELINUX= can be\nSELINUX=disabled\nSELINUXTYPE=targeted\n", "/.autorelabel": gone, "/.nolvm": gone,
			"/etc/udev/rules.d/70-persistent-net.rules": gone, "/etc/securetty": "tty1\ntty2\nconsole\npts/0\npts/1\npts/2\npts/3\n",
		},
		"centos6": {
			"/etc/rc.d/rc.sysinit": quietSysinit, "/.nolvm": "", "/etc/sysconfig/init": "PROMPT=yes\nACTIVE_CONSOLES=\n",
			consoleJob:                  "description \"login on the console\"\nstart on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec /sbin/mingetty --nohangup console\n",
			powerJob:                    "start on power-status-changed\nexec /sbin/shutdown -h now\n",
			"/etc/init/serial.conf":     "#sysctl# start on fedora.serial-console-available DEV=* and stopped rc RUNLEVEL=[2345]\nstop on runlevel [S016]\nexec /sbin/agetty\n",
			"/etc/init/plymouth-x.conf": "#sysctl# start on (splash-request IMMEDIATE=1\n#sysctl# \tor stopped prefdm)\ntask\n",
			"/etc/init/tty.conf":        "stop on runlevel [S016]\nrespawn\ninstance $TTY\nexec /sbin/mingetty $TTY\n",
			"/etc/rsyslog.conf":         "$ModLoad imuxsock\n#sysctl# $ModLoad imklog\n", "/etc/init/serial.override": gone,
		},
		"centos7": {
			"/etc/pam.d/sshd": "session    optional     pam_loginuid.so\n", "/etc/selinux/config": "SELINUX=disabled\n", etcUnits + "/systemd-udevd.service": gone,
			etcUnits + "/auditd.service": "-> /dev/null", etcUnits + "/kdump.service": "-> /dev/null", etcUnits + "/plymouth-start.service": "-> /dev/null", etcUnits + "/chronyd.service": "-> /dev/null",
			"/etc/mtab": "-> ../proc/self/mounts",
		},
		"centos8": {
			etcUnits + "/systemd-logind.service": gone, etcUnits + "/getty.target": gone, etcUnits + "/console-getty.service": gone,
			etcUnits + "/getty.target.wants/console-getty.service": "-> /usr/lib/systemd/system/console-getty.service", "/etc/pam.d/sshd": "session    required     pam_loginuid.so\n",
		},
		"debian6": {
			"/etc/rcS.d/S03udev": gone, "/etc/rcS.d/S08hwclockfirst.sh": gone, "/etc/rcS.d/S11hwclock.sh": gone, "/etc/rcS.d/S10checkroot.sh": gone, "/etc/rcS.d/S25lvm": gone,
			"/etc/rcS.d/S12mountall.sh": "-> ../init.d/mountall.sh", "/etc/rcS.d/S02mountkernfs.sh": "-> ../init.d/mountkernfs.sh", "/etc/rc0.d/K25hwclock.sh": "-> ../init.d/hwclock.sh",
			"/etc/rc2.d/S11klogd": gone, "/etc/rc2.d/S20acpid": gone, "/etc/rc2.d/S20ssh": "-> ../init.d/ssh", "/etc/rsyslog.conf": "$ModLoad imuxsock\n#sysctl# $ModLoad imklog   # kernel\n",
			"/etc/pam.d/login": "session    optional   pam_loginuid.so\n", "/etc/rc2.d/S01sysctl-ssh-keys": "-> ../init.d/sysctl-ssh-keys",
		},
		"debian12":    {"/etc/pam.d/login": "session required pam_loginuid.so\n", etcUnits + "/keyboard-setup.service": "-> /dev/null", etcUnits + "/systemd-udevd.service": "-> /dev/null"},
		"ubuntu26.04": {netplanTells: "# no udev in a container\n[Service]\nExecStartPost=\n"}, "ubuntu22.04": {netplanTells: gone},
		"debian12-openrc": {"/etc/runlevels/sysinit/udev": gone, "/etc/runlevels/default/ssh": "-> /etc/init.d/ssh", "/etc/rc.conf": "#rc_sys=\"\"\nrc_sys=\"lxc\"\n"},
		"debian12-openrc-init": {"/etc/runlevels/default/agetty.tty1": gone, "/etc/init.d/agetty.console": "-> agetty",
			"/etc/runlevels/default/agetty.console": "-> /etc/init.d/agetty.console"},
		"debian12-runit": {"/etc/runit/runsvdir/default/getty-tty1": gone, "/etc/runit/runsvdir/default/ssh": "-> /etc/sv/ssh", "/etc/runit/runsvdir/default/sysctl-console": "-> /etc/sv/sysctl-console",
			"/etc/sv/sysctl-console/run":              "#!/bin/sh\nexec /sbin/getty 38400 console\n",
			"/etc/runit/runsvdir/default/sysctl-halt": "-> /etc/sv/sysctl-halt", "/etc/sv/sysctl-halt/run": runitHaltRun},
		"debian12-finit": {"/etc/finit.d/getty.conf": "-> available/getty.conf", "/etc/finit.d/10-hotplug.conf": "# no udev in a container\n", "/etc/finit.d/available/getty.conf": "#sysctl# tty [12345] /dev/tty1 115200 linux noclear\n#sysctl# tty [12345] @console noclear\nservice [2345] x\n",
			"/etc/finit.d/sysctl-console.conf": "tty [12345] console noclear nowait\n", keysFinit: "run [S] name:sysctl-ssh-keys /etc/init.d/sysctl-ssh-keys start -- Making missing ssh host keys\n"},
		"ubuntu8.04": {
			"/etc/event.d/tty1": "#sysctl# start on stopped rc2\n#sysctl# start on stopped rc3\nstop on runlevel 0\nrespawn\nexec /sbin/getty 38400 tty1\n", "/etc/event.d/rc2": "start on runlevel 2\nscript\nend script\n",
			"/etc/event.d/console":              "start on stopped rc2\nstart on stopped rc3\nstart on stopped rc4\nstart on stopped rc5\nstop on runlevel 0\nstop on runlevel 1\nstop on runlevel 6\nrespawn\nexec /sbin/getty 38400 console\n",
			"/etc/event.d/power-status-changed": "start on power-status-changed\nexec /sbin/shutdown -h now\n", "/etc/rcS.d/S03udev": gone, "/etc/rc2.d/S01sysctl-ssh-keys": "-> ../init.d/sysctl-ssh-keys", powerJob: gone,
		},
		"ubuntu10.04": {
			"/etc/init/tty1.conf":       off("start on stopped rc RUNLEVEL=[2345] and (\n            not-container or\n            container CONTAINER=lxc)\n") + "stop on runlevel [!2345]\nexec /sbin/getty -8 38400 tty1\n",
			"/etc/init/networking.conf": "start on (local-filesystems)\ntask\nexec ifup -a\n", "/etc/init/udevtrigger.conf": off("start on (startup and\n          started udev)\n") + "task\n",
			"/lib/init/fstab": "/dev/root / rootfs defaults 0 1\nnone /proc proc nodev 0 0\n#sysctl# none /sys/kernel/debug debugfs optional 0 0\n#sysctl# none /sys/kernel/security securityfs optional 0 0\n",
			powerJob:          "start on power-status-changed\nexec /sbin/shutdown -h now\n", keysJob: sshKeysJob, "/etc/rc2.d/S01sysctl-ssh-keys": gone, "/etc/init/udev.override": gone,
		},
		"ubuntu14.04": {
			"/etc/init/tty1.override": "manual\n", "/etc/init/udev.override": "manual\n", "/etc/init/hwclock.override": "manual\n", "/etc/init/plymouth.override": "manual\n", "/etc/init/networking.override": gone,
			"/etc/init/networking.conf": "start on (local-filesystems\n\tand (stopped udevtrigger or container))\ntask\n", consoleJob: gone,
			"/sbin/initctl": "the program", "/sbin/initctl.distrib": gone, "/var/lib/dpkg/diversions": "/a\n/b\nx\n", "/etc/apt/apt.conf.d/docker-clean": gone, "/etc/apt/apt.conf.d/70debconf": "x",
			"/usr/sbin/policy-rc.d": gone, "/run/systemd/container": gone, "/.dockerenv": gone, "/etc/pam.d/login": "session    optional   pam_loginuid.so\n",
		},
		"sles11": {
			"/etc/init.d/boot.d/S01boot.udev": gone, "/etc/init.d/boot.d/K03boot.udev": gone, "/etc/init.d/boot.d/S06boot.clock": gone, "/etc/init.d/boot.d/S07boot.rootfsck": gone, "/etc/init.d/boot.d/S09boot.localfs": "-> ../boot.localfs",
			"/etc/init.d/rc3.d/S01acpid": gone, "/etc/init.d/rc3.d/K02acpid": gone, "/etc/init.d/rc3.d/S05network": "-> ../network", "/etc/sysconfig/boot": "ROOTFS_FSCK=\"0\"\nBOOT_SPLASH=\"yes\"\n",
		},
		"gentoo":        {"/etc/runlevels/sysinit/udev": gone, "/etc/runlevels/boot/hwclock": gone, "/etc/runlevels/default/sshd": "-> /etc/init.d/sshd", "/etc/rc.conf": "rc_sys=\"lxc\"\n"},
		"slackware14.2": {"/etc/rc.d/rc.S": "#!/bin/bash\n: /sbin/hwclock --hctosys\nif [ -x /etc/rc.d/rc.udev ]; then\n  /bin/sh /etc/rc.d/rc.udev start\nfi\n  : /sbin/fsck -C -a /\n"},
		"void":          {"/etc/runit/runsvdir/default/agetty-tty1": gone, "/etc/runit/runsvdir/default/agetty-console": "-> /etc/sv/agetty-console", "/etc/runit/runsvdir/default/udevd": "-> /etc/sv/udevd"},
	} {
		t.Run(name, func(t *testing.T) {
			e, ok := eras()[name]
			if !ok {
				t.Fatal("there is no such tree")
			}
			tree := treetest.New(e.files)
			prepared(t, tree, e.want)
			files := tree.Files()
			for path, content := range want {
				got, there := files[path]
				if !there {
					got = gone
				}
				if got != content {
					t.Errorf("%s:\n%s\nwant:\n%s", path, got, content)
				}
			}
		})
	}
}

// What does nothing but unmount at a halt is not run at one; what is off for another reason is still stopped.
func TestHaltUnmountsNothing(t *testing.T) {
	tree := treetest.New(map[string]string{
		"/sbin/init": "x", "/etc/rcS.d/S01hwclock.sh": "-> ../init.d/hwclock.sh",
		"/etc/rc0.d/K01hwclock.sh": "-> ../init.d/hwclock.sh", "/etc/rc0.d/K02umountfs": "-> ../init.d/umountfs",
		"/etc/rc0.d/K03umountroot": "-> ../init.d/umountroot", "/etc/rc0.d/K04halt": "-> ../init.d/halt",
		"/etc/rc6.d/K02umountfs": "-> ../init.d/umountfs", "/etc/init.d/umountfs": "x",
		"/etc/init.d/.depend.stop": "TARGETS = hwclock.sh umountfs umountroot halt\numountfs: hwclock.sh\numountroot: umountfs\nhalt: umountroot\n",
	})
	prepared(t, tree, sysctl.Guest{Family: "debian", ID: "debian", Version: "12", Init: "sysvinit", InitVersion: "3.06"})
	files := tree.Files()
	for _, path := range strings.Fields("/etc/rcS.d/S01hwclock.sh /etc/rc0.d/K02umountfs /etc/rc0.d/K03umountroot /etc/rc6.d/K02umountfs") {
		if _, there := files[path]; there {
			t.Errorf("%s is there", path)
		}
	}
	for _, path := range strings.Fields("/etc/rc0.d/K01hwclock.sh /etc/rc0.d/K04halt /etc/init.d/umountfs") {
		if _, there := files[path]; !there {
			t.Errorf("%s is gone", path)
		}
	}
	if got, want := files["/etc/init.d/.depend.stop"], "TARGETS = hwclock.sh halt\nhalt: hwclock.sh\n"; got != want {
		t.Errorf("the order of the halt:\n%s\nwant:\n%s", got, want)
	}
}

// A Slackware script is off when it cannot be executed.
func TestSlackwareScriptsLoseTheirMode(t *testing.T) {
	tree := treetest.New(eras()["slackware14.2"].files)
	if err := tree.WriteFile("/etc/rc.d/rc.udev", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	prepared(t, tree, eras()["slackware14.2"].want)
	if fi, err := tree.Stat("/etc/rc.d/rc.udev"); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("rc.udev: %v, %v", fi.Mode(), err)
	}
}

// A step changes nothing but what it says.
func TestStepsTouchWhatTheySay(t *testing.T) {
	var all []string
	for _, s := range Steps() {
		all = append(all, s.Name)
	}
	for name, e := range eras() {
		tree := treetest.New(e.files)
		for _, s := range Steps() {
			others := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == s.Name })
			changes, _, err := Prepare(tree, e.want, PrepareOptions{Skip: others})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				if c.Path != RecordFile && !slices.ContainsFunc(s.Touches, func(pattern string) bool { return matches(pattern, c.Path) }) {
					t.Errorf("%s: %s touches %s, which is not among %q", name, s.Name, c.Path, s.Touches)
				}
			}
		}
	}
}

// matches is path.Match with {a,b}.
func matches(pattern, name string) bool {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		ok, _ := path.Match(pattern, name)
		return ok
	}
	end := open + strings.IndexByte(pattern[open:], '}')
	for choice := range strings.SplitSeq(pattern[open+1:end], ",") {
		if matches(pattern[:open]+choice+pattern[end+1:], name) {
			return true
		}
	}
	return false
}

func TestSkippedStepsMustExist(t *testing.T) {
	e := eras()["debian12"]
	_, _, err := Prepare(treetest.New(e.files), e.want, PrepareOptions{Skip: []string{"udev-off", "udev-of", "nonsense"}})
	if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), `"udev-of", "nonsense"`) || !strings.Contains(err.Error(), "machine-id, ssh-hostkeys") {
		t.Errorf("%v", err)
	}
	if err := CheckSteps([]string{"udev-of"}); sysctl.HintOf(err) != "did you mean udev-off?" {
		t.Errorf("%v: %s", err, sysctl.HintOf(err))
	}
	if err := CheckSteps(nil); err != nil {
		t.Error(err)
	}
}

// An unreadable file is left alone: editing it would empty it.
func TestUnreadableFilesAreKept(t *testing.T) {
	files := eras()["centos5"].files
	delete(files, "/etc/rc.d/rc.sysinit")
	files["/etc/rc.d/rc.sysinit/directory"] = "x"
	delete(files, "/etc/securetty")
	files["/etc/securetty"] = "-> securetty"
	tree := treetest.New(files)
	prepared(t, tree, eras()["centos5"].want)
	if got := tree.Files(); got["/etc/rc.d/rc.sysinit/directory"] != "x" || got["/etc/securetty"] != "-> securetty" {
		t.Errorf("%q %q", got["/etc/rc.d/rc.sysinit/directory"], got["/etc/securetty"])
	}
}
