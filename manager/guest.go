package manager

import (
	"context"
	"reflect"
	"slices"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// current returns the guest as its tree is now. It is looked at only where the files it was told by have changed since:
// a release was upgraded, or another program configures the network. An architecture that is not found any
// more is kept, since the runtime has to be told one.
func (m *Manager) current(t sysctl.Tree, g sysctl.Guest) (sysctl.Guest, error) {
	if m.Guests.Fingerprint(t) == g.Fingerprint {
		return g, nil
	}
	now, err := m.Guests.Detect(t)
	if err != nil {
		return g, sysctl.Wrap(err, "detect the guest")
	}
	now.Choose(g.Chosen)
	if now.Arch == "" {
		now.Arch, now.Bits = g.Arch, g.Bits
	}
	return now, nil
}

// remember keeps what was found of an instance's guest, for its next start.
func (m *Manager) remember(ctx context.Context, inst *sysctl.Instance, g sysctl.Guest) error {
	if reflect.DeepEqual(inst.Guest, g) {
		return nil
	}
	inst.Guest = g
	return m.DB.SetInstanceGuest(ctx, inst.ID, g)
}

// untouched says why nothing about network and identity is written into a guest, or "".
func untouched(g sysctl.Guest, spec sysctl.Spec) string {
	if !g.Known() {
		return "the system in it is not known"
	}
	if spec.Guest.KeepNetwork {
		return "guest.network is keep"
	}
	return ""
}

// prepKey is the config key that switches preparation steps off.
const prepKey = "guest.prep"

// checkConfig is profiles.Check, and knows the names of preparation steps and system calls.
func (m *Manager) checkConfig(config map[string]string, devices map[string]sysctl.Device) error {
	var bad sysctl.FieldErrors
	if err := addBad(&bad, profiles.Check(config, devices)); err != nil {
		return err
	}
	skip, err := parsePrep(config[prepKey])
	if err == nil { // else it is among the bad fields already
		err = m.Guests.CheckSteps(skip)
	}
	if err != nil && !slices.ContainsFunc(bad, func(f sysctl.FieldError) bool { return f.Field == prepKey }) {
		bad.Add(prepKey, "%v", err)
	}
	m.checkCalls(config, &bad)
	return bad.Err()
}

// checkCalls adds names of system calls that there are none of.
func (m *Manager) checkCalls(config map[string]string, bad *sysctl.FieldErrors) {
	for _, key := range []string{"raw.seccomp", "security.syscalls.allow", "security.syscalls.deny"} {
		spec, err := profiles.Resolve(map[string]string{key: config[key]}, nil)
		if err == nil { // else it is among the bad fields already
			err = m.Runtime.CheckSyscalls(spec.Kernel.Calls)
			if err != nil {
				bad.Add(key, "%v", err)
			}
		}
	}
}

// parsePrep returns the steps that a value of the key switches off.
func parsePrep(value string) ([]string, error) {
	spec, err := profiles.Resolve(map[string]string{prepKey: value}, nil)
	return spec.Guest.SkipPrep, err
}

// unprepare takes back the preparation steps that an instance is not to have, in its own upper. It is done once,
// when the instance is made: nobody else has written there yet.
func (m *Manager) unprepare(ctx context.Context, inst sysctl.Instance, skip []string) error {
	if !inst.Guest.Known() {
		return nil // it was not prepared
	}
	t, err := m.Storage.OpenTree(ctx, inst.ID, inst.Stack())
	if err != nil {
		return err
	}
	defer t.Close()
	back, err := m.Guests.Restore(t, skip)
	if err != nil {
		return sysctl.Wrap(err, "%s", prepKey)
	}
	if err := sysctl.Apply(t, back); err != nil {
		return err
	}
	again, err := m.Guests.Prepare(t, inst.Guest, skip)
	if err != nil {
		return err
	}
	return sysctl.Apply(t, again)
}

// ImageSteps returns the preparation steps of an image's guest, with what became of them. There are none of a guest
// that is not known.
func (m *Manager) ImageSteps(ctx context.Context, ref string) ([]sysctl.PrepStep, error) {
	image, err := m.DB.Image(ctx, ref)
	if err != nil {
		return nil, sysctl.Wrap(err, "steps of %s", ref)
	}
	t, err := m.Storage.OpenLayers(ctx, image.Layers)
	if err != nil {
		return nil, sysctl.Wrap(err, "steps of %s", ref)
	}
	defer t.Close()
	steps, err := m.Guests.Prepared(t)
	return steps, sysctl.Wrap(err, "steps of %s", ref)
}

// StepNames lists the names of all preparation steps.
func (m *Manager) StepNames() []string { return m.Guests.StepNames() }

// TemplateSteps returns the preparation steps that a template's guest may get.
func (m *Manager) TemplateSteps(_ context.Context, ref string) ([]sysctl.PrepStep, error) {
	return m.Catalogue.Steps(ref)
}
