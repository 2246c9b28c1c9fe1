package storage

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What becomes of the names of a lower file of which the guest changed one in place, when its upper becomes a layer: those that were
// opened for writing since are one file still, and the others are the lower file again, as overlay's index dies with the upper. That
// is what doc/archive.md says, and how to come round it.
func TestHardLinksOfALayerBelow(t *testing.T) {
	for name, seal := range map[string]func(t *testing.T, s *Store){
		"sealed": func(t *testing.T, s *Store) {
			must(t, s.PrepareUpper(t.Context(), 1, ""))
			must(t, s.Seal(t.Context(), 1, "bb"))
		},
		"copied": func(t *testing.T, s *Store) {
			st, err := s.CopyUpper(t.Context(), 1, nil)
			must(t, err)
			_, err = st.CommitAs(t.Context(), "bb")
			must(t, err)
			must(t, s.DeleteUpper(t.Context(), 1))
			must(t, s.CreateUpper(t.Context(), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := rootStore(t)
			below := testLayer(t, s, func(dir string) {
				write(t, filepath.Join(dir, "gzip"), "program")
				must(t, os.Chmod(filepath.Join(dir, "gzip"), 0o644))
				for _, other := range []string{"gunzip", "zcat"} {
					must(t, os.Link(filepath.Join(dir, "gzip"), filepath.Join(dir, other)))
				}
			})
			must(t, s.CreateUpper(t.Context(), 1))
			look := func(root string) (gzip, gunzip, zcat fs.FileInfo) {
				var all [3]fs.FileInfo
				for i, name := range []string{"gzip", "gunzip", "zcat"} {
					var err error
					all[i], err = os.Stat(filepath.Join(root, name))
					must(t, err)
				}
				return all[0], all[1], all[2]
			}
			inGuest(t, s, []string{below}, func(root string) {
				must(t, os.Chmod(filepath.Join(root, "gzip"), 0o700))
				if gzip, gunzip, zcat := look(root); gunzip.Mode() != 0o700 || !os.SameFile(gzip, gunzip) || !os.SameFile(gzip, zcat) {
					t.Errorf("before: %v, %v, %v", gzip.Mode(), gunzip.Mode(), zcat.Mode())
				}
				fd, err := unix.Open(filepath.Join(root, "gunzip"), unix.O_WRONLY|unix.O_APPEND, 0)
				must(t, err)
				must(t, unix.Close(fd))
			})
			seal(t, s)
			inGuest(t, s, []string{below, "bb"}, func(root string) {
				gzip, gunzip, zcat := look(root)
				if gzip.Mode() != 0o700 || gunzip.Mode() != 0o700 || !os.SameFile(gzip, gunzip) {
					t.Errorf("after: %v, %v", gzip.Mode(), gunzip.Mode())
				}
				if zcat.Mode() != 0o644 || os.SameFile(gzip, zcat) {
					t.Errorf("the name that was not opened is whole after all: say so in doc/archive.md: %v", zcat.Mode())
				}
			})
		})
	}
}
