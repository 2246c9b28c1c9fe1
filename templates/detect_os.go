package templates

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
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

// distribution finds family, id, version and name. os-release decides where there is one, unless it names the parent of
// a distribution that left a file of its own; older systems have only such files.
func (d *detector) distribution() {
	if d.osRelease("/etc/os-release") || d.osRelease("/usr/lib/os-release") {
		d.derived()
	} else if !d.lsbRelease() {
		d.marker()
	}
	g := &d.g
	switch {
	case g.ID == "debian" && g.Version == "":
		d.debianVersion()
	case g.ID == "devuan":
		d.devuanVersion()
	case g.Family == "rhel" && g.ID != "amzn" && g.ID != "openEuler":
		g.Version, _, _ = strings.Cut(g.Version, ".")
	case g.ID == "alpine" && strings.Contains(g.Version, "_"): // 3.23_alpha20250612
		g.Version = "edge"
	case g.ID == "alpine":
		if parts := strings.SplitN(g.Version, ".", 3); len(parts) == 3 {
			g.Version = parts[0] + "." + parts[1]
		}
	case g.ID == "sles" || g.ID == "sled":
		d.servicePack()
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

// marks are the files by which distributions were told apart before os-release, the most specific first: derived
// distributions keep their parent's. The pattern's group is the version.
func marks() []mark {
	return []mark{
		{"/etc/oracle-release", `release (\d+)`, "ol", "", true},
		{"/etc/enterprise-release", `release (\d+)`, "ol", "", true},
		{"/etc/almalinux-release", `AlmaLinux.* release (\d\S*)`, "almalinux", "", true},
		{"/etc/rocky-release", `Rocky.* release (\d\S*)`, "rocky", "", true},
		{"/etc/devuan_version", `^(\S+)`, "devuan", "Devuan GNU/Linux ", true},
		{"/etc/slackware-version", `Slackware (\d[\d.]*)`, "slackware", "", false},
		{"/etc/alpine-release", `^(\d\S*)`, "alpine", "Alpine Linux ", false},
		{"/etc/system-release", `Amazon Linux.* release (\S+)`, "amzn", "", false},
		{"/etc/fedora-release", `Fedora.* release (\d+)`, "fedora", "", false},
		{"/etc/centos-release", `CentOS.* release (\d\S*)`, "centos", "", false},
		{"/etc/redhat-release", `CentOS.* release (\d\S*)`, "centos", "", false},
		{"/etc/redhat-release", `Scientific.* release (\d\S*)`, "scientific", "", false},
		{"/etc/redhat-release", `CloudLinux.* release (\d\S*)`, "cloudlinux", "", false},
		{"/etc/redhat-release", `Red Hat Enterprise .* release (\d\S*)`, "rhel", "", false},
		{"/etc/SuSE-release", `(?i)openSUSE (\d\S*)`, "opensuse", "", false},
		{"/etc/SuSE-release", `SUSE Linux Enterprise Desktop (\d+)`, "sled", "", false},
		{"/etc/SuSE-release", `SUSE Linux Enterprise.* (\d+)`, "sles", "", false},
		{"/etc/arch-release", `(?s)^()`, "arch", "Arch Linux", false},
		{"/etc/gentoo-release", `release (\d\S*)`, "gentoo", "", false},
		{"/etc/void-release", `(?s)^()`, "void", "Void Linux", false},
	}
}

// mark is a distribution's own file.
type mark struct {
	path, pattern, id, name string
	derived                 bool // from another distribution, whose os-release the tree may have
}

// find reports whether the tree has the mark, with its version and first line.
func (m mark) find(d *detector) (version, first string, ok bool) {
	if !d.has(m.path) {
		return "", "", false
	}
	text := d.read(m.path)
	found := regexp.MustCompile(m.pattern).FindSubmatch(text)
	if found == nil {
		return "", "", false
	}
	first, _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	return string(found[1]), first, true
}

// set takes a mark for what the tree is.
func (d *detector) set(m mark, version, first string) {
	d.g.ID, d.g.Family, d.g.Version = m.id, family(m.id), version
	d.g.Name = first
	if m.name != "" {
		d.g.Name = strings.TrimSpace(m.name + version)
	}
	d.saw("%s: %s", m.path, cmp.Or(first, "is there"))
}

// derived looks for a distribution derived from the one that os-release names.
func (d *detector) derived() {
	if !slices.Contains([]string{"debian", "rhel", "centos", "fedora"}, d.g.ID) {
		return
	}
	for _, m := range marks() {
		if version, first, ok := m.find(d); ok && m.derived && family(m.id) == d.g.Family {
			d.set(m, version, first)
			return
		}
	}
}

// marker reads the marks where there is no os-release.
func (d *detector) marker() {
	for _, m := range marks() {
		if version, first, ok := m.find(d); ok {
			d.set(m, version, first)
			return
		}
	}
	if fi, err := d.t.Stat("/etc/debian_version"); err == nil && fi.Mode().IsRegular() {
		d.g.ID, d.g.Family = "debian", "debian"
		d.debianVersion()
		d.g.Name = strings.TrimSpace("Debian GNU/Linux " + d.g.Version)
	}
}

// servicePack completes the version of a SUSE Linux Enterprise without os-release: "11" and PATCHLEVEL 4 are "11.4".
func (d *detector) servicePack() {
	level := find(d.read("/etc/SuSE-release"), `(?m)^PATCHLEVEL\s*=\s*(\d+)`)
	if level != "" && level != "0" && !strings.Contains(d.g.Version, ".") {
		d.g.Version += "." + level
	}
}

// devuanVersion turns the names that Devuan's early releases give for a version into numbers.
func (d *detector) devuanVersion() {
	g := &d.g
	if g.Version == "" {
		g.Version = strings.TrimSpace(string(d.read("/etc/devuan_version")))
	}
	name, _, _ := strings.Cut(g.Version, "/")
	names := []string{"jessie", "ascii", "beowulf", "chimaera", "daedalus", "excalibur", "freia"}
	switch i := slices.Index(names, name); {
	case strings.HasSuffix(g.Version, "/ceres"), name == "ceres":
		g.Version = "ceres"
	case i >= 0:
		g.Version = strconv.Itoa(i + 1)
	default:
		g.Version, _, _ = strings.Cut(g.Version, ".")
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
