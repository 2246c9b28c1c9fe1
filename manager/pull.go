package manager

import (
	"context"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// PullImage makes an image of one that a registry or image server publishes. Where the same content was pulled already,
// that is the one. Its alias, which moves to it, is made of the reference unless the user names one, and of the architecture where that is not
// the host's.
func (m *Manager) PullImage(ctx context.Context, o PullOptions) (Build, error) {
	b, err := m.pullImage(ctx, o)
	return b, sysctl.Wrap(err, "pull %s", o.Ref)
}

func (m *Manager) pullImage(ctx context.Context, o PullOptions) (Build, error) {
	alias := o.Alias
	if alias == "" {
		alias = pulledAlias(o.Ref)
	}
	if alias == "" {
		return Build{}, sysctl.E(sysctl.Invalid, "it must be REMOTE:ALIAS, oci:REFERENCE or docker://REFERENCE").WithHint("sysctl image pull images:debian/12")
	}
	arch, err := m.archOf(ctx, o.Platform)
	if err != nil {
		return Build{}, err
	}
	if o.Alias == "" {
		alias = forArch(alias, arch)
	}
	if err := sysctl.CheckRef("image alias", alias); err != nil {
		return Build{}, err
	}
	unlock, err := m.lock(ctx, "image", alias, o.Progress)
	if err != nil {
		return Build{}, err
	}
	defer unlock()
	image := sysctl.Image{Aliases: []string{alias}, Description: o.Ref}
	b, inputs, err := m.addTree(ctx, image, o.Progress, false, func(k *imageMaker, have func(string) bool) (Tree, error) {
		return m.Catalogue.Pull(ctx, o.Ref, k.plain.Dir(), TreeOptions{Offline: o.Offline, Arch: arch, Have: have, Stack: k.stack, Progress: o.Progress})
	})
	if err == nil {
		err = m.rememberBuilt(inputs, b.Image.ID)
	}
	return b, err
}

// pulledAlias is what an image is called that nobody named: the reference without where it comes from, and without
// a digest, which is longer than names are.
func pulledAlias(ref string) string {
	_, image, _ := strings.Cut(ref, ":")
	if at := strings.IndexByte(image, '@'); at >= 0 {
		image = image[:at]
	}
	if rest, ok := strings.CutPrefix(image, "//"); ok {
		image = rest
	}
	// A registry has a dot or a port in its name; the part before the first slash that has none is of the repository.
	if host, rest, ok := strings.Cut(image, "/"); ok && strings.ContainsAny(host, ".:") {
		image = rest
	}
	return image
}

// PullRemotes lists what may stand before the colon of an image to pull.
func (m *Manager) PullRemotes() []string { return m.Catalogue.Remotes() }
