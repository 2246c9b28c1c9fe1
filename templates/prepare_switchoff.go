package templates

import (
	"regexp"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// switchOff is a part of booting that belongs to a machine and not to a container, with the names it goes by under
// each init. What the tree does not have is left out.
type switchOff struct {
	name, why string
	raised    int // how often the step has become another: its version less 1

	units    []string // of systemd: masked
	jobs     []string // of upstart: do not start by themselves (patterns of path.Match)
	scripts  []string // of /etc/init.d: taken out of the runlevels
	endings  []string // of those scripts: do nothing but at a halt, from which they are taken out too
	programs []string // called by boot scripts in one file (rc.sysinit, rc.S): regular expressions
	files    []string // of Slackware's /etc/rc.d: made not executable (patterns)

	unitsFor func(g sysctl.Guest) bool // nil: all guests with systemd
	more     func(p *plan)             // what else belongs to it, and
	touches  []string                  // which files that is
}

// switchOffSteps are the steps of switchOffs.
func switchOffSteps() []Step {
	var steps []Step
	for _, s := range switchOffs() {
		version := 1 + s.raised
		if s.scripts != nil {
			version++ // insserv's tables are corrected too
		}
		steps = append(steps, Step{Name: s.name, Version: version, Why: s.why, Touches: s.paths(), applies: anyGuest, plan: s.plan})
	}
	return steps
}

func (s switchOff) plan(p *plan) {
	if hasSystemd(p.g) && (s.unitsFor == nil || s.unitsFor(p.g)) {
		mask(p, s.units...)
	}
	stopJobs(p, s.jobs...)
	if s.scripts != nil {
		stopScripts(p, s.scripts, s.endings)
	}
	stopPrograms(p, s.programs...)
	stopFiles(p, s.files...)
	if s.more != nil {
		s.more(p)
	}
}

// paths is what the step may touch.
func (s switchOff) paths() []string {
	var out []string
	for _, kind := range []struct {
		names  []string
		format string
	}{
		{s.units, etcUnits + "/{%}"}, {s.jobs, jobs + "/{%}.{conf,override}"}, {s.jobs, oldJobs + "/{%}"},
		{s.scripts, "/etc/{rc?.d,rc.d/rc?.d,init.d/rc?.d,init.d/boot.d}/[SK]??{%}"}, {s.scripts, "/etc/runlevels/*/{%}"}, {s.files, "/etc/rc.d/{%}"},
	} {
		if kind.names != nil {
			out = append(out, strings.Replace(kind.format, "%", strings.Join(kind.names, ","), 1))
		}
	}
	if s.scripts != nil {
		out = append(out, dependFiles()...)
	}
	if s.programs != nil {
		out = append(out, "/etc/rc.d/{rc.sysinit,init.d/halt,rc.S,rc.M,rc.6}")
	}
	return append(out, s.touches...)
}

// names splits a list of names.
func names(s string) []string { return strings.Fields(s) }

func switchOffs() []switchOff {
	return append(hardware(), services()...)
}

// hardware is what deals with devices.
func hardware() []switchOff {
	return []switchOff{{
		name: "udev-off", why: "devices are the host's business: udev would replace /dev or wait for them", raised: 1,
		units: names("systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service " +
			"systemd-udev-settle.service udev.service udev-trigger.service udev-settle.service"),
		// NetworkManager and wicked look into udev's database.
		unitsFor: debianGuest,
		jobs:     names("udev udevtrigger udevmonitor udev-finish udev-fallback-graphics upstart-udev-bridge"),
		scripts:  names("udev udev-mtab udev-post udev-trigger udev-settle udev-finish eudev eudev-finish boot.udev boot.udev_retry mdev hwdrivers haldaemon hal"),
		programs: names("start_udev"),
		files:    names("rc.udev rc.hald"),
		more:     noUdev, touches: []string{jobs + "/networking.conf", "/etc/finit.d/" + hotplug, netplanTells},
	}, {
		name: "hwclock-off", why: "only the host may set the machine's clock",
		units:    names("hwclock.service hwclock-load.service hwclock-save.service hwclockfirst.service hwclock-set.service"),
		jobs:     names("hwclock hwclock-save"),
		scripts:  names("hwclock hwclock.sh hwclockfirst.sh boot.clock"),
		programs: names("hwclock"),
	}, {
		name: "fsck-off", why: "the root is mounted and checked by the host before init runs",
		scripts:  names("checkroot.sh checkfs.sh boot.rootfsck fsck root"),
		programs: names("fsck"),
		more:     noFsck, touches: []string{"/forcefsck", "/etc/sysconfig/boot"},
	}, {
		name: "disks-off", why: "disks, volumes, quotas and swap are the host's", raised: 2,
		units: names("lvm2-monitor.service lvm2-lvmetad.socket lvm2-lvmetad.service lvm2-lvmpolld.socket mdmonitor.service mdadm.service dm-event.socket " +
			"dm-event.service dmraid-activation.service multipathd.service multipathd.socket iscsi.service iscsid.service " +
			"iscsid.socket open-iscsi.service blk-availability.service smartd.service smartmontools.service quotaon.service systemd-quotacheck.service " +
			"cryptdisks.service cryptdisks-early.service fstrim.timer e2scrub_all.timer e2scrub_reap.service mdcheck_start.timer mdcheck_continue.timer " +
			"mdmonitor-oneshot.timer raid-check.timer"),
		jobs: names("mdadm lvm2 lvm2-monitor cryptdisks* multipath-tools* smartd"),
		scripts: names("lvm lvm2 lvm2-monitor lvm2-lvmetad blk-availability mdadm mdadm-raid mdmonitor mdmpd multipathd multipath-tools multipath-tools-boot " +
			"dmraid cryptdisks cryptdisks-early quota quotarpc iscsi iscsid open-iscsi smartd smartmontools umountfs umountroot swap " +
			"boot.lvm boot.md boot.crypto boot.crypto-early boot.device-mapper boot.swap boot.multipath boot.dmraid boot.quota"),
		endings: names("umountfs umountroot"),
		programs: names(`lvm(?:\.static)? vgscan vgchange dmraid(?:\.static)? mdadm cryptsetup multipath(?:\.static)? kpartx dmsetup nash ` +
			`quotacheck quotaon quotaoff swapon swapoff raidautorun`),
		files: names("rc.lvm rc.smartd rc.mdadm"),
		more:  noVolumes, touches: []string{"/.nolvm"},
	}, {
		name: "modules-off", why: "the kernel is the host's: a guest can load no modules",
		units: names("systemd-modules-load.service kmod-static-nodes.service kmod.service module-init-tools.service systemd-binfmt.service " +
			"rhel-loadmodules.service fedora-loadmodules.service microcode.service microcode_ctl.service kdump.service kexec-load.service kexec.service"),
		jobs:     names("module-init-tools kmod kexec-disable"),
		scripts:  names("module-init-tools kmod modutils modules boot.loadmodules kdump boot.kdump kexec kexec-load microcode_ctl microcode.ctl kudzu"),
		programs: names("modprobe insmod rmmod depmod kmodule"),
		files:    names("rc.modules rc.modules-* rc.modules.local"),
	}, {
		name: "keymap-off", why: "a container's console has neither keyboard nor fonts",
		units: names("systemd-vconsole-setup.service keyboard-setup.service console-setup.service kbd.service"),
		jobs:  names("console-setup console-font setvtrgb"),
		scripts: names("keymap.sh keymap keymaps consolefont loadkmap keyboard-setup keyboard-setup.sh console-setup console-setup.sh console-screen.sh kbd earlykbd " +
			"boot.kbd gpm"),
		programs: names("setsysfont loadkeys setfont"),
		files:    names("rc.keymap rc.font rc.gpm"),
	}, {
		name: "plymouth-off", why: "there is no screen for a splash: what waits for it waits for ever",
		units: names("plymouth-start.service plymouth-read-write.service plymouth-quit.service plymouth-quit-wait.service plymouth-reboot.service " +
			"plymouth-halt.service plymouth-poweroff.service plymouth-kexec.service plymouth-switch-root.service systemd-ask-password-plymouth.path"),
		jobs:     names("plymouth* quit-plymouth splash-manager"),
		scripts:  names("plymouth plymouth-log usplash splashy boot.splash earlyxdm"),
		programs: names("plymouth rhgb-client rhgb"),
	}}
}

// services is what wants the kernel or the hardware to itself, and cannot have it.
func services() []switchOff {
	return []switchOff{{
		name: "kernel-log-off", why: "the kernel's log is the host's: what reads it fails or spins",
		jobs: names("rsyslog-kmsg dmesg"), scripts: names("klogd boot.klog"),
		more: noKernelLog, touches: []string{"/etc/rsyslog.conf", "/etc/rc.d/init.d/syslog"},
	}, {
		name: "kernel-mounts-off", why: "the mount needs a kernel of its own and would fail in a container",
		units: names("dev-hugepages.mount sys-kernel-debug.mount sys-kernel-config.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount " +
			"proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount"),
		scripts: names("mountoverflowtmp mountdebugfs"),
		more:    virtualMounts, touches: []string{"/lib/init/fstab"},
	}, {
		name: "firstboot-off", why: "it asks for what is known, on the console, and the boot waits for answers",
		units: names("systemd-firstboot.service systemd-homed-firstboot.service firstboot-text.service firstboot-graphical.service initial-setup.service " +
			"initial-setup-text.service initial-setup-graphical.service jeos-firstboot.service YaST2-Firstboot.service"),
	}, {
		name: "network-wait-off", why: "it waits two minutes for links that it does not manage",
		units: names("systemd-networkd-wait-online.service"),
	}, {
		name: "time-sync-off", why: "only the host may set the time: a daemon for it fails",
		units:   names("ntp.service ntpd.service ntpdate.service ntpsec.service chronyd.service chrony.service chrony-wait.service openntpd.service"),
		jobs:    names("ntp ntpdate"),
		scripts: names("ntp ntpd ntpdate ntpsec chronyd chrony openntpd xntpd"),
		files:   names("rc.ntpd"),
	}, {
		name: "services-off", why: "the service looks after hardware, the kernel's audit or a kind of machine that is not there",
		units: names("auditd.service systemd-journald-audit.socket acpid.service acpid.socket acpid.path irqbalance.service tuned.service cpupower.service " +
			"cpuspeed.service ksm.service ksmtuned.service mcelog.service rngd.service rng-tools.service thermald.service lm_sensors.service " +
			"lm-sensors.service vmtoolsd.service open-vm-tools.service vgauthd.service qemu-guest-agent.service hypervkvpd.service hypervvssd.service " +
			"rhel-autorelabel.service rhel-autorelabel-mark.service rhel-dmesg.service rhel-configure.service rhel-readonly.service " +
			"fedora-autorelabel.service fedora-readonly.service systemd-readahead-collect.service systemd-readahead-replay.service systemd-readahead-drop.service"),
		jobs: names("acpid irqbalance cgmanager cgproxy cgroup-lite ureadahead* readahead* whoopsie apport"),
		scripts: names("acpid acpi-support apmd auditd boot.auditd cpuspeed cpufreq cpufrequtils loadcpufreq dund pand hidd bluetooth firstboot irda irqbalance " +
			"isdn lm_sensors lm-sensors sensors mcelog mcelogd netconsole netdump netplugd pcmcia pcmciautils pcscd rawdevices rhnsd rdma rngd rng-tools " +
			"tuned ktune thermald vmtoolsd vmware-tools open-vm-tools qemu-ga qemu-guest-agent cgconfig cgred cgroup-bin readahead_early readahead_later " +
			"boot.readahead readahead-fedora ipmi ipmievd laptop-mode"),
		files: names("rc.acpid rc.alsa rc.bluetooth rc.cpufreq rc.pcmcia rc.scanluns"),
	}, {
		name: "halt-mounts", why: "what the host mounted below /sys cannot be unmounted: halting would try and wait",
		more: keepSysMounts, touches: []string{"/etc/rc.d/init.d/halt"},
	}}
}

// hotplug is where finit starts udev, or what takes its place. A file of that name in /etc/finit.d is read instead.
const hotplug = "10-hotplug.conf"

// netplanTells is a setting of netplan's unit, since Ubuntu 26.04: it fails where it cannot tell udev to rename interfaces.
const netplanTells = etcUnits + "/netplan-configure.service.d/sysctl-no-udev.conf"

func noUdev(p *plan) {
	networkWithoutUdev(p)
	if hasSystemd(p.g) && debianGuest(p.g) && unit(p, "netplan-configure.service") != "" {
		p.write(netplanTells, "# no udev in a container\n[Service]\nExecStartPost=\n", 0o644)
	}
	if p.g.Init == "finit" && has(p.t, "/lib/finit/system/"+hotplug) && !has(p.t, "/etc/finit.d/"+hotplug) {
		p.write("/etc/finit.d/"+hotplug, "# no udev in a container\n", 0o644)
	}
}

// noFsck switches off the check in SUSE's settings, and a check that somebody asked for.
func noFsck(p *plan) {
	p.remove("/forcefsck")
	if p.g.Family != "suse" || hasSystemd(p.g) {
		return
	}
	const name = "/etc/sysconfig/boot"
	setting := regexp.MustCompile(`(?m)^ROOTFS_FSCK=.*$`)
	p.edit(name, setting.ReplaceAllString(p.text(name), `ROOTFS_FSCK="0"`))
}

// noVolumes is how Red Hat's scripts of the time of upstart are told to leave volumes alone.
func noVolumes(p *plan) {
	if p.g.Family == "rhel" && p.g.Init == "upstart" {
		p.write("/.nolvm", "", 0o644)
	}
}

// noKernelLog has syslog not read the kernel's log. Newer systems read it through the journal or give up quietly.
func noKernelLog(p *plan) {
	if hasSystemd(p.g) {
		return
	}
	const conf, script = "/etc/rsyslog.conf", "/etc/rc.d/init.d/syslog"
	module := regexp.MustCompile(`^\s*(?:\$ModLoad\s+imklog|module\(\s*load="imklog")`)
	p.edit(conf, mapLines(p.text(conf), func(line string) string {
		if module.MatchString(line) {
			return marked + line
		}
		return line
	}))
	p.edit(script, neutralise(p.text(script), []string{"klogd"}))
}

// keepSysMounts has Red Hat's halt pass over mounts below /sys, as it does over those below /proc and /dev.
func keepSysMounts(p *plan) {
	const name = "/etc/rc.d/init.d/halt"
	if hasSystemd(p.g) {
		return
	}
	over := regexp.MustCompile(`(\^\\/\$\|\^\\/proc\|\^\\/dev)/`)
	p.edit(name, over.ReplaceAllString(p.text(name), `${1}|^\/sys/`))
}
