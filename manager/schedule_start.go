package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// lockToStart is lockInstance for who starts an instance: where its schedule asks for a snapshot then, keeps, the makers' lock is held
// with the instance's, as it comes before that.
func (m *Manager) lockToStart(ctx context.Context, name string, p sysctl.Progress) (inst sysctl.Instance, keeps bool, unlock func(), err error) {
	inst, unlock, err = m.lockInstance(ctx, name, p)
	if err != nil || !m.keepsAtStart(ctx, inst) {
		return inst, false, unlock, err
	}
	unlock()
	done, err := m.makeLayers(ctx)
	if err != nil {
		return inst, false, func() {}, err
	}
	inst, own, err := m.lockInstance(ctx, name, p)
	return inst, err == nil && m.keepsAtStart(ctx, inst), func() {
		own()
		_ = done() // what it could not collect the next one does
	}, err
}

// keepsAtStart reports whether a snapshot is to be made when the instance starts. That its configuration is wrong its start says.
func (m *Manager) keepsAtStart(ctx context.Context, inst sysctl.Instance) bool {
	spec, err := m.spec(ctx, inst)
	return err == nil && spec.Snapshots.Schedule.AtStart
}

// snapshotAtStart makes the snapshot that snapshots.schedule=@startup asks for, of a stopped instance that is about to start, and
// returns the instance on top of it. undo deletes it. The locks of lockToStart are held. What was never started, or not since
// its newest snapshot, gets no other layer by it.
func (m *Manager) snapshotAtStart(ctx context.Context, inst sysctl.Instance, o StartOptions) (_ sysctl.Instance, undo func() error, err error) {
	undo = func() error { return nil }
	if !inst.Ready || m.Runtime.State(inst.ID).Status != sysctl.Stopped {
		return inst, undo, nil
	}
	s, err := m.newSnapshot(ctx, inst, "", SnapshotOptions{})
	if err == nil {
		s.Scheduled = true
		_, err = m.capture(ctx, inst, &s, o.Progress)
	}
	if err != nil {
		return inst, undo, sysctl.Wrap(err, "snapshot at its start (snapshots.schedule)")
	}
	undo = func() error { return m.DB.DeleteSnapshot(context.WithoutCancel(ctx), inst.ID, s.Name) }
	inst, err = m.DB.Instance(ctx, inst.Name)
	return inst, undo, err
}
