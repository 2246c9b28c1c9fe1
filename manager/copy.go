package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/sysctl-os/sysctl"
)

// Copy makes instances of what another is or, with o.Snapshot, was at a snapshot: with its files and its configuration, and
// with names, ids, MACs and addresses of their own. Fixed addresses and MACs of its own devices are left out, and the user
// is told. Machine id and ssh host keys are made anew by each copy at its first start. Layers are shared: where the
// source is stopped that takes no space; one that runs is frozen while its upper is copied, once for all. It returns those
// that were made, also where a later one failed. Kinds as Create and Snapshot.
func (m *Manager) Copy(ctx context.Context, o CopyOptions) ([]sysctl.Instance, error) {
	made, err := m.copyAll(ctx, o)
	return made, sysctl.Wrap(err, "copy %s", o.Source)
}

func (m *Manager) copyAll(ctx context.Context, o CopyOptions) (made []sysctl.Instance, err error) {
	if err := m.checkCopies(ctx, o.Names); err != nil {
		return nil, err
	}
	done, err := m.makeLayers(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	src, err := m.copySource(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Start {
		m.Runtime.Warm()
	}
	for _, name := range o.Names {
		inst, err := m.copyTo(ctx, src, name, o)
		if err != nil {
			return made, sysctl.Wrap(err, "%s", name)
		}
		made = append(made, inst)
	}
	return made, nil
}

// checkCopies reports every name that cannot be given.
func (m *Manager) checkCopies(ctx context.Context, names []string) error {
	var bad sysctl.FieldErrors
	for _, name := range names {
		if err := checkNewName(name); err != nil {
			bad.Add("name", "%v", err)
		}
	}
	if err := bad.Err(); err != nil {
		return err
	}
	for _, name := range names {
		if inst, err := m.DB.Instance(ctx, name); err == nil && inst.Ready {
			return sysctl.Wrap(taken(name), "%s", name)
		}
	}
	return nil
}

// copySource returns the instance that is to be copied, with the layers and the configuration that copies get. The makers'
// lock is held, so the layers stay when the instance's lock is given back.
func (m *Manager) copySource(ctx context.Context, o CopyOptions) (sysctl.Instance, error) {
	inst, unlock, err := m.lockInstance(ctx, o.Source, o.Progress)
	defer unlock()
	if err != nil {
		return inst, err
	}
	if !inst.Ready {
		return inst, halfMade(inst.Name)
	}
	if o.Snapshot == "" {
		inst.Layers, err = m.capture(ctx, inst, nil, o.Progress)
	} else {
		var s sysctl.Snapshot
		s, err = m.findSnapshot(ctx, inst, o.Snapshot)
		inst.Layers, inst.Guest, inst.Profiles, inst.Config, inst.Devices = s.Layers, s.Guest, s.Profiles, s.Config, s.Devices
	}
	inst.Devices = withoutFixed(inst.Devices, o.Note)
	return inst, err
}

// withoutFixed leaves out of devices what only one instance can have.
func withoutFixed(devices map[string]sysctl.Device, note func(string)) map[string]sysctl.Device {
	out := map[string]sysctl.Device{}
	for _, name := range sortedKeys(devices) {
		out[name] = maps.Clone(devices[name])
		for _, option := range []string{"hwaddr", "ipv4.address", "ipv6.address"} {
			value := out[name][option]
			if out[name]["type"] != "nic" || value == "" || value == "none" {
				continue
			}
			delete(out[name], option)
			if note != nil {
				note(fmt.Sprintf("devices.%s.%s=%s is not copied", name, option, value))
			}
		}
	}
	return out
}

func (m *Manager) copyTo(ctx context.Context, src sysctl.Instance, name string, o CopyOptions) (sysctl.Instance, error) {
	c := CreateOptions{Source: src.Template, Name: name, Profiles: src.Profiles, Config: src.Config, Devices: src.Devices,
		Ephemeral: o.Ephemeral, Start: o.Start, Progress: o.Progress, Note: o.Note}
	spec, claim, err := m.checkCreate(ctx, &c)
	if err != nil {
		return sysctl.Instance{}, err
	}
	if err := m.checkFree(ctx, name, claim.NICs); err != nil {
		return sysctl.Instance{}, err
	}
	claim.Instance.Name = name
	mk := &making{m: m, o: &c, spec: spec, claim: claim, copied: true,
		image: sysctl.Image{ID: src.Image, Layers: src.Layers, Guest: src.Guest}}
	if o.Start {
		if err := checkDisks(spec); err != nil {
			return sysctl.Instance{}, err
		}
		if mk.host, err = m.fits(ctx, src.Guest, spec, mk.tell(true)); err != nil {
			return sysctl.Instance{}, err
		}
	}
	unlock, err := m.lock(ctx, "instance", name, o.Progress)
	if err != nil {
		return sysctl.Instance{}, err
	}
	defer unlock()
	if err := m.clearHalfMade(ctx, name); err != nil {
		return sysctl.Instance{}, err
	}
	err = runSteps(ctx, mk.steps(), false, o.Progress)
	return mk.inst, err
}

// identify gives a copy an upper like its source's and takes away what must not be the same in two instances.
func (m *Manager) identify(ctx context.Context, inst sysctl.Instance, skip []string) error {
	if err := m.Storage.PrepareUpper(ctx, inst.ID, inst.Layers[len(inst.Layers)-1]); err != nil {
		return err
	}
	if err := m.Storage.RenewUpper(ctx, inst.ID); err != nil {
		return err
	}
	if !inst.Guest.Known() {
		return nil
	}
	t, err := m.Storage.OpenTree(ctx, inst.ID, inst.Stack())
	if err != nil {
		return err
	}
	defer t.Close()
	changes, err := m.Guests.Identify(t, inst.Guest, skip)
	if err != nil {
		return err
	}
	return sysctl.Apply(t, changes)
}
