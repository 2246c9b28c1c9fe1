package templates

import "strings"

// hostSteps undo what the tree expects of a machine of its own.
func hostSteps() []Step {
	return []Step{{
		Name: "fstab-empty", Version: 1,
		Why:     "the disks in fstab do not exist here: init would wait for them",
		Touches: []string{"/etc/fstab"},
		applies: anyGuest, plan: emptyFstab,
	}, {
		Name: "mtab-link", Version: 1,
		Why:     "a list of mounts that was copied from a machine is wrong for ever",
		Touches: []string{"/etc/mtab"},
		applies: anyGuest, plan: linkMtab,
	}, {
		Name: "resolv-conf", Version: 1,
		Why:     "resolv.conf is a link to what nothing in the guest writes",
		Touches: []string{"/etc/resolv.conf"},
		applies: anyGuest, plan: resolvConf,
	}}
}

// marked is put before a line that was switched off, so that it can be found and switched on again.
const marked = "#sysctl# "

// emptyFstab switches off every line that mounts something, but keeps it for its reader.
func emptyFstab(p *plan) {
	const name = "/etc/fstab"
	p.edit(name, mapLines(p.text(name), func(line string) string {
		if s := strings.TrimSpace(line); s == "" || s[0] == '#' {
			return line
		}
		return marked + line
	}))
}

// linkMtab links mtab to the kernel's list. Where there is none, systemd and busybox do without or make the link
// themselves; boot scripts of others write a file.
func linkMtab(p *plan) {
	const name = "/etc/mtab"
	target, err := p.t.Readlink(name)
	if err == nil && strings.Contains(target, "proc/") {
		return
	}
	if _, err := p.t.Lstat(name); err != nil && (p.g.Init == "systemd" || p.g.Init == "busybox") {
		return
	}
	p.link(name, "/proc/mounts") // /proc/self/mounts is the same, but old mount(8) knows only this one
}

// resolvConf makes resolv.conf a file, except where the guest runs what the link leads to.
func resolvConf(p *plan) {
	const name = "/etc/resolv.conf"
	target, err := p.t.Readlink(name)
	if err != nil {
		return
	}
	if strings.Contains(target, "systemd/resolve") && enabled(p.t, "systemd-resolved.service") ||
		strings.Contains(target, "resolvconf") && has(p.t, "/sbin/resolvconf") {
		return
	}
	p.write(name, p.text(name), 0o644)
}

// mapLines applies f to every line of text, without its newline.
func mapLines(text string, f func(line string) string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i < len(lines)-1 || line != "" {
			lines[i] = f(line)
		}
	}
	return strings.Join(lines, "\n")
}
