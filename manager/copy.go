package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sysctl-os/sysctl"
)

// copiesAtOnce bounds how many copies are made side by side: most of making one is waiting for the disk, and of starting one
// for the guest.
const copiesAtOnce = 4

// Copy makes instances of what another is or, with o.Snapshot, was at a snapshot: with its files and its configuration, and
// with names, ids, MACs and addresses of their own. Fixed addresses and MACs of its own devices are left out, and the user
// is told. Machine id and ssh host keys are made anew by each copy at its first start. Layers are shared: where the
// source is stopped that takes no space; one that runs is frozen while its upper is copied, once for all. It makes all
// or none: where one fails, the others are removed again. Kinds as Create and Snapshot.
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
	o.Note = once(o.Note)
	src, err := m.copySource(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Start {
		m.Runtime.Warm()
	}
	// All locks before the first copy, in one order: else two who make the same copies wait for each other.
	for _, name := range slices.Sorted(slices.Values(o.Names)) {
		unlock, err := m.lock(ctx, "instance", name, o.Progress)
		if err != nil {
			return nil, err
		}
		defer unlock()
		if err := m.clearHalfMade(ctx, name); err != nil {
			return nil, sysctl.Wrap(err, "%s", name)
		}
	}
	copies, listen := make([]*making, len(o.Names)), listeners{}
	for i, name := range o.Names {
		if copies[i], err = m.planCopy(ctx, src, name, o); err == nil && o.Start {
			err = listen.clash(name, copies[i].spec.Proxies)
			listen.add(name, copies[i].spec.Proxies, nil)
		}
		if err != nil {
			return nil, sysctl.Wrap(err, "%s", name)
		}
	}
	if err := m.makeCopies(ctx, copies, o.Progress); err != nil {
		return nil, err
	}
	for _, mk := range copies {
		mk.inst.Ready = true
		made = append(made, mk.inst)
	}
	return made, nil
}

// makeCopies makes all of them or none. None is ready before all are made.
func (m *Manager) makeCopies(ctx context.Context, copies []*making, p sysctl.Progress) error {
	all, cancel := context.WithCancel(ctx)
	defer cancel()
	errs, whole := make([]error, len(copies)), make([][]step, len(copies))
	slots := make(chan struct{}, copiesAtOnce)
	var wg sync.WaitGroup
	for i, mk := range copies {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			steps := mk.steps()
			steps = steps[:len(steps)-1] // but that it is ready
			if errs[i] = runSteps(all, steps, false, p); errs[i] != nil {
				cancel()
				return
			}
			whole[i] = steps
		})
	}
	wg.Wait()
	err := firstFailure(copies, errs)
	if err == nil {
		var ids []int64
		for _, mk := range copies {
			ids = append(ids, mk.inst.ID)
		}
		err = m.DB.MarkAllReady(ctx, ids)
	}
	if err == nil {
		return nil
	}
	for i, steps := range whole {
		err = errors.Join(err, sysctl.Wrap(unwind(context.WithoutCancel(ctx), steps), "%s", copies[i].claim.Instance.Name))
	}
	return err
}

// firstFailure is what went wrong of copies the others of which were cancelled for that.
func firstFailure(copies []*making, errs []error) error {
	var cause error
	for i, err := range errs {
		if err != nil && (cause == nil || sysctl.KindOf(cause) == sysctl.Canceled && sysctl.KindOf(err) != sysctl.Canceled) {
			cause = sysctl.Wrap(err, "%s", copies[i].claim.Instance.Name)
		}
	}
	return cause
}

// once is a note that says each line once, whoever says it.
func once(note func(string)) func(string) {
	if note == nil {
		return nil
	}
	var said sync.Map
	return func(line string) {
		if _, before := said.LoadOrStore(line, true); !before {
			note(line)
		}
	}
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
	inst.Devices = withoutFixed(inst.Devices, "is not copied", o.Note)
	inst.Config = withoutIDs(inst.Config, o.Note)
	return inst, err
}

// withoutFixed leaves out of devices what only one instance can have.
func withoutFixed(devices map[string]sysctl.Device, why string, note func(string)) map[string]sysctl.Device {
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
				note(fmt.Sprintf("devices.%s.%s=%s %s", name, option, value, why))
			}
		}
	}
	return out
}

// withoutIDs leaves the base of the ids out of a configuration: no two instances can have the same.
func withoutIDs(config map[string]string, note func(string)) map[string]string {
	const key = "security.idmap.base"
	value, set := config[key]
	if !set {
		return config
	}
	if note != nil {
		note(fmt.Sprintf("%s=%s is not copied", key, value))
	}
	config = maps.Clone(config)
	delete(config, key)
	return config
}

// planCopy checks one copy and says how it is made. It changes nothing.
func (m *Manager) planCopy(ctx context.Context, src sysctl.Instance, name string, o CopyOptions) (*making, error) {
	c := CreateOptions{Source: src.Template, Name: name, Profiles: src.Profiles, Config: src.Config, Devices: src.Devices,
		Ephemeral: o.Ephemeral, Start: o.Start, Progress: o.Progress, Note: o.Note}
	spec, claim, err := m.checkCreate(ctx, &c)
	if err != nil {
		return nil, err
	}
	if err := m.checkFree(ctx, name, claim.NICs); err != nil {
		return nil, err
	}
	claim.Instance.Name = name
	mk := &making{m: m, o: &c, spec: spec, claim: claim, copied: true,
		image: sysctl.Image{ID: src.Image, Layers: src.Layers, Guest: src.Guest}}
	if err := errors.Join(m.checkIDRange(ctx, name, spec), m.checkSize(spec), m.checkCPUs(spec)); err != nil {
		return nil, err
	}
	if o.Start {
		if err := errors.Join(m.mayStart(ctx, name, spec), m.checkSources(spec)); err != nil {
			return nil, err
		}
		mk.host, err = m.fits(ctx, src.Guest, spec, mk.tell(true))
	}
	return mk, err
}

// identify gives a copy an upper like its source's and takes away what must not be the same in two instances.
func (m *Manager) identify(ctx context.Context, inst sysctl.Instance, skip []string) error {
	if err := m.continueUpper(ctx, inst); err != nil {
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

// continueUpper gives an instance an upper whose root is like that of its uppermost layer.
func (m *Manager) continueUpper(ctx context.Context, inst sysctl.Instance) error {
	if err := m.Storage.PrepareUpper(ctx, inst.ID, inst.Layers[len(inst.Layers)-1]); err != nil {
		return err
	}
	return m.Storage.RenewUpper(ctx, inst.ID)
}
