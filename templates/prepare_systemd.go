package templates

import (
	"path"

	"github.com/sysctl-os/sysctl"
)

// unitDirs is where packages install units.
func unitDirs() []string { return []string{"/usr/lib/systemd/system", "/lib/systemd/system"} }

const etcUnits = "/etc/systemd/system"

// systemdSteps are for guests whose init is systemd.
func systemdSteps() []Step {
	return []Step{{
		Name: "systemd-mask", Version: 1,
		Why:     "the unit needs a kernel of its own and would fail or wait in a container",
		Touches: []string{etcUnits + "/*.{service,socket,mount,automount}"},
		applies: hasSystemd, plan: maskKernelUnits,
	}, {
		Name: "systemd-udev-mask", Version: 1,
		Why:     "devices are the host's business; udev would wait for them",
		Touches: []string{etcUnits + "/systemd-udev*"},
		// NetworkManager of the Red Hat family looks into udev's database.
		applies: func(g sysctl.Guest) bool { return hasSystemd(g) && g.Family == "debian" }, plan: maskUdev,
	}, {
		Name: "console-getty", Version: 1,
		Why:     "a container has a console and no virtual terminals",
		Touches: []string{etcUnits + "/getty@tty1.service", etcUnits + "/getty.target.wants/console-getty.service"},
		applies: hasSystemd, plan: consoleGetty,
	}}
}

func maskKernelUnits(p *plan) {
	mask(p,
		"dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-config.mount", "sys-kernel-tracing.mount",
		"sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount",
		"systemd-modules-load.service", "systemd-binfmt.service", "systemd-journald-audit.socket",
		"systemd-networkd-wait-online.service", // waits two minutes for links that it does not manage
	)
}

func maskUdev(p *plan) {
	mask(p, "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
		"systemd-udev-trigger.service", "systemd-udev-settle.service")
}

// consoleGetty moves the login from a virtual terminal to the console.
func consoleGetty(p *plan) {
	if unit(p, "getty@.service") != "" {
		p.link(etcUnits+"/getty@tty1.service", "/dev/null")
	}
	if at := unit(p, "console-getty.service"); at != "" {
		p.link(etcUnits+"/getty.target.wants/console-getty.service", at)
	}
}

// mask wants units that a package brought never to start. One that the administrator wrote is left alone.
func mask(p *plan, units ...string) {
	for _, u := range units {
		if unit(p, u) == "" {
			continue
		}
		at := path.Join(etcUnits, u)
		if fi, err := p.t.Lstat(at); err == nil && fi.Mode().IsRegular() {
			continue
		}
		p.link(at, "/dev/null")
	}
}

// unit returns where a package installed a unit, or "".
func unit(p *plan, name string) string {
	for _, dir := range unitDirs() {
		if has(p.t, path.Join(dir, name)) {
			return path.Join(dir, name)
		}
	}
	return ""
}

// enabled reports whether some target wants a unit.
func enabled(t sysctl.Tree, name string) bool {
	entries, _ := t.ReadDir(etcUnits)
	for _, e := range entries {
		if path.Ext(e.Name()) != ".wants" {
			continue
		}
		if _, err := t.Lstat(path.Join(etcUnits, e.Name(), name)); err == nil {
			return true
		}
	}
	return false
}
