package guest_test

import (
	"io/fs"
	"maps"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
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

// odd is a tree with one file that is none to be read.
type odd struct {
	*treetest.Tree
	name string
	err  error
}

func (t odd) ReadFile(name string) ([]byte, error) {
	if name == t.name {
		return nil, &fs.PathError{Op: "read", Path: name, Err: t.err}
	}
	return t.Tree.ReadFile(name)
}

// A file that cannot be read is named, with the way to start nevertheless.
func TestUnreadableFiles(t *testing.T) {
	s := systems["debian12"]
	for err, kind := range map[error]sysctl.Kind{syscall.EFBIG: sysctl.Unsupported, syscall.EIO: sysctl.Internal} {
		for _, name := range []string{"/etc/hosts", "/etc/network/interfaces"} {
			tree, g := s.tree()
			at := odd{tree, name, err}
			changes, got := guest.Render(at, g, full)
			if sysctl.KindOf(got) != kind || len(changes) > 0 || strings.Count(got.Error(), name) != 1 {
				t.Errorf("%s: %v", name, got)
			}
			if hint := sysctl.HintOf(got); strings.Contains(hint, "guest.network.keep="+name) != (kind == sysctl.Unsupported) {
				t.Errorf("%s: hint %q", name, hint)
			}
			n := full
			n.Keep = []string{name}
			changes, got = guest.Render(at, g, n)
			if got != nil || len(changes) == 0 {
				t.Errorf("%s is kept: %v", name, got)
			}
		}
	}
}
