package manager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
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
// refused with the list. Running instances have its limits and devices at once, as far as that can be, and the rest at their
// next start; where one of them cannot have a limit now, nothing is changed. note, which may be nil, is told which devices of
// an instance wait for its next start, and why where they could not be plugged.
func (m *Manager) UpdateProfile(ctx context.Context, p sysctl.Profile, note func(line string)) error {
	err := m.checkProfile(p)
	if err == nil {
		err = m.underProfile(ctx, p.Name, func() error { return m.updateProfile(ctx, p, note) })
	}
	return sysctl.Wrap(err, "profile %s", p.Name)
}

// updateProfile replaces a profile that is right by itself, under its lock.
func (m *Manager) updateProfile(ctx context.Context, p sysctl.Profile, note func(line string)) error {
	users, err := m.DB.ProfileUsers(ctx, p.Name)
	if err != nil {
		return err
	}
	if err := m.checkUsers(ctx, p, users); err != nil {
		return err
	}
	old, err := m.DB.Profile(ctx, p.Name)
	if err != nil {
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
	if users, err = m.DB.ProfileUsers(ctx, p.Name); err != nil { // some may have been made meanwhile, or started
		return err
	}
	for _, name := range users {
		if err := m.takeUp(ctx, name, old, note); err != nil {
			return sysctl.Wrap(err, "instance %s", name)
		}
	}
	return nil
}

// checkUsers refuses a profile that would break instances which use it, with the list of all of them and why: what they could not be made
// with, addresses, MACs and, while they run, ports of the host that somebody else has or that two of them would have, and devices new to them whose source is not on this host.
func (m *Manager) checkUsers(ctx context.Context, p sysctl.Profile, users []string) error {
	var bad sysctl.FieldErrors
	wanted, listen := map[string][]db.ClaimNIC{}, listeners{}
	for _, name := range users {
		inst, err := m.DB.Instance(ctx, name)
		if err != nil {
			return err
		}
		claims, proxies, err := m.checkUser(ctx, p, inst)
		for _, other := range sortedKeys(wanted) {
			for _, c := range claims {
				for _, o := range wanted[other] {
					if err == nil {
						err = sysctl.Wrap(clash(other, o.NIC, c.NIC), "device %s", c.NIC.Device)
					}
				}
			}
		}
		if err == nil {
			err = listen.clash(name, proxies)
		}
		switch sysctl.KindOf(err) {
		case "":
			wanted[name] = claims
			listen.add(name, proxies, nil)
		case sysctl.Internal:
			return err
		default:
			bad.Add("instance "+name, "%v", err)
		}
	}
	return bad.Err()
}

// checkUser reports why an instance cannot be with another profile in the place of the one of its name, and what it claims. proxies are those
// that it gets at once.
func (m *Manager) checkUser(ctx context.Context, p sysctl.Profile, inst sysctl.Instance) (claims []db.ClaimNIC, proxies []sysctl.Proxy, err error) {
	spec, devices, err := m.resolved(ctx, inst, p)
	if err != nil {
		return nil, nil, err
	}
	if spec.Privileged != (inst.IDMap.Size == 0) {
		return nil, nil, sysctl.E(sysctl.Conflict, "security.privileged cannot change under an instance")
	}
	config, had, err := m.expanded(ctx, inst)
	if err != nil {
		return nil, nil, err
	}
	old, err := profiles.Resolve(config, had)
	if err != nil {
		old = spec // it is wrong already: what it is going to be counts
	}
	claims, err = m.canBecome(ctx, inst, old, spec)
	if err != nil {
		return nil, nil, err
	}
	if m.Runtime.State(inst.ID).Status != sysctl.Stopped {
		proxies = newProxies(old.Proxies, spec.Proxies)
	}
	changed := map[string]sysctl.Device{}
	for _, name := range changedNames(had, devices) {
		if d := present(devices[name]); d != nil {
			changed[name] = d
		}
	}
	if spec, err = profiles.Resolve(nil, changed); err != nil {
		return nil, nil, err
	}
	return claims, proxies, m.checkSources(spec)
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
	spec, _, err := m.resolved(ctx, inst, p)
	if err != nil {
		return nil, err
	}
	return func() error { return m.relimit(inst, spec, old) }, m.relimit(inst, old, spec)
}

// takeUp makes an instance what its configuration asks for since a profile of its is no longer old: its claimed addresses and,
// while it runs, its limits and devices. The profile is stored: what cannot be plugged now is so at the next start, which note is told.
func (m *Manager) takeUp(ctx context.Context, name string, old sysctl.Profile, note func(line string)) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	spec, devices, err := m.resolved(ctx, inst, sysctl.Profile{})
	if err != nil {
		return err
	}
	claims, err := m.claimNICs(ctx, spec, inst)
	if err != nil {
		return err
	}
	if inst.NICs, err = m.DB.ReplaceNICs(ctx, inst.ID, claims, m.Net.MAC); err != nil {
		return sysctl.Wrap(err, "addresses")
	}
	if m.Runtime.State(inst.ID).Init.PID == 0 {
		return nil
	}
	before, had, err := m.resolved(ctx, inst, old)
	if err != nil {
		return err
	}
	if err := m.relimit(inst, before, spec); err != nil { // it was started with the old ones after the others had got the new ones
		return err
	}
	steps, later, err := m.replug(&inst, had, devices, changedNames(had, devices))
	if err == nil {
		err = runSteps(ctx, steps, false, nil)
	}
	if note == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		note(name + ": its devices are as they were until its next start: " + err.Error())
	} else if names := later(); len(names) > 0 {
		note(name + ": at its next start: devices." + strings.Join(names, ", devices."))
	}
	return nil
}

// changedNames are the devices that differ.
func changedNames(have, want map[string]sysctl.Device) []string {
	var names []string
	for _, c := range deviceChanges(have, want) {
		names = append(names, c.name)
	}
	return names
}

// DeleteProfile removes a profile that no instance uses.
func (m *Manager) DeleteProfile(ctx context.Context, name string) error {
	return sysctl.Wrap(m.DB.DeleteProfile(ctx, name), "delete profile %s", name)
}
