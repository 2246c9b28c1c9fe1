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

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What Render writes into each system, and nothing else of the tree.
func TestGolden(t *testing.T) {
	for _, name := range sortedKeys(systems) {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for i, n := range []sysctl.GuestNetwork{full, asked, asked6} {
				tree, g := systems[name].tree()
				before := tree.Files()
				if i == 0 {
					fmt.Fprintf(&b, "renderer %s dialect %q evidence %v\n", g.Renderer, g.Dialect, g.Evidence)
				} else {
					fmt.Fprintf(&b, "== %s ==\n", []string{"", "asked", "asked6"}[i])
				}
				if _, err := guest.Render(tree, g, n); err != nil {
					if sysctl.KindOf(err) != sysctl.Unsupported {
						t.Error(err)
					}
					fmt.Fprintln(&b, err)
					continue
				}
				settle(t, tree, g, n)
				writeDifference(&b, before, tree)
			}
			golden(t, name, b.String())
		})
	}
}

// writeDifference writes what has changed in a tree; programs it does not show.
func writeDifference(b *strings.Builder, before map[string]string, tree *treetest.Tree) {
	after := tree.Files()
	for _, path := range slices.Sorted(maps.Keys(after)) {
		old, ok := before[path]
		fi, err := tree.Lstat(strings.TrimSuffix(path, "/"))
		if err != nil || ok && old == after[path] && fi.Mode() != 0o755 {
			continue
		}
		mode := ""
		if fi.Mode().IsRegular() && fi.Mode() != 0o644 {
			mode = fmt.Sprintf(" %o", fi.Mode())
		}
		fmt.Fprintf(b, "-- %s%s --\n%s", path, mode, after[path])
		if !strings.HasSuffix(after[path], "\n") {
			b.WriteByte('\n')
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, err := tree.Lstat(strings.TrimSuffix(path, "/")); err != nil {
			fmt.Fprintf(b, "removed %s\n", path)
		}
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
