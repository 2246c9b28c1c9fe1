package manager

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Profiles lists all profiles.
func (m *Manager) Profiles(ctx context.Context) ([]sysctl.Profile, error) { return m.DB.Profiles(ctx) }

// Profile returns a profile and the names of the instances that use it.
func (m *Manager) Profile(ctx context.Context, name string) (p sysctl.Profile, usedBy []string, err error) {
	if p, err = m.DB.Profile(ctx, name); err != nil {
		return p, nil, sysctl.Wrap(err, "profile %s", name)
	}
	usedBy, err = m.DB.ProfileUsers(ctx, name)
	return p, usedBy, err
}

// CreateProfile adds a profile. Every bad field is reported at once.
func (m *Manager) CreateProfile(ctx context.Context, p sysctl.Profile) error {
	err := m.checkProfile(p)
	if err == nil {
		err = m.DB.CreateProfile(ctx, p)
	}
	return sysctl.Wrap(err, "create profile %s", p.Name)
}

func (m *Manager) checkProfile(p sysctl.Profile) error {
	var bad sysctl.FieldErrors
	if err := sysctl.CheckRef("profile", p.Name); err != nil {
		bad.Add("name", "%v", err)
	}
	if err := addBad(&bad, m.checkConfig(p.Config, p.Devices)); err != nil {
		return err
	}
	return bad.Err()
}

// UpdateProfile replaces a profile's content. A change that would break an instance that uses it is
// refused with the list. Running instances have its limits at once, and the rest at their next start; where one of them
// cannot have a limit now, nothing is changed.
func (m *Manager) UpdateProfile(ctx context.Context, p sysctl.Profile) error {
	return sysctl.Wrap(m.updateProfile(ctx, p), "profile %s", p.Name)
}

func (m *Manager) updateProfile(ctx context.Context, p sysctl.Profile) error {
	if err := m.checkProfile(p); err != nil {
		return err
	}
	users, err := m.DB.ProfileUsers(ctx, p.Name)
	if err != nil {
		return err
	}
	var bad sysctl.FieldErrors
	for _, name := range users {
		inst, err := m.DB.Instance(ctx, name)
		if err != nil {
			return err
		}
		config, devices, err := m.expandedWith(ctx, inst, p)
		if err != nil {
			return err
		}
		spec, err := profiles.Resolve(config, devices)
		if err == nil && spec.Privileged != (inst.IDMap.Size == 0) {
			err = sysctl.E(sysctl.Conflict, "security.privileged cannot change under an instance")
		}
		if err != nil {
			bad.Add("instance "+name, "%v", err)
		}
	}
	if err := bad.Err(); err != nil {
		return err
	}
	takeBack, err := m.relimitUsers(ctx, p, users)
	if err == nil {
		if err = m.DB.UpdateProfile(ctx, p); err == nil {
			takeBack = nil
		}
	}
	if takeBack != nil {
		err = errors.Join(err, takeBack())
	}
	if err != nil {
		return err
	}
	for _, name := range users {
		if err := m.reclaim(ctx, name); err != nil {
			return sysctl.Wrap(err, "addresses of %s", name)
		}
	}
	return nil
}

// expandedWith is expanded with p in the place of the profile of its name.
func (m *Manager) expandedWith(ctx context.Context, inst sysctl.Instance, p sysctl.Profile) (map[string]string, map[string]sysctl.Device, error) {
	var ps []sysctl.Profile
	for _, name := range inst.Profiles {
		q := p
		if name != p.Name {
			var err error
			if q, err = m.DB.Profile(ctx, name); err != nil {
				return nil, nil, err
			}
		}
		ps = append(ps, q)
	}
	config, devices := profiles.Merge(ps, inst.Config, inst.Devices)
	return config, devices, nil
}

// relimitUsers gives the running instances of a profile the limits that p brings, one after the other under its lock. takeBack
// gives those that have them already the old ones again.
func (m *Manager) relimitUsers(ctx context.Context, p sysctl.Profile, users []string) (takeBack func() error, err error) {
	var done []func() error
	takeBack = func() error {
		var errs []error
		for _, undo := range done {
			errs = append(errs, undo())
		}
		return errors.Join(errs...)
	}
	for _, name := range users {
		undo, err := m.relimitUser(ctx, p, name)
		if err != nil {
			return takeBack, sysctl.Wrap(err, "instance %s", name)
		}
		done = append(done, undo)
	}
	return takeBack, nil
}

func (m *Manager) relimitUser(ctx context.Context, p sysctl.Profile, name string) (undo func() error, err error) {
	undo = func() error { return nil }
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return undo, nil // deleted meanwhile
	}
	if err != nil {
		return nil, err
	}
	if m.Runtime.State(inst.ID).Init.PID == 0 {
		return undo, nil
	}
	old, err := m.spec(ctx, inst)
	if err != nil {
		return nil, err
	}
	config, devices, err := m.expandedWith(ctx, inst, p)
	if err != nil {
		return nil, err
	}
	spec, err := profiles.Resolve(config, devices)
	if err != nil {
		return nil, err
	}
	return func() error { return m.relimit(inst, spec, old) }, m.relimit(inst, old, spec)
}

// reclaim makes an instance's claimed addresses those that its configuration asks for now.
func (m *Manager) reclaim(ctx context.Context, name string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if err != nil {
		return err
	}
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return err
	}
	claims, err := m.claimNICs(ctx, spec, inst)
	if err != nil {
		return err
	}
	_, err = m.DB.ReplaceNICs(ctx, inst.ID, claims, m.Net.MAC)
	return err
}

// DeleteProfile removes a profile that no instance uses.
func (m *Manager) DeleteProfile(ctx context.Context, name string) error {
	return sysctl.Wrap(m.DB.DeleteProfile(ctx, name), "delete profile %s", name)
}
