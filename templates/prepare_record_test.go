package templates

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// applied applies changes that could be made, and returns the files then.
func applied(t *testing.T, tree *treetest.Tree, changes []sysctl.Change, err error) map[string]string {
	t.Helper()
	if err == nil {
		err = sysctl.Apply(tree, changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree.Files()
}

// Every tree, every step: taken back afterwards is left out from the beginning, to the last file. What a step took away
// for good cannot be taken back, and its content is in no record.
func TestRestoreEras(t *testing.T) {
	for name, e := range eras() {
		t.Run(name, func(t *testing.T) {
			tree := treetest.New(e.files)
			did := strings.Fields(prepared(t, tree, e.want))
			whole := tree.Files()
			for _, s := range Steps() {
				if !slices.Contains(did, s.Name) {
					continue
				}
				skip := []string{s.Name}
				back := treetest.New(whole)
				changes, err := Restore(back, skip)
				if s.Final {
					if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), s.Name) {
						t.Errorf("%s: %v", s.Name, err)
					}
					continue
				}
				applied(t, back, changes, err)
				changes, _, err = Prepare(back, e.want, PrepareOptions{Skip: skip})
				got := applied(t, back, changes, err)
				never := treetest.New(e.files)
				changes, _, err = Prepare(never, e.want, PrepareOptions{Skip: skip})
				want := applied(t, never, changes, err)
				for _, path := range slices.Sorted(maps.Keys(union(got, want))) {
					if got[path] != want[path] && !strings.HasSuffix(path, "/") {
						t.Errorf("without %s, %s:\n%s\nwant:\n%s", s.Name, path, got[path], want[path])
					}
				}
			}
			for _, secret := range []string{"/etc/ssh/ssh_host_rsa_key", "/etc/machine-id", "/var/lib/random-seed"} {
				files := maps.Clone(e.files)
				files[secret] = "5ec5e7"
				tree := treetest.New(files)
				prepared(t, tree, e.want)
				if strings.Contains(tree.Files()[RecordFile], "5ec5e7") {
					t.Errorf("the record has what was in %s", secret)
				}
			}
		})
	}
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// The record tells done from skipped from needless, and survives a second preparation without changes of others.
func TestPreparedSteps(t *testing.T) {
	e := eras()["centos6"]
	tree := treetest.New(e.files)
	changes, _, err := Prepare(tree, e.want, PrepareOptions{Skip: []string{"selinux-off"}})
	applied(t, tree, changes, err)
	states := func() map[string]sysctl.PrepState {
		steps, err := Prepared(tree)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]sysctl.PrepState{}
		for _, s := range steps {
			if out[s.Name] = s.State; s.Why == "" || s.Version == 0 || len(s.Touches) == 0 {
				t.Errorf("%+v", s)
			}
		}
		return out
	}
	got := states()
	if got["console"] != sysctl.PrepDone || got["selinux-off"] != sysctl.PrepSkipped || got["docker-leftovers"] != sysctl.PrepNothing {
		t.Errorf("%v", got)
	}
	changes, names, err := Prepare(tree, e.want, PrepareOptions{})
	applied(t, tree, changes, err)
	if got = states(); !slices.Equal(names, []string{"selinux-off"}) || got["selinux-off"] != sysctl.PrepDone || got["console"] != sysctl.PrepDone {
		t.Errorf("%v: %v", names, got)
	}
	if _, ok := got["policy-rc-d"]; ok {
		t.Error("a step of Debian's")
	}
}

// What is not as we write it is no record.
func TestRecordsOfOthers(t *testing.T) {
	e := eras()["debian12"]
	for _, text := range []string{"", "[]", "{", `{"steps": 1}`} {
		files := maps.Clone(e.files)
		files[RecordFile] = text
		tree := treetest.New(files)
		if _, err := Restore(tree, []string{"console"}); sysctl.KindOf(err) != sysctl.Unsupported {
			t.Errorf("%q: %v", text, err)
		}
		if steps, err := Prepared(tree); steps != nil || err != nil {
			t.Errorf("%q: %v, %v", text, steps, err)
		}
		prepared(t, tree, e.want)
	}
	if _, err := Restore(treetest.New(nil), []string{"consol"}); sysctl.KindOf(err) != sysctl.Invalid {
		t.Error(err)
	}
	files := map[string]string{RecordFile: `{"steps":[],"before":{"/etc/x":{"steps":["console"],"kind":"lost"}}}`}
	if _, err := Restore(treetest.New(files), []string{"console"}); sysctl.KindOf(err) != sysctl.Unsupported || !strings.Contains(err.Error(), "/etc/x") {
		t.Error(err)
	}
}

func TestParsePrep(t *testing.T) {
	if skip, err := ParsePrep([]string{"-console", "-udev-off"}); err != nil || !slices.Equal(skip, []string{"console", "udev-off"}) {
		t.Errorf("%v, %v", skip, err)
	}
	for _, words := range [][]string{{"console"}, {"-consol"}, {"-"}} {
		if _, err := ParsePrep(words); sysctl.KindOf(err) != sysctl.Invalid {
			t.Errorf("%v: %v", words, err)
		}
	}
}

// A template's steps are those of its family and era, whatever its init.
func TestStepsForTemplates(t *testing.T) {
	has := func(g sysctl.Guest, name string) bool {
		return slices.ContainsFunc(StepsFor(g), func(s sysctl.PrepStep) bool { return s.Name == name })
	}
	debian := sysctl.Guest{Family: "debian", ID: "debian", Version: "12"}
	if !has(debian, "power-fail") || !has(debian, "policy-rc-d") || has(debian, "pam-loginuid") {
		t.Error("debian 12")
	}
	debian.Init = "systemd"
	if has(debian, "power-fail") {
		t.Error("debian 12 with systemd")
	}
	if g := (sysctl.Guest{Family: "rhel", ID: "centos", Version: "6"}); !has(g, "pam-loginuid") || has(g, "policy-rc-d") {
		t.Error("centos 6")
	}
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	for template, want := range map[string]string{
		"centos5": "power-fail pam-loginuid openrc-sys-lxc", "centos7": "pam-loginuid", "debian4": "power-fail pam-loginuid policy-rc-d openrc-sys-lxc", "debian12": "policy-rc-d",
		"alpine2.6": "openrc-sys-lxc", "void": "power-fail openrc-sys-lxc",
	} {
		steps, err := c.Steps(template)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"power-fail", "pam-loginuid", "policy-rc-d", "openrc-sys-lxc"} {
			has := slices.ContainsFunc(steps, func(s sysctl.PrepStep) bool { return s.Name == name })
			if has != slices.Contains(strings.Fields(want), name) {
				t.Errorf("%s: step %s is %v", template, name, has)
			}
		}
	}
}
