package storage

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// over commits a layer over others that fill has written into their tree.
func over(t testing.TB, s *Store, below []string, fill func(dir string)) sysctl.Layer {
	t.Helper()
	st, err := s.Stage(t.Context(), below...)
	if err != nil {
		skipUnsupported(t, err)
		t.Fatal(err)
	}
	defer st.Abort()
	fill(st.Dir())
	own, err := st.Own()
	must(t, err)
	settle(t, own)
	l, err := st.Commit(t.Context())
	must(t, err)
	return l
}

// A layer over others has what was written and how the rest was hidden, in overlay's own words, and the same doing gives
// the same layer.
func TestStageOver(t *testing.T) {
	s := rootStore(t)
	low := testLayer(t, s, func(dir string) {
		for _, name := range []string{"etc/kept", "etc/gone", "etc/also", "opt/d/old", "bin/a"} {
			write(t, filepath.Join(dir, name), name)
		}
		settle(t, dir)
	})
	change := func(dir string) {
		for _, name := range []string{"etc/kept", "etc/gone", "bin/a"} {
			if got := read(t, filepath.Join(dir, name)); got != name {
				t.Fatalf("%s: %q", name, got)
			}
		}
		must(t, os.Remove(filepath.Join(dir, "etc/gone")))
		must(t, os.Remove(filepath.Join(dir, "etc/also")))
		must(t, os.RemoveAll(filepath.Join(dir, "opt/d")))
		must(t, os.Mkdir(filepath.Join(dir, "opt/d"), 0o755))
		write(t, filepath.Join(dir, "opt/d/new"), "new")
		must(t, os.Link(filepath.Join(dir, "bin/a"), filepath.Join(dir, "bin/b")))
		must(t, unix.Setxattr(filepath.Join(dir, "opt/d/new"), "user.mark", []byte("yes"), 0))
	}
	l := over(t, s, []string{low}, change)
	if again := over(t, s, []string{low}, change); again.ID != l.ID {
		t.Errorf("layer %s, made again %s", l.ID, again.ID)
	}
	fs := s.LayerPath(l.ID)
	for _, name := range []string{"etc/gone", "etc/also"} {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(fs, name), &st))
		if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
			t.Errorf("%s: mode %o, device %d", name, st.Mode, st.Rdev)
		}
	}
	opaque := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(fs, "opt/d"), "trusted.overlay.opaque", opaque); err != nil || !bytes.Equal(opaque[:n], []byte("y")) {
		t.Errorf("opaque: %q %v", opaque[:max(n, 0)], err)
	}
	var st unix.Stat_t
	must(t, unix.Lstat(filepath.Join(fs, "bin/b"), &st))
	if st.Nlink != 2 {
		t.Errorf("%d links", st.Nlink)
	}
	absent(t, filepath.Join(fs, "etc/kept"))
	entries, err := os.ReadDir(filepath.Join(s.layers(), l.ID))
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("beside the tree: %v", entries)
	}
	tree, err := s.OpenLayers(t.Context(), []string{low, l.ID})
	must(t, err)
	defer tree.Close()
	for dir, want := range map[string][]string{"/etc": {"kept"}, "/opt/d": {"new"}, "/bin": {"a", "b"}} {
		list, err := tree.ReadDir(dir)
		must(t, err)
		var names []string
		for _, e := range list {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %q", dir, names)
		}
	}
	empty(t, s.staging())
	empty(t, s.trash())
}

// While an instance has the tree nobody else writes to it, and afterwards Dir and Tree are what they were.
func TestStageOverInAnInstance(t *testing.T) {
	s := rootStore(t)
	for name, below := range map[string][]string{"over a layer": {imageLayer(t, s)}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			st, err := s.Stage(t.Context(), below...)
			if err != nil {
				skipUnsupported(t, err)
				t.Fatal(err)
			}
			defer st.Abort()
			dir := st.Dir()
			must(t, st.Tree().WriteFile("/etc/before", []byte("1"), 0o644))
			root, err := st.OpenRoot(t.Context(), shifted)
			if err != nil {
				skipUnsupported(t, err)
				t.Fatal(err)
			}
			if uid, _ := owner(t, fdPath(root)+"/etc/before"); uid != shifted.Base {
				t.Errorf("owner %d", uid)
			}
			inside := NewTree(root).WithOwner(int(shifted.Base), int(shifted.Base))
			must(t, inside.WriteFile("/etc/inside", []byte("2"), 0o644))
			if below != nil {
				if err := st.Tree().WriteFile("/etc/lost", nil, 0o644); err == nil {
					t.Error("written to while an instance had it")
				}
			}
			must(t, inside.Close())
			must(t, st.Reopen(t.Context()))
			must(t, st.Reopen(t.Context()))
			if st.Dir() != dir {
				t.Errorf("directory %s, before %s", st.Dir(), dir)
			}
			for file, want := range map[string]string{"/etc/before": "1", "/etc/inside": "2"} {
				if got, err := st.Tree().ReadFile(file); err != nil || string(got) != want {
					t.Errorf("%s: %q %v", file, got, err)
				}
			}
			if uid, _ := owner(t, dir+"/etc/inside"); uid != 0 {
				t.Errorf("owner %d", uid)
			}
			l, err := st.Commit(t.Context())
			must(t, err)
			if got := read(t, filepath.Join(s.LayerPath(l.ID), "etc/inside")); got != "2" {
				t.Errorf("content %q", got)
			}
		})
	}
	empty(t, s.staging())
}

// What is dropped leaves nothing, mounted or not, and a layer that is missing is said to be.
func TestStageOverAbort(t *testing.T) {
	s := rootStore(t)
	low := imageLayer(t, s)
	for _, closed := range []bool{false, true} {
		st, err := s.Stage(t.Context(), low)
		if err != nil {
			skipUnsupported(t, err)
			t.Fatal(err)
		}
		write(t, st.Dir()+"/etc/x", "x")
		if closed {
			_, err = st.Own()
			must(t, err)
		}
		must(t, st.Abort())
	}
	_, err := s.Stage(t.Context(), low, "abcdef")
	wantKind(t, err, sysctl.NotFound)
	empty(t, s.staging())
	empty(t, s.trash())
}
