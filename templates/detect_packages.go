package templates

import (
	"path"
	"regexp"
	"strings"
)

// packageVersion is the installed version of a package as the database has it, or "".
func (d *detector) packageVersion(pkg string) string {
	quoted := regexp.QuoteMeta(pkg)
	switch d.g.Packages {
	case "dpkg":
		return find(d.read("/var/lib/dpkg/status"),
			`(?m)^Package: `+quoted+`\n(?:\S.*\n|[ \t].*\n)*?Version: (\S+)`)
	case "apk":
		db := "/lib/apk/db/installed"
		if !d.has(db) {
			db = "/usr" + db
		}
		return find(d.read(db), `(?m)^P:`+quoted+`\n(?:.+\n)*?V:(\S+)`)
	case "rpm":
		return d.rpmVersion(quoted)
	case "pacman":
		return d.entryVersion("/var/lib/pacman/local", quoted)
	case "pkgtool":
		return d.entryVersion("/var/log/packages", quoted)
	case "portage":
		return d.entryVersion("/var/db/pkg/sys-apps", quoted)
	}
	return ""
}

// entryVersion is for databases with a file or directory NAME-VERSION-… for each package.
func (d *detector) entryVersion(dir, quoted string) string {
	entries, _ := d.t.ReadDir(dir)
	name := regexp.MustCompile(`^` + quoted + `-(\d[^-]*)`)
	for _, e := range entries {
		if m := name.FindStringSubmatch(e.Name()); m != nil {
			return m[1]
		}
	}
	return ""
}

// maxRPM bounds how much of an rpm database is read.
const maxRPM = 64 << 20

// rpmVersion finds a package's header in the database, whichever of rpm's formats it has (Berkeley DB, ndb, SQLite): in
// all of them name, version and release stand one after another in the header's bytes. It is missed where a page ends
// just there.
func (d *detector) rpmVersion(quoted string) string {
	for _, name := range []string{"Packages", "rpmdb.sqlite", "Packages.db"} {
		for _, dir := range []string{"/var/lib/rpm", "/usr/lib/sysimage/rpm"} {
			db := path.Join(dir, name)
			if !d.has(db) {
				continue
			}
			return find(d.head(db, maxRPM), `\x00`+quoted+`\x00(\d[\w.+~^]*)\x00\d[\w.+~^]*\x00`)
		}
	}
	return ""
}

// upstreamVersion cuts epoch and packaging from a package's version: "1:2.36-9+deb12u4" is "2.36".
func upstreamVersion(v string) string {
	if _, after, ok := strings.Cut(v, ":"); ok {
		v = after
	}
	return regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`).FindString(v)
}
