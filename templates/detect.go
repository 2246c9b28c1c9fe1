package templates

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
)

// Detect finds out which OS the tree holds from what is in it, never from a name: family, id, version, name,
// architecture, init, libc and package database, with the evidence for each. What it does not find stays
// empty; a file that cannot be read is evidence, not an error. Renderer and Dialect are left to netconfig.
//
// It fails only where the disk cannot be read.
func Detect(t sysctl.Tree) (sysctl.Guest, error) {
	if _, err := t.ReadDir("/"); err != nil {
		return sysctl.Guest{}, sysctl.Wrap(err, "detect the OS")
	}
	d := &detector{t: t}
	d.distribution()
	d.packages()
	d.init()
	d.machine()
	d.libc()
	d.iptables()
	return d.g, sysctl.Wrap(d.err, "detect the OS")
}

// detector is one tree being looked at.
type detector struct {
	t sysctl.Tree
	g sysctl.Guest

	err   error
	init1 []byte // content of the init program, nil where there is none
}

// saw notes evidence, once: what cannot be read is looked for by several.
func (d *detector) saw(format string, args ...any) {
	if e := strings.TrimSpace(fmt.Sprintf(format, args...)); !slices.Contains(d.g.Evidence, e) {
		d.g.Evidence = append(d.g.Evidence, e)
	}
}

// read returns a regular file's content, or nil.
func (d *detector) read(name string) []byte {
	data, err := d.t.ReadFile(name)
	if errors.Is(err, syscall.EIO) {
		d.err = err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.saw("%s: cannot be read: %v", name, err)
	}
	return data
}

// head returns the first bytes of a regular file, at most n, or nil.
func (d *detector) head(name string, n int64) []byte {
	f, err := d.t.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, n))
	if errors.Is(err, syscall.EIO) {
		d.err = err
	}
	return data
}

// has reports whether name, links followed, is in the tree.
func (d *detector) has(name string) bool { return has(d.t, name) }

func has(t sysctl.Tree, name string) bool {
	_, err := t.Stat(name)
	return err == nil
}

// resolve returns where name leads to, or "".
func (d *detector) resolve(name string) string {
	at, err := d.t.Resolve(name)
	if err != nil || !d.has(at) {
		return ""
	}
	return at
}

// packages finds the package database: the family's own, for a tool for another's packages may be installed and
// have its database; where the family is not known, the first that is there.
func (d *detector) packages() {
	dbs := []struct{ path, name, families string }{
		{"/var/lib/dpkg/status", "dpkg", "debian"},
		{"/lib/apk/db/installed", "apk", "alpine"}, {"/usr/lib/apk/db/installed", "apk", "alpine"},
		{"/var/lib/pacman/local", "pacman", "arch"},
		{"/usr/lib/sysimage/rpm", "rpm", "rhel suse"}, {"/var/lib/rpm", "rpm", "rhel suse"},
		{"/var/db/xbps", "xbps", "void"}, {"/var/db/pkg", "portage", "gentoo"}, {"/var/log/packages", "pkgtool", "slackware"},
	}
	for _, own := range []bool{true, false} {
		for _, db := range dbs {
			if own && !slices.Contains(strings.Fields(db.families), d.g.Family) || !d.has(db.path) {
				continue
			}
			d.g.Packages = db.name
			d.saw("%s: package database %s", db.path, db.name)
			return
		}
	}
}

// machine reads word size and architecture from the ELF header of init, or of the shell where init is none.
func (d *detector) machine() {
	for _, name := range []string{d.resolve("/sbin/init"), "/bin/sh", "/usr/bin/env", "/bin/busybox"} {
		if name == "" {
			continue
		}
		data := d.init1
		if data == nil || name != d.resolve("/sbin/init") {
			data = d.read(name)
		}
		bits, arch := elfMachine(data)
		if bits == 0 {
			continue
		}
		d.g.Bits, d.g.Arch = bits, arch
		d.saw("%s: %d-bit ELF for %s", name, bits, arch)
		return
	}
}

// base is the last component of a path, "" for "".
func base(name string) string {
	if name == "" {
		return ""
	}
	return path.Base(name)
}
