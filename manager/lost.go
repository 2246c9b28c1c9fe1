package manager

import (
	"context"
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"
)

// restartLost does what Settle would have done for runs whose end nobody has noticed: the monitor, which calls it, was
// killed with the guest, or the process that settles was. Others are none of its business.
func (m *Manager) restartLost(ctx context.Context) ([]AutostartResult, error) {
	all, on, err := m.powered(ctx)
	if err != nil {
		return nil, err
	}
	var lost []sysctl.Instance
	for _, inst := range all {
		if on[inst.ID] && inst.Ready && !inst.Ephemeral && m.ended(inst) && !m.lockHeld("restart", restartLock(inst.ID)) {
			lost = append(lost, inst)
		}
	}
	var results []AutostartResult
	for _, r := range sideBySide(lost, autostartParallel, func(inst sysctl.Instance) AutostartResult {
		due, err := m.settleLost(ctx, inst)
		if due || err != nil {
			return resultOf(inst.Name, err)
		}
		return AutostartResult{}
	}) {
		if r.Name != "" {
			results = append(results, r)
		}
	}
	return results, ctx.Err()
}

// settleLost settles one such run, and reports whether the instance was to be started again.
func (m *Manager) settleLost(ctx context.Context, inst sysctl.Instance) (due bool, err error) {
	crashes, err := m.clearLost(ctx, inst.ID)
	if err != nil || crashes.Due.IsZero() {
		return false, err
	}
	return true, m.restartWhenDue(ctx, inst.ID, crashes)
}

// clearLost notes the end of a run that is there and has no process any more, and clears it, and returns the crashes after
// which a start is due. What has no run on this boot of the host has not crashed on it.
func (m *Manager) clearLost(ctx context.Context, id int64) (crashes sysctl.Crashes, err error) {
	inst, unlock, err := m.lockByID(ctx, id)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return crashes, nil
	}
	if err != nil || !m.ended(inst) {
		return crashes, err
	}
	s := m.Runtime.State(id)
	if s.RunID != "" {
		crashes, err = m.noteEnd(ctx, inst, s, "its monitor was killed")
	} else {
		crashes, err = m.DB.Crashes(ctx, id)
	}
	if err != nil || crashes.Due.IsZero() && s.Monitor.PID == 0 {
		return crashes, err
	}
	return crashes, m.Runtime.Clear(ctx, id)
}

// ended reports whether nothing of an instance runs but, perhaps, what an interrupted start has left on its way out.
func (m *Manager) ended(inst sysctl.Instance) bool {
	s := m.Runtime.State(inst.ID)
	return s.Status == sysctl.Stopped && (s.Monitor.PID == 0 || s.RunID == "")
}

// restartLock is the name under which who waits to start an instance again is known.
func restartLock(id int64) string { return strconv.FormatInt(id, 10) }

// pauseFor waits for some time, which may be none, or for the end of ctx.
func (m *Manager) pauseFor(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	if m.Sleep != nil {
		return m.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
