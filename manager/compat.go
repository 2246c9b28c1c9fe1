package manager

import (
	"context"
	"slices"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager/compat"
)

// fits looks at the host and fails with Unsupported where the guest cannot boot on it, before anything is changed. A guest
// that nobody knows fits: there is nothing to tell by. What the user should know of the measures goes to note.
func (m *Manager) fits(ctx context.Context, g sysctl.Guest, spec sysctl.Spec, note func(string)) (sysctl.Host, error) {
	h, err := m.Runtime.Host(ctx)
	if err != nil {
		return h, err
	}
	v, err := measures(h, g, spec)
	if err == nil && note != nil {
		for _, line := range tellings(v) {
			note(line)
		}
	}
	return h, err
}

// fitsInstance is fits for an instance, whose lock is held. A guest that does not fit is looked at again: its files may have been
// changed since it was found out what it is, for this very reason.
func (m *Manager) fitsInstance(ctx context.Context, inst sysctl.Instance, spec sysctl.Spec, note func(string)) (sysctl.Host, error) {
	h, err := m.fits(ctx, inst.Guest, spec, note)
	if sysctl.KindOf(err) != sysctl.Unsupported {
		return h, err
	}
	t, opened := m.openInstance(ctx, inst)
	if opened != nil {
		return h, err
	}
	defer t.Close()
	now, looked := m.current(t, inst.Guest)
	if looked != nil {
		return h, err
	}
	return m.fits(ctx, now, spec, note)
}

// measures is what a start does differently for a guest, or the reason why it cannot boot.
func measures(h sysctl.Host, g sysctl.Guest, spec sysctl.Spec) (sysctl.Verdict, error) {
	v := compat.Judge(h, g, spec)
	if v.Boots {
		return v, nil
	}
	r := v.Refusals[0]
	err := sysctl.E(sysctl.Unsupported, "this guest cannot boot here: %s", r.Why)
	if r.Way != "" {
		err = err.WithHint("%s", r.Way)
	}
	return v, err
}

// tellings are what a start says of its measures: those that change what a user sees in the guest, and those that are
// needed and switched off.
func tellings(v sysctl.Verdict) []string {
	var lines []string
	for _, taken := range v.Measures {
		if taken.Told {
			lines = append(lines, "measure "+taken.ID+": "+taken.Does)
		}
	}
	for _, n := range v.Notes {
		if slices.Contains(sysctl.Measures(), n.ID) {
			lines = append(lines, "measure "+n.ID+": "+n.Why)
		}
	}
	return lines
}

// carry does what the measures of a start want done to the guest's own files.
func (m *Manager) carry(host sysctl.Host, t sysctl.Tree, inst sysctl.Instance, spec sysctl.Spec) error {
	v, err := measures(host, inst.Guest, spec)
	if err != nil {
		return err
	}
	changes, copyUp, err := m.Guests.Carry(t, inst.Guest, v.Effect, host.Release)
	if err != nil {
		return err
	}
	if err := sysctl.Apply(t, changes); err != nil {
		return err
	}
	if up, ok := t.(copier); ok {
		for _, dir := range copyUp {
			if err := up.CopyUp(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// copier is a tree of layers with an upper on top.
type copier interface {
	CopyUp(dir string) error
}
