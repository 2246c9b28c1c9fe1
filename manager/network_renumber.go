package manager

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
)

// renumber plans new addresses for the instances on a network whose subnets change, which are locked: the same place in the new
// subnet where it has one. It is refused with the list where an instance runs, since its guest knows the old ones, or
// has fixed addresses that are outside. Without a change there is no plan (nil).
func (m *Manager) renumber(ctx context.Context, old, n sysctl.Network, held []sysctl.Instance) ([]db.Reclaim, error) {
	if old.IPv4 == n.IPv4 && old.IPv6 == n.IPv6 {
		return nil, nil
	}
	var running []string
	for _, inst := range held {
		if m.Runtime.State(inst.ID).Status != sysctl.Stopped {
			running = append(running, inst.Name)
		}
	}
	if len(running) > 0 {
		names := strings.Join(running, " ")
		return nil, sysctl.E(sysctl.Conflict, "its subnet cannot change under instances that run: %s", strings.Join(running, ", ")).
			WithHint("sysctl stop %s", names)
	}
	var bad sysctl.FieldErrors
	for _, f := range n.Forwards {
		for _, p := range append([]sysctl.ForwardPort{{Target: f.Target}}, f.Ports...) {
			if a := p.Target; p.Instance == "" && a.IsValid() && !n.IPv4.Masked().Contains(a) && !n.IPv6.Masked().Contains(a) {
				bad.Add("forward "+f.Listen.String(), "leads to %s, which would be outside", a)
			}
		}
	}
	plan := []db.Reclaim{}
	for _, inst := range held {
		spec, err := m.spec(ctx, inst)
		if err != nil {
			return nil, err
		}
		moved := inst
		moved.NICs = nil
		for _, nic := range inst.NICs {
			if nic.Network == n.Name {
				nic.IPv4, nic.IPv6 = moveAddress(nic.IPv4, old.IPv4, n.IPv4), moveAddress(nic.IPv6, old.IPv6, n.IPv6)
			}
			moved.NICs = append(moved.NICs, nic)
		}
		claims, err := m.claimNICsOn(ctx, spec, moved, func(ctx context.Context, name string) (sysctl.Network, error) {
			if name == n.Name {
				return n, nil
			}
			return m.network(ctx, name)
		})
		if sysctl.KindOf(err) == sysctl.Invalid {
			bad.Add("instance "+inst.Name, "%s", strings.TrimSpace(fmt.Sprint(err)))
			continue
		}
		if err != nil {
			return nil, err
		}
		plan = append(plan, db.Reclaim{Instance: inst.ID, NICs: claims})
	}
	return plan, bad.Err()
}

// moveAddress is the address at the same place in another subnet, or none.
func moveAddress(a netip.Addr, from, to netip.Prefix) netip.Addr {
	if !a.IsValid() || !to.IsValid() || !from.IsValid() || from == to {
		if from == to {
			return a
		}
		return netip.Addr{}
	}
	old, base, fresh := a.AsSlice(), from.Masked().Addr().AsSlice(), to.Masked().Addr().AsSlice()
	if len(old) != len(fresh) {
		return netip.Addr{}
	}
	for i := range fresh {
		fresh[i] |= old[i] ^ base[i]
	}
	moved, _ := netip.AddrFromSlice(fresh)
	if !to.Contains(moved) {
		return netip.Addr{}
	}
	return moved
}
