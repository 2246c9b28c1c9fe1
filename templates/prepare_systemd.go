package templates

import (
	"path"

	"github.com/sysctl-os/sysctl"
)

// unitDirs is where packages install units.
func unitDirs() []string { return []string{"/usr/lib/systemd/system", "/lib/systemd/system"} }

const etcUnits = "/etc/systemd/system"

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
