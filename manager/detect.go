package manager

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sysctl-os/sysctl"
)

// DetectOptions is one look at a tree that is no image yet.
type DetectOptions struct {
	Path      string // tarball (gz, xz, zst, bz2, plain), disk image (raw, qcow2, vmdk), or a directory
	Partition string // of a disk image: what has the root filesystem; "": the only one
	MaxSize   int64  // bytes the tree in a file may have; 0 = DefaultMaxSize
	Progress  sysctl.Progress
}

// Detection is what a tree was found to be.
type Detection struct {
	Guest sysctl.Guest `json:"guest"`
	// Known says whether an import would prepare the guest, and starts write its files.
	Known bool `json:"known"`
}

// Detect finds out which OS is in a directory, tarball or disk image. A directory is only read; a file is unpacked beside
// the layers, under the limits of an import, and removed again. It fails with NotFound where there is nothing at the
// path, Invalid where it is neither, and with what Unpack fails with.
func (m *Manager) Detect(ctx context.Context, o DetectOptions) (Detection, error) {
	g, err := m.detect(ctx, o)
	return Detection{Guest: g, Known: g.Known()}, sysctl.Wrap(err, "detect %s", o.Path)
}

func (m *Manager) detect(ctx context.Context, o DetectOptions) (sysctl.Guest, error) {
	path, dir, err := sourceOf(o.Path)
	if err != nil {
		return sysctl.Guest{}, err
	}
	if dir {
		t, err := m.Storage.OpenDir(path)
		if err != nil {
			return sysctl.Guest{}, err
		}
		defer t.Close()
		return m.Guests.Detect(t)
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if err := m.Storage.Sweep(ctx); err != nil {
		return sysctl.Guest{}, err
	}
	s, err := m.Storage.Stage(ctx)
	if err != nil {
		return sysctl.Guest{}, sysctl.Wrap(err, "staging")
	}
	defer s.Abort()
	if _, err := m.Catalogue.Unpack(ctx, path, s.Dir(), UnpackOptions{Partition: o.Partition, MaxSize: o.MaxSize, Progress: o.Progress}); err != nil {
		return sysctl.Guest{}, err
	}
	return m.Guests.Detect(s.Tree())
}

// sourceOf returns the absolute path of what the user calls a tree, and whether it is a directory. What is neither that
// nor a regular file is refused without being opened: opening a FIFO waits, and a device may act.
func sourceOf(name string) (path string, dir bool, err error) {
	path, err = filepath.Abs(name)
	if err != nil {
		return "", false, err
	}
	info, err := os.Stat(path)
	switch {
	case os.IsPermission(err):
		return "", false, err
	case err != nil:
		return "", false, sysctl.E(sysctl.NotFound, "no such file or directory")
	case !info.IsDir() && !info.Mode().IsRegular():
		return "", false, sysctl.E(sysctl.Invalid, "neither a directory nor a regular file")
	}
	return path, info.IsDir(), nil
}
