package templates

import (
	"bytes"
	"strings"
)

// init finds what runs as process 1: /sbin/init resolved in the tree, told by its name or by what is in it.
func (d *detector) init() {
	at := d.resolve("/sbin/init")
	if at == "" {
		d.saw("/sbin/init: is not there")
		return
	}
	if at == "/sbin/init" {
		d.saw("/sbin/init: a file")
	} else {
		d.saw("/sbin/init -> %s", at)
	}
	d.init1 = d.read(at)
	g := &d.g
	switch name := base(at); {
	case name == "systemd":
		g.Init = "systemd"
	case name == "busybox" || strings.HasPrefix(name, "busybox."):
		g.Init = "busybox"
	case name == "openrc-init":
		g.Init = "openrc"
	case name == "runit-init", name == "runit":
		g.Init = "runit"
	case name == "finit":
		g.Init = "finit"
	case name == "upstart", bytes.Contains(d.init1, []byte("upstart")):
		g.Init = "upstart"
	case bytes.Contains(d.init1, []byte("libsystemd-shared-")):
		g.Init = "systemd"
	case bytes.Contains(d.init1, []byte("runit")) && d.has("/etc/runit/1"):
		g.Init = "runit"
	case bytes.Contains(d.init1, []byte("BusyBox v")):
		g.Init = "busybox"
	case d.has("/etc/rc.d/rc.S"):
		g.Init = "bsd"
	case d.has("/etc/inittab") && elfHeader(d.init1):
		g.Init = "sysvinit"
	case d.has("/etc/event.d") && elfHeader(d.init1): // upstart before 0.5
		g.Init = "upstart"
	default:
		d.saw("%s: an init that is not known", at)
		return
	}
	d.initVersion()
}

func elfHeader(data []byte) bool { bits, _ := elfMachine(data); return bits != 0 }

// initVersion finds init's version in the program itself, which every way of installing it leaves true, then in
// the package database.
func (d *detector) initVersion() {
	g := &d.g
	var pkgs []string
	switch g.Init {
	case "systemd":
		// Since 231 the program needs a library named after its version; before, it has its own name and version
		// in the sentence it starts with, and in what it answers to --version.
		g.InitVersion = find(d.init1, `libsystemd-(?:shared|core)-(\d+)`, `systemd (\d{1,3}) running in`, `\x00systemd (\d{1,3})\x00`)
		pkgs = []string{"systemd"}
	case "upstart":
		// The parts of "init (upstart 0.6.5)" stand side by side.
		g.InitVersion = find(d.init1, `upstart (\d+\.[\d.]*\d)`, `\x00upstart\x00(\d+\.[\d.]*\d)\x00`, `\x00(\d+\.\d[\d.]*)\x00upstart\x00`)
		pkgs = []string{"upstart"}
	case "busybox":
		g.InitVersion = find(d.init1, `BusyBox v(\d+\.[\d.]*\d)`)
		pkgs = []string{"busybox"}
	case "sysvinit", "bsd":
		g.InitVersion = find(d.init1, `@\(#\) init (\d+\.\d+)`, `sysvinit[- ](\d+\.\d+)`)
		pkgs = []string{"sysvinit-core", "sysvinit", "SysVinit"}
	case "finit":
		g.InitVersion = find(d.init1, `[Ff]init v?(\d+\.\d[\d.]*)`)
		pkgs = []string{"finit-sysv", "finit"}
	default:
		pkgs = []string{g.Init}
	}
	from := "the program"
	for _, pkg := range pkgs {
		if g.InitVersion == "" {
			from = "package " + pkg
			g.InitVersion = upstreamVersion(d.packageVersion(pkg))
		}
	}
	if g.InitVersion != "" {
		d.saw("%s %s: %s", g.Init, g.InitVersion, from)
	}
}
