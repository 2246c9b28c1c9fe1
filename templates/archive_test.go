package templates

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// old is a time that no file gets by being made now.
func old() time.Time { return time.Unix(1_000_000_000, 0) }

// item makes a header; content goes into archive.
func item(kind byte, name string, change ...func(h *tar.Header)) *tar.Header {
	h := &tar.Header{Typeflag: kind, Name: name, Mode: 0o644, ModTime: old(), Uid: os.Geteuid(), Gid: os.Getegid()}
	if kind == tar.TypeDir {
		h.Mode = 0o755
	}
	for _, c := range change {
		c(h)
	}
	return h
}

func to(target string) func(h *tar.Header)   { return func(h *tar.Header) { h.Linkname = target } }
func mode(m int64) func(h *tar.Header)       { return func(h *tar.Header) { h.Mode = m } }
func owner(uid, gid int) func(h *tar.Header) { return func(h *tar.Header) { h.Uid, h.Gid = uid, gid } }
func pax(key, value string) func(h *tar.Header) {
	return func(h *tar.Header) { h.PAXRecords = merge(h, key, value) }
}

func merge(h *tar.Header, key, value string) map[string]string {
	m := map[string]string{key: value}
	for k, v := range h.PAXRecords {
		m[k] = v
	}
	return m
}

// archive makes a tar archive. A file's content is its own name.
func archive(t testing.TB, items ...*tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range items {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// system is the least that counts as a root filesystem.
func system(more ...*tar.Header) []*tar.Header {
	return append([]*tar.Header{item(tar.TypeDir, "./etc/"), item(tar.TypeDir, "./bin/"), item(tar.TypeReg, "./bin/sh", mode(0o755))}, more...)
}

// emptyDir makes an empty directory with a neighbour that must not change.
func emptyDir(t testing.TB) (dir, above string) {
	t.Helper()
	above = t.TempDir()
	dir = filepath.Join(above, "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(above, "victim"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, above
}

// untouched fails where something beside the tree changed.
func untouched(t testing.TB, above string) {
	t.Helper()
	entries, err := os.ReadDir(above)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "tree victim" {
		t.Errorf("beside the tree there is now: %s", got)
	}
	data, err := os.ReadFile(filepath.Join(above, "victim"))
	fi, serr := os.Lstat(filepath.Join(above, "victim"))
	if err != nil || serr != nil || string(data) != "mine" || fi.Mode() != 0o600 || fi.Sys() == nil {
		t.Errorf("the victim changed: %q %v %v %v", data, fi.Mode(), err, serr)
	}
}

// listing is every entry below dir as one line each: mode, name, and what it leads to or holds.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		what := ""
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			what, _ = os.Readlink(p)
			what = " -> " + what
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			what = " = " + string(data)
		}
		b.WriteString(strings.TrimRight(strings.Join([]string{d.Type().String()[:1], octal(st.Mode), name}, " ")+what, "\n") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func octal(m uint32) string {
	const digits = "01234567"
	return string([]byte{digits[m>>9&7], digits[m>>6&7], digits[m>>3&7], digits[m&7]})
}
