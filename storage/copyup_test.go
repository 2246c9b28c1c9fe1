package storage

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCopyUp(t *testing.T) {
	s := rootStore(t)
	ctx := context.Background()
	id := testLayer(t, s, func(dir string) {
		for _, name := range []string{"db/Packages", "db/Name", "db/sub/deep", "else/file"} {
			write(t, filepath.Join(dir, name), name)
		}
		must(t, unix.Mkfifo(filepath.Join(dir, "db/pipe"), 0o600)) // opened for writing it would wait
		must(t, os.Symlink("/else/file", filepath.Join(dir, "db/link")))
	})
	must(t, s.CreateUpper(ctx, 5))
	root, err := s.OpenRoot(ctx, 5, []string{id}, shifted, nil)
	skipUnsupported(t, err)
	tree := NewTree(root).WithOwner(int(shifted.Base), int(shifted.Base))
	defer tree.Close()
	for range 2 {
		must(t, tree.CopyUp("/db"))
	}
	upper := filepath.Join(s.instance(5), "upper")
	for name, want := range map[string]bool{"db/Packages": true, "db/Name": true, "db/sub": false, "db/pipe": false, "db/link": false, "else": false} {
		if _, err := os.Lstat(filepath.Join(upper, name)); (err == nil) != want {
			t.Errorf("%s in the upper: %v", name, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(upper, "db/Packages")); err != nil || string(b) != "db/Packages" {
		t.Errorf("copied %q, %v", b, err)
	}
	if err := tree.CopyUp("/nowhere"); !os.IsNotExist(err) {
		t.Errorf("nowhere: %v", err)
	}
}
