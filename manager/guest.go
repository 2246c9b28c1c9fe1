package manager

import (
	"context"
	"reflect"

	"github.com/sysctl-os/sysctl"
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
	if now.Arch == "" {
		now.Arch, now.Bits = g.Arch, g.Bits
	}
	return now, nil
}

// remember keeps what was found of an instance's guest, for its next start. An instance that is still being made is
// left with what its image says.
func (m *Manager) remember(ctx context.Context, inst *sysctl.Instance, g sysctl.Guest) error {
	if reflect.DeepEqual(inst.Guest, g) {
		return nil
	}
	inst.Guest = g
	if !inst.Ready {
		return nil
	}
	return m.DB.SetInstanceGuest(ctx, inst.ID, g)
}

// untouched says why nothing about network and identity is written into a guest, or "".
func untouched(g sysctl.Guest, spec sysctl.Spec) string {
	if !g.Known() {
		return "the system in it is not known"
	}
	return ""
}
