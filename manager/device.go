package manager

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// AddDevice gives an instance a device of its own: Exists where it has one of that name. One of its profiles' is replaced as a
// whole. later reports that it takes effect at the next start.
func (m *Manager) AddDevice(ctx context.Context, name, device string, d sysctl.Device) (later bool, err error) {
	return m.putDevice(ctx, name, device, func(inst sysctl.Instance) (sysctl.Device, error) {
		if inst.Devices[device] != nil {
			return nil, sysctl.E(sysctl.Exists, "it has a device %q of its own already", device).
				WithHint("sysctl config device set %s %s OPTION=VALUE", name, device)
		}
		return d, nil
	})
}

// OverrideDevice makes one of an instance's profiles' devices its own, with other options: NotFound where no profile has it, Exists
// where it is its own already.
func (m *Manager) OverrideDevice(ctx context.Context, name, device string, d sysctl.Device) (later bool, err error) {
	return m.putDevice(ctx, name, device, func(inst sysctl.Instance) (sysctl.Device, error) {
		if inst.Devices[device] != nil {
			return nil, sysctl.E(sysctl.Exists, "the device %q is its own already", device).
				WithHint("sysctl config device set %s %s OPTION=VALUE", name, device)
		}
		_, all, err := m.expanded(ctx, inst)
		if err != nil {
			return nil, err
		}
		if all[device] == nil {
			return nil, sysctl.E(sysctl.NotFound, "none of its profiles has a device %q", device).
				WithHint("sysctl config device list %s", name)
		}
		whole := maps.Clone(all[device])
		maps.Copy(whole, d)
		return whole, nil
	})
}

// putDevice gives an instance the device that choose says.
func (m *Manager) putDevice(ctx context.Context, name, device string, choose func(sysctl.Instance) (sysctl.Device, error)) (later bool, err error) {
	if err := sysctl.CheckRef("device", device); err != nil {
		return false, sysctl.Wrap(err, "config %s", name)
	}
	options := 0
	live, err := m.setBy(ctx, name, func(inst sysctl.Instance) (map[string]*string, error) {
		d, err := choose(inst)
		set := map[string]*string{}
		for option, value := range d {
			set["devices."+device+"."+option] = &value
		}
		options = len(set)
		return set, err
	})
	return len(live) < options, err
}

// RemoveDevices takes devices of its own away from an instance, all or none: NotFound where it has not got one. later are those that it
// has until its next start.
func (m *Manager) RemoveDevices(ctx context.Context, name string, devices []string) (later []string, err error) {
	set := map[string]*string{}
	live, err := m.setBy(ctx, name, func(inst sysctl.Instance) (map[string]*string, error) {
		for _, device := range devices {
			if inst.Devices[device] == nil {
				return nil, m.noOwnDevice(ctx, inst, device)
			}
			set["devices."+device] = nil
		}
		return set, nil
	})
	for _, key := range sortedKeys(set) {
		if err == nil && !slices.Contains(live, key) {
			later = append(later, strings.TrimPrefix(key, "devices."))
		}
	}
	return later, err
}

// noOwnDevice says that a device is not an instance's own, and what to do about one of a profile's.
func (m *Manager) noOwnDevice(ctx context.Context, inst sysctl.Instance, device string) error {
	_, all, err := m.expanded(ctx, inst)
	if err != nil {
		return err
	}
	missing := sysctl.E(sysctl.NotFound, "it has no device %q of its own", device)
	if all[device] != nil {
		return missing.WithHint("sysctl config device add %s %s none: it is a profile's, and that hides it", inst.Name, device)
	}
	return missing.WithHint("sysctl config device list %s", inst.Name)
}
