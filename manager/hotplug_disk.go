package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// diskHotplug mounts a disk both in the guest and where its next boot begins, so that it survives a reboot. What is below /dev waits for
// the next start: that is made by each boot, from a list that stays what it was.
func diskHotplug() hotplug {
	return hotplug{
		plug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
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
