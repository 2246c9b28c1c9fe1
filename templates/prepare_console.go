package templates

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// consoleSteps give the guest one login and a way to be halted.
func consoleSteps() []Step {
	return []Step{{
		Name: "console", Version: 2,
		Why: "a container has a console and no virtual terminals",
		Touches: []string{inittab, etcUnits + "/getty@tty1.service", etcUnits + "/console-getty.service",
			etcUnits + "/getty.target.wants/console-getty.service", "/etc/init/{tty*,serial,prefdm}.{conf,override}", "/etc/event.d/{tty*,console}",
			consoleJob, "/etc/sysconfig/init", "/etc/runit/runsvdir/default/*{getty,console}*", "/etc/service/*{getty,console}*", "/etc/sv/sysctl-console/run",
			"/etc/runlevels/default/agetty.*", "/etc/init.d/agetty.console",
			"/etc/finit.conf", "/etc/finit.d/*.conf", "/etc/finit.d/available/*.conf"},
		applies: anyGuest, plan: console,
	}, {
		Name: "power-fail", Version: 2,
		Why: "init's signal to halt or for a failing power supply halts a container, at once: stock guests wait for minutes or do nothing",
		Touches: []string{inittab, powerJob, "/etc/event.d/power-status-changed", runitHalt + "/run",
			"/etc/runit/runsvdir/default/" + path.Base(runitHalt), "/etc/service/" + path.Base(runitHalt)},
		applies: func(g sysctl.Guest) bool {
			return slices.Contains([]string{"sysvinit", "bsd", "upstart", "runit"}, g.Init)
		},
		plan: powerFail,
	}, {
		Name: "openrc-sys-lxc", Version: 1,
		Why:     "OpenRC leaves out what a container cannot do when it knows that it is in one",
		Touches: []string{"/etc/rc.conf"},
		applies: func(g sysctl.Guest) bool { return g.Init != "systemd" && g.Init != "upstart" },
		plan:    openrcSys,
	}}
}

func console(p *plan) {
	switch p.g.Init {
	case "systemd":
		systemdConsole(p)
	case "sysvinit", "bsd", "busybox":
		if text := p.text(inittab); text != "" {
			p.edit(inittab, consoleGettys(p, text))
		}
	case "upstart":
		upstartConsole(p)
	case "runit":
		runitConsole(p)
	case "openrc":
		openrcConsole(p)
	case "finit":
		finitConsole(p)
	}
}

// gettys are the programs that can open a console, the plainest first.
func gettys() []string { return []string{"/sbin/getty", "/sbin/mingetty", "/sbin/agetty"} }

// gettyCommand is the command that opens the console, or "" where the tree has none. A container may not hang
// it up (vhangup), which mingetty would take for an error.
func gettyCommand(p *plan) string {
	for _, program := range gettys() {
		if !has(p.t, program) {
			continue
		}
		switch program {
		case "/sbin/mingetty":
			return program + " --nohangup console"
		case "/sbin/agetty":
			return program + " console 38400"
		}
		return program + " 38400 console"
	}
	return ""
}

// systemdConsole moves the login from a virtual terminal to the console. systemd before 197 has no unit for that.
func systemdConsole(p *plan) {
	const name = "console-getty.service"
	if unit(p, "getty@.service") != "" {
		p.link(etcUnits+"/getty@tty1.service", "/dev/null")
	}
	at := unit(p, name)
	if at == "" {
		command := gettyCommand(p)
		if command == "" || unit(p, "getty@.service") == "" {
			return
		}
		at = path.Join(etcUnits, name)
		p.write(at, "[Unit]\nDescription=Login on the console\nAfter=systemd-user-sessions.service rc-local.service\n\n"+
			"[Service]\nExecStart=-"+command+"\nType=idle\nRestart=always\nRestartSec=0\nStandardInput=tty\nTTYPath=/dev/console\n"+
			"TTYReset=yes\nKillMode=process\nIgnoreSIGPIPE=no\nSendSIGHUP=yes\n\n[Install]\nWantedBy=getty.target\n", 0o644)
	}
	p.link(etcUnits+"/getty.target.wants/"+name, at)
}

// runitServices is the directory of links to the services that runit runs, or "".
func runitServices(p *plan) string {
	for _, dir := range []string{"/etc/runit/runsvdir/default", "/etc/service"} {
		if has(p.t, dir) {
			return dir
		}
	}
	return ""
}

// runitHalt is a service that does one thing at boot.
const runitHalt = "/etc/sv/sysctl-halt"

// runitHaltRun lets the signal SIGCONT halt runit: it looks whether a file may be executed, which stage 1 takes away at every
// boot. Debian compiles in another name than the rest. Then the service asks to be left stopped.
const runitHaltRun = `#!/bin/sh
# runit halts at SIGCONT only while this file is executable.
stop=/etc/runit/stopit
if [ -e /run/runit.stopit ]; then stop=/run/runit.stopit; fi
[ -e "$stop" ] || : > "$stop"
chmod 100 "$stop"
exec sv d .
`

func runitPowerFail(p *plan) {
	if dir := runitServices(p); dir != "" {
		p.write(runitHalt+"/run", runitHaltRun, 0o755)
		p.link(path.Join(dir, path.Base(runitHalt)), runitHalt)
	}
}

// runitConsole takes the terminals' services out of the directory that runit watches and puts the console's in.
func runitConsole(p *plan) {
	dir := runitServices(p)
	if dir == "" {
		return
	}
	for _, name := range p.list(dir, "*getty-*") {
		if !strings.HasSuffix(name, "getty-console") {
			p.remove(name)
		}
	}
	const theirs, ours = "/etc/sv/agetty-console", "/etc/sv/sysctl-console"
	if has(p.t, theirs) {
		p.link(path.Join(dir, path.Base(theirs)), theirs)
	} else if command := gettyCommand(p); command != "" {
		p.write(ours+"/run", "#!/bin/sh\nexec "+command+"\n", 0o755)
		p.link(path.Join(dir, path.Base(ours)), ours)
	}
}

// openrcConsole does the same for openrc-init, which has a service for each terminal: a link to one script.
func openrcConsole(p *plan) {
	const script, runlevel = "/etc/init.d/agetty", "/etc/runlevels/default"
	for _, name := range p.list(runlevel, "agetty.tty*") {
		p.remove(name)
	}
	if has(p.t, script) {
		p.link(script+".console", "agetty")
		p.link(runlevel+"/agetty.console", script+".console")
	}
}

// finitConsole does the same to the lines that begin with tty. finit has a getty of its own.
func finitConsole(p *plan) {
	const own = "/etc/finit.d/sysctl-console.conf"
	line := regexp.MustCompile(`^\s*tty\s`)
	for _, name := range append(p.list("/etc/finit.d", "*.conf"), "/etc/finit.conf") {
		if name == own {
			continue
		}
		text := p.text(name)
		if off := mapLines(text, func(l string) string {
			if line.MatchString(l) {
				return marked + l
			}
			return l
		}); off != text {
			p.edit(name, off)
		}
	}
	// finit takes /dev/console for the consoles that the host's kernel has, which are not here.
	p.write(own, "tty [12345] console noclear nowait\n", 0o644)
}

// powerFail has one line or job answer the power-fail signal.
func powerFail(p *plan) {
	switch p.g.Init {
	case "upstart":
		upstartPowerFail(p)
		return
	case "runit":
		runitPowerFail(p)
		return
	}
	if text := p.text(inittab); text != "" {
		p.edit(inittab, powerfail(text))
	}
}
