package templates

import (
	"cmp"
	"regexp"
	"strings"
)

// family returns the family of a distribution by its id, or "".
func family(id string) string {
	for f, ids := range map[string]string{
		"debian":    "debian ubuntu devuan kali linuxmint raspbian pop elementary proxmox",
		"rhel":      "rhel centos fedora ol almalinux rocky scientific amzn cloudlinux openEuler oracle springdale",
		"suse":      "sles sled suse opensuse opensuse-leap opensuse-tumbleweed opensuse-slowroll opensuse-microos",
		"alpine":    "alpine",
		"arch":      "arch archarm manjaro endeavouros",
		"gentoo":    "gentoo funtoo",
		"slackware": "slackware",
		"void":      "void",
	} {
		for one := range strings.FieldsSeq(ids) {
			if one == id {
				return f
			}
		}
	}
	return ""
}

// distribution finds family, id, version and name. os-release decides where there is one; older systems have
// a file of their own each.
func (d *detector) distribution() {
	if !d.osRelease("/etc/os-release") && !d.osRelease("/usr/lib/os-release") && !d.lsbRelease() {
		d.marker()
	}
	g := &d.g
	switch {
	case g.ID == "debian" && g.Version == "":
		d.debianVersion()
	case g.Family == "rhel" && g.ID != "amzn" && g.ID != "openEuler":
		g.Version, _, _ = strings.Cut(g.Version, ".")
	case g.ID == "alpine":
		if parts := strings.SplitN(g.Version, ".", 3); len(parts) == 3 {
			g.Version = parts[0] + "." + parts[1]
		}
	}
}

// assignments reads the KEY=VALUE lines of a shell-like file.
func assignments(data []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[key] = value
	}
	return out
}

func (d *detector) osRelease(name string) bool {
	v := assignments(d.read(name))
	id := v["ID"]
	if id == "" {
		return false
	}
	g := &d.g
	g.ID, g.Version, g.Name = id, v["VERSION_ID"], cmp.Or(v["PRETTY_NAME"], v["NAME"], id)
	g.Family = family(id)
	for like := range strings.FieldsSeq(v["ID_LIKE"]) {
		if g.Family == "" {
			g.Family = family(like)
		}
	}
	d.saw("%s: ID=%s VERSION_ID=%s", name, id, g.Version)
	return true
}

// lsbRelease reads what Ubuntu had before os-release: its debian_version names the Debian it came from.
func (d *detector) lsbRelease() bool {
	v := assignments(d.read("/etc/lsb-release"))
	id := strings.ToLower(v["DISTRIB_ID"])
	if family(id) == "" || v["DISTRIB_RELEASE"] == "" {
		return false
	}
	d.g.ID, d.g.Family, d.g.Version = id, family(id), v["DISTRIB_RELEASE"]
	d.g.Name = cmp.Or(v["DISTRIB_DESCRIPTION"], id)
	d.saw("/etc/lsb-release: DISTRIB_ID=%s DISTRIB_RELEASE=%s", v["DISTRIB_ID"], d.g.Version)
	return true
}

// marker reads the files by which distributions were told apart before os-release, the most specific
// first: derived distributions keep their parent's.
func (d *detector) marker() {
	for _, m := range []struct {
		path, pattern, id, name string // the pattern's group is the version
	}{
		{"/etc/oracle-release", `release (\d+)`, "ol", ""},
		{"/etc/enterprise-release", `release (\d+)`, "ol", ""},
		{"/etc/devuan_version", `^(\S+)`, "devuan", "Devuan GNU/Linux "},
		{"/etc/slackware-version", `Slackware (\S+)`, "slackware", ""},
		{"/etc/alpine-release", `^(\d\S*)`, "alpine", "Alpine Linux "},
		{"/etc/system-release", `Amazon Linux.* release (\S+)`, "amzn", ""},
		{"/etc/fedora-release", `release (\d+)`, "fedora", ""},
		{"/etc/redhat-release", `CentOS.* release (\d\S*)`, "centos", ""},
		{"/etc/redhat-release", `Scientific.* release (\d\S*)`, "scientific", ""},
		{"/etc/redhat-release", `Red Hat .* release (\d\S*)`, "rhel", ""},
		{"/etc/SuSE-release", `openSUSE (\S+)`, "opensuse", ""},
		{"/etc/SuSE-release", `SUSE Linux Enterprise.* (\d+)`, "sles", ""},
		{"/etc/arch-release", `(?s)^()`, "arch", "Arch Linux"},
		{"/etc/gentoo-release", `release (\S+)`, "gentoo", ""},
		{"/etc/void-release", `(?s)^()`, "void", "Void Linux"},
	} {
		if !d.has(m.path) {
			continue
		}
		text := d.read(m.path)
		found := regexp.MustCompile(m.pattern).FindSubmatch(text)
		if found == nil {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		d.g.ID, d.g.Family, d.g.Version = m.id, family(m.id), string(found[1])
		d.g.Name = first
		if m.name != "" {
			d.g.Name = strings.TrimSpace(m.name + d.g.Version)
		}
		d.saw("%s: %s", m.path, cmp.Or(first, "is there"))
		return
	}
	if d.has("/etc/debian_version") {
		d.g.ID, d.g.Family = "debian", "debian"
		d.debianVersion()
		d.g.Name = "Debian GNU/Linux " + d.g.Version
	}
}

// debianVersion reads /etc/debian_version: "7.11", "4.0", or "trixie/sid" in what is not released yet.
func (d *detector) debianVersion() {
	text := strings.TrimSpace(string(d.read("/etc/debian_version")))
	switch major, minor, _ := strings.Cut(text, "."); {
	case text == "":
		return
	case strings.HasSuffix(text, "/sid"):
		d.g.Version = "sid"
	case major == "3": // 3.0 and 3.1 were two releases
		d.g.Version = "3." + minor[:min(1, len(minor))]
	default:
		d.g.Version = major
	}
	d.saw("/etc/debian_version: %s", text)
}
