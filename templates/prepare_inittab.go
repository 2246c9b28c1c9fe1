package templates

import (
	"regexp"
	"slices"
	"strings"
)

const inittab = "/etc/inittab"

// inittabLine is "id:runlevels:action:process"; busybox takes the id for a terminal.
type inittabLine struct{ id, levels, action, process string }

// parseInittab reads an active line.
func parseInittab(line string) (inittabLine, bool) {
	f := strings.SplitN(strings.TrimSpace(line), ":", 4)
	if len(f) < 4 || strings.HasPrefix(f[0], "#") {
		return inittabLine{}, false
	}
	return inittabLine{f[0], f[1], f[2], f[3]}, true
}

// program is the absolute path of what the line runs, or "" where it names none.
func (l inittabLine) program() string {
	p, _, _ := strings.Cut(strings.TrimLeft(l.process, "-+@ "), " ")
	if !strings.HasPrefix(p, "/") {
		return ""
	}
	return p
}

func (l inittabLine) getty() bool { return strings.Contains(l.program(), "getty") }

// consoleGettys switches off gettys on anything but the console, for init would start them for ever, and whatever
// starts programs the tree does not have; then it makes sure of one getty on the console.
func consoleGettys(p *plan, text string) string {
	console := false
	word := regexp.MustCompile(`\bconsole\b`)
	text = mapLines(text, func(line string) string {
		l, ok := parseInittab(line)
		switch {
		case !ok:
			return line
		case l.program() != "" && !has(p.t, l.program()):
			return marked + line
		case !l.getty():
			return line
		case word.MatchString(l.id + " " + l.process):
			console = true
			return line
		}
		return marked + line
	})
	if console {
		return text
	}
	command := gettyCommand(p)
	if command == "" {
		return text
	}
	if p.g.Init == "busybox" {
		command = "::respawn:" + command
	} else {
		command = "co:12345:respawn:" + command
	}
	return strings.TrimRight(text, "\n") + "\n" + command + "\n"
}

// powerfail has one line answer the power-fail signal, at once: stock lines wait for minutes.
func powerfail(text string) string {
	const halt = "p0::powerfail:/sbin/init 0"
	found, reboot := false, false
	text = mapLines(text, func(line string) string {
		l, ok := parseInittab(line)
		switch {
		case !ok:
		case strings.TrimSpace(line) == halt:
			found = true
		case slices.Contains([]string{"powerfail", "powerwait", "powerfailnow", "powerokwait"}, l.action):
			return marked + line
		case l.action == "ctrlaltdel":
			reboot = true
		}
		return line
	})
	text = strings.TrimRight(text, "\n") + "\n"
	if !found {
		text += halt + "\n"
	}
	if !reboot {
		text += "p6::ctrlaltdel:/sbin/init 6\n"
	}
	return text
}

// openrcSys sets rc_sys in a tree that has OpenRC.
func openrcSys(p *plan) {
	const name, want = "/etc/rc.conf", `rc_sys="lxc"`
	text := p.text(name)
	if !has(p.t, "/sbin/openrc") && !has(p.t, "/sbin/rc") {
		return
	}
	if text == "" {
		p.write(name, want+"\n", 0o644)
		return
	}
	set := regexp.MustCompile(`(?m)^[ \t]*rc_sys=.*$`)
	comment := regexp.MustCompile(`(?m)^#[ \t]*rc_sys=.*$`)
	switch {
	case set.MatchString(text):
		text = set.ReplaceAllString(text, want)
	case comment.MatchString(text):
		at := comment.FindStringIndex(text)
		text = text[:at[1]] + "\n" + want + text[at[1]:]
	default:
		text = strings.TrimRight(text, "\n") + "\n" + want + "\n"
	}
	p.edit(name, text)
}
