package storage

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// LayerPath returns the host path of a layer's tree. It says nothing about whether the layer exists.
// The tree is shared by instances that run: it must not be written to.
func (s *Store) LayerPath(id string) string { return filepath.Join(s.layers(), id, "fs") }

// LayerSum returns the digest of what an archive can have of a layer: all but sockets and device nodes. Of a layer without them
// that is Digest. Kinds: NotFound.
func (s *Store) LayerSum(ctx context.Context, id string) (sysctl.LayerSum, error) {
	if err := checkLayerID(id); err != nil {
		return sysctl.LayerSum{}, err
	}
	sum, err := digest(ctx, s.LayerPath(id), func(st *unix.Stat_t) bool {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFSOCK, unix.S_IFBLK:
			return false
		case unix.S_IFCHR:
			return st.Rdev == 0 // a whiteout
		}
		return true
	})
	sum.Entries++ // the root
	if errors.Is(err, fs.ErrNotExist) {
		err = sysctl.E(sysctl.NotFound, "its files are gone: %w", err)
	}
	return sum, sysctl.Wrap(err, "layer %s", sysctl.ShortID(id))
}

// DeleteLayer removes a layer. Absent is success. The caller knows that no image and no instance
// names it. The layer is gone with the first rename; what is left when it fails or ctx ends is removed by
// SweepStaging.
func (s *Store) DeleteLayer(ctx context.Context, id string) error {
	if err := checkLayerID(id); err != nil {
		return err
	}
	err := s.detachViews(func(v sysctl.View) bool { return v.Layer != "" && strings.HasPrefix(id, v.Layer) })
	if err == nil {
		err = s.discard(ctx, filepath.Join(s.layers(), id))
	}
	return sysctl.Wrap(err, "delete layer %s", sysctl.ShortID(id))
}
