package storage

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

func files(pairs ...string) (changes []sysctl.Change) {
	for i := 0; i < len(pairs); i += 2 {
		changes = append(changes, sysctl.Change{Path: pairs[i], Data: []byte(pairs[i+1])})
	}
	return changes
}

func TestApplyWritesOnlyWhatDiffers(t *testing.T) {
	needRoot(t) // owners
	dir := t.TempDir()
	tree, err := OpenDirTree(dir)
	must(t, err)
	defer tree.Close()
	changes := append(files("/a", "1", "/etc/b", "2", "/etc/c", "3"), sysctl.Change{Path: "/d", Data: []byte("4"), Perm: 0o755})
	must(t, sysctl.Apply(tree, changes))
	first := map[string]unix.Stat_t{}
	stat := func(name string) (st unix.Stat_t) {
		must(t, unix.Lstat(filepath.Join(dir, name), &st))
		return st
	}
	for _, c := range changes {
		first[c.Path] = stat(c.Path)
		if got := read(t, filepath.Join(dir, c.Path)); got != string(c.Data) {
			t.Errorf("%s: %q", c.Path, got)
		}
	}
	must(t, sysctl.Apply(tree, changes))
	for _, c := range changes {
		if st := stat(c.Path); st.Ino != first[c.Path].Ino || st.Ctim != first[c.Path].Ctim {
			t.Errorf("%s was written again", c.Path)
		}
	}
	must(t, os.Chown(filepath.Join(dir, "/a"), 1, 1))
	must(t, os.Chmod(filepath.Join(dir, "/etc/b"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "/etc/c"), []byte("x"), 0o644))
	must(t, sysctl.Apply(tree, changes))
	for _, name := range []string{"/a", "/etc/b", "/etc/c"} {
		if st := stat(name); st.Uid != 0 || st.Gid != 0 || st.Mode&0o777 != 0o644 || st.Ino == first[name].Ino {
			t.Errorf("%s was not written: %+v", name, st)
		}
	}
	if got := read(t, filepath.Join(dir, "/etc/c")); got != "3" {
		t.Errorf("/etc/c: %q", got)
	}
}

// A file that has no place leaves those before it as they were, and nothing of its own.
func TestWriteFilesFails(t *testing.T) {
	dir := t.TempDir()
	tree, err := OpenDirTree(dir)
	must(t, err)
	defer tree.Close()
	write(t, filepath.Join(dir, "a"), "old")
	for _, bad := range []string{"/a/b", "/\x00"} {
		if err := tree.WriteFiles(files("/a", "new", bad, "x")); err == nil {
			t.Error("no error")
		}
		if got := read(t, filepath.Join(dir, "a")); got != "old" {
			t.Errorf("after %q: %q", bad, got)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("left: %v %v", entries, err)
		}
	}
}

// Changes happen in their order where it matters.
func TestApplyInOrder(t *testing.T) {
	dir := t.TempDir()
	tree, err := OpenDirTree(dir)
	must(t, err)
	defer tree.Close()
	changes := append(files("/a", "1", "/a", "2", "/b", "3"), sysctl.Change{Path: "/b", Remove: true},
		sysctl.Change{Path: "/c", Link: "a"})
	changes = append(changes, files("/d", "4")...)
	must(t, sysctl.Apply(tree, changes))
	if read(t, filepath.Join(dir, "a")) != "2" || read(t, filepath.Join(dir, "c")) != "2" || read(t, filepath.Join(dir, "d")) != "4" {
		t.Error("wrong content")
	}
	absent(t, filepath.Join(dir, "b"))
}

// The same source, changed in the same way, is the same layer, whenever that is.
func TestStagedTimes(t *testing.T) {
	ctx := context.Background()
	s := New(t.TempDir())
	old := time.Unix(1_000_000_000, 0)
	make := func() string {
		st, err := s.Stage(ctx)
		must(t, err)
		defer st.Abort()
		must(t, os.Mkdir(filepath.Join(st.Dir(), "etc"), 0o755))
		write(t, filepath.Join(st.Dir(), "etc/hosts"), "old")
		write(t, filepath.Join(st.Dir(), "etc/gone"), "x")
		for _, name := range []string{"etc/hosts", "etc/gone", "etc"} {
			must(t, os.Chtimes(filepath.Join(st.Dir(), name), old, old.Add(time.Duration(len(name))*time.Second)))
		}
		must(t, sysctl.Apply(st.Tree(), append(files("/etc/hosts", "new", "/etc/new", "x", "/top", "x", "/etc/deep/er/file", "x"),
			sysctl.Change{Path: "/etc/link", Link: "hosts"}, sysctl.Change{Path: "/etc/gone", Remove: true})))
		must(t, st.Tree().MkdirAll("/var/lib", 0o755))
		for name, want := range map[string]int64{
			"etc": 3, "etc/hosts": 9, "etc/new": 3, "etc/link": 3, "etc/deep": 3, "etc/deep/er": 3, "etc/deep/er/file": 3,
			"top": -old.Unix(), "var": -old.Unix(), "var/lib": -old.Unix(),
		} {
			info, err := os.Lstat(filepath.Join(st.Dir(), name))
			must(t, err)
			if got := info.ModTime().Unix() - old.Unix(); got != want {
				t.Errorf("%s has time %+d, want %+d", name, got, want)
			}
		}
		id, _, err := Digest(ctx, st.Dir())
		must(t, err)
		return id
	}
	if a, b := make(), make(); a != b {
		t.Errorf("%s, then %s", a, b)
	}
}

// A number that is given again finds nothing of whoever had it before a power cut.
func TestCreateUpperIsNew(t *testing.T) {
	ctx := context.Background()
	s := New(t.TempDir())
	must(t, s.CreateUpper(ctx, 5))
	write(t, filepath.Join(s.instance(5), "upper/file"), "of another")
	must(t, s.CreateUpper(ctx, 5))
	empty(t, filepath.Join(s.instance(5), "upper"))
	empty(t, s.trash())
}

// BenchmarkFourFiles is what a guest's files cost: one after the other, together, and where nothing differs.
func BenchmarkFourFiles(b *testing.B) {
	tree, err := OpenDirTree(b.TempDir())
	must(b, err)
	defer tree.Close()
	round := 0
	changes := func() []sysctl.Change {
		round++
		s := strconv.Itoa(round)
		return files("/etc/hosts", s, "/etc/hostname", s, "/etc/resolv.conf", s, "/etc/network/interfaces", s)
	}
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			for _, c := range changes() {
				must(b, tree.WriteFile(c.Path, c.Data, c.Mode()))
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		for b.Loop() {
			must(b, tree.WriteFiles(changes()))
		}
	})
	b.Run("same", func(b *testing.B) {
		same := changes()
		for b.Loop() {
			must(b, tree.WriteFiles(same))
		}
	})
}

// What is written later has its name at once, and is on disk when synced returns.
func TestWriteFilesLater(t *testing.T) {
	dir := t.TempDir()
	tree, err := OpenDirTree(dir)
	must(t, err)
	defer tree.Close()
	later, synced := tree.Later()
	must(t, later.WriteFiles([]sysctl.Change{{Path: "/etc/a", Data: []byte("one")}, {Path: "/etc/b", Data: []byte("two")}}))
	for name, want := range map[string]string{"a": "one", "b": "two"} {
		if b, err := os.ReadFile(filepath.Join(dir, "etc", name)); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	must(t, synced())
	if entries, err := os.ReadDir(filepath.Join(dir, "etc")); err != nil || len(entries) != 2 {
		t.Errorf("%v %v", entries, err)
	}
}
