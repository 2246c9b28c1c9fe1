package storage

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl/internal/needs"
	"golang.org/x/sys/unix"
)

// Where files can share blocks, the copy of an upper takes no room: a running instance is frozen only for as long as it takes
// to say so for each of its files.
func TestCopyUpperSharesBlocks(t *testing.T) {
	needs.Root(t)
	for _, fs := range []string{"xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			mkfs := needs.Program(t, "mkfs."+fs)
			image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
			f, err := os.Create(image)
			must(t, err)
			must(t, f.Truncate(400<<20))
			must(t, f.Close())
			for _, argv := range [][]string{{mkfs, "-q", image}, {needs.Program(t, "mount"), "-o", "loop", image, dir}} {
				if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%q: %v: %s", argv, err, out)
				}
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, 0); err != nil {
					t.Error(err)
				}
			})
			s := New(dir)
			base := testLayer(t, s, func(string) {})
			must(t, s.CreateUpper(t.Context(), 1))
			const size = 100 << 20
			data := make([]byte, size)
			rand.Read(data)
			inGuest(t, s, []string{base}, func(root string) {
				must(t, os.WriteFile(filepath.Join(root, "data"), data, 0o640))
				must(t, os.Link(filepath.Join(root, "data"), filepath.Join(root, "again")))
			})
			before := usedOn(t, dir)
			begin := time.Now()
			st, err := s.CopyUpper(t.Context(), 1, nil)
			must(t, err)
			t.Logf("copied %d MiB in %v", size>>20, time.Since(begin))
			if _, err := st.CommitAs(t.Context(), "c0ffee"); err != nil {
				t.Fatal(err)
			}
			if grown := usedOn(t, dir) - before; grown > size/10 {
				t.Errorf("the copy of %d bytes takes %d", size, grown)
			}
			copied := filepath.Join(s.LayerPath("c0ffee"), "data")
			if got, err := os.ReadFile(copied); err != nil || string(got) != string(data) {
				t.Errorf("it is another: %v", err)
			}
			if _, err := s.copyLayer(t.Context(), "c0ffee", shifted, nil); err != nil {
				t.Fatal(err)
			}
			if grown := usedOn(t, dir) - before; grown > size/10 {
				t.Errorf("that and a copy of it for ids take %d", grown)
			}
			if made := read(t, filepath.Join(s.copyPath("c0ffee", shifted), madeName)); !strings.HasPrefix(made, `{"bytes":0,`) {
				t.Errorf("it says that it takes %s", made)
			}
			// What the instance writes afterwards is not in it.
			inGuest(t, s, []string{base}, func(root string) {
				must(t, os.WriteFile(filepath.Join(root, "data"), []byte("new"), 0o640))
			})
			if got, err := os.ReadFile(copied); err != nil || string(got) != string(data) {
				t.Errorf("it has changed: %v", err)
			}
		})
	}
}

// usedOn is how much of a filesystem is taken, when all is on disk.
func usedOn(t *testing.T, dir string) int64 {
	t.Helper()
	must(t, syncFilesystem(dir))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Blocks-st.Bfree) * st.Bsize
}
