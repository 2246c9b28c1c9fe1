package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// finder replaces "bad" by "odd" in files that begin with "prog", is not sure of those that begin with "dubious", and
// counts what it was asked.
type finder struct{ asked []string }

func (f *finder) find(_ context.Context, r io.ReaderAt, size int64) ([]sysctl.Patch, bool, error) {
	b := make([]byte, min(size, 1<<16))
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, false, err
	}
	f.asked = append(f.asked, string(b[:min(len(b), 12)]))
	var patches []sysctl.Patch
	for i := 0; bytes.HasPrefix(b, []byte("prog")) && i+3 <= len(b); i++ {
		if string(b[i:i+3]) == "bad" {
			patches = append(patches, sysctl.Patch{Offset: int64(i), Old: []byte("bad"), New: []byte("odd")})
		}
	}
	return patches, bytes.HasPrefix(b, []byte("dubious")), nil
}

// capNetRaw is the attribute of a file with cap_net_raw=ep.
var capNetRaw = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// looks is everything of a file that must stay.
func looks(t testing.TB, name string) string {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(name, &st))
	all, err := xattrs(name)
	must(t, err)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		st.Nlink = 0 // overlay does not count those of a merged one
	}
	return fmt.Sprintf("%o %d %d %d.%d %d %q", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Nlink, all)
}

// special fills dir with what must be neither followed nor opened.
func special(t testing.TB, dir string) {
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, unix.Mknod(filepath.Join(dir, "zero"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	must(t, os.Symlink("..", filepath.Join(dir, "up")))
	must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	f, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	must(t, f.Truncate(1<<20))
	must(t, f.Close())
}

// program writes one with everything a file can have.
func program(t testing.TB, dir, name, content string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	write(t, file, content)
	must(t, os.Chown(file, 7, 8))
	must(t, os.Chmod(file, 0o755|os.ModeSetuid))
	must(t, unix.Setxattr(file, capabilityXattr, capNetRaw, 0))
	must(t, unix.Setxattr(file, "user.mark", []byte("x"), 0))
	must(t, os.Chtimes(file, epoch, epoch))
	return file
}

func TestStagePatched(t *testing.T) {
	s := rootStore(t)
	low := testLayer(t, s, func(dir string) {
		program(t, dir, "bin/a", "prog bad bad")
		must(t, os.Link(filepath.Join(dir, "bin/a"), filepath.Join(dir, "bin/b")))
		program(t, dir, "bin/covered", "prog bad")
		program(t, dir, "bin/good", "prog")
		write(t, filepath.Join(dir, "usr/lib/text"), "bad")
		write(t, filepath.Join(dir, "usr/lib/dubious"), "dubious")
		program(t, dir, "usr/lib/deep/er/c", "prog bad")
		special(t, filepath.Join(dir, "usr"))
		must(t, os.Chmod(filepath.Join(dir, "usr/lib/deep"), 0o2750))
		must(t, os.Chown(filepath.Join(dir, "usr/lib/deep"), 3, 4))
		must(t, unix.Setxattr(filepath.Join(dir, "usr/lib/deep"), "user.dir", []byte("y"), 0))
		must(t, os.Chtimes(filepath.Join(dir, "usr/lib/deep"), epoch, epoch))
		must(t, os.Chmod(dir, 0o711))
	})
	high := testLayer(t, s, func(dir string) {
		program(t, dir, "bin/covered", "prog")
		must(t, os.Chmod(filepath.Join(dir, "bin"), 0o700))
		must(t, os.Chmod(dir, 0o711))
	})
	before := digestOf(t, s.LayerPath(low)) + digestOf(t, s.LayerPath(high))
	var f finder
	st, found, err := s.StagePatched(t.Context(), []string{low, high}, f.find, nil)
	skipUnsupported(t, err)
	l, err := st.Commit(t.Context())
	must(t, err)
	if len(found.Files) != 3 || !slices.Equal(found.Unsure, []string{"/usr/lib/dubious"}) {
		t.Errorf("found %+v", found)
	}
	if len(f.asked) != 7 {
		t.Errorf("asked of %q: each file is read once", f.asked)
	}
	top := s.LayerPath(l.ID)
	for name, content := range map[string]string{"bin/a": "prog odd odd", "bin/b": "prog odd odd", "usr/lib/deep/er/c": "prog odd"} {
		copied, original := filepath.Join(top, name), filepath.Join(s.LayerPath(low), name)
		if got := read(t, copied); got != content {
			t.Errorf("%s: %q", name, got)
		}
		if got, want := looks(t, copied), looks(t, original); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	plain, err := s.OpenLayers(t.Context(), []string{low, high})
	must(t, err)
	defer plain.Close()
	hidden, err := s.OpenLayers(t.Context(), []string{low, high, l.ID})
	must(t, err)
	defer hidden.Close()
	for _, name := range []string{"/", "/bin", "/usr", "/usr/lib", "/usr/lib/deep", "/usr/lib/deep/er", "/bin/covered", "/usr/fifo"} {
		if got, want := looks(t, treePath(hidden)+name), looks(t, treePath(plain)+name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	n := 0
	must(t, filepath.WalkDir(top, func(string, os.DirEntry, error) error { n++; return nil }))
	if n != 9 { // bin with two files, usr, lib, deep, er with one, and the root
		t.Errorf("%d entries in the layer", n)
	}
	if before != digestOf(t, s.LayerPath(low))+digestOf(t, s.LayerPath(high)) {
		t.Error("a layer below was changed")
	}
	if st, _, err := s.StagePatched(t.Context(), []string{high}, f.find, nil); st != nil || err != nil {
		t.Errorf("staging %v of nothing, %v", st, err)
	}
	empty(t, s.staging())
}

func treePath(tree *Tree) string { return procPath(int(tree.root.Fd())) }

// What an instance wrote is changed in place, once, and changed back; the rest stays what it is.
func TestPatchUpper(t *testing.T) {
	s := rootStore(t)
	ctx := t.Context()
	must(t, s.CreateUpper(ctx, 1))
	upper := filepath.Join(s.instance(1), "upper")
	file := program(t, upper, "lib/libc.so", "prog bad bad")
	must(t, os.Link(file, filepath.Join(upper, "lib/libc.so.6")))
	copiedUp := program(t, upper, "bin/time", "prog odd")
	dubious := filepath.Join(upper, "dubious")
	write(t, dubious, "dubious")
	special(t, upper)
	before, other := looks(t, file), digestOf(t, upper)
	below := map[string][]sysctl.Patch{"bin/time": {{Offset: 5, Old: []byte("bad"), New: []byte("odd")}},
		"lib/libc.so": {{Offset: 100, Old: []byte("bad"), New: []byte("odd")}}}
	var f finder
	patch := func(files int, unsure ...string) {
		t.Helper()
		n, u, err := s.PatchUpper(ctx, 1, below, 1, f.find, nil)
		if err != nil || n != files || !slices.Equal(u, unsure) {
			t.Errorf("%d files, not sure of %q, %v; want %d, %q", n, u, err, files, unsure)
		}
	}
	patch(3, "/dubious")
	if got := read(t, file); got != "prog odd odd" {
		t.Errorf("%q", got)
	}
	if got := looks(t, file); got != before {
		t.Errorf("%s, want %s", got, before)
	}
	must(t, s.RestoreUpper(ctx, 1))
	if got := read(t, file); got != "prog bad bad" || looks(t, file) != before {
		t.Errorf("restored: %q %s, want %s", got, looks(t, file), before)
	}
	if got := read(t, copiedUp); got != "prog bad" {
		t.Errorf("restored a copy of the layer's: %q", got)
	}
	must(t, os.WriteFile(copiedUp, []byte("prog odd"), 0o755))
	program(t, upper, "bin/time", "prog odd")
	if digestOf(t, upper) != other {
		t.Error("something else was changed")
	}
	absent(t, s.patchRecord(1))
	must(t, s.RestoreUpper(ctx, 1))
	_, _, err := s.PatchUpper(ctx, 2, nil, 1, f.find, nil)
	wantKind(t, err, sysctl.NotFound)
	must(t, s.DeleteUpper(ctx, 1))
	must(t, s.SweepStaging(ctx))
	empty(t, s.instances())
}

// Only what changed is read again: by the kernel's time of change, which a guest cannot set.
func TestPatchUpperReadsWhatChanged(t *testing.T) {
	s := rootStore(t)
	ctx := t.Context()
	must(t, s.CreateUpper(ctx, 1))
	upper := filepath.Join(s.instance(1), "upper")
	for i := range 2000 {
		write(t, filepath.Join(upper, fmt.Sprintf("bin/%d", i%20), fmt.Sprint(i)), "prog "+strings.Repeat("x", i%7))
	}
	file := program(t, upper, "libc", "prog bad")
	scan := func(want int) int {
		t.Helper()
		f := finder{}
		n, _, err := s.PatchUpper(ctx, 1, nil, 1, f.find, nil)
		if err != nil || n != want {
			t.Errorf("%d files, %v; want %d", n, err, want)
		}
		return len(f.asked)
	}
	if n := scan(1); n != 2001 {
		t.Errorf("first: %d files were read", n)
	}
	r, err := s.readPatchRecord(1)
	must(t, err)
	r.Scanned = r.Scanned.Add(999e6) // all of them were written before
	must(t, s.writePatchRecord(1, r))
	touch := func(name string) { // changed when the clock had come to the record's time
		for {
			write(t, name, "prog bad")
			var st unix.Stat_t
			must(t, unix.Lstat(name, &st))
			if st.Ctim.Nano() > r.Scanned.UnixNano() {
				return
			}
		}
	}
	touch(filepath.Join(upper, "later"))
	if n := scan(2); n > 1000 {
		t.Errorf("then: %d files were read", n)
	}
	touch(file) // the guest replaced it
	must(t, os.Chtimes(file, epoch, epoch))
	scan(2)
	if got := read(t, file); got != "prog odd" {
		t.Errorf("replaced: %q", got)
	}
	must(t, os.Remove(file))
	scan(1)
	f := finder{}
	_, _, err = s.PatchUpper(ctx, 1, nil, 2, f.find, nil)
	if must(t, err); len(f.asked) < 2000 {
		t.Errorf("another edition of the finder read %d files", len(f.asked))
	}
}

// A record of changes that were under way when the machine lost power: bytes are set right, and what a write takes away.
func TestPatchUpperInterrupted(t *testing.T) {
	s := rootStore(t)
	ctx := t.Context()
	must(t, s.CreateUpper(ctx, 1))
	upper := filepath.Join(s.instance(1), "upper")
	file := program(t, upper, "libc", "prog bad bad")
	before := looks(t, file)
	var f finder
	for _, half := range []string{"prog bad bad", "prog odd bad", "prog odd odd"} {
		h, err := os.Open(file)
		must(t, err)
		p, err := describe(h, []sysctl.Patch{{Offset: 5, Old: []byte("bad"), New: []byte("odd")}, {Offset: 9, Old: []byte("bad"), New: []byte("odd")}})
		must(t, err)
		must(t, h.Close())
		must(t, s.writePatchRecord(1, patchRecord{Edition: 1, Pending: true, Files: map[string]patchedFile{"libc": p}}))
		w, err := os.OpenFile(file, os.O_WRONLY, 0)
		must(t, err)
		_, err = w.WriteString(half)
		must(t, err)
		must(t, w.Close())
		if looks(t, file) == before {
			t.Fatal("a write is to take away the capabilities")
		}
		_, _, err = s.PatchUpper(ctx, 1, nil, 1, f.find, nil)
		must(t, err)
		if got := read(t, file); got != "prog odd odd" {
			t.Errorf("%s: %q", half, got)
		}
		must(t, s.RestoreUpper(ctx, 1))
		if got := read(t, file); got != "prog bad bad" || half == "prog odd odd" && looks(t, file) != before {
			t.Errorf("%s: restored %q %s, want %s", half, got, looks(t, file), before)
		}
	}
}

// What the record names may be anything by the time it is read: the guest had it.
func TestRestoreUpperHostile(t *testing.T) {
	s := rootStore(t)
	ctx := t.Context()
	must(t, s.CreateUpper(ctx, 1))
	upper := filepath.Join(s.instance(1), "upper")
	victim := filepath.Join(t.TempDir(), "victim")
	names := []string{"fifo", "zero", "link", "up/etc", "replaced", "short", "gone", "dir/file"}
	for _, name := range names {
		program(t, upper, name, "prog bad")
	}
	var f finder
	if n, _, err := s.PatchUpper(ctx, 1, nil, 1, f.find, nil); err != nil || n != len(names) {
		t.Fatal(n, err)
	}
	write(t, victim, "prog odd")
	for _, name := range names {
		must(t, os.RemoveAll(filepath.Join(upper, strings.Split(name, "/")[0])))
	}
	must(t, unix.Mkfifo(filepath.Join(upper, "fifo"), 0o600))
	must(t, unix.Mknod(filepath.Join(upper, "zero"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))))
	must(t, os.Symlink(victim, filepath.Join(upper, "link")))
	must(t, os.Symlink(filepath.Dir(victim), filepath.Join(upper, "dir")))
	write(t, filepath.Join(upper, "replaced"), "prog new")
	write(t, filepath.Join(upper, "short"), "p")
	must(t, s.RestoreUpper(ctx, 1))
	for name, want := range map[string]string{victim: "prog odd", filepath.Join(upper, "replaced"): "prog new", filepath.Join(upper, "short"): "p"} {
		if got := read(t, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A layer that hides files of those below can come on top of them and go, and what the instance wrote stays.
func TestRestack(t *testing.T) {
	s := rootStore(t)
	ctx := t.Context()
	low := imageLayer(t, s)
	top := testLayer(t, s, func(dir string) {
		write(t, filepath.Join(dir, "etc/passwd"), "changed")
	})
	must(t, s.CreateUpper(ctx, 1))
	for i, layers := range [][]string{{low}, {low, top}, {low, top}, {low}} {
		must(t, s.Restack(ctx, 1))
		tree, err := s.OpenTree(ctx, 1, layers)
		skipUnsupported(t, err)
		want := "etc/passwd"
		if len(layers) > 1 {
			want = "changed"
		}
		if b, err := tree.ReadFile("/etc/passwd"); err != nil || string(b) != want {
			t.Errorf("%d: %q %v", i, b, err)
		}
		if i == 0 {
			must(t, tree.WriteFile("/etc/own", []byte("1"), 0o644))
			f, err := os.OpenFile(treePath(tree)+"/bin/gzip", os.O_WRONLY|os.O_TRUNC, 0)
			must(t, err)
			_, err = f.WriteString("own")
			must(t, err)
			must(t, f.Close())
			must(t, tree.Remove("/etc/gone"))
		}
		for name, want := range map[string]string{"/etc/own": "1", "/bin/gzip": "own", "/bin/gunzip": "own"} {
			if b, err := tree.ReadFile(name); err != nil || string(b) != want {
				t.Errorf("%d: %s: %q %v", i, name, b, err)
			}
		}
		if _, err := tree.Lstat("/etc/gone"); err == nil {
			t.Errorf("%d: what was removed is back", i)
		}
		must(t, tree.Close())
	}
	wantKind(t, s.Restack(ctx, 2), sysctl.NotFound)
}

// Of a tree under construction nothing is left but what others changed meanwhile.
func TestStagingPatch(t *testing.T) {
	s := rootStore(t)
	st, err := s.Stage(t.Context())
	must(t, err)
	defer st.Abort()
	file := program(t, st.Dir(), "bin/a", "prog bad")
	must(t, os.Link(file, filepath.Join(st.Dir(), "bin/b")))
	gone := program(t, st.Dir(), "gone", "prog bad")
	replaced := program(t, st.Dir(), "replaced", "prog bad")
	special(t, st.Dir())
	before := looks(t, file)
	var f finder
	undo, err := st.Patch(t.Context(), f.find, nil)
	must(t, err)
	if got := read(t, file); got != "prog odd" || looks(t, file) != before {
		t.Errorf("%q %s, want %s", got, looks(t, file), before)
	}
	must(t, os.Remove(gone))
	must(t, os.Remove(replaced))
	must(t, os.Symlink("/etc/passwd", replaced))
	must(t, undo())
	if got := read(t, file); got != "prog bad" || looks(t, file) != before {
		t.Errorf("afterwards: %q %s, want %s", got, looks(t, file), before)
	}
}

// Over layers below, the programs are changed in copies of theirs, which an instance sees, and changed back afterwards.
func TestStagingPatchOver(t *testing.T) {
	s := rootStore(t)
	low := testLayer(t, s, func(dir string) { program(t, dir, "bin/a", "prog bad") })
	st, err := s.Stage(t.Context(), low)
	skipUnsupported(t, err)
	defer st.Abort()
	before := looks(t, st.Dir()+"/bin/a")
	var f finder
	undo, err := st.Patch(t.Context(), f.find, nil)
	must(t, err)
	root, err := st.OpenRoot(t.Context(), shifted)
	skipUnsupported(t, err)
	if got := read(t, fdPath(root)+"/bin/a"); got != "prog odd" {
		t.Errorf("in the instance: %q", got)
	}
	must(t, root.Close())
	must(t, st.Reopen(t.Context()))
	must(t, undo())
	if got := read(t, st.Dir()+"/bin/a"); got != "prog bad" || looks(t, st.Dir()+"/bin/a") != before {
		t.Errorf("afterwards: %q %s, want %s", got, looks(t, st.Dir()+"/bin/a"), before)
	}
	if got := read(t, filepath.Join(s.LayerPath(low), "bin/a")); got != "prog bad" {
		t.Errorf("below: %q", got)
	}
}
