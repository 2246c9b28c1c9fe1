package templates

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// scriptDirs are the directories of links by which init runs boot scripts, each once.
func scriptDirs(p *plan) []string {
	var dirs, seen []string
	for _, base := range []string{"/etc", "/etc/rc.d", "/etc/init.d"} {
		for _, level := range strings.Split("S0123456", "") {
			dirs = append(dirs, base+"/rc"+level+".d")
		}
	}
	dirs = append(dirs, "/etc/init.d/boot.d")
	return slices.DeleteFunc(dirs, func(dir string) bool {
		at, err := p.t.Resolve(dir)
		if err != nil || slices.Contains(seen, at) {
			return true
		}
		seen = append(seen, at)
		return false
	})
}

// stopScripts takes boot scripts out of the runlevels, so that the distribution's own tool (update-rc.d, chkconfig,
// insserv, rc-update) shows them as off and switches them on again: they are still stopped at a halt, but for the endings among
// them, which do nothing else. systemd has units for what is here.
func stopScripts(p *plan, names, endings []string) {
	if p.g.Init == "systemd" {
		return
	}
	link := regexp.MustCompile(`^([SK])(\d\d)(.+)$`)
	for _, dir := range scriptDirs(p) {
		all := p.list(dir, "[SK][0-9][0-9]*")
		for _, at := range all {
			m := link.FindStringSubmatch(path.Base(at))
			if !slices.Contains(names, m[3]) || m[1] == "K" && p.g.Family != "suse" && !slices.Contains(endings, m[3]) {
				continue
			}
			p.remove(at)
			if p.g.Family == "rhel" && m[1] == "S" { // chkconfig puts back a script that is neither started nor stopped
				killLink(p, at, m[2], m[3], all)
			}
		}
	}
	for _, name := range names {
		for _, level := range p.list("/etc/runlevels", "*") {
			p.remove(path.Join(level, name))
		}
	}
	for _, at := range dependFiles() {
		gone := names
		if path.Ext(at) == ".stop" && p.g.Family != "suse" {
			gone = endings
		}
		if text := p.text(at); text != "" && len(gone) > 0 {
			p.edit(at, withoutScripts(text, gone))
		}
	}
}

// dependFiles are insserv's tables by which startpar runs boot scripts beside each other.
func dependFiles() []string {
	return []string{"/etc/init.d/.depend.boot", "/etc/init.d/.depend.start", "/etc/init.d/.depend.stop"}
}

// withoutScripts takes scripts out of such a table as insserv does: what came after one of them comes after what that came
// after. A script that is named but not run would count as done at once.
func withoutScripts(table string, names []string) string {
	after := map[string][]string{}
	for line := range strings.Lines(table) {
		if name, rest, ok := strings.Cut(line, ":"); ok {
			after[name] = strings.Fields(rest)
		}
	}
	var keep func(list []string, seen map[string]bool) []string
	keep = func(list []string, seen map[string]bool) (out []string) {
		for _, name := range list {
			switch {
			case seen[name]:
				continue
			case slices.Contains(names, name):
				seen[name] = true
				out = append(out, keep(after[name], seen)...)
			default:
				seen[name] = true
				out = append(out, name)
			}
		}
		return out
	}
	var out []string
	for _, line := range strings.Split(table, "\n") {
		head, rest, sep := line, "", ""
		for _, sep = range []string{" =", ":"} {
			var ok bool
			if head, rest, ok = strings.Cut(line, sep); ok {
				break
			}
		}
		list := strings.Fields(rest)
		switch {
		case slices.Contains(names, head):
			continue
		case !slices.ContainsFunc(list, func(name string) bool { return slices.Contains(names, name) }):
			out = append(out, line)
			continue
		case sep == " =": // the scripts there are, and those that talk to people
			list = slices.DeleteFunc(list, func(name string) bool { return slices.Contains(names, name) })
		default:
			list = keep(list, map[string]bool{head: true})
		}
		if head += sep; len(list) > 0 || sep == " =" {
			out = append(out, strings.TrimRight(head+" "+strings.Join(list, " "), " "))
		}
	}
	return strings.Join(out, "\n")
}

// killLink links the script of the start link at so that it is stopped, unless it is already.
func killLink(p *plan, at, number, name string, all []string) {
	target, err := p.t.Readlink(at)
	n, _ := strconv.Atoi(number)
	if err != nil || slices.ContainsFunc(all, func(other string) bool {
		return path.Base(other)[0] == 'K' && path.Base(other)[3:] == name
	}) {
		return
	}
	p.link(path.Join(path.Dir(at), fmt.Sprintf("K%02d%s", min(100-n, 99), name)), target)
}

// bootScripts are the scripts that do everything in one file, with functions of the distribution around commands.
func bootScripts(p *plan) []string {
	var out []string
	for _, name := range []string{"/etc/rc.d/rc.sysinit", "/etc/rc.sysinit", "/etc/rc.d/init.d/halt", "/etc/rc.d/rc.S", "/etc/rc.d/rc.M", "/etc/rc.d/rc.6"} {
		if at, err := p.t.Resolve(name); err == nil && !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

// neutralise puts a command that does nothing before commands of a script that run one of programs (regular expressions
// without a directory), so that what is around them stays valid whatever it is. Where the script asks whether the program
// succeeds in order to go on with it, the answer is no: "false"; else it is ":".
func neutralise(script string, programs []string) string {
	command := regexp.MustCompile(`(?m)(^[ \t]*|[;|&({][ \t]*|\b(?:then|do|else|if|elif|while|until)[ \t]+|![ \t]+|` +
		`\baction(?:_silent)?[ \t]+\$?"[^"\n]*"[ \t]+|\bdaemon[ \t]+)` +
		`((?:/usr)?(?:/s?bin/)?(?:` + strings.Join(programs, "|") + `)(?:[ \t;]|$))`)
	asks, goesOn := regexp.MustCompile(`^(?:if|elif|while)\b`), regexp.MustCompile(`;[ \t]*(?:then|do)\b|&&`)
	return mapLines(script, func(line string) string {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			return line
		}
		// Matches overlap: one ends in what the next begins with.
		for {
			m := command.FindStringSubmatchIndex(line)
			if m == nil {
				return line
			}
			head, rest := line[:m[4]], line[m[4]:]
			nothing := ": "
			negated := strings.HasSuffix(strings.TrimSpace(head), "!")
			if !negated && (asks.MatchString(line[m[2]:]) || goesOn.MatchString(rest)) {
				nothing = "false "
			}
			line = head + nothing + rest
		}
	})
}

// stopPrograms neutralises programs in the boot scripts.
func stopPrograms(p *plan, programs ...string) {
	if p.g.Init == "systemd" || len(programs) == 0 {
		return
	}
	for _, name := range bootScripts(p) {
		p.edit(name, neutralise(p.text(name), programs))
	}
}

// stopFiles takes from Slackware's scripts the mode by which they are on.
func stopFiles(p *plan, names ...string) {
	if p.g.Init != "bsd" {
		return
	}
	for _, name := range names {
		for _, at := range p.list("/etc/rc.d", name) {
			if fi, err := p.t.Lstat(at); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				p.chmod(at, fi.Mode().Perm()&^0o111)
			}
		}
	}
}
