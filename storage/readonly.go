package storage

import (
	"context"
	"os"

	"github.com/sysctl-os/sysctl"
)

// OpenLayers opens layers merged, lowest first, without an instance: an image as a whole, for reading. Writes to
// it fail with EROFS. Close unmounts it. Kinds as OpenRoot.
func (s *Store) OpenLayers(ctx context.Context, layers []string) (*Tree, error) {
	if len(layers) == 1 {
		if err := checkLayerID(layers[0]); err != nil {
			return nil, err
		}
		t, err := OpenDirTree(s.LayerPath(layers[0]))
		if err != nil {
			return nil, sysctl.Wrap(err, "open layer %s", sysctl.ShortID(layers[0]))
		}
		t.readOnly = true
		return t, nil
	}
	f, err := s.stack("", layers, sysctl.IDMap{})
	if err != nil {
		return nil, sysctl.Wrap(err, "open layers")
	}
	t := NewTree(f)
	t.readOnly = true
	return t, nil
}

// OpenDir opens the tree under a directory of the host for reading; writes fail with EROFS. The caller closes it.
func OpenDir(path string) (*Tree, error) {
	t, err := OpenDirTree(path)
	if err != nil {
		return nil, err
	}
	t.readOnly = true
	return t, nil
}

// Root is the tree's root directory, for reading the whole tree. It belongs to the tree.
func (t *Tree) Root() *os.File { return t.root }
