package manager

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// deepest is on how many layers an instance may lie for its upper to become one more of them. Every lookup in the
// guest passes all of them, and kernels before 6.7 take no more than some 80; the upper is copied from there on.
const deepest = 60

// Snapshot keeps what an instance is: its files and its configuration. A stopped one's upper becomes a layer, in the same
// time and without space whatever is in it; a running one is frozen while its upper is copied. snap may be "":
// one is made up (snapshots.pattern). Kinds: Exists, Conflict (it is broken), Busy (its run is not over yet).
func (m *Manager) Snapshot(ctx context.Context, name, snap string, o SnapshotOptions) (sysctl.Snapshot, error) {
	s, err := m.snapshot(ctx, name, snap, o)
	return s, sysctl.Wrap(err, "snapshot %s", name)
}

func (m *Manager) snapshot(ctx context.Context, name, snap string, o SnapshotOptions) (_ sysctl.Snapshot, err error) {
	if snap != "" {
		if err := sysctl.CheckSnapshotName(snap); err != nil {
			return sysctl.Snapshot{}, err
		}
	}
	done, err := m.makeLayers(ctx)
	if err != nil {
		return sysctl.Snapshot{}, err
	}
	defer func() { err = errors.Join(err, done()) }()
	inst, unlock, err := m.lockInstance(ctx, name, o.Progress)
	defer unlock()
	if err != nil {
		return sysctl.Snapshot{}, err
	}
	if !inst.Ready {
		return sysctl.Snapshot{}, halfMade(name)
	}
	if o.due {
		if due, err := m.due(ctx, inst); err != nil || !due { // somebody else was first
			return sysctl.Snapshot{}, err
		}
	}
	s, err := m.newSnapshot(ctx, inst, snap, o)
	if err != nil {
		return s, err
	}
	s.Layers, err = m.capture(ctx, inst, &s, o.Progress)
	if err == nil && o.due {
		err = m.keptUntil(context.WithoutCancel(ctx), inst, s.Created)
	}
	return s, err
}

// newSnapshot is the snapshot that is to be made, with a name that is free and a time to be deleted.
func (m *Manager) newSnapshot(ctx context.Context, inst sysctl.Instance, snap string, o SnapshotOptions) (sysctl.Snapshot, error) {
	list, err := m.DB.Snapshots(ctx, inst.ID)
	if err != nil {
		return sysctl.Snapshot{}, err
	}
	var taken []string
	for _, s := range list {
		taken = append(taken, s.Name)
	}
	s := sysctl.Snapshot{Name: snap, Guest: inst.Guest, Profiles: inst.Profiles, Config: inst.Config, Devices: inst.Devices,
		Created: m.Now(), Scheduled: o.due}
	spec, err := m.spec(ctx, inst)
	if err != nil { // a profile that was changed must not keep anybody from a snapshot
		spec = sysctl.Spec{}
	}
	switch {
	case snap == "":
		s.Name = sysctl.SnapshotName(spec.Snapshots.Pattern, taken, s.Created)
		if err := sysctl.CheckSnapshotName(s.Name); err != nil { // a number has made it too long
			return s, sysctl.Wrap(err, "snapshots.pattern")
		}
	case slices.Contains(taken, snap):
		return s, snapshotTaken(inst.Name, snap)
	}
	expiry := spec.Snapshots.Expiry
	if o.Expiry != nil {
		expiry = *o.Expiry
	}
	s.Expires = expiry.After(s.Created)
	return s, nil
}

// makeLayers keeps collection away from layers that nothing names yet. done lets it in again, and collects what a failure
// has left or others meant to.
func (m *Manager) makeLayers(ctx context.Context) (done func() error, err error) {
	unlock, err := m.lockMaking(ctx)
	if err != nil {
		return nil, err
	}
	return func() error {
		unlock()
		return m.collectLayers(context.WithoutCancel(ctx))
	}, nil
}

func snapshotTaken(name, snap string) error {
	return sysctl.E(sysctl.Exists, "snapshot %q exists already", snap).WithHint("sysctl snapshot list %s", name)
}

// capture has what an instance is be a list of layers, which it returns, and notes a snapshot of it where s is not nil. Its
// lock and the makers' are held.
func (m *Manager) capture(ctx context.Context, inst sysctl.Instance, s *sysctl.Snapshot, p sysctl.Progress) ([]string, error) {
	state := m.Runtime.State(inst.ID)
	switch state.Status {
	case sysctl.Broken:
		return nil, sysctl.E(sysctl.Conflict, "it is broken: %s", strings.Join(state.Problems, "; ")).WithHint("sysctl stop --force %s", inst.Name)
	case sysctl.Stopped:
		if err := m.over(ctx, inst, state); err != nil {
			return nil, err
		}
		// What was kept and not started since gets no deeper by it.
		clean, err := m.Storage.UpperClean(ctx, inst.ID, inst.Layers[len(inst.Layers)-1])
		if err != nil {
			return nil, err
		}
		if clean && s == nil {
			return inst.Layers, nil
		}
		if clean {
			s.Layers = inst.Layers
			return inst.Layers, m.DB.AddSnapshot(ctx, inst.ID, *s)
		}
	}
	var random [32]byte
	rand.Read(random[:])
	id := hex.EncodeToString(random[:])
	layers := append(slices.Clone(inst.Layers), id)
	if s != nil {
		s.Layers = layers
	}
	steps := m.copySteps(inst, state.Status == sysctl.Running, id, s, p)
	if state.Status == sysctl.Stopped && len(inst.Layers) < deepest {
		steps = m.sealSteps(inst, id, s)
	}
	return layers, runSteps(ctx, steps, false, p)
}

// sealSteps make a stopped instance's upper its uppermost layer. What they promise in the database is done at once or, when
// that is interrupted, by whoever takes the instance's lock next.
func (m *Manager) sealSteps(inst sysctl.Instance, id string, s *sysctl.Snapshot) []step {
	var steps []step
	if inst.Patched.Any() {
		steps = append(steps, step{name: "change programs back", do: func(ctx context.Context) error { return m.Storage.RestoreUpper(ctx, inst.ID) }})
	}
	return append(steps,
		step{name: "wait for its last run", do: func(ctx context.Context) error {
			t, err := m.Storage.OpenTree(ctx, inst.ID, inst.Stack()) // when that has the upper, nobody else has
			if err != nil {
				return err
			}
			return t.Close()
		}},
		step{name: "make the next upper", do: func(ctx context.Context) error { return m.Storage.PrepareUpper(ctx, inst.ID, "") }},
		step{name: "seal", do: func(ctx context.Context) error {
			if err := m.DB.SealInstance(ctx, inst.ID, sysctl.Layer{ID: id, Created: m.Now()}, s); err != nil {
				return err
			}
			return m.moveUpper(ctx, inst.ID, id)
		}})
}

// moveUpper does what is pending of an instance's upper. A Ctrl-C does not reach it.
func (m *Manager) moveUpper(ctx context.Context, id int64, layer string) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if layer == "" {
		err = m.Storage.RenewUpper(ctx, id)
	} else {
		err = m.Storage.Seal(ctx, id, layer)
	}
	if err != nil {
		return err
	}
	return m.DB.Settled(ctx, id)
}

// copySteps make a layer of a copy of the upper. An instance that runs is frozen for as long as that takes.
func (m *Manager) copySteps(inst sysctl.Instance, running bool, id string, s *sysctl.Snapshot, p sysctl.Progress) []step {
	var copied Staging
	thaw := func(ctx context.Context) error {
		if !running {
			return nil
		}
		return m.Runtime.Release(context.WithoutCancel(ctx), inst.ID)
	}
	return []step{{
		name: "copy what it wrote",
		do: func(ctx context.Context) error {
			if running {
				if err := m.Runtime.Hold(ctx, inst.ID); err != nil {
					return err
				}
			}
			var err error
			copied, err = m.Storage.CopyUpper(ctx, inst.ID, p)
			return errors.Join(err, thaw(ctx))
		},
		undo: func(ctx context.Context) error {
			err := thaw(ctx)
			if copied != nil {
				err = errors.Join(err, copied.Abort())
			}
			return err
		},
	}, {
		name: "keep the copy",
		do: func(ctx context.Context) error {
			// The row first: a layer without one would be nobody's to collect. Nobody collects before it is named.
			unlock, err := m.lockLayers(ctx, unix.LOCK_SH)
			if err != nil {
				return err
			}
			defer unlock()
			if err := m.DB.AddLayer(ctx, sysctl.Layer{ID: id, Created: m.Now()}); err != nil {
				return err
			}
			if _, err := copied.CommitAs(ctx, id); err != nil || s == nil {
				return err
			}
			return m.DB.AddSnapshot(ctx, inst.ID, *s)
		},
	}}
}

// Snapshots returns an instance's snapshots, the oldest first.
func (m *Manager) Snapshots(ctx context.Context, name string) ([]sysctl.Snapshot, error) {
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return nil, sysctl.Wrap(err, "snapshots of %s", name)
	}
	list, err := m.DB.Snapshots(ctx, inst.ID)
	return list, sysctl.Wrap(err, "snapshots of %s", name)
}

// findSnapshot fails with NotFound where the instance has none of that name.
func (m *Manager) findSnapshot(ctx context.Context, inst sysctl.Instance, snap string) (sysctl.Snapshot, error) {
	list, err := m.DB.Snapshots(ctx, inst.ID)
	if err != nil {
		return sysctl.Snapshot{}, err
	}
	var names []string
	for _, s := range list {
		if s.Name == snap {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if near := sysctl.Nearest(snap, names); near != "" {
		return sysctl.Snapshot{}, sysctl.E(sysctl.NotFound, "snapshot %q not found: did you mean %s?", snap, near).WithHint("sysctl snapshot list %s", inst.Name)
	}
	return sysctl.Snapshot{}, sysctl.E(sysctl.NotFound, "snapshot %q not found", snap).WithHint("sysctl snapshot list %s", inst.Name)
}

// RenameSnapshot gives a snapshot another name. Kinds: NotFound, Exists.
func (m *Manager) RenameSnapshot(ctx context.Context, name, snap, to string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err == nil {
		err = sysctl.CheckSnapshotName(to)
	}
	if err == nil {
		_, err = m.findSnapshot(ctx, inst, snap)
	}
	if err == nil {
		err = m.DB.RenameSnapshot(ctx, inst.ID, snap, to)
	}
	if sysctl.KindOf(err) == sysctl.Exists {
		err = snapshotTaken(name, to)
	}
	return sysctl.Wrap(err, "rename snapshot %s/%s", name, snap)
}

// DeleteSnapshot removes a snapshot. What only it needed is gone with it.
func (m *Manager) DeleteSnapshot(ctx context.Context, name, snap string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err == nil {
		_, err = m.findSnapshot(ctx, inst, snap)
	}
	if err == nil {
		err = m.DB.DeleteSnapshot(ctx, inst.ID, snap)
	}
	if err == nil {
		err = m.collectLayers(context.WithoutCancel(ctx))
	}
	return sysctl.Wrap(err, "delete snapshot %s/%s", name, snap)
}
