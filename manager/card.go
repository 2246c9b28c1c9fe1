package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// physical is the nictype of an interface of the host that an instance gets for as long as it runs.
const physical = "physical"

// parent looks at the interface of the host that a nic of an instance hangs on, or is; inst is zero for one that is yet to be
// made. NotFound, or Conflict where it must not be given away, say the way out. What an instance has while it runs cannot
// be looked at, and is taken for good.
func (m *Manager) parent(ctx context.Context, inst sysctl.Instance, n sysctl.NICSpec) (sysctl.Parent, error) {
	p, err := m.Net.Parent(ctx, n.Parent)
	missing := sysctl.KindOf(err) == sysctl.NotFound
	if err != nil && !missing {
		return p, err
	}
	if n.Type != physical && !missing {
		return p, nil
	}
	other, herr := m.holder(ctx, n, inst.ID)
	switch {
	case herr != nil:
		return p, herr
	case other != "":
		return p, sysctl.E(sysctl.Conflict, "%s is in use by instance %s: delete that, or unset its device first", n.Parent, other)
	case missing && n.Type == physical && inst.ID != 0 && m.Runtime.State(inst.ID).Status != sysctl.Stopped:
		return sysctl.Parent{}, nil
	case missing:
		return p, err
	}
	// The host's addresses are lost with it, and mean nothing for the guest's.
	return sysctl.Parent{Card: p.Card}, checkCard(n.Parent, p)
}

// checkCard reports why the host cannot do without an interface.
func checkCard(name string, p sysctl.Parent) error {
	switch {
	case p.Bridge:
		return sysctl.E(sysctl.Conflict, "%s is a bridge, which cannot be given away: write nictype \"bridged\"", name)
	case p.Default:
		return sysctl.E(sysctl.Conflict, "the host's default route leads through %s, without which it would be cut off: write nictype \"macvlan\", or give the host another way out first", name)
	case p.Port != "":
		return sysctl.E(sysctl.Conflict, "%s is part of %s: take it out first (ip link set %[1]s nomaster)", name, p.Port)
	}
	return nil
}

// holder returns the name of an instance other than the one with an id that has the interface of a nic, or hangs
// on it where the nic is to be physical. "": there is none.
func (m *Manager) holder(ctx context.Context, n sysctl.NICSpec, id int64) (string, error) {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return "", err
	}
	for _, other := range all {
		if other.ID == id {
			continue
		}
		spec, err := m.spec(ctx, other)
		if err != nil {
			continue // its own verbs say what is wrong with it
		}
		for _, o := range spec.NICs {
			if o.Parent == n.Parent && (o.Type == physical || n.Type == physical) {
				return other.Name, nil
			}
		}
	}
	return "", nil
}
