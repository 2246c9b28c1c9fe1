package storage

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// LayerPath returns the host path of a layer's tree. It says nothing about whether the layer exists.
// The tree is shared by instances that run: it must not be written to.
func (s *Store) LayerPath(id string) string { return filepath.Join(s.layers(), id, "fs") }

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
