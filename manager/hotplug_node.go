package manager

import (
	"context"
	"errors"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// nodeHotplug gives a running guest a node of a device of the host and lets it open the device, and takes both away. It is noted in
// the run's wiring, by which it is made again when the guest reboots.
func nodeHotplug() hotplug {
	return hotplug{
		plug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			n, err := m.Storage.FindNode(s.Nodes[0])
			if n.Optional && sysctl.KindOf(err) == sysctl.NotFound {
				return errLater
			}
			if err != nil {
				return err
			}
			was, now, err := m.nodesWithout(r, n.Device)
			if err != nil {
				return err
			}
			now.Nodes, now.IDMap = append(now.Nodes, n), r.IDMap
			if err := m.Runtime.SetWiring(r.ID, now); err != nil {
				return err
			}
			if err := m.Runtime.AllowDevices(ctx, r.ID, was.Nodes, now.Nodes); err != nil {
				return err
			}
			return m.Storage.AttachNode(ctx, sysctl.MountSpace{Process: r.state.Init}, r.IDMap, n)
		},
		unplug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			n := s.Nodes[0]
			err := m.Storage.DetachNode(ctx, sysctl.MountSpace{Process: r.state.Init}, r.IDMap, n)
			if sysctl.KindOf(err) == sysctl.Busy {
				return sysctl.E(sysctl.Busy, "%w", err).WithHint("sysctl exec %s -- umount %s", r.Name, n.Path)
			}
			if err != nil {
				return err
			}
			was, now, err := m.nodesWithout(r, n.Device)
			if err != nil {
				return err
			}
			if err := m.Runtime.AllowDevices(ctx, r.ID, was.Nodes, now.Nodes); err != nil {
				return err
			}
			return m.Runtime.SetWiring(r.ID, now)
		},
	}
}

// nodesWithout is what a running instance is wired with, and the same without one of its nodes.
func (m *Manager) nodesWithout(r running, device string) (was, now sysctl.Wiring, err error) {
	was, _, err = m.Runtime.Wiring(r.ID)
	now = was
	now.Nodes = slices.DeleteFunc(slices.Clone(was.Nodes), func(n sysctl.Node) bool { return n.Device == device })
	return was, now, err
}

// findNodes adds the device nodes of a boot to what it is wired with. missing are those that the boot does without.
func (m *Manager) findNodes(spec sysctl.Spec, w *sysctl.Wiring) (missing []string, err error) {
	for _, n := range spec.Nodes {
		found, err := m.Storage.FindNode(n)
		if n.Optional && sysctl.KindOf(err) == sysctl.NotFound {
			missing = append(missing, n.Device)
			continue
		}
		if err != nil {
			return nil, sysctl.Wrap(err, "devices.%s", n.Device)
		}
		w.Nodes = append(w.Nodes, found)
	}
	return missing, nil
}

// attachNodes gives a guest that boots its device nodes. A device may have other numbers by now, or have gone. What the
// one lacks the others have nevertheless.
func (m *Manager) attachNodes(ctx context.Context, id int64, init int, w sysctl.Wiring) error {
	if len(w.Nodes) == 0 {
		return nil
	}
	var failed []error
	var nodes []sysctl.Node
	for _, n := range w.Nodes {
		found, err := m.Storage.FindNode(n)
		if err == nil {
			nodes = append(nodes, found)
		} else if !n.Optional || sysctl.KindOf(err) != sysctl.NotFound {
			failed = append(failed, sysctl.Wrap(err, "device %s", n.Device))
		}
	}
	if err := m.Runtime.AllowDevices(ctx, id, nil, nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		err := m.Storage.AttachNode(ctx, sysctl.MountSpace{Process: sysctl.Process{PID: init}}, w.IDMap, n)
		failed = append(failed, sysctl.Wrap(err, "device %s", n.Device))
	}
	return errors.Join(failed...)
}

// checkNodeIDs refuses nodes of users and groups that a guest has not got.
func checkNodeIDs(spec sysctl.Spec, m sysctl.IDMap) error {
	var bad sysctl.FieldErrors
	for _, n := range spec.Nodes {
		if _, ok := m.HostUID(n.UID); !ok {
			bad.Add("devices."+n.Device+".uid", "the guest has no user %d: it has %d ids (security.idmap.size)", n.UID, m.Size)
		}
		if _, ok := m.HostGID(n.GID); !ok {
			bad.Add("devices."+n.Device+".gid", "the guest has no group %d: it has %d ids (security.idmap.size)", n.GID, m.Size)
		}
	}
	return bad.Err()
}
