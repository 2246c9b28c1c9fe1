// Package treetest owns an in-memory sysctl.Tree for tests of rooms that read or write a guest's
// files. It resolves symbolic links as the real tree does: inside itself, ".." stops at the root.
package treetest

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
)

// maxLinks is how many symbolic links one lookup follows, as in Linux.
const maxLinks = 40

// Tree is an in-memory sysctl.Tree. It is not safe for use by several goroutines.
type Tree struct {
	root   *node
	writes []string
}

var _ sysctl.Tree = (*Tree)(nil)

// node is a directory (children), a symbolic link (target) or a regular file (data), by mode.
type node struct {
	mode     fs.FileMode
	data     []byte
	target   string
	children map[string]*node
}

// New makes a tree. A key is an absolute path; a value is a regular file's content (mode 0644), or
// "-> TARGET" for a symbolic link. A key that ends in "/" is a directory. It panics on a key that
// cannot be made: that is a mistake in the test.
func New(files map[string]string) *Tree {
	t := &Tree{root: newDir(0o755)}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var err error
		target, isLink := strings.CutPrefix(files[name], "-> ")
		switch {
		case strings.HasSuffix(name, "/"):
			err = t.MkdirAll(name, 0o755)
		case isLink:
			err = t.Symlink(target, name)
		default:
			err = t.WriteFile(name, []byte(files[name]), 0o644)
		}
		if err != nil {
			panic(err)
		}
	}
	t.writes = nil
	return t
}

// Files returns what is in the tree in the form New takes. Directories are left out unless empty.
func (t *Tree) Files() map[string]string {
	out := map[string]string{}
	collect(out, "", t.root)
	return out
}

// Writes returns the paths that were really changed since New, in order.
func (t *Tree) Writes() []string { return slices.Clone(t.writes) }

func collect(out map[string]string, name string, n *node) {
	switch {
	case n.mode&fs.ModeSymlink != 0:
		out[name] = "-> " + n.target
	case !n.mode.IsDir():
		out[name] = string(n.data)
	case len(n.children) == 0 && name != "":
		out[name+"/"] = ""
	default:
		for child, c := range n.children {
			collect(out, name+"/"+child, c)
		}
	}
}

func newDir(perm fs.FileMode) *node {
	return &node{mode: fs.ModeDir | perm, children: map[string]*node{}}
}

// lookup returns the node name leads to and its resolved path. The last component's link is
// followed only where follow is set.
func (t *Tree) lookup(name string, follow bool) (*node, string, error) {
	todo := split(name)
	cur, at := []*node{t.root}, []string{}
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		dir := cur[len(cur)-1]
		if !dir.mode.IsDir() {
			return nil, "", syscall.ENOTDIR
		}
		if part == ".." {
			cur, at = cur[:max(1, len(cur)-1)], at[:max(0, len(at)-1)]
			continue
		}
		next := dir.children[part]
		if next == nil {
			return nil, "", fs.ErrNotExist
		}
		if next.mode&fs.ModeSymlink != 0 && (follow || len(todo) > 0) {
			if links++; links > maxLinks {
				return nil, "", syscall.ELOOP
			}
			if strings.HasPrefix(next.target, "/") {
				cur, at = cur[:1], at[:0]
			}
			todo = append(split(next.target), todo...)
			continue
		}
		cur, at = append(cur, next), append(at, part)
	}
	return cur[len(cur)-1], "/" + strings.Join(at, "/"), nil
}

// split cuts a path into its components, "." and empty ones left out. It does not clean "..":
// behind a symbolic link that would change the meaning.
func split(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// ReadFile implements sysctl.Tree.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	n, _, err := t.lookup(name, true)
	if err == nil && n.mode.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("read", name, err)
	}
	return bytes.Clone(n.data), nil
}

// ReadDir implements sysctl.Tree.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, _, err := t.lookup(name, true)
	if err == nil && !n.mode.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	var out []fs.DirEntry
	for _, child := range slices.Sorted(maps.Keys(n.children)) {
		out = append(out, fs.FileInfoToDirEntry(info{child, n.children[child]}))
	}
	return out, nil
}

// Stat implements sysctl.Tree.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name, true) }

// Lstat implements sysctl.Tree.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return t.stat("lstat", name, false) }

func (t *Tree) stat(op, name string, follow bool) (fs.FileInfo, error) {
	n, _, err := t.lookup(name, follow)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return info{path.Base(name), n}, nil
}

// Readlink implements sysctl.Tree.
func (t *Tree) Readlink(name string) (string, error) {
	n, _, err := t.lookup(name, false)
	if err == nil && n.mode&fs.ModeSymlink == 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	return n.target, nil
}

// Resolve implements sysctl.Tree.
func (t *Tree) Resolve(name string) (string, error) {
	_, at, err := t.lookup(name, true)
	if err != nil {
		return "", pathError("resolve", name, err)
	}
	return at, nil
}

// Open implements sysctl.Tree. The file is an io.ReaderAt and io.Seeker too.
func (t *Tree) Open(name string) (fs.File, error) {
	data, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fi, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	return file{bytes.NewReader(data), fi}, nil
}

// WriteFile implements sysctl.Tree.
func (t *Tree) WriteFile(name string, data []byte, perm fs.FileMode) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return pathError("write", name, err)
	}
	old := dir.children[base]
	if old != nil && old.mode.IsDir() {
		return pathError("write", name, syscall.EISDIR)
	}
	if old != nil && old.mode == perm && bytes.Equal(old.data, data) {
		return nil
	}
	dir.children[base] = &node{mode: perm, data: bytes.Clone(data)}
	t.writes = append(t.writes, name)
	return nil
}

// Symlink implements sysctl.Tree.
func (t *Tree) Symlink(target, name string) error {
	dir, base, err := t.parent(name)
	if err != nil {
		return pathError("symlink", name, err)
	}
	old := dir.children[base]
	switch {
	case old != nil && old.mode.IsDir():
		return pathError("symlink", name, syscall.EISDIR)
	case old != nil && old.mode&fs.ModeSymlink != 0 && old.target == target:
		return nil
	}
	dir.children[base] = &node{mode: fs.ModeSymlink | 0o777, target: target}
	t.writes = append(t.writes, name)
	return nil
}

// parent returns the directory a new name goes to, making missing ones.
func (t *Tree) parent(name string) (dir *node, base string, err error) {
	at := path.Dir(name)
	if err := t.mkdirAll(at, 0o755); err != nil {
		return nil, "", err
	}
	dir, _, err = t.lookup(at, true)
	return dir, path.Base(name), err
}

// MkdirAll implements sysctl.Tree.
func (t *Tree) MkdirAll(name string, perm fs.FileMode) error {
	if err := t.mkdirAll(name, perm); err != nil {
		return pathError("mkdir", name, err)
	}
	return nil
}

func (t *Tree) mkdirAll(name string, perm fs.FileMode) error {
	parts := split(name)
	for i := range parts {
		at := "/" + strings.Join(parts[:i+1], "/")
		n, _, err := t.lookup(at, true)
		if err == nil && !n.mode.IsDir() {
			return syscall.ENOTDIR
		}
		if err == nil {
			continue
		}
		above, _, err := t.lookup("/"+strings.Join(parts[:i], "/"), true)
		if err != nil {
			return err
		}
		if above.children[parts[i]] != nil { // a link that leads nowhere
			return syscall.EEXIST
		}
		above.children[parts[i]] = newDir(perm)
		t.writes = append(t.writes, at)
	}
	return nil
}

// Remove implements sysctl.Tree.
func (t *Tree) Remove(name string) error {
	dir, _, err := t.lookup(path.Dir(name), true)
	if err != nil {
		return nil // absent
	}
	base := path.Base(name)
	n := dir.children[base]
	if n == nil {
		return nil
	}
	if len(n.children) > 0 {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	delete(dir.children, base)
	t.writes = append(t.writes, name)
	return nil
}

// info is a node's fs.FileInfo.
type info struct {
	name string
	n    *node
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.n.data)) }
func (i info) Mode() fs.FileMode  { return i.n.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.n.mode.IsDir() }
func (i info) Sys() any           { return nil }

// file is an open regular file.
type file struct {
	*bytes.Reader
	fi fs.FileInfo
}

var _ io.ReaderAt = file{}

func (f file) Stat() (fs.FileInfo, error) { return f.fi, nil }
func (f file) Close() error               { return nil }
