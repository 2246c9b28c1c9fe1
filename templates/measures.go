package templates

import (
	"path"
	"regexp"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Carry returns what a start changes in the files of a guest for the measures in force, and the directories whose files
// are to be copied out of the layers. kernel is the host's (uname -r). It writes nothing and is idempotent; with no such
// measure it does not look at the tree, and it changes nothing in that of a guest that is not known.
func Carry(t sysctl.Tree, g sysctl.Guest, c sysctl.Compat, kernel string) (changes []sysctl.Change, copyUp []string, err error) {
	if !g.Known() {
		return nil, nil, nil
	}
	p := &plan{t: t, g: g, at: map[string]int{}, by: map[string][]string{}}
	p.why = "compat.private-devices"
	switch c.PrivateDevices {
	case sysctl.On:
		sharedDevices(p)
	case sysctl.Off:
		privateDevices(p)
	}
	if c.Modules {
		p.why = "compat.modules"
		noModules(p, kernel)
	}
	if c.CopyRPM {
		copyUp = rpmDirs(p)
	}
	return p.changes, copyUp, p.err
}

// dropIn is what has a unit do without a /dev of its own. Its name is ours alone.
const dropIn = "sysctl-private-devices.conf"

// sharedDevices has every unit with a private /dev share the guest's, which is private enough.
func sharedDevices(p *plan) {
	private := regexp.MustCompile(`(?mi)^\s*PrivateDevices\s*=\s*(?:yes|true|on|1|y|t)\s*$`)
	for _, dir := range append(unitDirs(), etcUnits) {
		for _, name := range p.list(dir, "*.service") {
			if fi, err := p.t.Lstat(name); err != nil || !fi.Mode().IsRegular() {
				continue // another name of a unit, which has its drop-ins too
			}
			if private.MatchString(p.text(name)) {
				p.write(path.Join(etcUnits, path.Base(name)+".d", dropIn), "[Service]\nPrivateDevices=no\n", 0o644)
			}
		}
	}
}

// privateDevices takes the drop-ins away.
func privateDevices(p *plan) {
	for _, dir := range p.list(etcUnits, "*.service.d") {
		p.remove(path.Join(dir, dropIn))
	}
}

// noModules has modprobe find lists of modules for a kernel, with nothing in them.
func noModules(p *plan, kernel string) {
	dir := path.Join("/lib/modules", kernel)
	if !has(p.t, "/sbin/modprobe") && !has(p.t, "/usr/sbin/modprobe") || strings.ContainsRune(kernel, '/') || has(p.t, path.Join(dir, "modules.dep")) {
		return
	}
	for _, list := range names("modules.dep modules.alias modules.symbols modules.order modules.builtin") {
		p.write(path.Join(dir, list), "", 0o644)
	}
}

// rpmDirs are the directories of an rpm database that is Berkeley DB's.
func rpmDirs(p *plan) []string {
	var dirs []string
	for _, dir := range []string{"/var/lib/rpm", "/usr/lib/sysimage/rpm"} {
		if has(p.t, path.Join(dir, "Packages")) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
