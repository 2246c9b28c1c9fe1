package manager

import (
	"context"
	"fmt"

	"github.com/sysctl-os/sysctl"
)

// Delete removes an instance and everything that is only its own, its snapshots too: delete = unwind all. A running one is
// a Conflict without o.Force. What an interrupted delete has left is removed by the next one.
func (m *Manager) Delete(ctx context.Context, name string, o DeleteOptions) error {
	inst, unlock, err := m.lockRow(ctx, name, nil)
	defer unlock()
	if err == nil {
		err = m.delete(ctx, inst, o)
	}
	return sysctl.Wrap(err, "delete %s", name)
}

func (m *Manager) delete(ctx context.Context, inst sysctl.Instance, o DeleteOptions) error {
	if s := m.Runtime.State(inst.ID); s.Status != sysctl.Stopped && !o.Force && inst.Ready {
		return sysctl.E(sysctl.Conflict, "it is running").WithHint("sysctl delete --force %s", inst.Name)
	}
	if err := m.mayDelete(ctx, inst); err != nil {
		return err
	}
	list, err := m.DB.Snapshots(ctx, inst.ID)
	if err != nil {
		return err
	}
	if err := m.destroy(ctx, inst); err != nil {
		return err
	}
	if len(list) > 0 && o.Note != nil {
		o.Note(fmt.Sprintf("its snapshots are deleted too: %d", len(list)))
	}
	return nil
}

// destroy ends and removes an instance in whatever state it is; its lock is held. It first marks the row
// as not ready, so that an interruption leaves something the next command finishes. A Ctrl-C does
// not reach it.
func (m *Manager) destroy(ctx context.Context, inst sysctl.Instance) error {
	ctx = context.WithoutCancel(ctx)
	if inst.Ready {
		if err := m.DB.MarkReady(ctx, inst.ID, false); err != nil {
			return err
		}
	}
	if err := m.Runtime.Clear(ctx, inst.ID); err != nil {
		return err
	}
	if err := m.Runtime.RemoveLogs(inst.ID); err != nil {
		return err
	}
	if err := m.Storage.DeleteUpper(ctx, inst.ID); err != nil {
		return err
	}
	if err := m.left(ctx, inst, true); err != nil {
		return err
	}
	if err := m.DB.DeleteInstance(ctx, inst.ID); err != nil {
		return err
	}
	return m.collectLayers(ctx)
}

// Rename gives a stopped instance another name. Nothing on disk carries the name; the guest learns it
// at its next start.
func (m *Manager) Rename(ctx context.Context, name, to string) error {
	return sysctl.Wrap(m.rename(ctx, name, to), "rename %s", name)
}

func (m *Manager) rename(ctx context.Context, name, to string) error {
	if err := checkNewName(to); err != nil {
		return err
	}
	if name == to {
		return nil
	}
	if _, err := m.DB.Instance(ctx, name); err != nil {
		return err
	}
	for _, n := range []string{min(name, to), max(name, to)} {
		unlock, err := m.lock(ctx, "instance", n, nil)
		if err != nil {
			return err
		}
		defer unlock()
	}
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return err
	}
	if !inst.Ready {
		return halfMade(name)
	}
	if m.Runtime.State(inst.ID).Status != sysctl.Stopped {
		return sysctl.E(sysctl.Conflict, "it is running").WithHint("sysctl stop %s", name)
	}
	if err := m.clearHalfMade(ctx, to); err != nil {
		return err
	}
	if err := m.DB.RenameInstance(ctx, inst.ID, to); err != nil {
		return err
	}
	inst.Name = to
	return m.left(ctx, inst, false)
}
