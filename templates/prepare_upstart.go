package templates

import (
	"path"
	"regexp"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	jobs    = "/etc/init"
	oldJobs = "/etc/event.d" // upstart before 0.5: no suffix, another syntax

	consoleJob = jobs + "/sysctl-console.conf"
	powerJob   = jobs + "/power-status-changed.conf"
)

// upstartConsole stops the jobs of the virtual terminals and makes sure of one for the console.
func upstartConsole(p *plan) {
	stopJobs(p, "tty[0-9]", "serial", "prefdm")
	// Red Hat's start-ttys starts one instance of the job tty for each of these.
	const consoles = "/etc/sysconfig/init"
	active := regexp.MustCompile(`(?m)^ACTIVE_CONSOLES=.*$`)
	p.edit(consoles, active.ReplaceAllString(p.text(consoles), "ACTIVE_CONSOLES="))

	command := gettyCommand(p)
	if command == "" {
		return
	}
	switch {
	case has(p.t, jobs+"/console.conf"): // Ubuntu's own, for containers
	case has(p.t, jobs):
		p.write(consoleJob, "description \"login on the console\"\nstart on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\n"+
			"respawn\nexec "+command+"\n", 0o644)
	case has(p.t, oldJobs):
		text := ""
		for _, level := range strings.Split("2345", "") {
			text += "start on stopped rc" + level + "\n"
		}
		for _, level := range strings.Split("016", "") {
			text += "stop on runlevel " + level + "\n"
		}
		p.write(oldJobs+"/console", text+"respawn\nexec "+command+"\n", 0o644)
	}
}

// upstartPowerFail adds a job for the event of the power-fail signal where none is there.
func upstartPowerFail(p *plan) {
	starts := regexp.MustCompile(`(?m)^\s*start\s+on\b.*\bpower-status-changed\b`)
	for _, name := range append(p.list(jobs, "*.conf"), p.list(oldJobs, "*")...) {
		if starts.MatchString(p.text(name)) {
			return
		}
	}
	name := powerJob
	if !has(p.t, jobs) {
		name = path.Join(oldJobs, "power-status-changed")
	}
	p.write(name, "start on power-status-changed\nexec /sbin/shutdown -h now\n", 0o644)
}

// stopJobs keeps upstart from starting jobs by itself. Patterns are those of path.Match, without suffix.
func stopJobs(p *plan, patterns ...string) {
	if p.g.Init != "upstart" {
		return
	}
	for _, pattern := range patterns {
		for _, name := range p.list(jobs, pattern+".conf") {
			if !overrides(p.g) {
				p.edit(name, withoutStart(p.text(name)))
				continue
			}
			// An override that is there is the administrator's.
			override := strings.TrimSuffix(name, ".conf") + ".override"
			if _, err := p.t.Lstat(override); err != nil {
				p.write(override, "manual\n", 0o644)
			}
		}
		for _, name := range p.list(oldJobs, pattern) {
			p.edit(name, withoutStart(p.text(name)))
		}
	}
}

// overrides reports whether upstart reads .override files: since 1.3.
func overrides(g sysctl.Guest) bool { return g.InitVersion != "" && !before(g.InitVersion, "1.3") }

// withoutStart switches off the stanzas of a job that say when it starts: each goes on while parentheses are
// open or a line ends in a backslash.
func withoutStart(text string) string {
	start := regexp.MustCompile(`^\s*start\s+on\b`)
	open, on := 0, false
	return mapLines(text, func(line string) string {
		if !on && !start.MatchString(line) {
			return line
		}
		open += strings.Count(line, "(") - strings.Count(line, ")")
		on = open > 0 || strings.HasSuffix(line, `\`)
		if !on {
			open = 0
		}
		return marked + line
	})
}

// networkWithoutUdev has Ubuntu's job networking not wait for udev's job, as releases that know containers do.
func networkWithoutUdev(p *plan) {
	const name = jobs + "/networking.conf"
	p.edit(name, regexp.MustCompile(`\s+and\s+stopped\s+udevtrigger\b`).ReplaceAllString(p.text(name), ""))
}

// virtualMounts takes out of mountall's own table what a container may not mount: it would wait for it.
func virtualMounts(p *plan) {
	const name = "/lib/init/fstab"
	kinds := regexp.MustCompile(`^\s*[^#\s]\S*\s+\S+\s+(?:debugfs|securityfs|fusectl|spufs|pstore|efivarfs|configfs|hugetlbfs|binfmt_misc)\s`)
	p.edit(name, mapLines(p.text(name), func(line string) string {
		if kinds.MatchString(line) {
			return marked + line
		}
		return line
	}))
}
