package templates

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// localSystem is a directory with a bootable system, as old as 2001.
func localSystem(t *testing.T) string {
	t.Helper()
	from := t.TempDir()
	for name, data := range map[string]string{"etc/x": "x", "sbin/init": "init", "bin/sh": "sh", "var/log/dpkg.log": "today", "usr/lib/a": "a"} {
		at := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(data), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Unix(1_000_000_000, 0)
	err := filepath.WalkDir(from, func(at string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(at, then, then)
	})
	if err != nil {
		t.Fatal(err)
	}
	return from
}

// What changes a tree changes the digest of its inputs, and nothing else does. Nothing is made where it is known.
func TestInputs(t *testing.T) {
	needs.Root(t)
	from := localSystem(t)
	base := recipeOf("vars: {name: a}\nfiles: [{path: /etc/name, content: \"${name}\"}]\n", "type: dir, path: "+from)
	inputs := func(text string, o BuildOptions) string {
		t.Helper()
		c, _ := load(t, map[string]string{"mine.yaml": text})
		dir, _ := emptyDir(t)
		o.Have = func(string) bool { return true }
		b, err := c.Build(t.Context(), "mine", dir, o)
		if err != nil || !b.Cached || b.Source != "" || len(b.Inputs) != 64 {
			t.Fatalf("%+v %v", b, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("made though it was known: %v %v", left, err)
		}
		return b.Inputs
	}
	first := inputs(base, BuildOptions{})
	for name, x := range map[string]struct {
		text string
		o    BuildOptions
		same bool
	}{
		"the same again":            {base, BuildOptions{}, true},
		"another description":       {base + "description: other\neol: \"2030-01-01\"\ntried: true\n", BuildOptions{}, true},
		"a value that it has":       {base, BuildOptions{Set: map[string]string{"name": "a"}}, true},
		"another value":             {base, BuildOptions{Set: map[string]string{"name": "b"}}, false},
		"another file":              {strings.Replace(base, "/etc/name", "/etc/other", 1), BuildOptions{}, false},
		"packages can be installed": {base, BuildOptions{Run: func(context.Context, string, string) error { return nil }}, false},
		"a source more behind it":   {strings.Replace(base, "vars", "  - {type: dir, path: /none}\nvars", 1), BuildOptions{}, true},
	} {
		if got := inputs(x.text, x.o); (got == first) != x.same {
			t.Errorf("%s: same is %v", name, got == first)
		}
	}
	if err := os.WriteFile(filepath.Join(from, "etc/x"), []byte("y"), 0o755); err != nil {
		t.Fatal(err)
	}
	if inputs(base, BuildOptions{}) == first {
		t.Error("another content of the source: same")
	}
}

// What an archive of packages says that it has is an input of a bootstrap.
func TestBootstrapInputs(t *testing.T) {
	needs.Root(t)
	fakeTool(t, "mmdebstrap", makeSystem)
	files := map[string][]byte{"/debian/dists/bookworm/Release": []byte("today")}
	s := server(t, files, nil)
	inputs := func(mirror string) string {
		t.Helper()
		c, _ := load(t, map[string]string{"mine.yaml": good})
		dir, _ := emptyDir(t)
		b, err := c.Build(t.Context(), "mine", dir, BuildOptions{Mirror: mirror})
		if err != nil {
			t.Fatal(err)
		}
		return b.Inputs
	}
	first := inputs(s.URL + "/debian")
	if inputs(s.URL+"/debian/") != first {
		t.Error("the same archive: other inputs")
	}
	other := server(t, map[string][]byte{"/debian/dists/bookworm/Release": []byte("tomorrow")}, nil)
	if inputs(other.URL+"/debian") == first || inputs("") == first {
		t.Error("another archive: same inputs")
	}
	r := recipe{OS: recipeOS{ID: "fedora"}}
	b := &build{recipe: r, BuildOptions: BuildOptions{Arch: "amd64"}}
	got := b.indexes(recipeSource{Type: "bootstrap", Release: "9", Repos: []recipeRepo{{Path: "r/$releasever/$basearch/os/"}}}, "https://a.example")
	if fmt.Sprint(got) != "[https://a.example/r/9/x86_64/os/repodata/repomd.xml]" {
		t.Errorf("indexes: %v", got)
	}
}

// A recipe's edition is that of the file which stands before the others of its name.
func TestEdition(t *testing.T) {
	_, machine := load(t, map[string]string{"mine.yaml": good, "debian12.yaml": "ours"})
	_, own := load(t, map[string]string{"mine.yaml": good + "# changed\n"})
	first, changed := Edition("mine", machine), Edition("mine", machine, own)
	if len(first) != 64 || first != Edition("mine", machine, "") || len(changed) != 64 || first == changed || changed != Edition("mine", own) {
		t.Errorf("%q %q", first, changed)
	}
	if Edition("debian12") == "" || Edition("debian12") == Edition("debian12", machine) || Edition("debian12") != Edition("debian12", own, "/none") {
		t.Error("debian12: the user's recipe is not the one")
	}
	if Edition("nobody", machine) != "" || Edition("../mine", filepath.Join(own, "x")) != "" {
		t.Error("an edition of nothing")
	}
}

// The same recipe of the same directory gives the same bytes, however long later.
func TestBuildIsReproducible(t *testing.T) {
	needs.Root(t)
	from := localSystem(t)
	text := recipeOf("files: [{path: /etc/name, content: me}, {path: /opt/deep/er/file, content: x}]\n", "type: dir, path: "+from)
	var first string
	for i := range 2 {
		dir, above := emptyDir(t)
		if i > 0 { // the second one's clock is another day's
			later := time.Now().Add(-48 * time.Hour)
			if err := os.Chtimes(filepath.Join(from, "etc"), later, time.Unix(1_000_000_000, 0)); err != nil {
				t.Fatal(err)
			}
		}
		began, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = buildOf(t, text, dir, BuildOptions{})
		wantTree(t, dir, err, "etc/name")
		if err := Normalize(t.Context(), dir, began.ModTime()); err != nil {
			t.Fatal(err)
		}
		untouched(t, above)
		if _, err := os.Lstat(filepath.Join(dir, "var/log/dpkg.log")); err == nil {
			t.Error("a log of the making is there")
		}
		info, err := os.Stat(filepath.Join(dir, "etc/name"))
		if err != nil || info.ModTime().Unix() != 1_000_000_000 {
			t.Errorf("what the recipe writes is of %v (%v)", info.ModTime(), err)
		}
		var packed strings.Builder
		if err := Pack(t.Context(), dir, &packed); err != nil {
			t.Fatal(err)
		}
		if i > 0 && packed.String() != first {
			t.Error("the second tree differs")
		}
		first = packed.String()
	}
}

// Times are set of entries themselves: nothing that a link leads to, and of no older entry.
func TestNormalize(t *testing.T) {
	dir, above := emptyDir(t)
	victim := filepath.Join(above, "victim")
	when := func(at string, sec int64) {
		t.Helper()
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, at, []unix.Timespec{{Sec: sec}, {Sec: sec}}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"old", "older", "recent"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(victim, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(victim)
	if err != nil {
		t.Fatal(err)
	}
	for name, sec := range map[string]int64{"old": 500, "older": 400, "recent": 2000, "link": 2000, "dir": 1000} {
		when(filepath.Join(dir, name), sec)
	}
	for range 2 {
		if err := Normalize(t.Context(), dir, time.Unix(1000, 0)); err != nil {
			t.Fatal(err)
		}
		for name, sec := range map[string]int64{"old": 500, "older": 400, "recent": 500, "link": 500, "dir": 500, ".": 500} {
			if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.ModTime().Unix() != sec {
				t.Errorf("%s: %v %v", name, info.ModTime().Unix(), err)
			}
		}
	}
	if after, err := os.Stat(victim); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the link's target was touched: %v", err)
	}
	if err := Normalize(t.Context(), filepath.Join(dir, "none"), time.Unix(0, 0)); err == nil {
		t.Error("no error for a directory that is not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Normalize(ctx, dir, time.Unix(0, 0)); sysctl.KindOf(err) != sysctl.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestPullSource(t *testing.T) {
	user := map[string]Remote{"corp": {Type: "oci", URL: "http://hub.example:5000/pre"}, "near": {Type: "simplestreams", URL: "https://near.example/"}}
	for ref, want := range map[string]string{
		"near:debian/12":                          "simplestreams https://near.example/ debian/12",
		"corp:team/app:7":                         "oci hub.example:5000/team/app:7 via http://hub.example:5000/pre",
		"oci:debian:12":                           "oci docker.io/library/debian:12",
		"docker://hub.example/a/b":                "oci hub.example/a/b:latest",
		"oci:hub.example/ab@sha256:" + sumOf(nil): "oci hub.example/ab@sha256:" + sumOf(nil),
	} {
		s, mirror, err := pullSource(ref, remotes(user))
		got := s.Type + " " + s.Ref
		if s.Type == "simplestreams" {
			got = s.Type + " " + s.Server + " " + s.Image
		}
		if s.Digest != "" {
			got += "@" + s.Digest
		}
		for _, at := range mirror {
			got += " via " + at
		}
		if err != nil || got != want || !s.Complete {
			t.Errorf("%s: %s %v", ref, got, err)
		}
	}
	for ref, want := range map[string]string{
		"debian": "must be REMOTE:ALIAS", ":x": "must be", "images:": "must be", "nera:debian/12": "known are corp, images, near", "oci:UPPER/case:x": "",
		"near:--x": "is not an alias", "oci:": "must be", "docker:////": "",
	} {
		if _, _, err := pullSource(ref, remotes(user)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, _, err := pullSource("nera:debian/12", remotes(user)); sysctl.HintOf(err) != "did you mean near:debian/12?" {
		t.Errorf("hint: %q", sysctl.HintOf(err))
	}
	if got := fmt.Sprint(RemoteNames(user)); got != "[corp docker images near oci]" {
		t.Errorf("names: %s", got)
	}
}
