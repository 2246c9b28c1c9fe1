package guest_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What Render writes into each system, and nothing else of the tree.
func TestGolden(t *testing.T) {
	for _, name := range sortedKeys(systems) {
		t.Run(name, func(t *testing.T) {
			tree, g := systems[name].tree()
			before := tree.Files()
			settle(t, tree, g, full)
			var b strings.Builder
			fmt.Fprintf(&b, "renderer %s dialect %q evidence %v\n", g.Renderer, g.Dialect, g.Evidence)
			after := tree.Files()
			for _, path := range slices.Sorted(maps.Keys(after)) {
				if old, ok := before[path]; !ok || old != after[path] {
					fmt.Fprintf(&b, "-- %s --\n%s", path, after[path])
					if !strings.HasSuffix(after[path], "\n") {
						b.WriteByte('\n')
					}
				}
			}
			for path := range before {
				if _, err := tree.Lstat(strings.TrimSuffix(path, "/")); err != nil {
					fmt.Fprintf(&b, "removed %s\n", path)
				}
			}
			golden(t, name, b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test -update writes it anew):\n%s", path, got)
	}
}

// A file that is there keeps its mode: it may hold the guest's secrets.
func TestModesStay(t *testing.T) {
	tree, g := systems["debian12"].tree()
	if err := tree.WriteFile("/etc/network/interfaces", []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	settle(t, tree, g, full)
	for name, want := range map[string]fs.FileMode{"/etc/network/interfaces": 0o600, "/etc/hostname": 0o644} {
		if fi, err := tree.Lstat(name); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", name, fi.Mode(), err, want)
		}
	}
}
