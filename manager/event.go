package manager

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// EventOptions says which events are told.
type EventOptions struct {
	Follow bool
	Since  time.Time // zero: all that are kept or, with Follow, those from now on
	Types  []string  // sysctl.EventTypes or actions, which may have * in them; none: all
}

// Events calls each for what has happened, the oldest first, and with o.Follow for what happens, until ctx ends, each fails
// or the environment is removed. Rows are told in the transaction that writes them (doc/adr). A run's beginning and end
// are told by the verb that made it or, where that was killed, now.
func (m *Manager) Events(ctx context.Context, o EventOptions, each func(sysctl.Event) error) error {
	return sysctl.Wrap(m.events(ctx, o, each), "events")
}

func (m *Manager) events(ctx context.Context, o EventOptions, each func(sysctl.Event) error) error {
	var changes <-chan struct{}
	var last int64
	var err error
	if o.Follow { // watched before it is read, so that nothing falls between
		if changes, err = m.DB.Changes(ctx); err != nil {
			return err
		}
		if o.Since.IsZero() {
			if last, err = m.DB.LastEvent(ctx); err != nil {
				return err
			}
		}
	}
	if err := m.tellRuns(ctx); err != nil {
		return err
	}
	for {
		list, err := m.DB.Events(ctx, last)
		if err != nil {
			return err
		}
		for _, e := range list {
			last = e.ID
			if e.Time.Before(o.Since) || !ofType(e.Action, o.Types) {
				continue
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if !o.Follow {
			return nil
		}
		if _, ok := <-changes; !ok {
			return ctx.Err()
		}
	}
}

// ofType reports whether an action is one of the types.
func ofType(action string, types []string) bool {
	return len(types) == 0 || slices.ContainsFunc(types, func(t string) bool {
		fits, _ := path.Match(t, action) // checked before
		return fits || strings.HasPrefix(action, t+"-") && slices.Contains(sysctl.EventTypes(), t)
	})
}

// tellEnded and tell note an event of a run. The verb has done its work: that this fails is no failure of its,
// and a run whose beginning or end was not told is told of by the next one who asks (tellRuns).
func (m *Manager) tellEnded(ctx context.Context, id int64, run, action string) {
	_ = m.DB.RunEnded(context.WithoutCancel(ctx), id, run, action)
}

func (m *Manager) tell(ctx context.Context, id int64, action string) {
	_ = m.DB.Tell(context.WithoutCancel(ctx), id, action)
}

// tellRuns tells of runs whose verb was killed before it could, or which a power cut has ended. Of an instance that a verb
// is at work on, that verb tells.
func (m *Manager) tellRuns(ctx context.Context) error {
	told, err := m.DB.Told(ctx)
	if err != nil {
		return err
	}
	list, err := m.List(ctx)
	if err != nil {
		return err
	}
	for _, i := range list {
		run, known := told[i.ID]
		s := i.State
		var err error
		switch {
		case !i.Ready || known == (s.Init.PID != 0) && (!known || run == s.RunID) || m.lockHeld("instance", i.Name):
		case s.Init.PID != 0 && s.RunID != "":
			err = m.DB.RunStarted(ctx, i.ID, s.RunID)
		case s.Init.PID == 0 && s.Monitor.PID == 0:
			err = m.DB.RunEnded(ctx, i.ID, run, sysctl.InstanceStopped)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
