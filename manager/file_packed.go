package manager

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// SourceNames are the names under which sources of "file push" go into a directory.
func SourceNames(sources []string) (names []string) {
	for _, src := range sources {
		names = append(names, sourceBase(src))
	}
	return names
}

// PushPacked is PushFiles for what a stream has. names are as SourceNames gives them. Nothing is changed in the instance before all
// of the stream is here.
func (m *Manager) PushPacked(ctx context.Context, names []string, to FileRef, in io.Reader, o FileOptions) error {
	err := m.staged(ctx, func(dir string) error {
		if err := UnpackFiles(ctx, in, dir); err != nil {
			return err
		}
		var sources []string
		for i, name := range names {
			if name == "" || name == ".." || strings.Contains(name, "/") {
				return sysctl.E(sysctl.Invalid, "%q is no name of a file", name)
			}
			src := filepath.Join(dir, strconv.Itoa(i)) + "/" + name
			if _, err := os.Lstat(src); err == nil { // else it was left out
				sources = append(sources, src)
			}
		}
		if len(names) > 1 && !strings.HasSuffix(to.Path, "/") {
			to.Path += "/" // also where only one of them was not left out
		}
		return m.PushFiles(ctx, sources, to, nil, o)
	})
	var e *sysctl.Error
	if errors.As(err, &e) && strings.HasPrefix(err.Error(), "file push") {
		return err
	}
	return sysctl.Wrap(err, "file push %s", to)
}

// PullPacked writes what PullFiles would copy to a stream: file N under the name that PlaceFiles looks for.
func (m *Manager) PullPacked(ctx context.Context, refs []FileRef, out io.Writer, o FileOptions) error {
	return m.staged(ctx, func(dir string) error {
		var sources []string
		for i, ref := range refs {
			in := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(in, 0o700); err != nil {
				return err
			}
			if err := m.PullFiles(ctx, []FileRef{ref}, in+"/", nil, o); err != nil {
				return err
			}
			sources = append(sources, in+"/.") // what was left out is not in it
		}
		return sysctl.Wrap(PackFiles(ctx, out, sources, true, nil), "file pull")
	})
}

// staged does something with an empty directory on the disk of the instances, which is gone afterwards, also where we are killed.
func (m *Manager) staged(ctx context.Context, do func(dir string) error) error {
	s, err := m.Storage.Stage(ctx)
	if err != nil {
		return err
	}
	err = do(s.Dir())
	return errors.Join(err, s.Abort())
}

// PlaceFiles moves what UnpackFiles has made of a stream of PullPacked from dir to where PullFiles would have put it. dir is on the
// same filesystem as dst.
func PlaceFiles(dir string, refs []FileRef, dst string, o FileOptions) error {
	for i, ref := range refs {
		from := filepath.Join(dir, strconv.Itoa(i), pulledName(ref))
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue // it was left out there
		}
		to, stream, err := hostPlace(ref, dst, len(refs) > 1, o.Parents)
		if err == nil && stream != nil {
			stream.Close()
			err = sysctl.E(sysctl.Invalid, "%s: it is no file", dst)
		}
		if err == nil {
			err = moveOver(from, to)
		}
		if err != nil {
			return sysctl.Wrap(fileError(err), "file pull %s", ref)
		}
	}
	return nil
}

// moveOver moves a tree to a name. A file is replaced, a directory merged into.
func moveOver(from, to string) error {
	src, err := os.Lstat(from)
	if err != nil {
		return err
	}
	old, err := os.Lstat(to)
	if err != nil || !old.IsDir() || !src.IsDir() {
		return os.Rename(from, to)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := moveOver(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Chmod(to, src.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, src.ModTime(), src.ModTime())
}
