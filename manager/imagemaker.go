package manager

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// imageMaker is an image being made: a layer under construction and, where its source gives several, those below it.
type imageMaker struct {
	m     *Manager
	p     sysctl.Progress
	plain Staging        // with nothing below
	top   Staging        // over below; nil until stack was called
	below []sysctl.Layer // lowest first
	keep  func()         // ends what keeps below from being collected; nil: nothing does
}

// newImageMaker begins an image. The caller closes it.
func (m *Manager) newImageMaker(ctx context.Context, p sysctl.Progress) (*imageMaker, error) {
	if err := m.Storage.Sweep(ctx); err != nil { // room first: a maker that was killed has left its tree
		return nil, err
	}
	s, err := m.Storage.Stage(ctx)
	if err != nil {
		return nil, sysctl.Wrap(err, "staging")
	}
	return &imageMaker{m: m, p: p, plain: s}, nil
}

// at returns the layer under construction whose tree is at dir.
func (k *imageMaker) at(dir string) Staging {
	if k.top != nil && dir == k.top.Dir() {
		return k.top
	}
	return k.plain
}

// stack is TreeOptions.Stack: it makes those of the layers that are not there. What a source before this one has stacked
// is dropped.
func (k *imageMaker) stack(ctx context.Context, layers []sysctl.TreeLayer) (string, error) {
	if err := k.unstack(ctx); err != nil {
		return "", err
	}
	var err error
	if k.keep, err = k.m.lockMaking(ctx); err != nil {
		return "", err
	}
	for _, l := range layers {
		made, err := k.layer(ctx, l)
		if err != nil {
			return "", err
		}
		// A layer that comes twice hides all it did the first time, and cannot be mounted twice.
		k.below = append(slices.DeleteFunc(k.below, func(b sysctl.Layer) bool { return b.ID == made.ID }), made)
	}
	if k.top, err = k.m.Storage.Stage(ctx, ids(k.below)...); err != nil {
		return "", sysctl.Wrap(err, "staging")
	}
	return k.top.Dir(), nil
}

// layer finds or makes one layer over those below.
func (k *imageMaker) layer(ctx context.Context, l sysctl.TreeLayer) (sysctl.Layer, error) {
	there, err := k.m.DB.Layer(ctx, k.m.builtFrom(l.Key))
	if kind := sysctl.KindOf(err); err == nil || kind != sysctl.NotFound {
		return there, err
	}
	s, err := k.m.Storage.Stage(ctx, ids(k.below)...)
	if err != nil {
		return there, sysctl.Wrap(err, "staging")
	}
	defer s.Abort()
	began, err := os.Stat(s.Dir()) // by the clock of the tree's own filesystem
	if err != nil {
		return there, err
	}
	if err := l.Fill(ctx, s.Dir()); err != nil {
		return there, err
	}
	k.p.Report("seal", 0, 0)
	own, err := s.Own()
	if err != nil {
		return there, err
	}
	if err := k.m.Catalogue.Normalize(ctx, own, began.ModTime()); err != nil {
		return there, err
	}
	unlock, err := k.m.lockLayers(ctx, unix.LOCK_SH)
	if err != nil {
		return there, err
	}
	defer unlock()
	made, err := s.Commit(ctx)
	if err != nil {
		return there, sysctl.Wrap(err, "seal the layer")
	}
	if err := k.m.DB.AddLayer(ctx, made); err != nil {
		return there, err
	}
	return made, k.m.rememberBuilt(l.Key, made.ID)
}

// seal makes a layer of what is at dir and records the image that it is with those below. It returns the image's id.
func (k *imageMaker) seal(ctx context.Context, dir string, image sysctl.Image) (string, error) {
	s := k.at(dir)
	unlock, err := k.m.lockLayers(ctx, unix.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer unlock()
	below := k.below
	if s == k.plain {
		below = nil
	}
	made, err := s.Commit(ctx)
	if err != nil {
		return "", sysctl.Wrap(err, "seal the layer")
	}
	below = append(slices.DeleteFunc(below, func(b sysctl.Layer) bool { return b.ID == made.ID }), made)
	image.Layers = ids(below)
	for _, l := range below {
		image.Size += l.Size
	}
	image.ID = ImageID(image.Layers)
	return image.ID, k.m.DB.AddImage(ctx, image, below)
}

// unstack drops what stack has made and nothing came of.
func (k *imageMaker) unstack(ctx context.Context) error {
	var err error
	if k.top != nil {
		err = k.top.Abort()
	}
	if k.keep == nil {
		return err
	}
	k.keep()
	k.top, k.below, k.keep = nil, nil, nil
	return errors.Join(err, k.m.collectLayers(ctx))
}

// close drops what is not part of an image. What cannot be dropped is garbage, which the next image or collection
// finds.
func (k *imageMaker) close(ctx context.Context) {
	_ = k.unstack(context.WithoutCancel(ctx))
	_ = k.plain.Abort()
}

// ids names layers.
func ids(layers []sysctl.Layer) []string {
	out := make([]string, 0, len(layers))
	for _, l := range layers {
		out = append(out, l.ID)
	}
	return out
}
