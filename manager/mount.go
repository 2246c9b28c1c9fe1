package manager

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// View is a tree that is mounted in the host.
type View struct {
	Name     string `json:"name"`     // of the instance
	Snapshot string `json:"snapshot"` // "": what the instance is
	Dir      string `json:"directory"`
}

// Mount mounts an instance's tree, or a snapshot's, on an empty directory of the host, read-only and with ids as in the guest.
// Nothing is held by it: the instance can be started, stopped and sealed under it. What a guest that runs changes where
// somebody has looked already may not be seen. Kinds as Storage.Mount; NotFound.
func (m *Manager) Mount(ctx context.Context, name, snap, dir string) error {
	return sysctl.Wrap(m.mount(ctx, name, snap, dir), "mount %s", name)
}

func (m *Manager) mount(ctx context.Context, name, snap, dir string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err != nil {
		return err
	}
	if !inst.Ready {
		return halfMade(name)
	}
	side := sysctl.Side{Layers: inst.Layers, Instance: inst.ID}
	if snap != "" {
		s, err := m.findSnapshot(ctx, inst, snap)
		if err != nil {
			return err
		}
		side = sysctl.Side{Layers: s.Layers}
	}
	return m.Storage.Mount(ctx, inst.ID, side, dir)
}

// Views lists what is mounted, by what the host's mount table says.
func (m *Manager) Views(ctx context.Context) ([]View, error) {
	list, err := m.Storage.Views()
	views := []View{}
	if err != nil || len(list) == 0 {
		return views, sysctl.Wrap(err, "mount")
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return nil, sysctl.Wrap(err, "mount")
	}
	names := map[int64]string{}
	for _, inst := range all {
		names[inst.ID] = inst.Name
	}
	for _, v := range list {
		view := View{Name: names[v.Instance], Dir: v.Dir}
		if v.Layer != "" {
			snaps, err := m.DB.Snapshots(ctx, v.Instance)
			if err != nil {
				return nil, sysctl.Wrap(err, "mount")
			}
			view.Snapshot = "?" // of one that was deleted
			for _, s := range snaps {
				if strings.HasPrefix(s.Layers[len(s.Layers)-1], v.Layer) {
					view.Snapshot = s.Name
				}
			}
		}
		views = append(views, view)
	}
	return views, nil
}

// Unmount takes away the view on a directory or all views of an instance, with detach also those in use. A word without a
// slash is an instance where there is one of the name. Kinds: NotFound, Busy.
func (m *Manager) Unmount(ctx context.Context, ref string, detach bool) error {
	return sysctl.Wrap(m.unmount(ctx, ref, detach), "umount %s", ref)
}

func (m *Manager) unmount(ctx context.Context, ref string, detach bool) error {
	list, err := m.Storage.Views()
	if err != nil {
		return err
	}
	dir := ref
	if real, err := filepath.EvalSymlinks(ref); err == nil {
		if real, err = filepath.Abs(real); err == nil {
			dir = real
		}
	}
	fits := func(v sysctl.View) bool { return v.Dir == dir }
	if !strings.Contains(ref, "/") {
		inst, err := m.DB.Instance(ctx, ref)
		if err == nil {
			fits = func(v sysctl.View) bool { return v.Instance == inst.ID }
		} else if sysctl.KindOf(err) != sysctl.NotFound || !slices.ContainsFunc(list, fits) {
			return err
		}
	}
	found := false
	for i := len(list) - 1; i >= 0; i-- { // the newest first: it may lie on another
		if !fits(list[i]) {
			continue
		}
		found = true
		if err := m.Storage.Unmount(list[i], detach); err != nil {
			return err
		}
	}
	if !found {
		return sysctl.E(sysctl.NotFound, "nothing of ours is mounted there").WithHint("sysctl mount")
	}
	return nil
}
