package templates

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// accessSteps let people in: what decides about logins on a machine fails in a container.
func accessSteps() []Step {
	return []Step{{
		Name: "securetty", Version: 2,
		Why:     "root may log in on the instance's console, and on the terminals that exec gives",
		Touches: []string{"/etc/securetty"},
		applies: anyGuest, plan: securetty,
	}, {
		Name: "pam-loginuid", Version: 1,
		Why:     "the kernel refuses the audit id in a container; this era's PAM takes that for a failed login",
		Touches: []string{"/etc/pam.d/*"},
		applies: oldPAM, plan: pamLoginuid,
	}, {
		Name: "selinux-off", Version: 1,
		Why:     "the policy is the kernel's, and so the host's: a guest can neither load nor relabel",
		Touches: []string{"/etc/selinux/config", "/.autorelabel"},
		applies: anyGuest, plan: selinuxOff,
	}}
}

// securetty lets root log in on the console, where a file says from where root may.
func securetty(p *plan) {
	const name = "/etc/securetty"
	text := p.text(name)
	if text == "" {
		return // no file: from everywhere; an empty file: from nowhere, on purpose
	}
	have := strings.Fields(text)
	for _, tty := range []string{"console", "pts/0", "pts/1", "pts/2", "pts/3"} {
		if !slices.Contains(have, tty) {
			text = strings.TrimRight(text, "\n") + "\n" + tty + "\n"
		}
	}
	p.edit(name, text)
}

// pamLoginuid lets sessions begin where pam_loginuid fails.
func pamLoginuid(p *plan) {
	needed := regexp.MustCompile(`(?m)^(\s*-?session\s+)(?:required|requisite|\[[^\]\n]*\])(\s+(?:\S*/)?pam_loginuid\.so\b)`)
	for _, name := range p.list("/etc/pam.d", "*") {
		if text := p.text(name); needed.MatchString(text) {
			p.edit(name, needed.ReplaceAllString(text, "${1}optional${2}"))
		}
	}
}

// selinuxOff says "disabled", also where it is permissive: that too loads a policy.
func selinuxOff(p *plan) {
	const name = "/etc/selinux/config"
	on := regexp.MustCompile(`(?m)^([ \t]*SELINUX[ \t]*=[ \t]*)(?:enforcing|permissive)\b`)
	p.edit(name, on.ReplaceAllString(p.text(name), "${1}disabled"))
	p.remove("/.autorelabel")
}

// oldPAM reports whether the guest is of the time when pam_loginuid failed a login where the kernel does not let it write.
func oldPAM(g sysctl.Guest) bool {
	last := map[string]string{"debian": "8", "ubuntu": "15.10", "rhel": "7", "suse": "12.9", "opensuse": "13.2", "devuan": "1"}
	of, ok := last[g.ID]
	if !ok {
		of, ok = last[g.Family]
	}
	switch {
	case g.ID == "fedora":
		of = "23"
	case g.ID == "amzn": // the first was numbered by years
		return g.Version == "2" || strings.HasPrefix(g.Version, "201")
	}
	return ok && upstreamVersion(g.Version) != "" && !before(of, g.Version)
}
