package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// newFile writes a new file for a verb's words (image export debian12), which has its name only when it is whole and on disk. base
// is what it could be called in a directory.
func newFile(words []string, name, base string, write func(w io.Writer) error) error {
	verb := quoteArgs(words)
	taken := func() error { return sysctl.E(sysctl.Exists, "%s: %s exists: name another file", verb, name) }
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		return sysctl.E(sysctl.Invalid, "%s: %s is a directory", verb, name).
			WithHint("%s", quoteArgs(slices.Concat([]string{"sysctl"}, words, []string{filepath.Join(name, base)})))
	} else if err == nil {
		return taken()
	}
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, ".sysctl-export-*")
	if err != nil {
		// The temporary file's name says nothing to the user.
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			pathErr.Path = name
		}
		return sysctl.E(kindOfFile(err), "%s: %w", verb, err)
	}
	defer os.Remove(f.Name()) // absent after a rename
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err = f.Sync(); err == nil {
		if err = os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) {
			return taken()
		}
		if err != nil { // a filesystem without links
			err = os.Rename(f.Name(), name)
		}
	}
	if err != nil {
		return sysctl.Wrap(err, "%s", verb)
	}
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	return sysctl.Wrap(err, "%s", verb)
}
