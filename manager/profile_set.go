package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// SetProfile changes keys and options of devices of a profile, as SetConfig those of an instance, and as UpdateProfile applies
// it. The comments of its YAML are kept.
func (m *Manager) SetProfile(ctx context.Context, name string, set map[string]*string, note func(line string)) error {
	return m.changeProfile(ctx, name, note, func(sysctl.Profile) (map[string]*string, error) { return set, nil })
}

// AddProfileDevice gives a profile a device: Exists where it has one of that name.
func (m *Manager) AddProfileDevice(ctx context.Context, name, device string, d sysctl.Device, note func(line string)) error {
	return m.changeProfile(ctx, name, note, func(p sysctl.Profile) (map[string]*string, error) {
		if err := sysctl.CheckRef("device", device); err != nil {
			return nil, err
		}
		if p.Devices[device] != nil {
			return nil, sysctl.E(sysctl.Exists, "it has a device %q already", device).
				WithHint("sysctl profile device set %s %s OPTION=VALUE", name, device)
		}
		set := map[string]*string{}
		for option, value := range d {
			set["devices."+device+"."+option] = &value
		}
		return set, nil
	})
}

// RemoveProfileDevices takes devices away from a profile, all or none: NotFound where it has not got one.
func (m *Manager) RemoveProfileDevices(ctx context.Context, name string, devices []string, note func(line string)) error {
	return m.changeProfile(ctx, name, note, func(p sysctl.Profile) (map[string]*string, error) {
		set := map[string]*string{}
		for _, device := range devices {
			if p.Devices[device] == nil {
				return nil, sysctl.E(sysctl.NotFound, "it has no device %q", device).WithHint("sysctl profile device list %s", name)
			}
			set["devices."+device] = nil
		}
		return set, nil
	})
}

// changeProfile changes what choose says, which looks at the profile while nobody else changes it.
func (m *Manager) changeProfile(ctx context.Context, name string, note func(line string), choose func(sysctl.Profile) (map[string]*string, error)) error {
	return sysctl.Wrap(m.underProfile(ctx, name, func() error {
		p, err := m.DB.Profile(ctx, name)
		if err != nil {
			return err
		}
		set, err := choose(p)
		if err != nil {
			return err
		}
		is := sysctl.Instance{Name: name, Config: p.Config, Devices: p.Devices}
		if set, _, err = dropAbsent(is, set); err != nil || len(set) == 0 {
			return err
		}
		if err := change(&is, set); err != nil {
			return err
		}
		p.Config, p.Devices = is.Config, is.Devices
		if err := m.checkProfile(p); err != nil {
			return err
		}
		if p.Text, err = profiles.Edit(p.Text, p); err != nil {
			return err
		}
		return m.updateProfile(ctx, p, note)
	}), "profile %s", name)
}

// underProfile does something while nobody else changes a profile: NotFound where there is none of that name. Locks of instances
// come after that.
func (m *Manager) underProfile(ctx context.Context, name string, do func() error) error {
	if _, err := m.DB.Profile(ctx, name); err != nil {
		return err
	}
	unlock, err := m.lock(ctx, "profile", name, nil)
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}
