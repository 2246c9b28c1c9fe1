package storage

import (
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead over, as in the kernel.
const maxLinks = 40

// Resolve returns the path without symbolic links that name leads to inside the tree.
func (t *Tree) Resolve(name string) (string, error) { return t.resolve("resolve", name, nil) }

// resolve follows name one component at a time. Where mkdir is not nil it makes the directories that are missing, also
// those a dangling link points to. The result is only as good as the tree
// is quiet: whoever uses it opens it inside the tree again.
func (t *Tree) resolve(op, name string, mkdir func(parent, base string) error) (string, error) {
	fail := func(err error) (string, error) { return "", &fs.PathError{Op: op, Path: name, Err: err} }
	if name == "" {
		return fail(unix.EINVAL)
	}
	var done []string
	links := 0
	for todo := components(name); len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if next == ".." {
			done = done[:max(len(done)-1, 0)]
			continue
		}
		parent := "/" + strings.Join(done, "/")
		path := "/" + strings.Join(append(done[:len(done):len(done)], next), "/")
		info, err := t.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) && mkdir != nil {
			if err := mkdir(parent, next); err != nil {
				return "", err
			}
			info, err = t.Lstat(path)
		}
		switch {
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return fail(unix.ELOOP)
			}
			target, err := t.Readlink(path)
			if err != nil {
				return "", err
			}
			if strings.HasPrefix(target, "/") {
				done = nil
			}
			todo = append(components(target), todo...)
		case !info.IsDir() && (len(todo) > 0 || mkdir != nil):
			return fail(unix.ENOTDIR)
		default:
			done = append(done, next)
		}
	}
	return "/" + strings.Join(done, "/"), nil
}

// components splits a path into names and "..".
func components(path string) []string {
	var list []string
	for c := range strings.SplitSeq(path, "/") {
		if c != "" && c != "." {
			list = append(list, c)
		}
	}
	return list
}
