package guest_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
)

// In every system: any file that would be written, made, moved or removed is left as it is where the user says so, by
// its path or by a line in it, and nothing else is.
func TestKeptFilesStay(t *testing.T) {
	const aside = ".before-sysctl~"
	for _, name := range sortedKeys(systems) {
		tree, g := systems[name].tree()
		first := full // so that there is something of ours to change and to remove
		first.Hostname, first.NICs = "old", []sysctl.GuestNIC{full.NICs[0], resident}
		settle(t, tree, g, first)
		before := tree.Files()
		free := render(t, tree, g, full)
		for _, c := range free {
			path := strings.TrimSuffix(c.Path, aside)
			n := full
			n.Keep = []string{path}
			tree := treetest.New(before)
			settle(t, tree, g, n)
			if got, was := tree.Files()[path], before[path]; got != was {
				t.Errorf("%s: %s is named, and written:\n%s", name, path, got)
			}
			if _, moved := tree.Files()[path+aside]; moved && before[path+aside] == "" {
				t.Errorf("%s: %s is named, and copied aside", name, path)
			}
			content, there := before[path]
			if !there || strings.HasPrefix(content, "-> ") {
				continue
			}
			files := maps.Clone(before)
			files[path] = content + "# sysctl: keep\n"
			tree = treetest.New(files)
			settle(t, tree, g, full)
			if got := tree.Files()[path]; got != files[path] {
				t.Errorf("%s: %s says that it is kept, and is\n%s", name, path, got)
			}
		}
	}
}
