package manager

import (
	"context"
	"errors"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// AssignProfiles gives an instance other profiles, in their order: later ones win. A running instance has their limits and devices at
// once, as far as that can be. later are the devices that it has at its next start.
func (m *Manager) AssignProfiles(ctx context.Context, name string, names []string) (later []string, err error) {
	return m.setProfiles(ctx, name, func([]string) ([]string, error) { return names, nil })
}

// AddProfile gives an instance one more profile, which wins over the others: Exists where it has it.
func (m *Manager) AddProfile(ctx context.Context, name, profile string) (later []string, err error) {
	return m.setProfiles(ctx, name, func(old []string) ([]string, error) {
		if slices.Contains(old, profile) {
			return nil, sysctl.E(sysctl.Exists, "it has the profile %q already", profile)
		}
		return append(slices.Clone(old), profile), nil
	})
}

// RemoveProfile takes a profile away from an instance: NotFound where it has not got it.
func (m *Manager) RemoveProfile(ctx context.Context, name, profile string) (later []string, err error) {
	return m.setProfiles(ctx, name, func(old []string) ([]string, error) {
		i := slices.Index(old, profile)
		if i < 0 {
			return nil, sysctl.E(sysctl.NotFound, "it has no profile %q", profile).WithHint("sysctl config show %s --format yaml", name)
		}
		return slices.Delete(slices.Clone(old), i, i+1), nil
	})
}

func (m *Manager) setProfiles(ctx context.Context, name string, choose func(old []string) ([]string, error)) (later []string, err error) {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	var names []string
	if err == nil {
		names, err = choose(inst.Profiles)
	}
	if err == nil {
		later, err = m.reprofile(ctx, inst, names)
	}
	return later, sysctl.Wrap(err, "profiles of %s", name)
}

// reprofile gives an instance whose lock is held other profiles.
func (m *Manager) reprofile(ctx context.Context, inst sysctl.Instance, names []string) ([]string, error) {
	for i, p := range names {
		if slices.Contains(names[:i], p) {
			return nil, sysctl.FieldErrors{{Field: "profile", Msg: "\"" + p + "\" is given twice"}}
		}
	}
	before := inst
	inst.Profiles = names
	old, have, err := m.resolved(ctx, before, sysctl.Profile{})
	if err != nil {
		return nil, err
	}
	spec, want, err := m.resolved(ctx, inst, sysctl.Profile{})
	if err != nil {
		return nil, err
	}
	claims, err := m.canBecome(ctx, inst, old, spec)
	if err != nil {
		return nil, err
	}
	if err := m.relimit(inst, old, spec); err != nil {
		return nil, err
	}
	steps, later, err := m.reconfigure(ctx, before, &inst, claims, changedNames(have, want), func(ctx context.Context, i sysctl.Instance) error {
		return m.DB.SetInstanceProfiles(ctx, i.ID, i.Profiles)
	})
	if err == nil {
		err = runSteps(ctx, steps, false, nil)
	}
	if err != nil {
		return nil, errors.Join(err, m.relimit(inst, spec, old))
	}
	return later(), nil
}
