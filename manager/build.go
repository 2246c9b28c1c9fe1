package manager

import (
	"context"
	"os"

	"github.com/sysctl-os/sysctl"
)

// findImage resolves what the user calls a template or an image: an image by alias or id first, then
// a template, whose image may have to be built (build is the template's name then). An image that was built from another
// edition of the template that is asked for by name is none: it is built again. Of an image that has to be built the
// guest is what the recipe says.
func (m *Manager) findImage(ctx context.Context, source string) (image sysctl.Image, build string, err error) {
	image, err = m.DB.Image(ctx, source)
	if err == nil && (image.Template != source || m.fresh(image)) || err != nil && sysctl.KindOf(err) != sysctl.NotFound {
		return image, "", err
	}
	t, _, terr := m.Catalogue.Find(source)
	if terr != nil {
		return sysctl.Image{}, "", terr
	}
	image, err = m.DB.Image(ctx, t.Name)
	if err == nil && m.fresh(image) || err != nil && sysctl.KindOf(err) != sysctl.NotFound {
		return image, "", err
	}
	return sysctl.Image{Template: t.Name, Guest: t.Guest}, t.Name, nil
}

// fresh reports whether an image is the newest that was built from the present edition of its template, or of no
// template that we know.
func (m *Manager) fresh(image sysctl.Image) bool {
	if image.Template == "" {
		return true
	}
	edition := m.Catalogue.Edition(image.Template)
	return edition == "" || m.builtFrom(edition) == image.ID
}

// imageOf returns the image of a template for a launch: the one that is there, where it is fresh, else a new one. Of
// several launches at once one builds, the others wait and use it. Where that fails and an older image is there, the
// hint says how to use it.
func (m *Manager) imageOf(ctx context.Context, name string, p sysctl.Progress, note func(string)) (sysctl.Image, error) {
	old, err := m.DB.Image(ctx, name)
	stale := err == nil
	b, err := m.build(ctx, BuildOptions{Template: name, Progress: p, Note: note}, true)
	if kind := sysctl.KindOf(err); err != nil && stale && kind != sysctl.Canceled && kind != sysctl.Invalid {
		err = sysctl.E(sysctl.KindOf(err), "%w", err).WithHint("sysctl launch %s takes the image that is there", sysctl.ShortID(old.ID))
	}
	return b.Image, err
}

// BuildTemplate makes the image of a template, which gets the template's name as its alias. Where an image was built from
// the same inputs already, that is the one. Two builds of the same template happen one after the other. An image for another
// architecture than the host's is called TEMPLATE/ARCHITECTURE, and is none that a launch of the template takes.
func (m *Manager) BuildTemplate(ctx context.Context, o BuildOptions) (Build, error) {
	return m.build(ctx, o, false)
}

// build builds a template under its image's lock. With anyFresh, an image of the present edition will do, whatever it was
// built with, and no source is asked.
func (m *Manager) build(ctx context.Context, o BuildOptions, anyFresh bool) (Build, error) {
	t, _, err := m.Catalogue.Find(o.Template)
	if err != nil {
		return Build{}, err
	}
	arch, err := m.archOf(ctx, o.Platform)
	if err != nil {
		return Build{}, sysctl.Wrap(err, "build %s", t.Name)
	}
	unlock, err := m.lock(ctx, "image", forArch(t.Name, arch), o.Progress)
	if err != nil {
		return Build{}, err
	}
	defer unlock()
	if anyFresh {
		if image, err := m.DB.Image(ctx, t.Name); err == nil && m.fresh(image) {
			return Build{Image: image, Cached: true}, nil
		} else if err != nil && sysctl.KindOf(err) != sysctl.NotFound {
			return Build{}, err
		}
	}
	edition := m.Catalogue.Edition(t.Name) // before the recipe is read: one that changes meanwhile makes this one stale
	b, inputs, err := m.buildTree(ctx, t, arch, o)
	if err != nil {
		return Build{}, err
	}
	keys := []string{inputs}
	if arch == "" {
		keys = append(keys, edition)
	}
	for _, key := range keys {
		if err := m.rememberBuilt(key, b.Image.ID); err != nil {
			return Build{}, err
		}
	}
	return b, nil
}

// buildTree makes the tree and the image, or finds the image that was made from the same inputs.
func (m *Manager) buildTree(ctx context.Context, t sysctl.Template, arch string, o BuildOptions) (Build, string, error) {
	image := sysctl.Image{Template: t.Name, Aliases: []string{forArch(t.Name, arch)}, Description: t.Description}
	return m.addTree(ctx, image, o.Progress, o.Rebuild, func(k *imageMaker, have func(string) bool) (Tree, error) {
		return m.Catalogue.Build(ctx, t.Name, k.plain.Dir(), TreeOptions{
			Set: o.Set, Mirror: o.Mirror, Offline: o.Offline, Arch: arch, Have: have, Stack: k.stack, Progress: o.Progress, Note: o.Note,
			Run: func(ctx context.Context, dir, script string) error {
				return m.runInTree(ctx, t.Name, k.at(dir), script, o)
			},
		})
	})
}

// addTree adds the image of a tree that fill makes, unless one was made from the same inputs: then that one gets the
// image's aliases. again makes it in any case. It returns the digest of the inputs too.
func (m *Manager) addTree(ctx context.Context, image sysctl.Image, p sysctl.Progress, again bool,
	fill func(k *imageMaker, have func(inputs string) bool) (Tree, error)) (Build, string, error) {
	var there sysctl.Image
	var tree Tree
	have := func(inputs string) bool {
		var err error
		there, err = m.DB.Image(ctx, m.builtFrom(inputs))
		return err == nil && !again
	}
	made, err := m.addImage(ctx, image, p, func(k *imageMaker) (Tree, error) {
		began, err := os.Stat(k.plain.Dir()) // by the clock of the tree's own filesystem
		if err != nil {
			return tree, err
		}
		if tree, err = fill(k, have); err != nil {
			return tree, err
		}
		if tree.Cached {
			return tree, nothingMade{}
		}
		return tree, m.Catalogue.Normalize(ctx, k.at(tree.Dir).Dir(), began.ModTime())
	})
	if err != error(nothingMade{}) {
		return Build{Image: made}, tree.Inputs, err
	}
	for _, alias := range image.Aliases {
		if err := m.DB.SetAlias(ctx, alias, there.ID); err != nil {
			return Build{}, "", err
		}
	}
	there, err = m.DB.Image(ctx, there.ID)
	return Build{Image: there, Cached: true}, tree.Inputs, err
}

// nothingMade ends the making of an image that turned out to be there.
type nothingMade struct{}

func (nothingMade) Error() string { return "nothing was made" }
