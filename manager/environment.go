package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// RemoveAll removes every instance, image, bridge and NAT table of the environment, and then its
// database and directories: afterwards this machine is as if it had never been. Without force it is
// refused where there are instances. Nothing can be done with m afterwards.
func (m *Manager) RemoveAll(ctx context.Context, force bool, p sysctl.Progress) error {
	return sysctl.Wrap(m.removeAll(ctx, force, p), "remove environment")
}

func (m *Manager) removeAll(ctx context.Context, force bool, p sysctl.Progress) error {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return err
	}
	if len(all) > 0 && !force {
		return sysctl.E(sysctl.Conflict, "it has %d instances", len(all)).WithHint("sysctl environment remove --force")
	}
	for _, inst := range all {
		p.Report("delete "+inst.Name, 0, 0)
		if err := m.Delete(ctx, inst.Name, DeleteOptions{Force: true}); err != nil && sysctl.KindOf(err) != sysctl.NotFound {
			return err
		}
	}
	networks, err := m.DB.Networks(ctx)
	if err != nil {
		return err
	}
	for _, n := range networks {
		n.Table, n.Bridge = m.DefaultNetwork.Table, m.bridge(n.Name)
		if err := m.takeDown(ctx, n); err != nil {
			return sysctl.Wrap(err, "network %s", n.Name)
		}
	}
	images, err := m.DB.Images(ctx)
	if err != nil {
		return err
	}
	for _, i := range images {
		if err := m.DB.DeleteImage(ctx, i.ID); err != nil {
			return err
		}
	}
	if err := m.collectLayers(ctx); err != nil {
		return err
	}
	if err := m.Storage.Sweep(ctx); err != nil {
		return err
	}
	return m.Erase()
}
