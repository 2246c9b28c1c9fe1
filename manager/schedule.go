package manager

import (
	"context"
	"time"

	"github.com/sysctl-os/sysctl"
)

// Due is what became of one snapshot when the schedules were kept.
type Due struct {
	Name     string `json:"name"` // of the instance
	Snapshot string `json:"snapshot"`
	Deleted  bool   `json:"deleted"` // it had expired; else it was made
	Error    string `json:"error,omitempty"`
}

// KeepSchedules deletes the snapshots that have expired and makes those that are due (snapshots.schedule). It can be called at
// any time, as often as one likes, by several at once: a time that has passed since the last call is made up for once, also
// where the host was off or the instance stopped meanwhile. A schedule that is new counts from the first call that sees it.
// One instance's failure does not stop the others; it is in its result, and but for Busy waits for the schedule's next time.
func (m *Manager) KeepSchedules(ctx context.Context, p sysctl.Progress) ([]Due, error) {
	expired, err := m.DB.ExpiredSnapshots(ctx, m.Now())
	if err != nil {
		return nil, err
	}
	var done []Due
	for _, e := range expired {
		deleted, err := m.expire(ctx, e.Instance, e.Snapshot)
		if deleted || err != nil {
			done = append(done, Due{Name: e.Instance, Snapshot: e.Snapshot, Deleted: true, Error: text(err)})
		}
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return done, err
	}
	for _, inst := range all {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if !inst.Ready {
			continue
		}
		snap, err := m.keepSchedule(ctx, inst, p)
		if err != nil || snap != "" {
			done = append(done, Due{Name: inst.Name, Snapshot: snap, Error: text(err)})
		}
	}
	return done, ctx.Err()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// expire deletes a snapshot if it still has expired when its instance's lock is held.
func (m *Manager) expire(ctx context.Context, name, snap string) (deleted bool, err error) {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err != nil {
		return false, unlessGone(err)
	}
	s, err := m.findSnapshot(ctx, inst, snap)
	if err != nil {
		return false, unlessGone(err)
	}
	if s.Expires.IsZero() || s.Expires.After(m.Now()) {
		return false, nil
	}
	if err = m.DB.DeleteSnapshot(ctx, inst.ID, snap); err == nil {
		err = m.collectLayers(context.WithoutCancel(ctx))
	}
	return true, sysctl.Wrap(err, "delete snapshot %s/%s", name, snap)
}

// unlessGone is err, or nil where it says that what was to be looked at is gone.
func unlessGone(err error) error {
	if sysctl.KindOf(err) == sysctl.NotFound {
		return nil
	}
	return err
}

// keepSchedule makes an instance's snapshot if one is due, and returns its name.
func (m *Manager) keepSchedule(ctx context.Context, inst sysctl.Instance, p sysctl.Progress) (string, error) {
	due, err := m.due(ctx, inst)
	if err != nil || !due {
		return "", err
	}
	s, err := m.Snapshot(ctx, inst.Name, "", SnapshotOptions{Progress: p, due: true})
	if err != nil {
		if kind := sysctl.KindOf(err); kind != sysctl.Busy && kind != sysctl.Canceled {
			_ = m.keptUntil(context.WithoutCancel(ctx), inst, m.Now()) // what cannot be noted is tried again
		}
		return "", unlessGone(err)
	}
	return s.Name, nil
}

// due reports whether a time of the instance's schedule has passed for which there is no snapshot. A schedule that is seen for
// the first time is noted.
func (m *Manager) due(ctx context.Context, inst sysctl.Instance) (bool, error) {
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return false, err
	}
	schedule := spec.Snapshots.Schedule
	seen, kept, err := m.DB.Schedule(ctx, inst.ID)
	switch {
	case err != nil:
		return false, err
	case schedule.Never() && seen == "":
		return false, nil
	case schedule.Never():
		return false, m.DB.SetSchedule(ctx, inst.ID, "", time.Time{})
	case seen != schedule.Text:
		return false, m.DB.SetSchedule(ctx, inst.ID, schedule.Text, m.Now())
	}
	list, err := m.DB.Snapshots(ctx, inst.ID)
	if err != nil {
		return false, err
	}
	for _, s := range list {
		if s.Scheduled && s.Created.After(kept) {
			kept = s.Created // who made it was ended before it could say so
		}
	}
	now := m.Now()
	if next := schedule.Next(kept.In(now.Location())); next.IsZero() || next.After(now) {
		return false, nil
	}
	return spec.Snapshots.Stopped || m.Runtime.State(inst.ID).Status != sysctl.Stopped, nil
}

// keptUntil notes that the instance's schedule has been kept.
func (m *Manager) keptUntil(ctx context.Context, inst sysctl.Instance, until time.Time) error {
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return err
	}
	return m.DB.SetSchedule(ctx, inst.ID, spec.Snapshots.Schedule.Text, until)
}
