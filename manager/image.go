package manager

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// addImage makes an image: fill makes the tree, which is then looked at, prepared for life in a container (but for
// the steps to skip), sealed and recorded. Its preparation is in the topmost layer. On failure nothing is left.
func (m *Manager) addImage(ctx context.Context, image sysctl.Image, p sysctl.Progress, fill func(k *imageMaker) (Tree, error)) (_ sysctl.Image, err error) {
	defer func() {
		if sysctl.KindOf(err) == sysctl.NoSpace { // the directory that a hand would name is gone by then
			err = sysctl.E(sysctl.NoSpace, "%w", err).WithHint("sysctl delete NAME; sysctl image delete IMAGE")
		}
	}()
	k, err := m.newImageMaker(ctx, p)
	if err != nil {
		return image, err
	}
	defer k.close(ctx)
	filled, err := fill(k)
	if err != nil {
		return image, err
	}
	image.Source = filled.Source
	p.Report("prepare", 0, 0)
	if image.Guest, err = m.prepareTree(k.at(filled.Dir).Tree(), filled.Skip, filled.Chosen); err != nil {
		return image, err
	}
	image.Arch = image.Guest.Arch
	p.Report("seal", 0, 0)
	id, err := k.seal(ctx, filled.Dir, image)
	if err != nil {
		return image, err
	}
	return m.DB.Image(ctx, id)
}

// prepareTree finds out which guest a tree under construction is of, but for what was chosen, and prepares it.
func (m *Manager) prepareTree(tree sysctl.Tree, skip []string, chosen sysctl.GuestChoice) (sysctl.Guest, error) {
	guest, err := m.Guests.Detect(tree)
	if err != nil {
		return guest, sysctl.Wrap(err, "detect the guest")
	}
	guest.Choose(chosen)
	if !guest.Known() {
		return guest, nil
	}
	changes, err := m.Guests.Prepare(tree, guest, skip)
	if err == nil {
		err = sysctl.Apply(tree, changes)
	}
	if err != nil {
		return guest, sysctl.Wrap(err, "prepare the guest")
	}
	guest.Fingerprint = m.Guests.Fingerprint(tree)
	return guest, nil
}

// ImageID names an image by its layers: hexadecimal sha256 over their ids, lowest first, one a line.
func ImageID(layers []string) string {
	h := sha256.New()
	for _, l := range layers {
		io.WriteString(h, l+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Images lists all images.
func (m *Manager) Images(ctx context.Context) ([]sysctl.Image, error) { return m.DB.Images(ctx) }

// Image finds an image by alias, id or unique beginning of an id.
func (m *Manager) Image(ctx context.Context, ref string) (sysctl.Image, error) {
	return m.DB.Image(ctx, ref)
}

// DefaultMaxSize is what an imported tree may unpack to unless the user says otherwise.
const DefaultMaxSize = 64 << 30

// ImportImage makes an image of a tarball, a disk image or a directory. An alias that exists moves to the new image.
func (m *Manager) ImportImage(ctx context.Context, o ImportOptions) (sysctl.Image, error) {
	image, err := m.importImage(ctx, o)
	return image, sysctl.Wrap(err, "import %s", o.Path)
}

func (m *Manager) importImage(ctx context.Context, o ImportOptions) (sysctl.Image, error) {
	if err := sysctl.CheckRef("image alias", o.Alias); err != nil {
		return sysctl.Image{}, err
	}
	skip, err := parsePrep(o.Prep)
	if err == nil {
		err = m.Guests.CheckSteps(skip)
	}
	if err != nil {
		return sysctl.Image{}, sysctl.Wrap(err, "prep")
	}
	path, _, err := sourceOf(o.Path)
	if err != nil {
		return sysctl.Image{}, err
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	unlock, err := m.lock(ctx, "image", o.Alias, o.Progress)
	if err != nil {
		return sysctl.Image{}, err
	}
	defer unlock()
	image := sysctl.Image{Aliases: []string{o.Alias}, Description: o.Alias}
	return m.addImage(ctx, image, o.Progress, func(k *imageMaker) (Tree, error) {
		source, err := m.Catalogue.Unpack(ctx, path, k.plain.Dir(), UnpackOptions{Partition: o.Partition, MaxSize: o.MaxSize, Progress: o.Progress})
		return Tree{Source: source, Skip: skip}, err
	})
}

// ExportImage writes the image as one tar stream of its merged tree (uncompressed). Kinds: NotFound, and what w gives.
func (m *Manager) ExportImage(ctx context.Context, ref string, w io.Writer, o ImageExportOptions) error {
	return sysctl.Wrap(m.exportImage(ctx, ref, w, o), "image export %s", ref)
}

func (m *Manager) exportImage(ctx context.Context, ref string, w io.Writer, o ImageExportOptions) (err error) {
	image, err := m.DB.Image(ctx, ref)
	if err != nil {
		return err
	}
	layers := image.Layers
	if o.WithCompat {
		done, err := m.makeLayers(ctx) // the copies stay meanwhile
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
		var c copies
		if layers, err = c.over(ctx, m, layers, o.Progress); err != nil {
			return err
		}
		c.tell(o.Note)
	}
	t, err := m.Storage.OpenLayers(ctx, layers)
	if err != nil {
		return err
	}
	defer t.Close()
	return m.Catalogue.Pack(ctx, t.Root(), w)
}

// DeleteImage forgets an image; named by one of several aliases, it forgets that alias only. Its layers stay for as long as an instance or another image uses them.
func (m *Manager) DeleteImage(ctx context.Context, ref string) error {
	image, err := m.DB.Image(ctx, ref)
	switch {
	case err != nil:
	case len(image.Aliases) > 1 && slices.Contains(image.Aliases, ref):
		err = m.DB.RemoveAlias(ctx, ref)
	default:
		m.forgetBuilt(image.ID)
		if err = m.DB.DeleteImage(ctx, image.ID); err == nil {
			err = m.collectLayers(ctx)
		}
	}
	return sysctl.Wrap(err, "delete image %s", ref)
}

// collectCopies deletes the copies of layers with the ids of a range (storage.shift) that no instance needs: a row names both, and
// the storage says that it needs them, before a copy is made. The layers' locks are held alone.
func (m *Manager) collectCopies(ctx context.Context) error {
	list, err := m.Storage.Copies()
	if err != nil || len(list) == 0 {
		return err
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		used := false
		for _, inst := range all {
			if inst.IDMap.Base != c.Base || inst.IDMap.Size != c.Size || c.Layer != "" && !slices.Contains(inst.Stack(), c.Layer) {
				continue
			}
			if used, err = m.Storage.NeedsCopies(ctx, inst.ID); used || err != nil {
				break
			}
		}
		if err != nil {
			return err
		}
		if used {
			continue
		}
		if err := m.Storage.DeleteCopy(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// collectLayers deletes the layers that no image and no instance names. The row goes first: a layer
// on disk without a row is garbage, a row without its layer would be a loss. While somebody makes an image of several
// layers it does nothing: that one collects when it is done.
func (m *Manager) collectLayers(ctx context.Context) error {
	unlock, err := m.lockLayers(ctx, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	free, err := m.tryMaking()
	if err != nil || free == nil {
		return err
	}
	defer free()
	if err := m.collectCopies(ctx); err != nil {
		return err
	}
	if err := m.DB.ForgetPatchedLayers(ctx); err != nil {
		return err
	}
	unused, err := m.DB.UnusedLayers(ctx)
	if err != nil {
		return err
	}
	for _, l := range unused {
		err := m.DB.DeleteLayer(ctx, l.ID)
		if sysctl.KindOf(err) == sysctl.Conflict {
			continue // named again since
		}
		if err != nil {
			return err
		}
		m.forgetBuilt(l.ID)
		if err := m.Storage.DeleteLayer(ctx, l.ID); err != nil {
			return err
		}
	}
	return nil
}
