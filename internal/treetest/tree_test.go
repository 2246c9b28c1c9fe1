package treetest_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl/internal/treetest"
)

func TestLinksStayInside(t *testing.T) {
	tree := treetest.New(map[string]string{
		"/etc/hostname":   "web1\n",
		"/lib":            "-> usr/lib",
		"/usr/lib/a/b":    "b",
		"/abs":            "-> /usr/lib/a",
		"/out":            "-> ../../../etc/hostname",
		"/usr/lib/up":     "-> ../../etc",
		"/loop":           "-> loop",
		"/nowhere":        "-> /gone/away",
		"/empty/":         "",
		"/run/resolv":     "r",
		"/etc/resolv":     "-> ../run/resolv",
		"/usr/lib/a/deep": "-> ../../lib/a/b",
	})
	for _, c := range []struct{ name, want string }{
		{"/lib/a/b", "/usr/lib/a/b"},
		{"/abs/b", "/usr/lib/a/b"},
		{"/out", "/etc/hostname"},
		{"/lib/up/hostname", "/etc/hostname"},
		{"/etc/resolv", "/run/resolv"},
		{"/abs/deep", "/usr/lib/a/b"},
		{"/../../etc/hostname", "/etc/hostname"},
	} {
		if got, err := tree.Resolve(c.name); got != c.want || err != nil {
			t.Errorf("Resolve(%s) = %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	if _, err := tree.ReadFile("/loop"); err == nil {
		t.Error("a link to itself was read")
	}
	if _, err := tree.Stat("/nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a dangling link: %v", err)
	}
	if fi, err := tree.Lstat("/nowhere"); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat of a dangling link: %v, %v", fi, err)
	}
}

func TestWritesReplaceLinksAndCountOnce(t *testing.T) {
	tree := treetest.New(map[string]string{"/etc/hosts": "-> /etc/passwd", "/etc/passwd": "root"})
	for range 2 {
		if err := tree.WriteFile("/etc/hosts", []byte("h"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := tree.Symlink("../x", "/etc/new/link"); err != nil {
			t.Fatal(err)
		}
		if err := tree.Remove("/etc/absent"); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"/etc/hosts": "h", "/etc/passwd": "root", "/etc/new/link": "-> ../x"}
	if got := tree.Files(); !maps.Equal(got, want) {
		t.Errorf("files = %v, want %v", got, want)
	}
	if got := tree.Writes(); !slices.Equal(got, []string{"/etc/hosts", "/etc/new", "/etc/new/link"}) {
		t.Errorf("writes = %v", got)
	}
	if err := tree.Remove("/etc/new"); err == nil {
		t.Error("a directory that is not empty was removed")
	}
}
