package manager_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"golang.org/x/sys/unix"
)

// sourceTree makes something of everything that a stream of files can have.
func sourceTree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	at := func(name string) string { return filepath.Join(dir, name) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(at("sub/empty"), 0o755))
	check(os.WriteFile(at("a"), []byte("one\n"), 0o640))
	check(os.Chmod(at("a"), 0o640))
	check(os.WriteFile(at("sub/odd \n\xff name"), []byte("two"), 0o600))
	check(os.WriteFile(at("sub/nothing"), nil, 0o644))
	check(os.Link(at("a"), at("sub/again")))
	check(os.Symlink("/etc/passwd", at("link")))
	check(syscall.Mkfifo(at("fifo"), 0o600))
	f, err := os.Create(at("sparse"))
	check(err)
	_, err = f.WriteAt([]byte("data"), 8<<20)
	check(err)
	check(f.Truncate(16 << 20))
	check(f.Close())
	_ = unix.Setxattr(at("a"), "user.test", []byte("v=\n"), 0) // where the filesystem can
	old := time.Unix(1e9, 123456789)
	for _, name := range []string{"a", "sparse", "sub/empty", "sub", "."} {
		check(os.Chtimes(at(name), old, old))
	}
	return dir
}

// describe says of everything in a tree what a copy is to have.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		b.WriteString(name + " " + info.Mode().String())
		if st := info.Sys().(*syscall.Stat_t); info.Mode().IsRegular() {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			value := make([]byte, 64)
			n, _ := unix.Getxattr(p, "user.test", value)
			if len(data) > 1<<20 && st.Blocks > 1<<11 {
				b.WriteString(" without its hole")
			}
			b.WriteString(" " + strings.Trim(string(data), "\x00") + " " + string(value[:max(n, 0)]) + " " + string('0'+rune(st.Nlink)))
		}
		if target, err := os.Readlink(p); err == nil {
			b.WriteString(" " + target)
		} else {
			b.WriteString(" " + info.ModTime().UTC().String())
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFileStream(t *testing.T) {
	src := sourceTree(t)
	var stream bytes.Buffer
	var left []string
	if err := manager.PackFiles(t.Context(), &stream, []string{src, src + "/.", src + "/link"}, true, func(l string) { left = append(left, l) }); err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 || !strings.Contains(left[0], "fifo") {
		t.Errorf("left out: %q", left)
	}
	if stream.Len() > 1<<20 {
		t.Errorf("%d bytes: holes are sent", stream.Len())
	}
	if err := os.Remove(filepath.Join(src, "fifo")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(src, time.Unix(1e9, 123456789), time.Unix(1e9, 123456789)); err != nil {
		t.Fatal(err)
	}
	whole := stream.Bytes()
	dst := t.TempDir()
	if err := manager.UnpackFiles(t.Context(), bytes.NewReader(whole), dst); err != nil {
		t.Fatal(err)
	}
	want := describe(t, src)
	if got := describe(t, filepath.Join(dst, "0/site")); got != want {
		t.Errorf("it has become\n%s\nwant\n%s", got, want)
	}
	// It is the same tree, but its hard links are of the first one's files.
	if got := strings.Count(describe(t, filepath.Join(dst, "1")), "\n"); got != strings.Count(want, "\n") {
		t.Errorf("what is in it: %d entries", got)
	}
	if target, err := os.Readlink(filepath.Join(dst, "2/link")); target != "/etc/passwd" {
		t.Errorf("link: %q, %v", target, err)
	}

	for n := 0; n < len(whole)-1024; n += 512 { // what ends it is there then
		if err := manager.UnpackFiles(t.Context(), bytes.NewReader(whole[:n]), t.TempDir()); sysctl.KindOf(err) != sysctl.Invalid {
			t.Fatalf("cut off at %d of %d: %v", n, len(whole), err)
		}
		if n > 8192 {
			n += 8192
		}
	}
}

// Without recursive a link is followed, and a directory refused.
func TestFileStreamOfFiles(t *testing.T) {
	src := sourceTree(t)
	if err := os.Symlink("a", filepath.Join(src, "to-a")); err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if err := manager.PackFiles(t.Context(), &stream, []string{src + "/to-a", src + "/sub/nothing", "/proc/self/stat"}, false, nil); err != nil {
		t.Fatal(err)
	}
	dst := t.TempDir()
	if err := manager.UnpackFiles(t.Context(), &stream, dst); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dst, "0/to-a")); string(b) != "one\n" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(dst, "2/stat")); len(b) == 0 {
		t.Errorf("of what the kernel makes up: %q, %v", b, err)
	}
	kind(t, manager.PackFiles(t.Context(), io.Discard, []string{src}, false, nil), sysctl.Invalid)
	kind(t, manager.PackFiles(t.Context(), io.Discard, []string{src + "/fifo"}, false, nil), sysctl.Invalid)
	kind(t, manager.PackFiles(t.Context(), io.Discard, []string{src + "/absent"}, true, nil), sysctl.NotFound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := manager.PackFiles(ctx, io.Discard, []string{src}, true, nil); err == nil {
		t.Error("it goes on though nobody waits")
	}
}

// Nothing that a stream says leads out of the directory.
func TestHostileFileStream(t *testing.T) {
	outside := t.TempDir()
	for what, entries := range map[string][]tar.Header{
		"a path up":           {{Name: "../up", Typeflag: tar.TypeReg}},
		"a path of the root":  {{Name: outside + "/x", Typeflag: tar.TypeReg}},
		"through a link":      {{Name: "0/l", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "0/l/x", Typeflag: tar.TypeReg}},
		"a directory of it":   {{Name: "0/l", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "0/l/x", Typeflag: tar.TypeDir}},
		"a hard link":         {{Name: "0/h", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"a device":            {{Name: "0/d", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"parts beyond it":     {{Name: "0/p", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SYSCTL.size": "10", "SYSCTL.data": "5 6"}}},
		"a size that is none": {{Name: "0/p", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SYSCTL.size": "-1", "SYSCTL.data": ""}}},
		"twice":               {{Name: "0/a", Typeflag: tar.TypeReg}, {Name: "0/a", Typeflag: tar.TypeReg}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range append(entries, tar.Header{Name: "end", Typeflag: tar.TypeReg}) {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		if err := manager.UnpackFiles(t.Context(), &b, t.TempDir()); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if list, _ := os.ReadDir(outside); len(list) > 0 {
		t.Errorf("outside: %v", list)
	}
}

func TestPlaceFiles(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"0/www/new": "new", "0/www/old": "changed", "1/hosts": "h"} {
		os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755)
		os.WriteFile(filepath.Join(from, name), []byte(text), 0o644)
	}
	os.Mkdir(filepath.Join(to, "www"), 0o700)
	os.WriteFile(filepath.Join(to, "www/old"), []byte("old"), 0o644)
	os.WriteFile(filepath.Join(to, "www/mine"), []byte("mine"), 0o644)
	refs := []manager.FileRef{ref("/srv/www"), ref("/etc/hosts"), ref("/dev/null")}
	kind(t, manager.PlaceFiles(from, refs, to, manager.FileOptions{}), "")
	for name, want := range map[string]string{"www/new": "new", "www/old": "changed", "www/mine": "mine", "hosts": "h"} {
		if b, err := os.ReadFile(filepath.Join(to, name)); string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
