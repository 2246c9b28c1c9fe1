package templates

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// era is a synthetic tree of a distribution's release: what detection and preparation look at, in the form that it
// has there.
type era struct {
	files map[string]string
	want  sysctl.Guest // without evidence
}

// eras has a tree for every release that the catalogue is to hold.
func eras() map[string]era {
	out := map[string]era{}
	maps.Copy(out, redHats())
	maps.Copy(out, debians())
	maps.Copy(out, ubuntus())
	maps.Copy(out, suses())
	maps.Copy(out, others())
	return out
}

// osRelease is a tree with an os-release in the order and quoting of real ones.
func osRelease(id, version, name string) map[string]string {
	text := fmt.Sprintf("NAME=%q\nID=%q\nPRETTY_NAME=%q\n", strings.Fields(name)[0], id, name)
	if version != "" {
		text += fmt.Sprintf("VERSION_ID=%q\n", version)
	}
	return map[string]string{"/etc/os-release": text}
}

// abiNote is a .note.ABI-tag for Linux 2.6.32.
func abiNote() string {
	var b []byte
	for _, n := range []uint32{4, 16, 1} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	b = append(b, "GNU\x00"...)
	for _, n := range []uint32{0, 2, 6, 32} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return string(b)
}

// glibcAt is a 64-bit C library in /lib64, as of Red Hat, SUSE, Slackware and Gentoo; merged says that /lib64 and
// /sbin are links into /usr.
func glibcAt(version string, merged bool) map[string]string {
	files := map[string]string{}
	lib := "/lib64"
	if merged {
		lib = "/usr/lib64"
		maps.Copy(files, map[string]string{"/lib64": "-> usr/lib64", "/lib": "-> usr/lib", "/sbin": "-> usr/sbin", "/bin": "-> usr/bin"})
	}
	if before(version, "2.34") {
		files[lib+"/libc.so.6"] = "-> libc-" + version + ".so"
		files[lib+"/libc-"+version+".so"] = elf(64, x8664, abiNote())
	} else {
		files[lib+"/libc.so.6"] = elf(64, x8664, abiNote(), "GNU C Library (GNU libc) stable release version "+version+".")
	}
	return files
}

const loader64 = "/lib64/ld-linux-x86-64.so.2"

// sysv is System V init with gettys by program, and a script for everything.
func sysv(version, getty string) map[string]string {
	tab := "id:3:initdefault:\nsi::sysinit:/etc/rc.d/rc.sysinit\nca::ctrlaltdel:/sbin/shutdown -t3 -r now\npf::powerfail:/sbin/shutdown -f -h +2 \"Power Failure\"\n"
	for i := range 6 {
		tab += fmt.Sprintf("%d:2345:respawn:%s tty%d\n", i+1, getty, i+1)
	}
	return map[string]string{
		"/sbin/init":   elf(64, x8664, loader64, "@(#) init "+version+"  30-Jul-2004  somebody"),
		"/etc/inittab": tab, getty: "x", "/sbin/shutdown": "x", "/etc/mtab": "/dev/sda1 / ext3 rw 0 0\n",
		"/etc/fstab": "LABEL=/ / ext3 defaults 1 1\nLABEL=SWAP swap swap defaults 0 0\n", "/etc/securetty": "tty1\ntty2\n",
		"/usr/sbin/sshd": "x", "/etc/ssh/ssh_host_rsa_key": "k", "/etc/ssh/ssh_host_rsa_key.pub": "k", "/var/lib/random-seed": "r",
		"/etc/udev/rules.d/70-persistent-net.rules": "SUBSYSTEM==\"net\"\n",
	}
}

// sysinit has the shapes in which boot scripts run commands.
const sysinit = `#!/bin/bash
# hwclock is set below
[ -x /sbin/hwclock ] && /sbin/hwclock $CLOCKFLAGS
/sbin/start_udev
{ rmmod some_module ; modprobe some_module ; rmmod some_module ; } >/dev/null 2>&1
modprobe usbcore >/dev/null 2>&1 && mount -n -t usbfs /proc/bus/usb /proc/bus/usb
if [ -x /usr/bin/rhgb-client ] && /usr/bin/rhgb-client --ping ; then
	chvt 1
fi
if ! modprobe ipv6; then
	echo "no ipv6"
fi
if [ -x /sbin/lvm ]; then
	action $"Setting up Logical Volume Management:" /sbin/lvm vgchange -a y
	if /sbin/lvm.static vgscan > /dev/null 2>&1 ; then
		action_silent "One more:" /sbin/dmraid -ay -i \
			-p "$name"
	fi
fi
sets=$(LC_ALL=C /sbin/dmraid -s)
echo "raidautorun /dev/md0" | nash --quiet
grep -qw x || action $"Swap: " swapon $partition
fsckoptions="-a"
fsck -T -A $fsckoptions
rc=$?
plymouth --sysinit &
sysctl -e -p /etc/sysctl.conf
`

// redHat5 and redHat6 are what the initscripts of the time have.
func redHat5() map[string]string {
	return tree(sysv("2.86", "/sbin/mingetty"), glibcAt("2.5", false), map[string]string{
		"/etc/rc.d/rc.sysinit": sysinit, "/etc/rc.sysinit": "-> rc.d/rc.sysinit",
		"/etc/rc.d/init.d/halt":   "awk '$2 ~ /^\\/$|^\\/proc|^\\/dev/{next} {print $2}' /proc/mounts\n[ -x /sbin/hwclock ] && action $\"Syncing\" /sbin/hwclock --systohc\n",
		"/etc/rc.d/init.d/syslog": "start() {\n\tdaemon syslogd $SYSLOGD_OPTIONS\n\tdaemon klogd $KLOGD_OPTIONS\n}\n",
		"/etc/rc.d/init.d/kudzu":  "x", "/etc/rc3.d": "-> rc.d/rc3.d", "/etc/init.d": "-> rc.d/init.d",
		"/etc/rc.d/rc3.d/S05kudzu": "-> ../init.d/kudzu", "/etc/rc.d/rc3.d/S10network": "-> ../init.d/network",
		"/etc/rc.d/rc3.d/S11auditd": "-> ../init.d/auditd", "/etc/rc.d/rc2.d/K88auditd": "-> ../init.d/auditd",
		"/etc/pam.d/login": "session    required     pam_loginuid.so\nsession    required     pam_limits.so\n", "/etc/pam.d/remote": "-> login",
		"/etc/selinux/config": "# SELINUX= can be\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", "/etc/sysconfig/selinux": "-> ../selinux/config",
		"/.autorelabel": "", "/var/lib/rpm/Packages": "x",
	})
}

func redHat6() map[string]string {
	files := tree(redHat5(), glibcAt("2.12", false), map[string]string{
		"/sbin/init":                elf(64, x8664, loader64, "--version", "upstart", "0.6.5", "upstart-devel@lists.example"),
		"/etc/inittab":              "id:3:initdefault:\n",
		"/etc/init/rcS.conf":        "start on startup\nexec /etc/rc.d/rc.sysinit\n",
		"/etc/init/tty.conf":        "stop on runlevel [S016]\nrespawn\ninstance $TTY\nexec /sbin/mingetty $TTY\n",
		"/etc/init/serial.conf":     "start on fedora.serial-console-available DEV=* and stopped rc RUNLEVEL=[2345]\nstop on runlevel [S016]\nexec /sbin/agetty\n",
		"/etc/init/plymouth-x.conf": "start on (splash-request IMMEDIATE=1\n\tor stopped prefdm)\ntask\n",
		"/etc/sysconfig/init":       "PROMPT=yes\nACTIVE_CONSOLES=/dev/tty[1-6]\n", "/etc/rsyslog.conf": "$ModLoad imuxsock\n$ModLoad imklog\n",
	})
	delete(files, "/lib64/libc-2.5.so")
	delete(files, "/etc/rc.d/init.d/syslog")
	return files
}

// units are systemd and units that its packages bring.
func units(version, dir string, more ...string) map[string]string {
	text := "libsystemd-shared-" + version + ".so"
	if before(version, "231") {
		text = "systemd " + version + " running in %ssystem mode."
	}
	files := map[string]string{
		dir + "/systemd": elf(64, x8664, loader64, text), "/etc/machine-id": "8f0d2bd7a0b14d0c8d5b4d3ab35d8d44\n",
		"/etc/fstab": "UUID=1 / xfs defaults 0 0\n", "/usr/sbin/sshd": "x", "/etc/ssh/ssh_host_ed25519_key": "k",
	}
	for _, u := range append(more, "getty@.service", "console-getty.service", "dev-hugepages.mount", "sys-kernel-debug.mount",
		"systemd-modules-load.service", "systemd-udevd.service", "systemd-networkd-wait-online.service") {
		files[dir+"/system/"+u] = "[Unit]\n"
	}
	return files
}

// mergedSystemd is systemd with /usr merged, with glibc in /usr/lib64.
func mergedSystemd(version, libc string, more ...string) map[string]string {
	return tree(glibcAt(libc, true), units(version, "/usr/lib/systemd", more...), map[string]string{
		"/usr/sbin/init": "-> ../lib/systemd/systemd", "/usr/sbin/agetty": "x",
	})
}

func guest(family, id, version, name, init, initVersion, libc, libcVersion, packages string) sysctl.Guest {
	return sysctl.Guest{Family: family, ID: id, Version: version, Name: name, Arch: "amd64", Bits: 64,
		Init: init, InitVersion: initVersion, Libc: libc, LibcVersion: libcVersion, Packages: packages}
}

func redHats() map[string]era {
	rpm := map[string]string{"/var/lib/rpm/rpmdb.sqlite": "x"}
	out := map[string]era{}
	for _, five := range []struct{ key, id, file, text, parent string }{
		{"centos5", "centos", "/etc/redhat-release", "CentOS release 5.11 (Final)", ""},
		{"oracle5", "ol", "/etc/enterprise-release", "Enterprise Linux Enterprise Linux Server release 5.11 (Carthage)", "Red Hat Enterprise Linux Server release 5.11 (Tikanga)"},
		{"rhel5", "rhel", "/etc/redhat-release", "Red Hat Enterprise Linux Server release 5.11 (Tikanga)", ""},
	} {
		files := tree(redHat5(), map[string]string{five.file: five.text + "\n"})
		if five.parent != "" {
			files["/etc/redhat-release"] = five.parent + "\n"
		}
		out[five.key] = era{files, guest("rhel", five.id, "5", five.text, "sysvinit", "2.86", "glibc", "2.5", "rpm")}
	}
	for _, six := range []struct{ key, id, version, file, text string }{
		{"centos6", "centos", "6", "/etc/centos-release", "CentOS release 6.10 (Final)"},
		{"rhel6", "rhel", "6", "/etc/redhat-release", "Red Hat Enterprise Linux Server release 6.10 (Santiago)"},
		{"oracle6", "ol", "6", "/etc/oracle-release", "Oracle Linux Server release 6.10"},
		{"scientific6", "scientific", "6", "/etc/redhat-release", "Scientific Linux release 6.10 (Carbon)"},
		{"amazonlinux1-2011", "amzn", "2011.09", "/etc/system-release", "Amazon Linux AMI release 2011.09"},
	} {
		files := tree(redHat6(), map[string]string{six.file: six.text + "\n"})
		if six.id == "ol" {
			files["/etc/redhat-release"] = "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"
		}
		out[six.key] = era{files, guest("rhel", six.id, six.version, six.text, "upstart", "0.6.5", "glibc", "2.12", "rpm")}
	}
	amazon1 := tree(redHat6(), glibcAt("2.17", false), osRelease("amzn", "2018.03", "Amazon Linux AMI 2018.03"),
		map[string]string{"/etc/system-release": "Amazon Linux AMI release 2018.03\n"})
	delete(amazon1, "/lib64/libc-2.12.so")
	out["amazonlinux1"] = era{amazon1, guest("rhel", "amzn", "2018.03", "Amazon Linux AMI 2018.03", "upstart", "0.6.5", "glibc", "2.17", "rpm")}
	for _, r := range []struct{ key, id, version, name, systemd, libc string }{
		{"centos7", "centos", "7", "CentOS Linux 7 (Core)", "219", "2.17"},
		{"rhel7", "rhel", "7.9", "Red Hat Enterprise Linux Server 7.9 (Maipo)", "219", "2.17"},
		{"oracle7", "ol", "7.9", "Oracle Linux Server 7.9", "219", "2.17"},
		{"amazonlinux2", "amzn", "2", "Amazon Linux 2", "219", "2.26"},
		{"amazonlinux2023", "amzn", "2023", "Amazon Linux 2023", "252", "2.34"},
		{"centos8", "centos", "8", "CentOS Linux 8", "239", "2.28"},
		{"centos9", "centos", "9", "CentOS Stream 9", "252", "2.34"},
		{"centos10", "centos", "10", "CentOS Stream 10", "257", "2.39"},
		{"rhel8", "rhel", "8.10", "Red Hat Enterprise Linux 8.10 (Ootpa)", "239", "2.28"},
		{"rhel9", "rhel", "9.4", "Red Hat Enterprise Linux 9.4 (Plow)", "252", "2.34"},
		{"rhel10", "rhel", "10.0", "Red Hat Enterprise Linux 10.0 (Coughlan)", "257", "2.39"},
		{"alma8", "almalinux", "8.10", "AlmaLinux 8.10 (Cerulean Leopard)", "239", "2.28"},
		{"alma9", "almalinux", "9.4", "AlmaLinux 9.4 (Seafoam Ocelot)", "252", "2.34"},
		{"alma10", "almalinux", "10.0", "AlmaLinux 10.0 (Purple Lion)", "257", "2.39"},
		{"rocky8", "rocky", "8.10", "Rocky Linux 8.10 (Green Obsidian)", "239", "2.28"},
		{"rocky9", "rocky", "9.4", "Rocky Linux 9.4 (Blue Onyx)", "252", "2.34"},
		{"rocky10", "rocky", "10.0", "Rocky Linux 10.0 (Red Quartz)", "257", "2.39"},
		{"oracle8", "ol", "8.10", "Oracle Linux Server 8.10", "239", "2.28"},
		{"oracle9", "ol", "9.4", "Oracle Linux Server 9.4", "252", "2.34"},
		{"oracle10", "ol", "10.0", "Oracle Linux Server 10.0", "257", "2.39"},
		{"fedora20", "fedora", "20", "Fedora 20 (Heisenbug)", "208", "2.18"},
		{"fedora43", "fedora", "43", "Fedora Linux 43 (Container Image)", "258", "2.42"},
		{"fedora44", "fedora", "44", "Fedora Linux 44 (Container Image)", "259", "2.43"},
	} {
		version := r.version
		if r.id != "amzn" {
			version, _, _ = strings.Cut(version, ".")
		}
		files := tree(mergedSystemd(r.systemd, r.libc, "auditd.service", "kdump.service", "plymouth-start.service", "chronyd.service"), rpm, osRelease(r.id, r.version, r.name),
			map[string]string{
				"/etc/redhat-release": r.name + "\n", "/etc/pam.d/sshd": "session    required     pam_loginuid.so\n",
				"/etc/selinux/config": "SELINUX=permissive\n", "/etc/mtab": "-> ../proc/self/mounts", "/usr/lib/sysimage/rpm": "-> /var/lib/rpm",
			})
		if r.id == "ol" {
			files["/etc/oracle-release"] = r.name + "\n"
			files["/etc/redhat-release"] = "Red Hat Enterprise Linux release " + r.version + "\n"
		}
		if r.id == "centos" && version == "8" { // as the image for programs is
			for _, u := range dockerMasks() {
				files[etcUnits+"/"+u] = "-> /dev/null"
			}
		}
		out[r.key] = era{files, guest("rhel", r.id, version, r.name, "systemd", r.systemd, "glibc", r.libc, "rpm")}
	}
	// A CentOS that was turned into another.
	converted := tree(mergedSystemd("239", "2.28"), rpm, osRelease("centos", "8", "CentOS Linux 8"), map[string]string{"/etc/almalinux-release": "AlmaLinux release 8.10 (Cerulean Leopard)\n"})
	out["alma8-converted"] = era{converted, guest("rhel", "almalinux", "8", "AlmaLinux release 8.10 (Cerulean Leopard)", "systemd", "239", "glibc", "2.28", "rpm")}
	return out
}

// debianBoot is the boot of Debian with System V init.
func debianBoot(init string) map[string]string {
	files := map[string]string{
		"/sbin/init":   elf(64, x8664, loader64, "@(#) init "+init+"  26-Mar-2010  somebody"),
		"/sbin/getty":  "x",
		"/etc/inittab": "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\nca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now\npf::powerwait:/etc/init.d/powerfail start\n1:2345:respawn:/sbin/getty 38400 tty1\n2:23:respawn:/sbin/getty 38400 tty2\n",
		"/etc/mtab":    "/dev/sda1 / ext3 rw 0 0\n", "/etc/fstab": "/dev/sda1 / ext3 defaults 0 1\n", "/usr/sbin/sshd": "x", "/etc/ssh/ssh_host_rsa_key": "k",
		"/etc/init.d/rcS": "x", "/etc/init.d/powerfail": "x", "/sbin/shutdown": "x", "/etc/rcS.d/S02mountkernfs.sh": "-> ../init.d/mountkernfs.sh",
		"/etc/rc0.d/K25hwclock.sh": "-> ../init.d/hwclock.sh", "/etc/rsyslog.conf": "$ModLoad imuxsock\n$ModLoad imklog   # kernel\n",
		"/etc/pam.d/login": "session    required   pam_loginuid.so\n",
	}
	for _, link := range []string{"S03udev", "S08hwclockfirst.sh", "S10checkroot.sh", "S11hwclock.sh", "S12mountall.sh", "S20modutils", "S25lvm"} {
		files["/etc/rcS.d/"+link] = "-> ../init.d/" + link[3:]
	}
	for _, link := range []string{"S10rsyslog", "S11klogd", "S20acpid", "S20ssh"} {
		files["/etc/rc2.d/"+link] = "-> ../init.d/" + link[3:]
	}
	return files
}

// triplet is glibc in Debian's directory for the architecture, from 7 on; before, it was in /lib.
func triplet(version string) map[string]string {
	dir := "/lib/x86_64-linux-gnu"
	if before(version, "2.13") {
		dir = "/lib"
	}
	if before(version, "2.34") {
		return map[string]string{dir + "/libc.so.6": "-> libc-" + version + ".so", dir + "/libc-" + version + ".so": elf(64, x8664, abiNote())}
	}
	return glibc64(version)
}

func debians() map[string]era {
	out := map[string]era{}
	dpkg := map[string]string{"/var/lib/dpkg/status": "Package: base-files\nVersion: 1\n\n"}
	for _, d := range []struct{ version, marker, libc, init string }{
		{"4", "4.0", "2.3", "2.86"}, {"5", "5.0.10", "2.7", "2.86"}, {"6", "6.0.10", "2.11", "2.88"},
	} {
		out["debian"+d.version] = era{tree(debianBoot(d.init), triplet(d.libc), dpkg, map[string]string{"/etc/debian_version": d.marker + "\n"}),
			guest("debian", "debian", d.version, "Debian GNU/Linux "+d.version, "sysvinit", d.init, "glibc", d.libc, "dpkg")}
	}
	seven := "Debian GNU/Linux 7 (wheezy)"
	out["debian7"] = era{tree(debianBoot("2.88"), triplet("2.13"), dpkg, osRelease("debian", "7", seven)),
		guest("debian", "debian", "7", seven, "sysvinit", "2.88", "glibc", "2.13", "dpkg")}
	for _, d := range []struct{ version, codename, systemd, libc string }{
		{"8", "jessie", "215", "2.19"}, {"9", "stretch", "232", "2.24"}, {"10", "buster", "241", "2.28"}, {"11", "bullseye", "247", "2.31"},
		{"12", "bookworm", "252", "2.36"}, {"13", "trixie", "257", "2.41"}, {"sid", "forky/sid", "259", "2.42"},
	} {
		name, id := fmt.Sprintf("Debian GNU/Linux %s (%s)", d.version, d.codename), d.version
		files := map[string]string{"/etc/debian_version": d.version + ".1\n", "/sbin/init": "-> /lib/systemd/systemd", "/sbin/agetty": "x", "/etc/pam.d/login": "session required pam_loginuid.so\n"}
		if d.version == "sid" {
			name, id = "Debian GNU/Linux forky/sid", ""
			files["/etc/debian_version"] = "forky/sid\n"
		}
		out["debian"+d.version] = era{tree(units(d.systemd, "/lib/systemd", "keyboard-setup.service"), triplet(d.libc), dpkg, osRelease("debian", id, name), files),
			guest("debian", "debian", d.version, name, "systemd", d.systemd, "glibc", d.libc, "dpkg")}
	}
	twelve := func(init, version string, files map[string]string) era {
		return era{tree(debianBoot("3.06"), triplet("2.36"), dpkg, osRelease("debian", "12", "Debian GNU/Linux 12 (bookworm)"), map[string]string{"/etc/debian_version": "12.11\n"}, files),
			guest("debian", "debian", "12", "Debian GNU/Linux 12 (bookworm)", init, version, "glibc", "2.36", "dpkg")}
	}
	out["debian12-sysvinit"] = twelve("sysvinit", "3.06", nil)
	out["debian12-openrc"] = twelve("sysvinit", "3.06", map[string]string{"/sbin/openrc": "x", "/etc/rc.conf": "#rc_sys=\"\"\n",
		"/etc/runlevels/sysinit/udev": "-> /etc/init.d/udev", "/etc/runlevels/default/ssh": "-> /etc/init.d/ssh"})
	out["debian12-openrc-init"] = twelve("openrc", "0.45.2", map[string]string{"/sbin/init": "-> openrc-init", "/sbin/openrc-init": elf(64, x8664, loader64), "/sbin/openrc": "x",
		"/var/lib/dpkg/status": "Package: openrc\nVersion: 0.45.2-2\n\n",
		"/etc/init.d/agetty":   "x", "/etc/runlevels/default/agetty.tty1": "-> /etc/init.d/agetty.tty1"})
	out["debian12-runit"] = twelve("runit", "2.1.2", map[string]string{"/sbin/init": "-> runit-init", "/sbin/runit-init": elf(64, x8664, loader64),
		"/var/lib/dpkg/status": "Package: runit\nVersion: 2.1.2-54\n\n", "/etc/service": "-> /etc/runit/runsvdir/current", "/etc/runit/runsvdir/current": "-> /etc/runit/runsvdir/default", "/etc/runit/runsvdir/default/getty-tty1": "-> /etc/sv/getty-tty1", "/etc/sv/getty-tty1/run": "x", "/etc/runit/runsvdir/default/ssh": "-> /etc/sv/ssh"})
	out["debian12-finit"] = twelve("finit", "4.3", map[string]string{"/sbin/init": "-> finit", "/sbin/finit": elf(64, x8664, loader64, "Finit v4.3"),
		"/lib/finit/system/10-hotplug.conf": "service udevd\n", "/etc/finit.d/getty.conf": "-> available/getty.conf", "/etc/finit.d/available/getty.conf": "tty [12345] /dev/tty1 115200 linux noclear\ntty [12345] @console noclear\nservice [2345] x\n"})
	for _, d := range []struct{ version, marker, codename, libc string }{
		{"1", "jessie", "", "2.19"}, {"2", "ascii", "", "2.24"}, {"3", "beowulf", "3", "2.28"}, {"4", "chimaera", "4", "2.31"}, {"5", "daedalus", "5", "2.36"}, {"6", "excalibur", "6", "2.41"},
	} {
		name := "Devuan GNU/Linux " + d.marker
		out["devuan"+d.version] = era{tree(debianBoot("2.96"), triplet(d.libc), dpkg, osRelease("devuan", d.codename, name),
			map[string]string{"/etc/devuan_version": d.marker + "\n", "/etc/debian_version": "12.0\n"}),
			guest("debian", "devuan", d.version, name, "sysvinit", "2.96", "glibc", d.libc, "dpkg")}
	}
	// An os-release that was left as the parent has it.
	out["devuan-disguised"] = era{tree(debianBoot("2.96"), triplet("2.36"), dpkg, osRelease("debian", "12", "Debian GNU/Linux 12 (bookworm)"), map[string]string{"/etc/devuan_version": "daedalus\n"}),
		guest("debian", "devuan", "5", "Devuan GNU/Linux daedalus", "sysvinit", "2.96", "glibc", "2.36", "dpkg")}
	return out
}

// upstartJobs is Ubuntu's boot with upstart.
func upstartJobs(version string) map[string]string {
	return tree(debianBoot("x"), map[string]string{
		"/sbin/init":                elf(64, x8664, loader64, "init (upstart "+version+")"),
		"/etc/init/tty1.conf":       "start on stopped rc RUNLEVEL=[2345] and (\n            not-container or\n            container CONTAINER=lxc)\nstop on runlevel [!2345]\nexec /sbin/getty -8 38400 tty1\n",
		"/etc/init/networking.conf": "start on (local-filesystems\n\tand stopped udevtrigger)\ntask\nexec ifup -a\n",
		"/etc/init/udev.conf":       "start on virtual-filesystems\nexec udevd --daemon\n", "/etc/init/udevtrigger.conf": "start on (startup and\n          started udev)\ntask\n",
		"/etc/init/hwclock.conf": "start on starting mountall\ntask\n", "/etc/init/plymouth.conf": "start on starting mountall\n", "/etc/init/ssh.conf": "start on filesystem\n",
		"/lib/init/fstab": "/dev/root / rootfs defaults 0 1\nnone /proc proc nodev 0 0\nnone /sys/kernel/debug debugfs optional 0 0\nnone /sys/kernel/security securityfs optional 0 0\n",
	})
}

func ubuntus() map[string]era {
	out := map[string]era{}
	dpkg := map[string]string{"/var/lib/dpkg/status": "Package: base-files\nVersion: 1\n\n"}
	lsb := func(version, name string) map[string]string {
		return map[string]string{"/etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=" + version + "\nDISTRIB_DESCRIPTION=\"" + name + "\"\n", "/etc/debian_version": "x/sid\n"}
	}
	old := tree(debianBoot("x"), dpkg, lsb("8.04", "Ubuntu 8.04.4 LTS"), triplet("2.7"), map[string]string{
		"/sbin/init": elf(64, x8664, loader64, "upstart", "0.3.9"), "/etc/event.d/tty1": "start on stopped rc2\nstart on stopped rc3\nstop on runlevel 0\nrespawn\nexec /sbin/getty 38400 tty1\n",
		"/etc/event.d/rc2": "start on runlevel 2\nscript\nend script\n",
	})
	delete(old, "/etc/inittab")
	out["ubuntu8.04"] = era{old, guest("debian", "ubuntu", "8.04", "Ubuntu 8.04.4 LTS", "upstart", "0.3.9", "glibc", "2.7", "dpkg")}
	ten := tree(upstartJobs("0.6.5"), dpkg, lsb("10.04", "Ubuntu 10.04.4 LTS"), triplet("2.11"))
	out["ubuntu10.04"] = era{ten, guest("debian", "ubuntu", "10.04", "Ubuntu 10.04.4 LTS", "upstart", "0.6.5", "glibc", "2.11", "dpkg")}
	for _, u := range []struct{ version, name, upstart, libc string }{
		{"12.04", "Ubuntu precise (12.04.5 LTS)", "1.5", "2.15"}, {"14.04", "Ubuntu 14.04.6 LTS", "1.12.1", "2.19"},
	} {
		files := tree(upstartJobs(u.upstart), dpkg, lsb(u.version, u.name), osRelease("ubuntu", u.version, u.name), triplet(u.libc), map[string]string{
			"/etc/init/console.conf": "start on stopped rc RUNLEVEL=[2345] and container\nexec /sbin/getty -8 38400 console\n", "/etc/init/power-status-changed.conf": "start on power-status-changed\nexec /sbin/shutdown -h now\n",
			"/etc/init/networking.conf": "start on (local-filesystems\n\tand (stopped udevtrigger or container))\ntask\n",
			// As made for single programs.
			"/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n", "/sbin/initctl": "-> /bin/true", "/sbin/initctl.distrib": "the program", "/var/lib/dpkg/diversions": "/a\n/b\nx\n/sbin/initctl\n/sbin/initctl.distrib\n:\n",
			"/etc/apt/apt.conf.d/docker-clean": "x", "/etc/apt/apt.conf.d/70debconf": "x", "/run/systemd/container": "docker\n", "/.dockerenv": "",
		})
		out["ubuntu"+u.version] = era{files, guest("debian", "ubuntu", u.version, u.name, "upstart", u.upstart, "glibc", u.libc, "dpkg")}
	}
	for _, u := range []struct{ version, systemd, libc string }{
		{"16.04", "229", "2.23"}, {"18.04", "237", "2.27"}, {"20.04", "245", "2.31"}, {"22.04", "249", "2.35"}, {"24.04", "255", "2.39"}, {"26.04", "259", "2.43"},
	} {
		name := "Ubuntu " + u.version + " LTS"
		own := []string{"keyboard-setup.service", "open-iscsi.service"}
		if u.version == "26.04" {
			own = append(own, "netplan-configure.service")
		}
		out["ubuntu"+u.version] = era{tree(units(u.systemd, "/lib/systemd", own...), dpkg, triplet(u.libc), osRelease("ubuntu", u.version, name), lsb(u.version, name),
			map[string]string{"/sbin/init": "-> ../lib/systemd/systemd", "/sbin/agetty": "x"}),
			guest("debian", "ubuntu", u.version, name, "systemd", u.systemd, "glibc", u.libc, "dpkg")}
	}
	return out
}

func suses() map[string]era {
	rpm := map[string]string{"/var/lib/rpm/Packages": "x"}
	eleven := tree(sysv("2.86", "/sbin/mingetty"), glibcAt("2.11", false), rpm, map[string]string{
		"/etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n", "/etc/sysconfig/boot": "ROOTFS_FSCK=\"\"\nBOOT_SPLASH=\"yes\"\n",
		"/etc/rc.d": "-> init.d", "/etc/init.d/rc3.d/S01acpid": "-> ../acpid", "/etc/init.d/rc3.d/K02acpid": "-> ../acpid", "/etc/init.d/rc3.d/S05network": "-> ../network",
		"/etc/pam.d/sshd": "session required pam_loginuid.so\n",
	})
	for _, link := range []string{"S01boot.udev", "K03boot.udev", "S06boot.clock", "S07boot.rootfsck", "S09boot.localfs"} {
		eleven["/etc/init.d/boot.d/"+link] = "-> ../" + link[3:]
	}
	out := map[string]era{"sles11": {eleven, guest("suse", "sles", "11.4", "SUSE Linux Enterprise Server 11 (x86_64)", "sysvinit", "2.86", "glibc", "2.11", "rpm")}}
	old := tree(eleven, map[string]string{"/etc/SuSE-release": "openSUSE 11.4 (x86_64)\nVERSION = 11.4\nCODENAME = Celadon\n"})
	out["opensuse11.4"] = era{old, guest("suse", "opensuse", "11.4", "openSUSE 11.4 (x86_64)", "sysvinit", "2.86", "glibc", "2.11", "rpm")}
	for _, s := range []struct{ key, id, version, name, systemd, libc string }{
		{"sles12", "sles", "12.5", "SUSE Linux Enterprise Server 12 SP5", "228", "2.22"},
		{"sles15", "sles", "15.6", "SUSE Linux Enterprise Server 15 SP6", "254", "2.38"},
		{"opensuse13.2", "opensuse", "13.2", "openSUSE 13.2 (Harlequin)", "210", "2.19"},
		{"opensuse42.3", "opensuse", "42.3", "openSUSE Leap 42.3", "228", "2.22"},
		{"opensuse16", "opensuse-leap", "16.0", "openSUSE Leap 16.0", "257", "2.40"},
		{"opensuse15", "opensuse-leap", "15.6", "openSUSE Leap 15.6", "254", "2.38"},
		{"opensuse-tumbleweed", "opensuse-tumbleweed", "20251101", "openSUSE Tumbleweed", "257", "2.42"},
	} {
		out[s.key] = era{tree(mergedSystemd(s.systemd, s.libc, "kbd.service"), rpm, osRelease(s.id, s.version, s.name)),
			guest("suse", s.id, s.version, s.name, "systemd", s.systemd, "glibc", s.libc, "rpm")}
	}
	return out
}

func others() map[string]era {
	out := map[string]era{}
	type alpine struct{ key, version, shown, busybox, loader, libc, libcVersion string }
	musl := func(version string) alpine {
		return alpine{"alpine" + version, version + ".3", version, "1.36.1", "/lib/ld-musl-x86_64.so.1", "musl", "1.2.5"}
	}
	all := []alpine{{"alpine-edge", "3.24_alpha20251101", "edge", "1.37.0", "/lib/ld-musl-x86_64.so.1", "musl", "1.2.5"}}
	for _, version := range []string{"2.6", "2.7"} {
		all = append(all, alpine{"alpine" + version, version + ".6", version, "1.21.1", "/lib/ld64-uClibc.so.0", "uclibc", ""})
	}
	for minor := range 25 {
		all = append(all, musl(fmt.Sprintf("3.%d", minor)))
	}
	for _, a := range all {
		db, name := "/lib/apk/db/installed", "Alpine Linux v"+a.shown
		files := map[string]string{"/etc/alpine-release": a.version + "\n", "/sbin/init": "-> /bin/busybox", "/bin/busybox": elf(64, x8664, a.loader, "BusyBox v"+a.busybox+" (2024)"),
			"/etc/inittab": "::sysinit:/sbin/openrc sysinit\n::wait:/sbin/openrc default\ntty1::respawn:/sbin/getty 38400 tty1\n::ctrlaltdel:/sbin/reboot\n::shutdown:/sbin/openrc shutdown\n",
			"/sbin/openrc": "x", "/sbin/getty": "-> /bin/busybox", "/sbin/reboot": "-> /bin/busybox", "/etc/rc.conf": "#rc_sys=\"\"\n", "/etc/runlevels/boot/hwclock": "-> /etc/init.d/hwclock", "/etc/runlevels/boot/networking": "-> /etc/init.d/networking"}
		if a.libc == "uclibc" {
			name = "Alpine Linux " + a.version
		} else {
			maps.Copy(files, osRelease("alpine", a.version, name))
		}
		if a.shown == "edge" || a.libc == "musl" && before("3.22", a.shown) {
			db = "/usr" + db
		}
		files[db] = "P:musl\nV:" + a.libcVersion + "-r0\n\n"
		out[a.key] = era{files, guest("alpine", "alpine", a.shown, name, "busybox", a.busybox, a.libc, a.libcVersion, "apk")}
	}
	out["arch"] = era{tree(mergedSystemd("258", "2.42"), osRelease("arch", "", "Arch Linux"), map[string]string{"/var/lib/pacman/local/systemd-258.1-1/desc": "x"}),
		guest("arch", "arch", "", "Arch Linux", "systemd", "258", "glibc", "2.42", "pacman")}
	gentoo := tree(sysv("x", "/sbin/agetty"), glibcAt("2.40", false), osRelease("gentoo", "2.15", "Gentoo Linux"), map[string]string{
		"/sbin/init": elf(64, x8664, loader64), "/var/db/pkg/sys-apps/sysvinit-3.08/PF": "x", "/sbin/openrc": "x", "/etc/rc.conf": "rc_sys=\"prefix\"\n",
		"/etc/runlevels/sysinit/udev": "-> /etc/init.d/udev", "/etc/runlevels/boot/hwclock": "-> /etc/init.d/hwclock", "/etc/runlevels/default/sshd": "-> /etc/init.d/sshd"})
	out["gentoo"] = era{gentoo, guest("gentoo", "gentoo", "2.15", "Gentoo Linux", "sysvinit", "3.08", "glibc", "2.40", "portage")}
	for _, s := range []struct{ version, init, libc string }{{"14.2", "2.88", "2.23"}, {"15.0", "2.99", "2.33"}} {
		files := tree(sysv(s.init, "/sbin/agetty"), glibcAt(s.libc, false), map[string]string{"/etc/slackware-version": "Slackware " + s.version + "\n", "/etc/rc.d/rc.S": "#!/bin/bash\n/sbin/hwclock --hctosys\nif [ -x /etc/rc.d/rc.udev ]; then\n  /bin/sh /etc/rc.d/rc.udev start\nfi\n  /sbin/fsck -C -a /\n",
			"/etc/rc.d/rc.udev": "#!/bin/sh\n", "/var/log/packages/sysvinit-" + s.init: "x"})
		name := "Slackware " + s.version
		if s.version == "15.0" {
			name = "Slackware 15.0 x86_64"
			maps.Copy(files, osRelease("slackware", "15.0", name))
		}
		out["slackware"+s.version] = era{files, guest("slackware", "slackware", s.version, name, "bsd", s.init, "glibc", s.libc, "pkgtool")}
	}
	void := map[string]string{"/sbin": "-> usr/bin", "/usr/bin/init": "-> runit-init", "/usr/bin/runit-init": elf(64, x8664, loader64), "/usr/bin/agetty": "x", "/var/db/xbps/pkgdb-0.38.plist": "x",
		"/etc/runit/runsvdir/default/agetty-tty1": "-> /etc/sv/agetty-tty1", "/etc/runit/runsvdir/default/udevd": "-> /etc/sv/udevd", "/etc/sv/agetty-console/run": "x", "/etc/sv/agetty-tty1/run": "x"}
	out["void"] = era{tree(void, osRelease("void", "", "Void Linux")), guest("void", "void", "", "Void Linux", "runit", "", "glibc", "", "xbps")}
	return out
}
