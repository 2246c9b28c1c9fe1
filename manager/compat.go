package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager/compat"
)

// fits looks at the host and fails with Unsupported where the guest cannot boot on it, before anything is changed. A guest
// that nobody knows fits: there is nothing to tell by.
func (m *Manager) fits(ctx context.Context, g sysctl.Guest, spec sysctl.Spec) (sysctl.Host, error) {
	h, err := m.Runtime.Host(ctx)
	if err != nil {
		return h, err
	}
	_, err = measures(h, g, spec)
	return h, err
}

// measures are what a start does differently for a guest, or the reasons why it cannot boot.
func measures(h sysctl.Host, g sysctl.Guest, spec sysctl.Spec) (sysctl.Compat, error) {
	v := compat.Judge(h, g, spec.Compat)
	if v.Boots {
		return v.Effect, nil
	}
	r := v.Refusals[0]
	err := sysctl.E(sysctl.Unsupported, "this guest cannot boot here: %s", r.Why)
	if r.Way != "" {
		err = err.WithHint("%s", r.Way)
	}
	return v.Effect, err
}
