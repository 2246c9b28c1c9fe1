package manager

import (
	"context"
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
// refused with the list. Running instances take it up at their next start.
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
		var ps []sysctl.Profile
		for _, other := range inst.Profiles {
			q := p
			if other != p.Name {
				if q, err = m.DB.Profile(ctx, other); err != nil {
					return err
				}
			}
			ps = append(ps, q)
		}
		spec, err := profiles.Resolve(profiles.Merge(ps, inst.Config, inst.Devices))
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
	if err := m.DB.UpdateProfile(ctx, p); err != nil {
		return err
	}
	for _, name := range users {
		if err := m.reclaim(ctx, name); err != nil {
			return sysctl.Wrap(err, "addresses of %s", name)
		}
	}
	return nil
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
