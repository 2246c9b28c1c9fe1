package manager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// hotplug is how devices of one type come to a running instance and leave it. Each function is given a spec that has this one
// device and nothing else. All are idempotent. What has to wait for the next start returns errLater, and has changed nothing.
type hotplug struct {
	plug   func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error
	unplug func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error
	// change makes another of a device that is there, where it can without taking it away; nil: it never can.
	change func(m *Manager, ctx context.Context, r running, from, to sysctl.Spec) (done bool, err error)
}

// hotplugs are the types of devices that can be plugged in and out while an instance runs.
func hotplugs() map[string]hotplug {
	return map[string]hotplug{
		"disk":  diskHotplug(),
		"nic":   nicHotplug(),
		"proxy": proxyHotplug(),

		"unix-block": nodeHotplug(),
		"unix-char":  nodeHotplug(),
	}
}

// errLater says that a change of a device takes effect at the next start.
var errLater = errors.New("at the next start")

// running is an instance whose devices are changed: its lock is held, and it is what it is going to be.
type running struct {
	*sysctl.Instance
	state sysctl.State
}

// deviceChange is a device that a run has or is to have, before and after; nil: none.
type deviceChange struct {
	name     string
	from, to sysctl.Device
}

// deviceChanges compares what a run has with what it is to have, sorted by name. A device of type none is none.
func deviceChanges(have, want map[string]sysctl.Device) []deviceChange {
	names := maps.Clone(have)
	if names == nil {
		names = map[string]sysctl.Device{}
	}
	maps.Copy(names, want)
	var all []deviceChange
	for _, name := range sortedKeys(names) {
		c := deviceChange{name, present(have[name]), present(want[name])}
		if !maps.Equal(c.from, c.to) {
			all = append(all, c)
		}
	}
	return all
}

func present(d sysctl.Device) sysctl.Device {
	if d["type"] == "none" || len(d) == 0 {
		return nil
	}
	return d
}

// replug returns the steps that give a running instance the devices of want that names are about, and a function that tells,
// when they are done, which of them wait for the next start; all do where nothing runs. old is what the instance was configured to have before, for a run of which
// nobody has noted what it has.
func (m *Manager) replug(inst *sysctl.Instance, old, want map[string]sysctl.Device, names []string) (steps []step, later func() []string, err error) {
	var waits []string
	later = func() []string { return waits }
	r := running{inst, m.Runtime.State(inst.ID)}
	if r.state.Init.PID == 0 || r.state.Monitor.PID == 0 {
		waits = names
		return nil, later, nil
	}
	inst.IDMap.Raw = r.state.RawIDs // the run's: what is configured may be something else by now
	run, known, err := m.Runtime.Devices(inst.ID)
	if err != nil {
		return nil, later, err
	}
	if !known {
		run = sysctl.RunDevices{}
		for name, d := range old {
			run[name] = sysctl.RunDevice{Booted: d, Now: d}
		}
	}
	have := map[string]sysctl.Device{}
	for name, d := range run {
		have[name] = d.Now
	}
	var out, in []step // what is taken away may be in the place of what comes
	for _, c := range deviceChanges(have, want) {
		if !slices.Contains(names, c.name) {
			continue
		}
		s := &swap{m: m, r: r, run: run, deviceChange: c, waits: &waits}
		if c.from != nil {
			out = append(out, step{name: "take away " + c.name, do: s.takeAway, undo: s.bringBack})
		}
		if c.to != nil {
			in = append(in, step{name: "plug in " + c.name, do: s.bring, undo: s.unbring})
		}
	}
	return append(out, in...), later, nil
}

// swap is one change of a device under way.
type swap struct {
	m   *Manager
	r   running
	run sysctl.RunDevices
	deviceChange
	changed bool      // in place
	waits   *[]string // names of those that wait for the next start
}

// later reports whether the change waits for the next start.
func (s *swap) later() bool { return slices.Contains(*s.waits, s.name) }

// takeAway unplugs what is there, or makes of it what it is to be.
func (s *swap) takeAway(ctx context.Context) error {
	changed, err := s.change(ctx, s.from, s.to)
	if err == nil && !changed {
		err = s.unplug(ctx, s.from)
	}
	s.changed = changed && err == nil
	return s.wait(err)
}

// bringBack undoes takeAway.
func (s *swap) bringBack(ctx context.Context) error {
	switch {
	case s.later():
		return nil
	case s.changed:
		_, err := s.change(ctx, s.to, s.from)
		return s.wait(err)
	}
	return s.wait(s.plug(ctx, s.from))
}

// bring plugs in what is to be there.
func (s *swap) bring(ctx context.Context) error {
	if s.changed || s.later() {
		return nil
	}
	return s.wait(s.plug(ctx, s.to))
}

// unbring undoes bring.
func (s *swap) unbring(ctx context.Context) error {
	if s.changed || s.later() {
		return nil
	}
	return s.wait(s.unplug(ctx, s.to))
}

// wait notes that the change waits for the next start, where that is what err says.
func (s *swap) wait(err error) error {
	if errors.Is(err, errLater) {
		*s.waits = append(*s.waits, s.name)
		return nil
	}
	return sysctl.Wrap(err, "devices.%s", s.name)
}

// plug plugs a device in. It is noted first: what the note has and the guest has not can be taken away, not the other way round.
func (s *swap) plug(ctx context.Context, d sysctl.Device) error {
	spec, err := specOf(s.name, d)
	if err != nil {
		return err
	}
	p := hotplugs()[d["type"]]
	if p.plug == nil {
		return errLater
	}
	was := s.run[s.name].Now
	if err := s.note(d); err != nil {
		return err
	}
	if err = p.plug(s.m, ctx, s.r, spec); errors.Is(err, errLater) {
		err = errors.Join(err, s.note(was))
	}
	return err
}

func (s *swap) unplug(ctx context.Context, d sysctl.Device) error {
	spec, err := specOf(s.name, d)
	if err != nil {
		return err
	}
	p := hotplugs()[d["type"]]
	if p.unplug == nil {
		return errLater
	}
	if err := p.unplug(s.m, ctx, s.r, spec); err != nil {
		return err
	}
	return s.note(nil)
}

// change makes one device another in place, where both are of one type that can.
func (s *swap) change(ctx context.Context, from, to sysctl.Device) (bool, error) {
	p := hotplugs()[from["type"]]
	if p.change == nil || to["type"] != from["type"] {
		return false, nil
	}
	was, err := specOf(s.name, from)
	now, err2 := specOf(s.name, to)
	if err = errors.Join(err, err2); err != nil {
		return false, err
	}
	changed, err := p.change(s.m, ctx, s.r, was, now)
	if changed && err == nil {
		err = s.note(to)
	}
	return changed, err
}

// note writes down what the run has now of the device.
func (s *swap) note(now sysctl.Device) error {
	d := s.run[s.name]
	if d.Now = now; d.Now == nil && d.Booted == nil {
		delete(s.run, s.name)
	} else {
		s.run[s.name] = d
	}
	return sysctl.Wrap(s.m.Runtime.SetDevices(s.r.ID, s.run), "note the devices")
}

// specOf is the spec that has one device and nothing else.
func specOf(name string, d sysctl.Device) (sysctl.Spec, error) {
	if d == nil {
		return sysctl.Spec{}, nil
	}
	return profiles.Resolve(nil, map[string]sysctl.Device{name: d})
}

// booted is what a run has when it begins: all devices but those that were left out.
func booted(devices map[string]sysctl.Device, without []string) sysctl.RunDevices {
	run := sysctl.RunDevices{}
	for name, d := range devices {
		if present(d) != nil && !slices.Contains(without, name) {
			run[name] = sysctl.RunDevice{Booted: d, Now: d}
		}
	}
	return run
}

// deviceNames are the names of the devices that keys of a configuration are about.
func deviceNames[V any](set map[string]V) []string {
	var names []string
	for _, key := range sortedKeys(set) {
		if rest, ok := strings.CutPrefix(key, "devices."); ok {
			name, _, _ := strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	return slices.Compact(names)
}
