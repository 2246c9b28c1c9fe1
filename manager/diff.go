package manager

import (
	"context"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// DiffOptions says what an instance is compared with.
type DiffOptions struct {
	From string // a snapshot; "": the image it was made from
	To   string // a snapshot; "": what it is now
}

// Diff lists the files that differ between an instance's image or a snapshot and what it is, or another snapshot. It reads what
// was written since and no more. Of a stopped instance the lock is held meanwhile; a running one may change under it.
// Kinds: NotFound, Conflict (it was stopped or changed by a verb meanwhile).
func (m *Manager) Diff(ctx context.Context, name string, o DiffOptions) (list []sysctl.Difference, err error) {
	err = m.compare(ctx, name, o, func(c Comparison) error {
		list, err = c.Differences(ctx)
		return err
	})
	return list, sysctl.Wrap(err, "diff %s", name)
}

// DiffPackages is Diff by package: those that were installed, removed or are of another version, and those whose
// configuration files changed and are not as the package brought them, by name. The kind is Unsupported where the guest has
// no database that we can read.
func (m *Manager) DiffPackages(ctx context.Context, name string, o DiffOptions) (list []sysctl.PackageDifference, err error) {
	err = m.compare(ctx, name, o, func(c Comparison) error {
		before, err := m.packagesOf(c.From())
		if err != nil {
			return err
		}
		after, err := m.packagesOf(c.To())
		if err != nil {
			return err
		}
		files, err := c.Differences(ctx)
		if err != nil {
			return err
		}
		intact := func(path, digest string) (bool, error) { return m.Guests.Intact(c.To(), path, digest) }
		list, err = comparePackages(before, after, files, intact)
		return err
	})
	return list, sysctl.Wrap(err, "diff %s", name)
}

func (m *Manager) packagesOf(t sysctl.Tree) ([]sysctl.Package, error) {
	databases, list, err := m.Guests.Packages(t)
	if err == nil && len(databases) == 0 {
		err = sysctl.E(sysctl.Unsupported, "the guest has no package database of dpkg, rpm or apk")
	}
	return list, err
}

// compare opens both sides of a comparison and does something with them.
func (m *Manager) compare(ctx context.Context, name string, o DiffOptions, do func(Comparison) error) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer func() { unlock() }()
	if err != nil {
		return err
	}
	if !inst.Ready {
		return halfMade(name)
	}
	from, err := m.sideOf(ctx, inst, o.From)
	if err != nil {
		return err
	}
	to := sysctl.Side{Layers: inst.Layers, Instance: inst.ID}
	if o.To != "" {
		if to, err = m.sideOf(ctx, inst, o.To); err != nil {
			return err
		}
	}
	c, err := m.Storage.OpenComparison(ctx, from, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if m.Runtime.State(inst.ID).Init.PID == 0 {
		return do(c)
	}
	// A stop need not wait for it. What verbs take away meanwhile would count as deleted.
	unlock()
	unlock = func() {}
	if err := do(c); err != nil {
		return err
	}
	now, err := m.DB.Instance(ctx, name)
	if err == nil && now.ID == inst.ID && now.Ready {
		again, err := m.sideOf(ctx, now, o.From)
		if err == nil && slices.Equal(again.Layers, from.Layers) && slices.Equal(now.Layers, inst.Layers) {
			return nil
		}
	}
	return sysctl.E(sysctl.Conflict, "it was deleted, restored or stopped for a snapshot meanwhile").WithHint("sysctl diff %s", name)
}

// sideOf is a snapshot of an instance or, where snap is "", its image.
func (m *Manager) sideOf(ctx context.Context, inst sysctl.Instance, snap string) (sysctl.Side, error) {
	if snap != "" {
		s, err := m.findSnapshot(ctx, inst, snap)
		return sysctl.Side{Layers: s.Layers}, err
	}
	// The image itself may be deleted by now. Its layers are there, below all others.
	for n := 1; n <= len(inst.Layers); n++ {
		if ImageID(inst.Layers[:n]) == inst.Image {
			return sysctl.Side{Layers: inst.Layers[:n]}, nil
		}
	}
	return sysctl.Side{}, sysctl.E(sysctl.Conflict, "its layers are not those of its image").WithHint("sysctl snapshot list %s", inst.Name)
}
