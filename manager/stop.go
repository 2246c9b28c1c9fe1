package manager

import (
	"context"
	"errors"

	"github.com/sysctl-os/sysctl"
)

// Stop halts a running instance: by its init's own signal, then by a command inside, and kills it when it has not
// halted within the timeout, or at once with o.Force. Stopping a stopped instance is a Conflict without Force, and success
// with it. An ephemeral instance is gone afterwards.
func (m *Manager) Stop(ctx context.Context, name string, o StopOptions) error {
	inst, unlock, err := m.lockInstance(ctx, name, o.Progress)
	defer unlock()
	if err == nil {
		err = m.stop(ctx, inst, o)
	}
	if err == nil && inst.Ephemeral {
		err = m.dispose(ctx, inst)
	}
	return sysctl.Wrap(err, "stop %s", name)
}

// stop does what Stop does but for deletion; the instance's lock is held. One that waits to be started again after a crash
// will not be.
func (m *Manager) stop(ctx context.Context, inst sysctl.Instance, o StopOptions) error {
	crashes, err := m.DB.Crashes(ctx, inst.ID)
	if err != nil {
		return err
	}
	if err := m.end(ctx, inst, o, !crashes.Due.IsZero()); err != nil {
		return err
	}
	return m.DB.SetPower(context.WithoutCancel(ctx), inst.ID, o.withHost)
}

// end ends what runs of an instance. due says that it is to be started again: then nothing runs of it with good reason.
func (m *Manager) end(ctx context.Context, inst sysctl.Instance, o StopOptions, due bool) error {
	s := m.Runtime.State(inst.ID)
	switch {
	case o.Force && s.Status == sysctl.Running && !inst.Ephemeral:
		if err := m.Runtime.Kill(context.WithoutCancel(ctx), inst.ID); err != nil {
			return err
		}
		m.tellEnded(ctx, inst.ID, "", sysctl.InstanceStopped)
		return nil
	case o.Force:
	case s.Status == sysctl.Stopped && s.Monitor.PID != 0: // its guest is rebooting, or on its way out
	case s.Status == sysctl.Stopped && due:
	case s.Status == sysctl.Stopped:
		return sysctl.E(sysctl.Conflict, "it is not running").WithHint("sysctl start %s", inst.Name)
	case s.Status == sysctl.Frozen:
		return sysctl.E(sysctl.Conflict, "it is frozen and cannot halt").WithHint("sysctl unfreeze %s", inst.Name)
	case s.Status == sysctl.Running:
		if err := m.halt(ctx, inst, o); err != nil {
			return err
		}
	}
	if err := m.Runtime.Clear(context.WithoutCancel(ctx), inst.ID); err != nil {
		return err
	}
	m.tellEnded(ctx, inst.ID, "", sysctl.InstanceStopped)
	return nil
}

// Restart stops an instance where it runs, and starts it again, all under one lock. One that would not boot again is not
// stopped: the kind is that of its start.
func (m *Manager) Restart(ctx context.Context, name string, o StopOptions) error {
	inst, keeps, unlock, err := m.lockToStart(ctx, name, o.Progress)
	defer unlock()
	if err == nil {
		if s := m.Runtime.State(inst.ID).Status; s != sysctl.Stopped {
			err = m.stopToStart(ctx, inst, o)
		}
	}
	if err == nil {
		err = m.startAnew(ctx, inst, keeps, StartOptions{Progress: o.Progress, Note: o.Note})
	}
	return sysctl.Wrap(err, "restart %s", name)
}

// stopToStart stops an instance that will boot again.
func (m *Manager) stopToStart(ctx context.Context, inst sysctl.Instance, o StopOptions) error {
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return err
	}
	if err := m.mayStart(ctx, inst.Name, spec); err != nil {
		return err
	}
	if err := errors.Join(m.checkSources(spec), m.checkIDRange(ctx, inst.Name, spec)); err != nil {
		return err
	}
	if _, err := m.fitsInstance(ctx, inst, spec, nil); err != nil {
		return err
	}
	return m.stop(ctx, inst, o)
}

// Freeze stops every process of a running instance until Unfreeze. Idempotent.
func (m *Manager) Freeze(ctx context.Context, name string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err == nil && m.Runtime.State(inst.ID).Status != sysctl.Frozen {
		if _, err = m.running(inst); err == nil {
			err = m.Runtime.Freeze(ctx, inst.ID)
		}
		if err == nil {
			m.tell(ctx, inst.ID, sysctl.InstancePaused)
		}
	}
	return sysctl.Wrap(err, "freeze %s", name)
}

// Unfreeze lets a frozen instance go on. On a running one it does nothing.
func (m *Manager) Unfreeze(ctx context.Context, name string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err == nil {
		switch m.Runtime.State(inst.ID).Status {
		case sysctl.Frozen:
			err = m.Runtime.Unfreeze(ctx, inst.ID)
			if err == nil {
				m.tell(ctx, inst.ID, sysctl.InstanceResumed)
			}
		case sysctl.Running:
		default:
			_, err = m.running(inst)
		}
	}
	return sysctl.Wrap(err, "unfreeze %s", name)
}
