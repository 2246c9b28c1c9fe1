package templates

import (
	"path"
	"strings"
)

// imageSteps undo what makers of images for single programs did to a whole OS.
func imageSteps() []Step {
	return []Step{{
		Name: "policy-rc-d", Version: 1,
		Why:     "a policy-rc.d left by the maker of the image keeps new packages from starting their services",
		Touches: []string{"/usr/sbin/policy-rc.d"},
		applies: debianGuest, plan: policyRcD,
	}, {
		Name: "docker-leftovers", Version: 1,
		Why: "the image was made to run one program: its init was put aside and its logins were switched off",
		Touches: []string{"/.dockerenv", "/run/systemd/container", "/etc/apt/apt.conf.d/docker-*", "/etc/dpkg/dpkg.cfg.d/docker-apt-speedup",
			initctl, initctl + ".distrib", diversions, etcUnits + "/{" + strings.Join(dockerMasks(), ",") + "}"},
		applies: anyGuest, plan: dockerLeftovers,
	}}
}

// policyRcD removes the policy that forbids everything, as image makers leave it; another is the user's.
func policyRcD(p *plan) {
	const name = "/usr/sbin/policy-rc.d"
	if strings.Contains(p.text(name), "exit 101") {
		p.remove(name)
	}
}

const (
	initctl    = "/sbin/initctl"
	diversions = "/var/lib/dpkg/diversions"
)

func dockerLeftovers(p *plan) {
	p.remove("/.dockerenv")
	p.remove("/run/systemd/container")
	for _, name := range p.list("/etc/apt/apt.conf.d", "docker-*") {
		p.remove(name)
	}
	p.remove("/etc/dpkg/dpkg.cfg.d/docker-apt-speedup")
	undivertInitctl(p)
	unmaskLogins(p)
}

// undivertInitctl does what dpkg-divert --remove does: without initctl upstart's jobs cannot be started.
func undivertInitctl(p *plan) {
	const aside = initctl + ".distrib"
	entry := initctl + "\n" + aside + "\n:\n"
	text := p.text(diversions)
	if !strings.Contains(text, entry) {
		return
	}
	fi, err := p.t.Lstat(aside)
	if err != nil || !fi.Mode().IsRegular() {
		return
	}
	if program := p.text(aside); program != "" {
		p.write(initctl, program, fi.Mode().Perm())
		p.remove(aside)
		p.edit(diversions, strings.Replace(text, entry, "", 1))
	}
}

func dockerMasks() []string {
	return []string{"systemd-logind.service", "getty.target", "console-getty.service"}
}

// unmaskLogins removes the masks that Red Hat's images come with. Where not all are there, the administrator's choice
// is kept.
func unmaskLogins(p *plan) {
	for _, u := range dockerMasks() {
		if target, _ := p.t.Readlink(path.Join(etcUnits, u)); target != "/dev/null" {
			return
		}
	}
	for _, u := range dockerMasks() {
		p.remove(path.Join(etcUnits, u))
	}
}
