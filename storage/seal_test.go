package storage

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// sealed is an instance over one layer that has changed, removed and renamed what is in it.
func sealed(t *testing.T) (*Store, []string) {
	t.Helper()
	s := rootStore(t)
	base := testLayer(t, s, func(dir string) {
		write(t, filepath.Join(dir, "etc/old"), "old")
		write(t, filepath.Join(dir, "etc/gone"), "gone")
		write(t, filepath.Join(dir, "dir/below"), "below")
		write(t, filepath.Join(dir, "replaced/hidden"), "hidden")
	})
	must(t, s.CreateUpper(t.Context(), 1))
	inGuest(t, s, []string{base}, func(root string) {
		must(t, os.WriteFile(filepath.Join(root, "etc/old"), []byte("changed"), 0o640))
		must(t, os.Remove(filepath.Join(root, "etc/gone")))
		must(t, os.Rename(filepath.Join(root, "dir"), filepath.Join(root, "moved")))
		must(t, os.RemoveAll(filepath.Join(root, "replaced")))
		write(t, filepath.Join(root, "replaced/new"), "new")
		must(t, os.Chmod(root, 0o711))
	})
	return s, []string{base}
}

// inGuest works in the instance's tree, seen as on disk.
func inGuest(t *testing.T, s *Store, layers []string, do func(root string)) {
	t.Helper()
	tree, err := s.OpenTree(context.Background(), 1, layers)
	must(t, err)
	defer tree.Close()
	do(fdPath(tree.Root()))
}

// asSealed checks that the instance is what sealed made of it.
func asSealed(t *testing.T, s *Store, layers []string) {
	t.Helper()
	inGuest(t, s, layers, func(root string) {
		for path, want := range map[string]string{"etc/old": "changed", "moved/below": "below", "replaced/new": "new"} {
			if got := read(t, filepath.Join(root, path)); got != want {
				t.Errorf("%s is %q, want %q", path, got, want)
			}
		}
		for _, path := range []string{"etc/gone", "dir", "replaced/hidden"} {
			if _, err := os.Lstat(filepath.Join(root, path)); !os.IsNotExist(err) {
				t.Errorf("%s: %v, want that it is gone", path, err)
			}
		}
		var st unix.Stat_t
		must(t, unix.Stat(root, &st))
		if st.Mode&0o777 != 0o711 {
			t.Errorf("the root's mode is %o, want 711", st.Mode&0o777)
		}
	})
}

func TestSeal(t *testing.T) {
	s, layers := sealed(t)
	must(t, s.PrepareUpper(t.Context(), 1, ""))
	must(t, s.Seal(t.Context(), 1, "aa"))
	must(t, s.Seal(t.Context(), 1, "aa"))
	layers = append(layers, "aa")
	asSealed(t, s, layers)
	if left, _ := os.ReadDir(filepath.Join(s.instance(1), "upper")); len(left) != 0 {
		t.Errorf("the upper is not empty: %v", left)
	}
	inGuest(t, s, layers, func(root string) { write(t, filepath.Join(root, "etc/old"), "again") })
	must(t, s.PrepareUpper(t.Context(), 1, "aa"))
	must(t, s.RenewUpper(t.Context(), 1))
	must(t, s.RenewUpper(t.Context(), 1))
	asSealed(t, s, layers)
	entries, err := os.ReadDir(s.instance(1))
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("left beside upper and work: %v", entries)
	}
}

// Wherever a seal or a renewal was killed, the same call finishes it.
func TestSealIsFinished(t *testing.T) {
	at := func(s *Store, name string) string { return filepath.Join(s.instance(1), name) }
	moves := func(s *Store) [][2]string {
		return [][2]string{{at(s, "upper"), at(s, "seal/fs")}, {at(s, "seal"), filepath.Join(s.layers(), "aa")},
			{at(s, "work"), filepath.Join(s.trash(), "w")}, {at(s, "next/work"), at(s, "work")}, {at(s, "next/upper"), at(s, "upper")}}
	}
	for n := range 6 {
		s, layers := sealed(t)
		must(t, s.PrepareUpper(t.Context(), 1, ""))
		for _, m := range moves(s)[:n] {
			must(t, os.Rename(m[0], m[1]))
		}
		must(t, s.Seal(t.Context(), 1, "aa"))
		asSealed(t, s, append(layers, "aa"))
	}
	for n := range 5 {
		s, layers := sealed(t)
		must(t, s.PrepareUpper(t.Context(), 1, ""))
		must(t, s.Seal(t.Context(), 1, "aa"))
		layers = append(layers, "aa")
		inGuest(t, s, layers, func(root string) { write(t, filepath.Join(root, "etc/old"), "again") })
		must(t, s.PrepareUpper(t.Context(), 1, "aa"))
		steps := append([][2]string{{at(s, "upper"), filepath.Join(s.trash(), "u")}}, moves(s)[2:]...)
		for _, m := range steps[:n] {
			must(t, os.Rename(m[0], m[1]))
		}
		must(t, s.RenewUpper(t.Context(), 1))
		asSealed(t, s, layers)
	}
}

// A copy of an upper has all of it.
func TestCopyUpper(t *testing.T) {
	s, layers := sealed(t)
	inGuest(t, s, layers, func(root string) {
		p := func(name string) string { return filepath.Join(root, name) }
		write(t, p("link/a"), "linked")
		must(t, os.Link(p("link/a"), p("link/b")))
		must(t, os.Symlink("/no/where", p("link/s")))
		must(t, unix.Mkfifo(p("link/fifo"), 0o620))
		must(t, os.Lchown(p("link/s"), 7, 8))
		must(t, unix.Setxattr(p("link/a"), "user.colour", []byte("red"), 0))
		f, err := os.Create(p("sparse"))
		must(t, err)
		must(t, f.Truncate(64<<20))
		_, err = f.WriteAt([]byte("middle"), 32<<20)
		must(t, err)
		must(t, f.Close())
		must(t, os.Chmod(p("link"), 0o750))
	})
	st, err := s.CopyUpper(t.Context(), 1, nil)
	must(t, err)
	l, err := st.CommitAs(t.Context(), "bb")
	must(t, err)
	if l.ID != "bb" || l.Size < 64<<20 {
		t.Errorf("layer %+v", l)
	}
	// The digest knows names, kinds, modes, owners, times, links, content and attributes.
	want, _, err := Digest(t.Context(), filepath.Join(s.instance(1), "upper"))
	must(t, err)
	got, _, err := Digest(t.Context(), s.LayerPath("bb"))
	must(t, err)
	if got != want {
		t.Errorf("digest of the copy is %s, of the upper %s", got, want)
	}
	var st1, st2 unix.Stat_t
	must(t, unix.Stat(filepath.Join(s.LayerPath("bb"), "sparse"), &st1))
	must(t, unix.Stat(filepath.Join(s.instance(1), "upper/sparse"), &st2))
	if st1.Blocks > st2.Blocks+64 {
		t.Errorf("the sparse file has %d blocks in the copy, %d in the upper", st1.Blocks, st2.Blocks)
	}
	must(t, s.PrepareUpper(t.Context(), 1, "bb"))
	must(t, s.RenewUpper(t.Context(), 1))
	asSealed(t, s, append(layers, "bb"))
}

func TestSealRefuses(t *testing.T) {
	s, _ := sealed(t)
	wantKind(t, s.Seal(t.Context(), 1, "../x"), sysctl.Invalid)
	if err := s.Seal(t.Context(), 2, "aa"); err == nil {
		t.Error("sealed an instance that is not there")
	}
}

// An upper in which nothing was written needs not be kept; whatever the guest does to it shows.
func TestUpperClean(t *testing.T) {
	s, layers := sealed(t)
	clean := func(top string, want bool) {
		t.Helper()
		if got, err := s.UpperClean(t.Context(), 1, top); err != nil || got != want {
			t.Errorf("clean is %v, want %v: %v", got, want, err)
		}
	}
	clean(layers[0], false)
	must(t, s.PrepareUpper(t.Context(), 1, ""))
	must(t, s.Seal(t.Context(), 1, "abcd"))
	layers = append(layers, "abcd")
	clean("abcd", true)
	clean(layers[0], false) // its root has another mode
	inGuest(t, s, layers, func(root string) { _ = read(t, filepath.Join(root, "etc/old")) })
	clean("abcd", true)
	inGuest(t, s, layers, func(root string) { must(t, os.Chmod(root, 0o700)) })
	clean("abcd", false)
	inGuest(t, s, layers, func(root string) { must(t, os.Chmod(root, 0o711)) })
	clean("abcd", true)
	inGuest(t, s, layers, func(root string) { must(t, os.Remove(filepath.Join(root, "etc/old"))) })
	clean("abcd", false)
}
