package templates

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// Every template of the catalogue has a tree here, found to be what the template says.
func TestEveryTemplateHasAnEra(t *testing.T) {
	files, err := filepath.Glob("catalogue/*.yaml")
	unproven, err2 := filepath.Glob("catalogue/unproven/*.yaml")
	if files = append(files, unproven...); err != nil || err2 != nil || len(files) < 80 {
		t.Fatal(err, err2, len(files))
	}
	all := eras()
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			OS struct{ Family, ID, Version string }
		}
		if err := yaml.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, e := range all {
			g := e.want
			// A template may name a release by its first number, or have none.
			same := g.Version == r.OS.Version || strings.HasPrefix(g.Version, r.OS.Version+".") || upstreamVersion(r.OS.Version) == ""
			found = found || g.Family == r.OS.Family && g.ID == r.OS.ID && same
		}
		if !found {
			t.Errorf("%s: no tree for %+v", f, r.OS)
		}
	}
}

func TestDetectEras(t *testing.T) {
	for name, e := range eras() {
		t.Run(name, func(t *testing.T) {
			got, err := Detect(treetest.New(e.files))
			if err != nil || !equal(got, e.want) {
				t.Errorf("got  %+v\nwant %+v\n%v\n%s", got, e.want, err, strings.Join(got.Evidence, "\n"))
			}
		})
	}
}

// Prepared once is prepared: every tree, with all steps and with each of them left out. What was prepared is
// still found to be what it was.
func TestPrepareEras(t *testing.T) {
	for name, e := range eras() {
		t.Run(name, func(t *testing.T) {
			tree := treetest.New(e.files)
			did := strings.Fields(prepared(t, tree, e.want))
			if got, err := Detect(tree); err != nil || !equal(got, e.want) {
				t.Errorf("the prepared tree is %+v, %v", got, err)
			}
			if !slices.Contains(did, "console") {
				t.Errorf("no console: %v", did)
			}
			whole := tree.Files()
			for _, skip := range did {
				tree := treetest.New(e.files)
				changes, rest, err := Prepare(tree, e.want, PrepareOptions{Skip: []string{skip}})
				if err != nil || slices.Contains(rest, skip) {
					t.Fatalf("without %s: %v, %v", skip, rest, err)
				}
				if err := sysctl.Apply(tree, changes); err != nil {
					t.Fatal(err)
				}
				again, names, err := Prepare(tree, e.want, PrepareOptions{Skip: []string{skip}})
				if err != nil || len(again) > 0 {
					t.Errorf("without %s, the second time: %v %v", skip, names, err)
				}
				// What was left out can be done later, with the same result.
				prepared(t, tree, e.want)
				if diff := difference(tree.Files(), whole); diff != "" {
					t.Errorf("%s done later: %s", skip, diff)
				}
			}
		})
	}
}

// sorted has a text's lines in order: two steps add lines to inittab.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func difference(got, want map[string]string) string {
	var out []string
	for name, content := range want {
		if g, ok := got[name]; !ok || sorted(g) != sorted(content) {
			out = append(out, name+": "+g+" instead of "+content)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			out = append(out, name+" is there")
		}
	}
	return strings.Join(out, "\n")
}

func TestDetectFromPackagesAndNotes(t *testing.T) {
	five := eras()["centos5"].files
	for _, c := range []struct {
		name, path, content string
		version, evidence   string
	}{
		{"the oldest kernel", "/etc/nothing", "", "2.86", "/lib64/libc-2.5.so: needs Linux 2.6.32 or later"},
		{"rpm", "/sbin/init", elf(64, x8664, loader64), "2.86", "sysvinit 2.86: package SysVinit"},
		{"no version", "/sbin/init", elf(64, x8664, loader64), "", "/var/lib/rpm: package database rpm"},
	} {
		files := tree(five, map[string]string{c.path: c.content})
		if c.name == "rpm" {
			files["/var/lib/rpm/Packages"] = "SysVinit\x00C\x00SysVinit\x002.86\x0017.el5\x00Programs"
		}
		g, err := Detect(treetest.New(files))
		if err != nil || g.InitVersion != c.version || !slices.Contains(g.Evidence, c.evidence) {
			t.Errorf("%s: %q, %v\n%s", c.name, g.InitVersion, err, strings.Join(g.Evidence, "\n"))
		}
	}
}

// What is like a distribution but not one that is known stays unknown.
func TestUnknownStaysUnknown(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"Red Hat Linux of 2003":   {"/etc/redhat-release": "Red Hat Linux release 9 (Shrike)\n"},
		"an unknown SUSE":         {"/etc/SuSE-release": "UnitedLinux 1.0\n"},
		"an Enterprise of others": {"/etc/system-release": "Enterprise release 6\n"},
		"marks that are no files": {"/etc/debian_version/": "", "/etc/redhat-release/": "", "/etc/os-release/": "", "/etc/lsb-release": "-> /nowhere"},
	} {
		g, err := Detect(treetest.New(tree(sysv("2.86", "/sbin/mingetty"), files)))
		if err != nil || g.Known() || len(g.Evidence) == 0 {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
		if once := slices.Compact(slices.Sorted(slices.Values(g.Evidence))); len(once) != len(g.Evidence) {
			t.Errorf("%s: said twice: %q", name, g.Evidence)
		}
		if changes, _, err := Prepare(treetest.New(files), g, PrepareOptions{}); err != nil || changes != nil {
			t.Errorf("%s: %v, %v", name, changes, err)
		}
	}
}

func TestBefore(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"2.9", "2.10", true}, {"2.10", "2.9", false}, {"1.3", "1.3", false}, {"1.3", "1.3.1", true}, {"0.6.5", "1.3", true}, {"7.9", "7", false}, {"8+deb", "8.1", true},
	} {
		if got := before(c.a, c.b); got != c.want {
			t.Errorf("before(%s, %s) = %v", c.a, c.b, got)
		}
	}
}
