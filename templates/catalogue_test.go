package templates

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func load(t *testing.T, files map[string]string) (*Catalogue, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// good is a recipe that is right, called "mine".
const good = `schema: sysctl.template/v1
name: mine
aliases: [my/os, bookworm]
os: {family: debian, id: debian, version: "12", arch: [amd64, arm64, i386, armhf, riscv64]}
source:
  - {type: bootstrap, suite: bookworm, variant: minbase}
packages:
  install: [systemd-sysv]
`

func TestBuiltInTemplates(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(""); err != nil {
		t.Error(err)
	}
	var names []string
	refs := map[string]string{}
	for _, tm := range c.List() {
		names = append(names, tm.Name)
		if tm.Origin != "built-in" || tm.Description == "" || len(tm.Arch) == 0 {
			t.Errorf("%+v", tm)
		}
		for _, ref := range append([]string{tm.Name}, tm.Aliases...) {
			if refs[ref] != "" {
				t.Errorf("%s is %s and %s", ref, refs[ref], tm.Name)
			}
			refs[ref] = tm.Name
		}
		_, text, err := c.Find(tm.Name)
		if err != nil || strings.Contains(string(text), "://") {
			t.Errorf("%s names a host: %v", tm.Name, err)
		}
	}
	if want := []string{"debian11", "debian12", "debian13", "debiansid"}; !slices.Equal(names, want) {
		t.Errorf("templates: %v", names)
	}
	for _, ref := range []string{"debian12", "debian/12", "bookworm"} {
		tm, text, err := c.Find(ref)
		if err != nil || tm.Name != "debian12" || tm.Version != "12" || tm.Family != "debian" || !strings.Contains(string(text), "name: debian12") {
			t.Errorf("%s: %+v %v", ref, tm, err)
		}
	}
}

func TestFindSuggests(t *testing.T) {
	c, _ := load(t, nil)
	for ref, want := range map[string]string{
		"debian1": "did you mean debian11, debian12, debian13?", "bokworm": "did you mean bookworm?", "Debian13": "debian13", "centos7": "\"centos7\" not found", "x": "not found",
	} {
		_, _, err := c.Find(ref)
		if sysctl.KindOf(err) != sysctl.NotFound || !strings.Contains(err.Error(), want) || sysctl.HintOf(err) != "sysctl template list" {
			t.Errorf("%s: %v (hint %q)", ref, err, sysctl.HintOf(err))
		}
	}
}

func TestUserTemplates(t *testing.T) {
	c, dir := load(t, map[string]string{
		"mine.yaml":     good,
		"debian12.yaml": strings.Replace(strings.Replace(good, "name: mine", "name: debian12", 1), "aliases: [my/os, bookworm]", "description: ours", 1),
		"broken.yaml":   "name: [",
		"notes.txt":     "not a template",
		".hidden.yaml":  "nor this",
	})
	if tm, _, err := c.Find("debian12"); err != nil || tm.Description != "ours" || tm.Origin != filepath.Join(dir, "debian12.yaml") {
		t.Errorf("the user's wins by name: %+v %v", tm, err)
	}
	if tm, _, err := c.Find("bookworm"); err != nil || tm.Name != "mine" {
		t.Errorf("the user's alias wins: %+v %v", tm, err)
	}
	var broken sysctl.Template
	names := ""
	for _, tm := range c.List() {
		names += tm.Name + " "
		if tm.Name == "broken" {
			broken = tm
		}
	}
	if names != "broken debian11 debian12 debian13 debiansid mine " || !strings.HasPrefix(broken.Description, "broken: ") || !strings.Contains(broken.Description, "broken.yaml:1: ") {
		t.Errorf("list: %s %+v", names, broken)
	}
	if _, _, err := c.Find("broken"); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("broken: %v", err)
	}
	if err := c.Validate(""); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "broken.yaml") {
		t.Errorf("all: %v", err)
	}
	if err := c.Validate(filepath.Join(dir, "mine.yaml")); err != nil {
		t.Errorf("mine: %v", err)
	}
	if err := c.Validate(filepath.Join(dir, "none.yaml")); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("none: %v", err)
	}
	if c, err := Load(filepath.Join(dir, "absent")); err != nil || len(c.List()) != 4 {
		t.Errorf("absent directory: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "notes.txt")); err == nil {
		t.Error("a file as directory is no error")
	}
}

func TestRecipesAreStrict(t *testing.T) {
	for _, c := range []struct {
		name, from, to string // good with one thing changed
		want           []string
	}{
		{"unknown field", "packages:", "package:", []string{"mine.yaml:7: unknown field package"}},
		{"unknown field below", "suite: bookworm", "sweet: bookworm", []string{"mine.yaml:6: unknown field sweet"}},
		{"wrong type", "aliases: [my/os, bookworm]", "aliases: {a: b}", []string{"mine.yaml:3: cannot unmarshal !!map"}},
		{"twice", "packages:", "name: mine\npackages:", []string{"mine.yaml:7: ", "already defined"}},
		{"no YAML", "schema:", "\t", []string{"mine.yaml"}},
		{"two documents", "packages:", "---\npackages:", []string{"more than one YAML document"}},
		{"another schema", "template/v1", "template/v9", []string{"schema: must be sysctl.template/v1 (line 1)"}},
		{"another name", "name: mine", "name: yours", []string{`name: must be "mine", as the file is called (line 2)`}},
		{"bad alias", "my/os", "my os", []string{"aliases[0]: ", "(line 3)"}},
		{"no arch", "arch: [amd64, arm64, i386, armhf, riscv64]", "arch: []", []string{"os.arch: is missing", "(line 4)"}},
		{"an option as package", "[systemd-sysv]", "[--hook-dir=/tmp]", []string{`packages.install[0]: "--hook-dir=/tmp" is not a plain word (line 8)`}},
		{"a list as package", "[systemd-sysv]", "['a,b']", []string{"packages.install[0]"}},
		{"an option as suite", "suite: bookworm", "suite: --x", []string{`source[0].suite: "--x" is not a plain word (line 6)`}},
		{"source of another type", "type: bootstrap", "type: oci", []string{`source[0].type: "oci" is not known: bootstrap (line 6)`}},
		{"unknown tool", "suite: bookworm", "suite: bookworm, tool: cdebootstrap", []string{"source[0].tool: "}},
		{"everything at once", good, "{}", []string{"schema: ", "name: ", "os.family: is missing", "os.arch: ", "source: is missing"}},
		{"bad date", "packages:", "eol: soon\npackages:", []string{`eol: "soon" is not a date YYYY-MM-DD (line 7)`}},
		{"bad file", "packages:", "files:\n  - {path: etc/../x, mode: 888}\npackages:", []string{"files[0].path: ", "files[0].mode: ", "(line 8)"}},
		{"empty", good, "", []string{"the file is empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			if text == good {
				t.Fatal("nothing was changed")
			}
			_, err := decode("mine.yaml", "mine", []byte(text))
			if sysctl.KindOf(err) != sysctl.Invalid {
				t.Fatalf("%s: %v", sysctl.KindOf(err), err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
		})
	}
}
