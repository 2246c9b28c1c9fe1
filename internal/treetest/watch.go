package treetest

import (
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// Unwatched runs look on a tree and returns the paths that it looked at and that watched does not cover: a path is
// covered where it, or where a link leads to it, or the directory it is in, is watched.
func Unwatched(t *Tree, watched []string, look func(sysctl.Tree)) []string {
	covered := map[string]bool{}
	for _, name := range watched {
		covered[name] = true
		if at, err := t.Resolve(name); err == nil {
			covered[at] = true
		}
	}
	r := &recorder{Tree: t, seen: map[string]bool{}}
	look(r)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.seen)), func(name string) bool {
		at, err := t.Resolve(name)
		return covered[name] || covered[path.Dir(name)] || err == nil && (covered[at] || covered[path.Dir(at)])
	})
}

// recorder notes what is looked at.
type recorder struct {
	*Tree
	seen map[string]bool
}

func (r *recorder) note(name string) { r.seen[path.Clean("/"+name)] = true }

func (r *recorder) ReadFile(name string) ([]byte, error) { r.note(name); return r.Tree.ReadFile(name) }

func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	r.note(name)
	return r.Tree.ReadDir(name)
}

func (r *recorder) Stat(name string) (fs.FileInfo, error) { r.note(name); return r.Tree.Stat(name) }

func (r *recorder) Lstat(name string) (fs.FileInfo, error) { r.note(name); return r.Tree.Lstat(name) }

func (r *recorder) Readlink(name string) (string, error) { r.note(name); return r.Tree.Readlink(name) }

func (r *recorder) Resolve(name string) (string, error) { r.note(name); return r.Tree.Resolve(name) }

func (r *recorder) Open(name string) (fs.File, error) { r.note(name); return r.Tree.Open(name) }
