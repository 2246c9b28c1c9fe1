package templates

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// hostSteps undo what the tree expects of a machine of its own, and what its maker left in it.
func hostSteps() []Step {
	return []Step{{
		Name: "fstab-empty", Version: 1,
		Why:     "the disks in fstab do not exist here: init would wait for them",
		Touches: []string{"/etc/fstab"},
		applies: anyGuest, plan: emptyFstab,
	}, {
		Name: "policy-rc-d", Version: 1,
		Why:     "a policy-rc.d left by the maker of the image keeps new packages from starting their services",
		Touches: []string{"/usr/sbin/policy-rc.d"},
		applies: func(g sysctl.Guest) bool { return g.Family == "debian" }, plan: policyRcD,
	}, {
		Name: "resolv-conf", Version: 1,
		Why:     "resolv.conf is a link to what nothing in the guest writes",
		Touches: []string{"/etc/resolv.conf"},
		applies: anyGuest, plan: resolvConf,
	}, {
		Name: "securetty", Version: 1,
		Why:     "root may log in on the instance's console",
		Touches: []string{"/etc/securetty"},
		applies: anyGuest, plan: securetty,
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

// policyRcD removes the policy that forbids everything, as image makers leave it; another is the user's.
func policyRcD(p *plan) {
	const name = "/usr/sbin/policy-rc.d"
	if strings.Contains(p.text(name), "exit 101") {
		p.remove(name)
	}
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

// securetty lets root log in on the console, where a file says from where root may.
func securetty(p *plan) {
	const name = "/etc/securetty"
	text := p.text(name)
	if text == "" {
		return // no file: from everywhere; an empty file: from nowhere, on purpose
	}
	have := strings.Fields(text)
	for _, tty := range []string{"console", "tty1", "tty2", "tty3", "tty4"} {
		if !slices.Contains(have, tty) {
			text = strings.TrimRight(text, "\n") + "\n" + tty + "\n"
		}
	}
	p.edit(name, text)
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
