package manager

import (
	"context"
	"errors"
	"time"

	"github.com/sysctl-os/sysctl"
)

// A guest whose init crashes is started again where boot.autorestart says so: mostRestarts times in a row, each time after a
// longer pause. A life as long as longLife begins a new row.
const (
	mostRestarts = 10
	longestPause = 30 * time.Second
	longLife     = time.Minute
)

// restartPause is how long is waited after the n-th crash in a row: nothing, 1 s, 2 s, 4 s, … longestPause.
func restartPause(n int) time.Duration {
	if n < 2 {
		return 0
	}
	return min(time.Second<<min(n-2, 10), longestPause)
}

// Settle is what the post-stop hook calls, detached from the monitor: the given run has ended by
// itself (the guest powered off, or its init died). target is liblxc's LXC_TARGET: after "reboot" the
// run goes on, and liblxc waits until nothing is in its way. It notes how the run has ended, waits for the monitor to go, removes
// what the run left on the host, deletes an ephemeral instance, and starts one again that has crashed and is to be. A run that is
// not the newest any more, or that a verb has settled meanwhile, is left alone.
func (m *Manager) Settle(ctx context.Context, id int64, runID, target string) error {
	if target == "reboot" {
		return m.Runtime.Rebooting(ctx, id)
	}
	crashes, err := m.settle(ctx, id, runID)
	if crashes.Due.IsZero() {
		return err
	}
	return errors.Join(err, m.restartWhenDue(ctx, id, crashes))
}

// settle does what Settle does but for starting again, and returns the crashes after which that is due.
func (m *Manager) settle(ctx context.Context, id int64, runID string) (crashes sysctl.Crashes, err error) {
	inst, unlock, err := m.lockByID(ctx, id)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return crashes, nil
	}
	if err != nil {
		return crashes, err
	}
	s := m.Runtime.State(id)
	if s.Init.PID != 0 || s.RunID != "" && s.RunID != runID { // a killed run has no id any more
		return crashes, nil
	}
	var noted error
	if s.RunID == runID && !inst.Ephemeral {
		crashes, noted = m.noteEnd(ctx, inst, s, "")
	}
	if err := m.Runtime.Settled(id); err != nil {
		return crashes, err
	}
	if err := m.Runtime.Gone(ctx, id); err != nil {
		return crashes, err
	}
	if err := m.Runtime.Leave(); err != nil {
		return crashes, err
	}
	if err := m.Runtime.Clear(ctx, id); err != nil {
		return crashes, err
	}
	m.tellEnded(ctx, id, runID, sysctl.InstanceShutdown)
	if inst.Ephemeral {
		return crashes, m.dispose(ctx, inst)
	}
	return crashes, noted
}

// lockByID is lockInstance for who knows an instance by its number. NotFound is one that has gone.
func (m *Manager) lockByID(ctx context.Context, id int64) (sysctl.Instance, func(), error) {
	inst, err := m.DB.InstanceByID(ctx, id)
	if err != nil {
		return inst, func() {}, err
	}
	inst, unlock, err := m.lockInstance(ctx, inst.Name, nil)
	if err == nil && inst.ID != id {
		err = sysctl.E(sysctl.NotFound, "instance %d not found", id)
	}
	return inst, unlock, err
}

// noteEnd notes in the database, once, how a run has ended by itself: the instance is stopped, or is to be started again. unknown is
// the cause of one of which nothing was written down. The instance's lock is held, and the run not cleared yet.
func (m *Manager) noteEnd(ctx context.Context, inst sysctl.Instance, s sysctl.State, unknown string) (sysctl.Crashes, error) {
	cause, known := m.Runtime.Crash(inst.ID)
	if !known {
		cause = unknown
	}
	if cause == "" {
		return sysctl.Crashes{}, m.DB.SetPower(ctx, inst.ID, false)
	}
	crashes, err := m.DB.Crashes(ctx, inst.ID)
	if err != nil {
		return sysctl.Crashes{}, err
	}
	if crashes.Run == s.RunID { // who did so was killed before it was done with the run
		return crashes, nil
	}
	crashes.Run = s.RunID
	if m.Now().Sub(s.Started) >= longLife {
		crashes.Count = 0
	}
	return m.noteCrash(ctx, inst, crashes, cause)
}

// noteCrash notes one crash more, and when the instance is to be started again, where it is.
func (m *Manager) noteCrash(ctx context.Context, inst sysctl.Instance, c sysctl.Crashes, cause string) (sysctl.Crashes, error) {
	c.Count++
	c.Last, c.Cause, c.Due = m.Now().UTC().Round(0), cause, time.Time{}
	spec, err := m.spec(ctx, inst)
	if err == nil && spec.Restart && c.Count <= mostRestarts {
		c.Due = c.Last.Add(restartPause(c.Count))
	}
	return c, errors.Join(err, m.DB.SetCrashes(ctx, inst.ID, c, !c.Due.IsZero()))
}

// restartWhenDue starts an instance again when that is due, unless somebody has started, stopped or deleted it meanwhile. A
// start that fails is one more crash. While it waits it holds a lock that says so.
func (m *Manager) restartWhenDue(ctx context.Context, id int64, c sysctl.Crashes) error {
	unlock, err := m.lock(ctx, "restart", restartLock(id), nil)
	if err != nil {
		return err
	}
	defer unlock()
	for !c.Due.IsZero() {
		if err := m.pauseUntilDue(ctx, id, c); err != nil {
			return err
		}
		if c, err = m.restartNow(ctx, id, c); err != nil {
			return err
		}
	}
	return nil
}

// pauseUntilDue waits until an instance's restart is due, or for about a second longer than it is: who has started, stopped or
// deleted the instance meanwhile is not told, and must not find somebody waiting for it half a minute later.
func (m *Manager) pauseUntilDue(ctx context.Context, id int64, c sysctl.Crashes) error {
	pause, end := context.WithCancel(ctx)
	defer end()
	go func() {
		defer end()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-pause.Done():
				return
			case <-tick.C:
			}
			now, err := m.DB.Crashes(pause, id)
			if err == nil && !sameCrash(now, c) {
				return
			}
		}
	}()
	err := m.pauseFor(pause, c.Due.Sub(m.Now()))
	if ctx.Err() == nil {
		return nil // at the time, or sooner: restartNow looks why
	}
	return err
}

func sameCrash(a, b sysctl.Crashes) bool { return a.Count == b.Count && a.Due.Equal(b.Due) }

// restartNow starts an instance again whose crashes are still the given ones. Where that fails it returns when the next
// try is due.
func (m *Manager) restartNow(ctx context.Context, id int64, c sysctl.Crashes) (sysctl.Crashes, error) {
	inst, unlock, err := m.lockByID(ctx, id)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return sysctl.Crashes{}, nil
	}
	if err != nil {
		return sysctl.Crashes{}, err
	}
	now, err := m.DB.Crashes(ctx, id)
	if err != nil || !sameCrash(now, c) || !inst.Ready || m.runs(inst) {
		return sysctl.Crashes{}, err
	}
	failed := m.start(ctx, inst, StartOptions{})
	if failed == nil {
		c.Due = time.Time{}
		return sysctl.Crashes{}, m.DB.SetCrashes(ctx, id, c, true)
	}
	if ctx.Err() != nil { // it is still due
		return sysctl.Crashes{}, errors.Join(failed, m.DB.SetCrashes(context.WithoutCancel(ctx), id, c, true))
	}
	return m.noteCrash(ctx, inst, c, "it could not be started again: "+failed.Error())
}
