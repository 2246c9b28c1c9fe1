package manager

import (
	"context"
	"errors"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
)

// Restore makes an instance what it was at a snapshot: its files and its own configuration. What it wrote since is lost;
// its name, ids and, where they are still asked for, addresses stay. One that runs is killed first and started
// afterwards; one that could not boot is not killed. Kinds: NotFound; those of a start.
func (m *Manager) Restore(ctx context.Context, name, snap string, o StartOptions) error {
	inst, unlock, err := m.lockInstance(ctx, name, o.Progress)
	defer unlock()
	if err == nil {
		err = m.restore(ctx, inst, snap, o)
	}
	return sysctl.Wrap(err, "restore %s/%s", name, snap)
}

func (m *Manager) restore(ctx context.Context, inst sysctl.Instance, snap string, o StartOptions) error {
	if !inst.Ready {
		return halfMade(inst.Name)
	}
	s, err := m.findSnapshot(ctx, inst, snap)
	if err != nil {
		return err
	}
	spec, claims, err := m.checkRestore(ctx, inst, s)
	if err != nil {
		return err
	}
	runs := m.Runtime.State(inst.ID).Status != sysctl.Stopped
	if runs {
		if err := errors.Join(m.checkListens(ctx, inst.Name, spec.Proxies), m.checkSources(spec)); err != nil {
			return err
		}
		if _, err := m.fits(ctx, s.Guest, spec, nil); err != nil {
			return err
		}
	}
	err = runSteps(ctx, []step{
		{name: "make the next upper", do: func(ctx context.Context) error {
			return m.Storage.PrepareUpper(ctx, inst.ID, s.Layers[len(s.Layers)-1])
		}},
		{name: "stop", do: func(ctx context.Context) error { return m.Runtime.Clear(context.WithoutCancel(ctx), inst.ID) }},
		{name: "restore", do: func(ctx context.Context) error {
			if err := m.DB.RestoreInstance(ctx, inst.ID, s, claims, m.Net.MAC); err != nil {
				return err
			}
			return m.moveUpper(ctx, inst.ID, "")
		}},
	}, false, o.Progress)
	if err != nil {
		return err
	}
	if err := m.collectLayers(context.WithoutCancel(ctx)); err != nil || !runs {
		return err
	}
	if inst, err = m.DB.InstanceByID(ctx, inst.ID); err != nil {
		return err
	}
	return m.start(ctx, inst, o)
}

// checkRestore checks a snapshot's configuration as if the user had said it: profiles and networks may have changed since.
func (m *Manager) checkRestore(ctx context.Context, inst sysctl.Instance, s sysctl.Snapshot) (sysctl.Spec, []db.ClaimNIC, error) {
	want := inst
	want.Profiles, want.Config, want.Devices = s.Profiles, s.Config, s.Devices
	if err := m.checkConfig(want.Config, want.Devices); err != nil {
		return sysctl.Spec{}, nil, err
	}
	spec, err := m.spec(ctx, want)
	if err != nil {
		return spec, nil, err
	}
	claims, err := m.claimNICs(ctx, spec, inst)
	if err != nil {
		return spec, nil, err
	}
	return spec, claims, m.checkFree(ctx, inst.Name, claims)
}
