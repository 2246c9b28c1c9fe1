package templates

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A hostile tree is tidied without opening its pipes, and no link of it leads out.
func TestTidyHostile(t *testing.T) {
	dir, above := emptyDir(t)
	items := []*tar.Header{
		item(tar.TypeDir, "bin"), item(tar.TypeSymlink, "etc", to("/real/etc")), item(tar.TypeReg, "real/etc/hostname"), item(tar.TypeReg, "real/etc/resolv.conf"),
		item(tar.TypeSymlink, "real/etc/motd", to("../../../victim")), item(tar.TypeFifo, "run"), item(tar.TypeSymlink, "tmp", to("..")), item(tar.TypeSymlink, "dev", to(above)),
		item(tar.TypeSymlink, "var", to("var")), item(tar.TypeFifo, "real/etc/issue"),
	}
	if _, err := unpack(t, archive(t, items...), dir, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	// "tmp" leads to the root of the tree, which is emptied: that is the tree's own doing.
	if err := os.Remove(filepath.Join(dir, "tmp")); err != nil {
		t.Fatal(err)
	}
	if err := tidy(t.Context(), dir, []recipeFile{{Path: "/etc/motd", Content: "hello"}, {Path: "/etc/issue", Content: "who", Mode: "0600"}, {Path: "/usr/new/file", Content: "x"}}); err != nil {
		t.Fatal(err)
	}
	untouched(t, above)
	got := listing(t, dir)
	for _, line := range []string{"- 0644 real/etc/motd = hello\n", "- 0600 real/etc/issue = who\n", "- 0644 real/etc/resolv.conf =", "d 0755 usr/new\n", "- 0644 usr/new/file = x\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q", line)
		}
	}
	if strings.Contains(got, "hostname") {
		t.Error("the host's name is there")
	}
	if t.Failed() {
		t.Log(got)
	}
}

// A link at resolv.conf is the guest's own way to find names.
func TestTidyLeavesTheGuestsResolver(t *testing.T) {
	dir, _ := emptyDir(t)
	if _, err := unpack(t, archive(t, system(item(tar.TypeSymlink, "etc/resolv.conf", to("../run/systemd/resolve/stub-resolv.conf")))...), dir, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := tidy(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "etc/resolv.conf")); err != nil || to != "../run/systemd/resolve/stub-resolv.conf" {
		t.Errorf("%s %v", to, err)
	}
}
