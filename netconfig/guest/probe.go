package guest

import (
	"bytes"
	"path"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// Probe finds out whose files configure the guest's network, from what is installed and enabled in
// the tree, not from its name. It is None where nobody known here does: then the evidence says who.
// Evidence is "path: what was found", for people.
func Probe(t sysctl.Tree) (renderer, dialect string, evidence []string) {
	if names := netplanFiles(t); len(names) > 0 {
		return Netplan, "", []string{names[0] + ": netplan is installed, and has files"}
	}
	networkd := ""
	if from := unitPath(t, networkdUnit); from != "" && enabled(t, networkdUnit) {
		networkd = systemUnits + ": " + networkdUnit + " is enabled"
	}
	dialect, evidence = probeIfupdown(t)
	if dialect != "" && networkd != "" && !hasInterfaces(t) {
		dialect = ""
		evidence = []string{interfacesFile + ": names no interface but lo, and networkd is enabled"}
	}
	if dialect != "" {
		return Ifupdown, dialect, evidence
	}
	for _, p := range []func(sysctl.Tree) (renderer, dialect, found string){
		probeEnabled,
		func(sysctl.Tree) (string, string, string) { return Networkd, "", networkd },
		probeInstalled,
	} {
		if renderer, dialect, found := p(t); found != "" {
			return renderer, dialect, append(evidence, found)
		}
	}
	return None, "", append(evidence, "no program that configures the network was found")
}

// probeEnabled looks for who is to start at boot, before networkd is asked for: it leaves alone what
// others have.
func probeEnabled(t sysctl.Tree) (renderer, dialect, found string) {
	nm := nmEnabled(t)
	if to, err := t.Readlink(systemUnits + "/network.service"); err == nil && path.Base(to) == wickedUnit && unitPath(t, wickedUnit) != "" {
		return IfcfgSUSE, "wicked", systemUnits + "/network.service: leads to " + wickedUnit
	}
	// Up to EL7 both are enabled, and the scripts are told to keep NetworkManager away. Later
	// they are a leftover, unless somebody has enabled them.
	if dialect, found := probeRedHat(t); dialect != "" {
		isStart := func(name string) bool { return strings.HasPrefix(name, "S") && strings.HasSuffix(name, "network") }
		if dialect != "el8" || nm == "" || linked(t, "/etc/rc.d", "rc[2345].d", isStart) {
			return IfcfgRedHat, dialect, found
		}
	}
	if nm != "" {
		return NetworkManager, "", nm
	}
	if enabled(t, connmanUnit) {
		return None, "", systemUnits + ": " + connmanUnit + " is enabled, which has no file for addresses"
	}
	return "", "", ""
}

// probeInstalled looks for who would configure the network if it were enabled, or is enabled by being
// there.
func probeInstalled(t sysctl.Tree) (renderer, dialect, found string) {
	isNetctl := func(name string) bool { return strings.HasPrefix(name, netctlUnit) }
	if linked(t, systemUnits, "*.wants", isNetctl) && unitPath(t, netctlUnit+".service") != "" {
		return Netctl, "", systemUnits + ": a profile of netctl is enabled"
	}
	for _, p := range []struct {
		renderer string
		probe    func(sysctl.Tree) (dialect, found string)
	}{{IfcfgSUSE, probeSUSE}, {Netifrc, probeNetifrc}, {RcInet1, probeSlackware}} {
		if dialect, found := p.probe(t); found != "" {
			return p.renderer, dialect, found
		}
	}
	if exists(t, runitServices) && exists(t, runitAll) {
		return Runit, "", runitServices + ": runit, and nobody else configures the network"
	}
	for _, u := range []struct{ renderer, unit string }{{Networkd, networkdUnit}, {NetworkManager, nmUnit}, {Netctl, netctlUnit + ".service"}} {
		if from := unitPath(t, u.unit); from != "" {
			return u.renderer, "", from + ": is there, and nobody else configures the network"
		}
	}
	return "", "", ""
}

// probeIfupdown returns the dialect of the program behind /sbin/ifup, "" where there is none or
// nothing would run it at boot.
func probeIfupdown(t sysctl.Tree) (dialect string, evidence []string) {
	name, at := ifupPath(t)
	if name == "" || !exists(t, "/etc/network") {
		return "", nil
	}
	if unitPath(t, "networking.service") == "" && !existsAny(t, networkingRC, networkingJob) {
		return "", []string{name + ": ifup is there, but no service that runs it at boot"}
	}
	switch {
	case path.Base(at) == "busybox":
		return "busybox", []string{name + ": leads to " + at}
	case path.Base(at) == "ifupdown", existsAny(t, "/usr/libexec/ifupdown-ng", "/lib/ifupdown-ng"):
		return "ng", []string{name + ": is ifupdown-ng"}
	}
	v := ifupdownVersion(t)
	switch {
	case v.text == "":
		return "0.7", []string{name + ": ifupdown of unknown version, taken for 0.7"}
	case !v.atLeast(0, 7, 0):
		dialect = "0.6"
	case !v.atLeast(0, 8, 0):
		dialect = "0.7"
	default:
		dialect = "0.8"
	}
	return dialect, []string{name + ": ifupdown " + v.text}
}

// ifupPath returns ifup's name and the file it leads to.
func ifupPath(t sysctl.Tree) (name, at string) {
	for _, name := range []string{"/sbin/ifup", "/usr/sbin/ifup"} {
		if at, err := t.Resolve(name); err == nil {
			return name, at
		}
	}
	return "", ""
}

// hasInterfaces reports whether the interfaces file, or one it includes, names an interface but lo.
func hasInterfaces(t sysctl.Tree) bool {
	data, err := t.ReadFile(interfacesFile)
	if err != nil {
		return false
	}
	lines := splitLines(string(data))
	for _, name := range sourcedFiles(t, lines) {
		more, err := t.ReadFile(name)
		if err == nil {
			lines = append(lines, splitLines(string(more))...)
		}
	}
	stanzas, _ := interfacesOf(lines)
	for _, s := range stanzas {
		if s != "lo" {
			return true
		}
	}
	return false
}

// netplanFiles returns what netplan would read, where netplan is installed.
func netplanFiles(t sysctl.Tree) []string {
	if !existsAny(t, "/usr/sbin/netplan", "/usr/libexec/netplan/generate", "/lib/netplan/generate") {
		return nil
	}
	return regularFiles(t, "/etc/netplan", func(name string) bool { return strings.HasSuffix(name, ".yaml") })
}

// version is a dotted version; text is as found, "" where none was.
type version struct {
	text string
	n    [3]int
}

func (v version) atLeast(major, minor, patch int) bool {
	want := [3]int{major, minor, patch}
	for i := range v.n {
		if v.n[i] != want[i] {
			return v.n[i] > want[i]
		}
	}
	return v.text != ""
}

var (
	versionNumber = lazily(`^(?:\d+:)?(\d+)\.(\d+)(?:\.(\d+))?`)
	binaryVersion = lazily(`version (0\.\d+(?:\.\d+)*)`)
)

func parseVersion(s string) version {
	m := versionNumber().FindStringSubmatch(s)
	if m == nil {
		return version{}
	}
	v := version{text: s}
	for i := range v.n {
		v.n[i], _ = strconv.Atoi(m[i+1]) // a missing or absurd part counts as 0
	}
	return v
}

// ifupdownVersion returns the version of Debian's ifupdown: from the package database, else from
// the program itself.
func ifupdownVersion(t sysctl.Tree) version {
	if data, err := t.ReadFile("/var/lib/dpkg/status"); err == nil {
		if v := packageVersion(data, "ifupdown"); v.text != "" {
			return v
		}
	}
	_, at := ifupPath(t)
	if data, err := t.ReadFile(at); err == nil {
		if m := binaryVersion().FindSubmatch(data); m != nil {
			return parseVersion(string(m[1]))
		}
	}
	return version{}
}

// packageVersion returns the version of an installed package in a dpkg status file.
func packageVersion(status []byte, name string) version {
	first := "Package: " + name + "\n"
	record, found := bytes.CutPrefix(status, []byte(first))
	if !found {
		if _, record, found = bytes.Cut(status, []byte("\n"+first)); !found {
			return version{}
		}
	}
	record, _, _ = bytes.Cut(record, []byte("\n\n"))
	fields := map[string]string{}
	for line := range bytes.Lines(record) {
		if key, value, ok := strings.Cut(string(line), ": "); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	if !strings.HasSuffix(fields["Status"], " installed") {
		return version{}
	}
	return parseVersion(fields["Version"])
}
