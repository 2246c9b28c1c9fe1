package guest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	systemUnits   = "/etc/systemd/system"
	networkingRC  = "/etc/init.d/networking"
	networkingJob = "/etc/init/networking.conf" // Upstart's: always enabled
	runlevels     = "/etc/runlevels"            // OpenRC's
)

// enableIfupdown makes the guest's init run `ifup -a`, where it does not yet.
func (b *builder) enableIfupdown(g sysctl.Guest) {
	const unit = "networking.service"
	switch {
	case g.Init == "systemd" && masked(b.tree, unit):
	case g.Init == "systemd" && unitPath(b.tree, unit) != "":
		b.enableUnit(unit, "multi-user.target", "network-online.target")
	case exists(b.tree, runlevels):
		if !linked(b.tree, runlevels, "", func(name string) bool { return name == "networking" }) {
			b.link(networkingRC, runlevels+"/boot/networking", whyIfupdown)
		}
	case exists(b.tree, networkingJob):
	case exists(b.tree, networkingRC):
		isStart := func(name string) bool { return strings.HasPrefix(name, "S") && strings.HasSuffix(name, "networking") }
		if !linked(b.tree, "/etc", "rc?.d", isStart) {
			// After the file systems (35) in the old fixed order; in the computed order it is late too.
			b.link("../init.d/networking", "/etc/rcS.d/S40networking", whyIfupdown)
		}
	}
}

// enableNetworkd makes systemd start networkd. The preset keeps a first boot, which applies presets,
// from switching it off again. Waiting for networkd to be online is left as it is.
func (b *builder) enableNetworkd() {
	const unit, socket = networkdUnit, "systemd-networkd.socket"
	b.enableUnit(unit, "multi-user.target")
	if unitPath(b.tree, socket) != "" {
		b.enableUnit(socket, "sockets.target")
	}
	b.write(networkdPreset, mark+": changes are lost.\nenable "+unit+"\n", whyNetworkd)
}

// enableSysV makes the links that chkconfig and insserv make for a script, where they are missing: to
// start it in the levels of several users (in SUSE, all but 4), and not to stop it there.
func (b *builder) enableSysV(name string, start int, scripts, levels string) {
	if !exists(b.tree, path.Join(scripts, name)) {
		return
	}
	target := "../" + path.Base(scripts) + "/" + name
	all := []string{"2", "3", "4", "5"}
	if scripts == levels {
		target, all = "../"+name, []string{"2", "3", "5"}
	}
	why := "enable " + name
	for _, level := range all {
		dir := path.Join(levels, "rc"+level+".d")
		started := false
		entries, _ := b.tree.ReadDir(dir) // absent is empty
		for _, e := range entries {
			if len(e.Name()) < 4 || e.Name()[3:] != name {
				continue
			}
			switch e.Name()[0] {
			case 'S':
				started = true
			case 'K':
				b.remove(path.Join(dir, e.Name()), why)
			}
		}
		if !started {
			b.link(target, path.Join(dir, fmt.Sprintf("S%02d%s", start, name)), why)
		}
	}
}

// enableUnit links a unit into the targets that are to want it, unless some target does already.
func (b *builder) enableUnit(unit string, targets ...string) {
	from := unitPath(b.tree, unit)
	if from == "" || enabled(b.tree, unit) {
		return
	}
	for _, target := range targets {
		b.link(from, path.Join(systemUnits, target+".wants", unit), "enable "+unit)
	}
}

// unitPath returns where a unit file is, "" where there is none or it is masked.
func unitPath(t sysctl.Tree, unit string) string {
	if masked(t, unit) {
		return ""
	}
	for _, dir := range []string{systemUnits, "/lib/systemd/system", "/usr/lib/systemd/system"} {
		if name := path.Join(dir, unit); exists(t, name) {
			return name
		}
	}
	return ""
}

// masked reports whether the administrator has forbidden the unit.
func masked(t sysctl.Tree, unit string) bool {
	to, err := t.Readlink(path.Join(systemUnits, unit))
	return err == nil && to == "/dev/null"
}

// enabled reports whether some target wants the unit, by the administrator's word or the vendor's.
func enabled(t sysctl.Tree, unit string) bool {
	is := func(name string) bool { return name == unit }
	for _, dir := range []string{systemUnits, "/lib/systemd/system", "/usr/lib/systemd/system"} {
		if linked(t, dir, "*.wants", is) || linked(t, dir, "*.requires", is) {
			return true
		}
	}
	return false
}

// linked reports whether a directory of dir whose name matches pattern ("" = any) has an entry that is.
func linked(t sysctl.Tree, dir, pattern string, is func(string) bool) bool {
	entries, err := t.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if ok, _ := path.Match(pattern, e.Name()); !ok && pattern != "" || e.Type().IsRegular() {
			continue
		}
		units, err := t.ReadDir(path.Join(dir, e.Name()))
		if err != nil {
			continue // not a directory
		}
		for _, u := range units {
			if is(u.Name()) {
				return true
			}
		}
	}
	return false
}

func exists(t sysctl.Tree, name string) bool {
	_, err := t.Stat(name)
	return err == nil
}

func existsAny(t sysctl.Tree, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return exists(t, name) })
}
