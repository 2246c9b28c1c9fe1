package manager

import (
	"context"
	"slices"
	"time"

	"github.com/sysctl-os/sysctl"
)

const (
	autostopParallel = 16               // how many instances halt at once
	autostopKill     = 15 * time.Second // how long it may take to end a guest that has not halted
	autostopRounds   = 3                // somebody may launch one meanwhile
)

// Autostop stops all instances, as the host shuts down: those of the highest boot.stop.priority first, side by side, the next
// ones when they have stopped. Each may take its boot.host_shutdown_timeout; then it is killed. They count as
// running: Autostart starts them again, those too that wait to be started again after a crash. One instance's failure
// does not keep the others; it is in its result.
func (m *Manager) Autostop(ctx context.Context, p sysctl.Progress) ([]AutostartResult, error) {
	var results []AutostartResult
	done := map[int64]bool{}
	for range autostopRounds {
		groups, err := m.toStop(ctx, done)
		if err != nil {
			return results, err
		}
		if len(groups) == 0 {
			break
		}
		priorities := sortedInts(groups)
		slices.Reverse(priorities)
		for _, priority := range priorities {
			if err := ctx.Err(); err != nil {
				return results, err
			}
			results = append(results, sideBySide(groups[priority], autostopParallel, func(c stopping) AutostartResult {
				err := m.stopWithHost(ctx, c)
				p.Report("stopped "+c.inst.Name, 0, 0)
				return resultOf(c.inst.Name, err)
			})...)
		}
	}
	return results, ctx.Err()
}

// stopping is an instance that goes down with the host.
type stopping struct {
	inst sysctl.Instance
	how  sysctl.Shutdown
}

// toStop returns what runs, or will after a crash, by priority, but for those that were looked at before.
func (m *Manager) toStop(ctx context.Context, done map[int64]bool) (map[int][]stopping, error) {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return nil, err
	}
	groups := map[int][]stopping{}
	for _, inst := range all {
		if done[inst.ID] {
			continue
		}
		crashes, err := m.DB.Crashes(ctx, inst.ID)
		if err != nil {
			return nil, err
		}
		if !m.runs(inst) && crashes.Due.IsZero() {
			continue
		}
		done[inst.ID] = true
		spec, _ := m.spec(ctx, inst) // one whose configuration is broken by now goes down with the defaults
		groups[spec.Shutdown.Priority] = append(groups[spec.Shutdown.Priority], stopping{inst, spec.Shutdown})
	}
	return groups, nil
}

// stopWithHost stops one instance, and waits for it no longer than its time and what a kill may take: one whose processes
// hang in the kernel must not keep the host from going down.
func (m *Manager) stopWithHost(ctx context.Context, c stopping) error {
	if c.how.Timeout <= 0 {
		c.how.Timeout = DefaultStopTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, c.how.Timeout+autostopKill)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- m.stopNow(ctx, c) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
		return sysctl.E(sysctl.Unavailable, "stop %s: it has not ended within %s", c.inst.Name, c.how.Timeout+autostopKill)
	}
}

// stopNow stops one instance, frozen or not. One that has stopped meanwhile is success.
func (m *Manager) stopNow(ctx context.Context, c stopping) error {
	inst, unlock, err := m.lockByID(ctx, c.inst.ID)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if m.Runtime.State(inst.ID).Status == sysctl.Frozen && !c.how.Force {
		if err := m.Runtime.Unfreeze(ctx, inst.ID); err != nil {
			return err
		}
	}
	err = m.stop(ctx, inst, StopOptions{Timeout: c.how.Timeout, Force: c.how.Force, withHost: true})
	if sysctl.KindOf(err) == sysctl.Conflict && !m.runs(inst) {
		return nil
	}
	if err == nil && inst.Ephemeral {
		err = m.dispose(ctx, inst)
	}
	return sysctl.Wrap(err, "stop %s", inst.Name)
}
