package templates

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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

// What is expected of a guest is no part of what it is made from: no image is built again for it.
func TestBootTestIsNoInput(t *testing.T) {
	with := strings.Replace(good, "packages:", "test: {timeout: 90s, listening: [22], commands: [\"echo ${x}\"]}\npackages:", 1)
	var inputs []string
	for _, text := range []string{good, with} {
		r, err := decode("mine.yaml", "mine", []byte(text), newRules())
		if err != nil {
			t.Fatal(err)
		}
		b := build{recipe: r}
		inputs = append(inputs, b.inputs(r.Source[0], ""))
		if text == with {
			if got := r.template("").Test; got.Timeout != 90*time.Second || !slices.Equal(got.Listening, []uint16{22}) || !slices.Equal(got.Commands, []string{"echo ${x}"}) || got.MayFail == nil {
				t.Errorf("%+v", got)
			}
		}
	}
	if inputs[0] != inputs[1] {
		t.Error("a test changes the inputs")
	}
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

// bootedRecipes are those that root scripts build and boot.
func bootedRecipes(t *testing.T) []string {
	scripts, err := filepath.Glob("../internal/roottest/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range scripts {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:\w+ recipe|exec sysctl launch) (\w+)`).FindAllStringSubmatch(string(data), -1) {
			if _, err := os.Stat("catalogue/" + m[1] + ".yaml"); err == nil { // else it is the script's own, or an image
				all = append(all, m[1])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestBuiltInTemplates(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	var tried []string
	for _, tm := range c.List() {
		if tm.Tried {
			tried = append(tried, tm.Name)
		}
	}
	if want := bootedRecipes(t); !slices.Equal(tried, want) {
		t.Errorf("tried: %q, want those that the root scripts boot: %q", tried, want)
	}
	if err := c.Validate(""); err != nil {
		t.Error(err)
	}
	var names []string
	refs := map[string]string{}
	for _, tm := range c.List() {
		names = append(names, tm.Name)
		if tm.Description == "" || len(tm.Arch) == 0 {
			t.Errorf("%+v", tm)
		}
		for _, ref := range append([]string{tm.Name}, tm.Aliases...) {
			if refs[ref] != "" {
				t.Errorf("%s is %s and %s", ref, refs[ref], tm.Name)
			}
			refs[ref] = tm.Name
		}
		_, text, err := c.Find(tm.Name)
		if err != nil {
			t.Error(err)
		}
		// Where Debian's packages come from is for the tool and the administrator to know.
		for l := range strings.Lines(string(text)) {
			if strings.HasPrefix(tm.Name, "debian") && strings.Contains(l, "://") && !strings.Contains(l, "server: ") {
				t.Errorf("%s names a mirror: %s", tm.Name, l)
			}
		}
		if len(tm.Test.Commands) == 0 {
			t.Errorf("%s has no boot test", tm.Name)
		}
		if tm.EOL == "" && strings.HasPrefix(tm.Name, "centos") {
			t.Errorf("%s has no end", tm.Name)
		}
	}
	for _, name := range []string{
		"centos5", "centos6", "centos7", "centos8", "centosstream9", "centosstream10", "almalinux8", "almalinux10", "rockylinux8", "rockylinux10",
		"oraclelinux6", "oraclelinux10", "fedora44", "amazonlinux1", "amazonlinux2", "amazonlinux2023", "debian4", "debian7", "debian10", "debian13", "debiansid",
		"devuan5", "ubuntu804", "ubuntu1404", "ubuntu2604", "sles11", "sles12", "sles15", "opensuse15.6", "tumbleweed", "alpine2.6", "alpine3.24", "alpineedge",
		"arch", "gentoo", "slackware14.2", "slackware15.0", "void",
	} {
		if !slices.Contains(names, name) {
			t.Errorf("no template %s", name)
		}
	}
	for ref, name := range map[string]string{"centos/7": "centos7", "centos9": "centosstream9", "centos/10": "centosstream10", "el7": "centos7", "trusty": "ubuntu1404", "alpine/3.20": "alpine3.20"} {
		if refs[ref] != name {
			t.Errorf("%s is %q", ref, refs[ref])
		}
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
		"debian1": "did you mean debian13, debian12, debian11?", "alpin": "did you mean alpine3.24, alpine3.23, alpine3.22?",
		"debian": "did you mean debian13, debian12, debian11?", "ubuntu": "did you mean ubuntu2604, ubuntu2404, ubuntu2204?", "alpin3.9": "did you mean alpine3.9, ", "bokworm": "did you mean bookworm?", "Debian13": "debian13", "centos11": "not found", "x": "not found",
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
	var names []string
	for _, tm := range c.List() {
		names = append(names, tm.Name)
		if tm.Name == "broken" {
			broken = tm
		}
	}
	if !slices.IsSorted(names) || !slices.Contains(names, "mine") || slices.Contains(names, "notes") || slices.Contains(names, ".hidden") || !strings.HasPrefix(broken.Description, "broken: ") || !strings.Contains(broken.Description, "broken.yaml:1: ") {
		t.Errorf("list: %v %+v", names, broken)
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
	if err := c.Validate("mine"); sysctl.KindOf(err) != sysctl.NotFound || sysctl.HintOf(err) != "sysctl template validate "+filepath.Join(dir, "mine.yaml") {
		t.Errorf("a name instead of a file: %v, hint %q", err, sysctl.HintOf(err))
	}
	if c, err := Load(filepath.Join(dir, "absent")); err != nil || !slices.ContainsFunc(c.List(), func(tm sysctl.Template) bool { return tm.Name == "debian12" }) {
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
		{"unknown field", "packages:", "package:", []string{"mine.yaml: package: unknown field: did you mean packages? (line 7)"}},
		{"unknown field below", "suite: bookworm", "sweet: bookworm", []string{"mine.yaml: sweet: unknown field (line 6)", "source[0].suite: is missing (line 6)"}},
		{"wrong type", "aliases: [my/os, bookworm]", "aliases: {a: b}", []string{"mine.yaml: aliases: must be a list, and is fields (line 3)"}},
		{"twice", "packages:", "name: mine\npackages:", []string{"mine.yaml: name: is there twice: it is in line 2 already (line 7)"}},
		{"no YAML", "schema:", "\t", []string{"mine.yaml"}},
		{"form and meaning at once", "packages:", "eol: soon\ncolour: red\nprep: -console\ntried: perhaps\npackages:", []string{"mine.yaml: eol: \"soon\" is not a date YYYY-MM-DD (line 7); colour: unknown field (line 8); prep: must be a list, and is one value (line 9); tried: must be true or false, and is one value (line 10)"}},
		{"what cannot be read is said once", "os: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386, armhf, riscv64]}", "os: debian", []string{"mine.yaml: os: must be fields, and is one value (line 4)"}},
		{"two documents", "packages:", "---\npackages:", []string{"more than one YAML document"}},
		{"another schema", "template/v1", "template/v9", []string{"schema: must be sysctl.template/v1 (line 1)"}},
		{"another name", "name: mine", "name: yours", []string{`name: must be "mine", as the file is called (line 2)`}},
		{"bad alias", "my/os", "my os", []string{"aliases[0]: ", "(line 3)"}},
		{"no arch", "arch: [amd64, arm64, i386, armhf, riscv64]", "arch: []", []string{"os.arch: is missing", "(line 4)"}},
		{"an option as package", "[systemd-sysv]", "[--hook-dir=/tmp]", []string{`packages.install[0]: "--hook-dir=/tmp" is not a plain word (line 8)`}},
		{"a list as package", "[systemd-sysv]", "['a,b']", []string{"packages.install[0]"}},
		{"an option as suite", "suite: bookworm", "suite: --x", []string{`source[0].suite: "--x" is not a plain word (line 6)`}},
		{"source of an unknown type", "type: bootstrap", "type: ostree", []string{`source[0].type: "ostree" is not known: bootstrap, tar, dir, disk, oci, simplestreams (line 6)`}},
		{"source without a type", "type: bootstrap, ", "", []string{`source[0].type: "" is not known`}},
		{"fields of another type", "type: bootstrap", "type: oci", []string{"source[0].suite: is nothing that a source of type oci has (line 6)", "source[0].variant: ", "source[0].ref: is missing"}},
		{"tar without a sum", "type: bootstrap, suite: bookworm, variant: minbase", "type: tar, url: \"https://x.example/y\"", []string{"source[0].sha256: is missing"}},
		{"tar with a bad sum", "type: bootstrap, suite: bookworm, variant: minbase", "type: tar, url: x, sha256: ABC", []string{`source[0].url: "x" is not an http`, `source[0].sha256: "ABC" is not a SHA-256`}},
		{"directory that is not absolute", "type: bootstrap, suite: bookworm, variant: minbase", "type: dir, path: /a/../b", []string{`source[0].path: "/a/../b" is not a clean absolute path`}},
		{"bad digest", "type: bootstrap, suite: bookworm, variant: minbase", "type: oci, ref: centos, digest: latest", []string{`source[0].ref: "centos" is not REGISTRY/REPOSITORY:TAG`, "source[0].digest: "}},
		{"image server by an option", "type: bootstrap, suite: bookworm, variant: minbase", "type: simplestreams, server: --x, image: debian/12", []string{`source[0].server: "--x" is not an http`}},
		{"RPM without repositories", "suite: bookworm, variant: minbase", "tool: dnf", []string{"source[0].release: is missing", "source[0].mirror: is missing", "source[0].repos: is missing"}},
		{"RPM by http without a key", "suite: bookworm, variant: minbase", "tool: dnf, release: \"9\", mirror: \"http://x.example\", repos: [{name: a, path: b}]", []string{"source[0].repos[0].gpgkey: is missing"}},
		{"source for an architecture of nobody", "variant: minbase", "arch: [vax]", []string{`source[0].arch[0]: "vax" is not among os.arch (line 6)`}},
		{"packages without a manager", "type: bootstrap, suite: bookworm, variant: minbase", "type: dir, path: /x", []string{"packages.manager: is missing: source[0] is no whole system (line 7)"}},
		{"unknown manager", "  install:", "  manager: emerge\n  install:", []string{`packages.manager: "emerge" is not known`}},
		{"variable that is not declared", "suite: bookworm", "suite: \"${suite}\"", []string{"source[0].suite: ${suite} is not among the vars"}},
		{"bad variable", "packages:", "vars: {Up: x}\npackages:", []string{`vars.Up: "Up" is not a variable's name`}},
		{"variable with a bad value", "suite: bookworm", "suite: \"${suite}\"}\nvars:\n  {suite: --x", []string{`source[0].suite: "--x" is not a plain word`}},
		{"service that is a command", "packages:", "services: {enable: [\"a;reboot\"]}\npackages:", []string{"services.enable[0]: "}},
		{"no step", "packages:", "prep: [-consol, console]\npackages:", []string{`prep[0]: `, "no preparation step is called", `prep[1]: "console" is not a step of preparation with a minus`}},
		{"unknown init", "packages:", "guest: {init: launchd, init_version: v219, libc: glibc, libc_version: 2.x}\npackages:", []string{`guest.init: "launchd" is not known: systemd, `, `guest.init_version: "v219" is not a version: numbers with dots between them (line 7)`, `guest.libc_version: "2.x"`}},
		{"unknown choices", "packages:", "renderer: ifupdown 0.9\nhalt: SIGKILL\npackages:", []string{
			`renderer: "ifupdown 0.9" is not a kind of network files such as "ifupdown 0.8" or networkd (line 7)`, `halt: "SIGKILL" is not a signal such as SIGPWR or SIGRTMIN+3 (line 8)`}},
		{"versions of nothing", "packages:", "guest: {init_version: \"219\", libc_version: \"2.17\"}\npackages:", []string{"guest.init_version: is of no init", "guest.libc_version: is of no C library"}},
		{"no day", "packages:", "eol: 2024-02-31\npackages:", []string{`eol: "2024-02-31" is no day`}},
		{"unknown tool", "suite: bookworm", "suite: bookworm, tool: cdebootstrap", []string{"source[0].tool: "}},
		{"everything at once", good, "{}", []string{"schema: ", "name: ", "os.family: is missing", "os.arch: ", "source: is missing"}},
		{"bad date", "packages:", "eol: soon\npackages:", []string{`eol: "soon" is not a date YYYY-MM-DD (line 7)`}},
		{"bad file", "packages:", "files:\n  - {path: etc/../x, mode: 888}\npackages:", []string{"files[0].path: ", "files[0].mode: ", "(line 8)"}},
		{"bad test", "packages:", "test:\n  timeout: soon\n  may_fail: ['[', ok]\n  running: ['a b']\n  listening: [0, 99999]\n  commands: ['']\npackages:", []string{
			`test.timeout: "soon" is not a time such as 90s or 2m (line 8)`, `test.may_fail[0]: "[" is no regular expression: missing closing ]`, "(line 9)",
			`test.running[0]: "a b" is not a process's name`, `test.listening[0]: "0" is not a TCP port`, `test.listening[1]: 99999 is no TCP port: the highest is 65535 (line 11)`,
			"test.commands[0]: is empty (line 12)"}},
		{"unknown field of a test", "packages:", "test: {comands: [x]}\npackages:", []string{"comands: unknown field: did you mean commands? (line 7)"}},
		{"empty", good, "", []string{"the file is empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			if text == good {
				t.Fatal("nothing was changed")
			}
			_, err := decode("mine.yaml", "mine", []byte(text), newRules())
			if sysctl.KindOf(err) != sysctl.Invalid {
				t.Fatalf("%s: %v", sysctl.KindOf(err), err)
			}
			if strings.HasSuffix(c.name, "once") && len(c.want) == 1 && err.Error() != c.want[0] {
				t.Errorf("got %v\nwant %s", err, c.want[0])
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
		})
	}
}
