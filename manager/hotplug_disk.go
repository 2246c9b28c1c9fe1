package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// diskHotplug mounts a disk both in the guest and where its next boot begins, so that it survives a reboot. What is below /dev waits for
// the next start: that is made by each boot, from a list that stays what it was. Of the root disk it sets the size.
func diskHotplug() hotplug {
	return hotplug{
		change: func(m *Manager, ctx context.Context, r running, from, to sysctl.Spec) (bool, error) {
			if from.Root.Device == "" || to.Root.Device == "" {
				return false, nil
			}
			return true, m.resize(ctx, r, to)
		},
		plug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			if s.Root.Device != "" {
				return m.resize(ctx, r, s)
			}
			for _, d := range s.Disks {
				if d.InDev() {
					return errLater
				}
				if d.Source == "" {
					whole, err := m.spec(ctx, *r.Instance)
					if err != nil {
						return err
					}
					limits, err := m.limits(r.ID, whole)
					if err != nil {
						return err
					}
					d = sized(d, limits)
				}
				f, err := m.Storage.OpenDisk(ctx, d, r.IDMap)
				if d.Optional && sysctl.KindOf(err) == sysctl.NotFound {
					return errLater
				}
				if err != nil {
					return err
				}
				err = m.Storage.Attach(ctx, m.Runtime.MountSpaces(r.state), r.IDMap, f, d.Path)
				f.Close()
				if err != nil {
					return err
				}
			}
			return nil
		},
		unplug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			if s.Root.Device != "" {
				return m.resize(ctx, r, sysctl.Spec{})
			}
			for _, d := range s.Disks {
				if d.InDev() {
					return errLater
				}
				err := m.Storage.Detach(ctx, m.Runtime.MountSpaces(r.state), r.IDMap, d.Path)
				if sysctl.KindOf(err) == sysctl.Busy {
					return sysctl.E(sysctl.Busy, "%w", err).WithHint("sysctl exec %s -- umount %s", r.Name, d.Path)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// resize gives a running instance's root disk its size. One that has had none since it was started gets it at the next start.
func (m *Manager) resize(ctx context.Context, r running, s sysctl.Spec) error {
	applied, err := m.Storage.LimitUpper(ctx, r.ID, s.Root.Size, true)
	if err == nil && !applied {
		return errLater
	}
	return err
}

// checkSize refuses a size of the root disk where this host's disk has no way to keep to it.
func (m *Manager) checkSize(spec sysctl.Spec) error {
	if spec.Root.Size == 0 {
		return nil
	}
	return sysctl.Wrap(m.Storage.CheckSize(), "devices.%s.size", spec.Root.Device)
}
