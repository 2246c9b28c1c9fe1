package manager

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// CreateNetwork makes a network and its bridge. Every bad key is reported at once. Subnets that its keys do not say are
// chosen, clear of what the host has.
func (m *Manager) CreateNetwork(ctx context.Context, n sysctl.Network, p sysctl.Progress) error {
	return sysctl.Wrap(m.createNetwork(ctx, n, p), "create network %s", n.Name)
}

func (m *Manager) createNetwork(ctx context.Context, n sysctl.Network, p sysctl.Progress) error {
	n.Config = maps.Clone(n.Config)
	if n.Config == nil {
		n.Config = map[string]string{}
	}
	if err := m.checkNetwork(ctx, n); err != nil {
		return err
	}
	unlock, err := m.lock(ctx, "network", n.Name, p)
	if err != nil {
		return err
	}
	defer unlock()
	if err := m.choose(ctx, &n); err != nil {
		return err
	}
	if n, err = m.resolve(n); err != nil {
		return err
	}
	if _, err := m.Net.IsUp(ctx, n); err != nil {
		return err // an interface of that name is somebody else's
	}
	return runSteps(ctx, []step{{
		name: "claim", claim: true,
		do:   func(ctx context.Context) error { return m.DB.CreateNetwork(ctx, n) },
		undo: func(ctx context.Context) error { return m.DB.DeleteNetwork(ctx, n.Name) },
	}, {
		name: "bring up network",
		do:   func(ctx context.Context) error { return m.Net.EnsureBridge(ctx, n) },
		undo: func(ctx context.Context) error { return m.Net.RemoveBridge(ctx, n) },
	}}, false, p)
}

// checkNetwork reports every bad field of a network as it is to be stored: its name, its keys, and subnets that
// another network of ours has.
func (m *Manager) checkNetwork(ctx context.Context, n sysctl.Network) error {
	var bad sysctl.FieldErrors
	if err := profiles.CheckNetworkWord(n.Name); err != nil {
		bad.Add("name", "%v", err)
	} else if b := m.bridge(n.Name); len(b) > 15 {
		bad.Add("name", "%q is too long: its bridge would be %s, and an interface has at most 15 characters", n.Name, b)
	}
	r, err := profiles.ResolveNetwork(n)
	if err := addBad(&bad, err); err != nil {
		return err
	}
	others, err := m.otherSubnets(ctx, n.Name)
	if err != nil {
		return err
	}
	for key, p := range map[string]netip.Prefix{"ipv4.address": r.IPv4, "ipv6.address": r.IPv6} {
		for _, other := range slices.SortedFunc(maps.Keys(others), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
			if p.IsValid() && p.Overlaps(other) {
				bad.Add(key, "%s clashes with the subnet %s of network %s", p, other, others[other])
			}
		}
	}
	return bad.Err()
}

// SetNetwork changes keys of a network; a nil value unsets one. It is all or nothing. later are the keys that guests take up
// at their next start.
func (m *Manager) SetNetwork(ctx context.Context, name string, set map[string]*string, p sysctl.Progress) (later []string, err error) {
	later, err = m.changeNetwork(ctx, name, p, func(n *sysctl.Network) error {
		var bad sysctl.FieldErrors
		for _, key := range sortedKeys(set) {
			if err := addBad(&bad, profiles.CheckNetworkName(key)); err != nil {
				return err
			}
			put(n.Config, key, set[key])
		}
		return bad.Err()
	})
	return later, sysctl.Wrap(err, "network %s", name)
}

// UpdateNetwork replaces a network's description and keys.
func (m *Manager) UpdateNetwork(ctx context.Context, to sysctl.Network, p sysctl.Progress) (later []string, err error) {
	later, err = m.changeNetwork(ctx, to.Name, p, func(n *sysctl.Network) error {
		n.Description, n.Config = to.Description, maps.Clone(to.Config)
		return nil
	})
	return later, sysctl.Wrap(err, "network %s", to.Name)
}

// changeNetwork changes a network as change says: first in the kernel, which may refuse, then in the database.
func (m *Manager) changeNetwork(ctx context.Context, name string, p sysctl.Progress, change func(*sysctl.Network) error) (later []string, err error) {
	if _, err := m.network(ctx, name); err != nil {
		return nil, err
	}
	held, unlock, err := m.lockNetwork(ctx, name, p)
	defer unlock()
	if err != nil {
		return nil, err
	}
	old, err := m.network(ctx, name)
	if err != nil {
		return nil, err
	}
	n := sysctl.Network{Name: name, Description: old.Description, Config: maps.Clone(old.Config), Forwards: old.Forwards}
	if err := change(&n); err != nil {
		return nil, err
	}
	if err := m.checkNetwork(ctx, n); err != nil {
		return nil, err
	}
	for _, key := range []string{"ipv4.address", "ipv6.address"} {
		if n.Config[key] == "" && old.Config[key] != "none" { // unset means that any will do: the one it has
			n.Config[key] = old.Config[key]
		}
	}
	if err := m.choose(ctx, &n); err != nil {
		return nil, err
	}
	if n, err = m.resolve(n); err != nil {
		return nil, err
	}
	if sameNetwork(old, n) {
		return nil, nil
	}
	plan, err := m.renumber(ctx, old, n, held)
	if err != nil {
		return nil, err
	}
	up, err := m.Net.IsUp(ctx, old)
	if err != nil {
		return nil, err
	}
	var steps []step
	if up {
		steps = append(steps, step{name: "change network",
			do:   func(ctx context.Context) error { return m.reshape(ctx, old, n) },
			undo: func(ctx context.Context) error { return m.reshape(ctx, n, old) }})
	}
	steps = append(steps, step{name: "save", do: func(ctx context.Context) error { return m.DB.UpdateNetwork(ctx, n, plan, m.Net.MAC) }})
	if err := runSteps(ctx, steps, false, p); err != nil {
		return nil, err
	}
	if up && plan != nil && m.Net.Served(n) { // it has answered with the old addresses until now
		for _, inst := range held {
			if now, err := m.DB.Instance(ctx, inst.Name); err == nil {
				if err := m.Net.Announce(ctx, n, now.ID, hostsOf(now, n.Name)); err != nil {
					return nil, err
				}
			}
		}
	}
	return laterKeys(old, n), nil
}

// reshape makes a network that is up another one.
func (m *Manager) reshape(ctx context.Context, from, to sysctl.Network) error {
	if err := m.Net.Shed(ctx, from, to); err != nil {
		return err
	}
	if err := m.Net.EnsureBridge(ctx, to); err != nil || !m.Net.Served(from) && !to.DNS.Host {
		return err
	}
	return m.serve(ctx, to) // with dns.host it is told if there is none
}

func sameNetwork(a, b sysctl.Network) bool {
	return a.Description == b.Description && maps.Equal(a.Config, b.Config)
}

// laterKeys are the keys that differ and that guests take up at their next start.
func laterKeys(old, n sysctl.Network) (later []string) {
	all := maps.Clone(old.Config)
	maps.Copy(all, n.Config)
	for _, key := range sortedKeys(all) {
		if k, ok := profiles.LookupNetwork(key); ok && !k.Live && old.Config[key] != n.Config[key] {
			later = append(later, key)
		}
	}
	return later
}

// lockNetwork takes the locks of all instances on a network and then its own, and returns those instances. One that comes
// to the network meanwhile makes it begin again.
func (m *Manager) lockNetwork(ctx context.Context, name string, p sysctl.Progress) (held []sysctl.Instance, unlock func(), err error) {
	const tries = 20
	for range tries {
		nics, err := m.DB.NetworkNICs(ctx, name)
		if err != nil {
			return nil, func() {}, err
		}
		held, unlock, err = m.lockAll(ctx, sortedKeys(nics), name, p)
		if err != nil {
			return nil, unlock, err
		}
		again, err := m.DB.NetworkNICs(ctx, name)
		if err != nil || slices.Equal(sortedKeys(nics), sortedKeys(again)) {
			return held, unlock, err
		}
		unlock()
	}
	return nil, func() {}, sysctl.E(sysctl.Busy, "instances come to it and go too fast")
}

// lockAll takes the locks of instances, which are sorted, and of a network.
func (m *Manager) lockAll(ctx context.Context, names []string, network string, p sysctl.Progress) (held []sysctl.Instance, unlock func(), err error) {
	var locks []func()
	unlock = func() {
		for _, u := range slices.Backward(locks) {
			u()
		}
		locks = nil
	}
	for _, name := range names {
		inst, u, err := m.lockRow(ctx, name, p)
		locks = append(locks, u)
		if sysctl.KindOf(err) == sysctl.NotFound {
			continue // it has gone meanwhile
		}
		if err != nil {
			return nil, unlock, err
		}
		held = append(held, inst)
	}
	u, err := m.lock(ctx, "network", network, p)
	if err == nil {
		locks = append(locks, u)
	}
	return held, unlock, err
}

// DeleteNetwork removes a network that nobody uses. The environment's default network cannot be deleted: it would be made anew.
func (m *Manager) DeleteNetwork(ctx context.Context, name string) error {
	return sysctl.Wrap(m.deleteNetwork(ctx, name), "delete network %s", name)
}

func (m *Manager) deleteNetwork(ctx context.Context, name string) error {
	n, unlock, err := m.unusedNetwork(ctx, name)
	defer unlock()
	if err != nil {
		return err
	}
	return m.removeNetwork(ctx, n, func(ctx context.Context) error { return m.DB.DeleteNetwork(ctx, name) })
}

// RenameNetwork gives a network that nobody uses another name. Its bridge gets it too.
func (m *Manager) RenameNetwork(ctx context.Context, name, to string) error {
	return sysctl.Wrap(m.renameNetwork(ctx, name, to), "rename network %s", name)
}

func (m *Manager) renameNetwork(ctx context.Context, name, to string) error {
	if name == to {
		return nil
	}
	n, unlock, err := m.unusedNetwork(ctx, name)
	defer unlock()
	if err != nil {
		return err
	}
	if err := m.checkNetwork(ctx, sysctl.Network{Name: to}); err != nil {
		return err
	}
	if _, err := m.Net.IsUp(ctx, sysctl.Network{Name: to, Bridge: m.bridge(to), Table: n.Table}); err != nil {
		return err
	}
	return m.removeNetwork(ctx, n, func(ctx context.Context) error { return m.DB.RenameNetwork(ctx, name, to) })
}

// unusedNetwork locks a network that is to go and reports whoever uses it.
func (m *Manager) unusedNetwork(ctx context.Context, name string) (n sysctl.Network, unlock func(), err error) {
	unlock = func() {}
	if n, err = m.network(ctx, name); err != nil {
		return n, unlock, err
	}
	if name == m.DefaultNetwork.Name {
		return n, unlock, sysctl.E(sysctl.Conflict, "it is the default network: without it instances would have none").WithHint("sysctl network set %s ipv4.address=auto", name)
	}
	users, err := m.DB.NetworkUsers(ctx, name)
	if err == nil && len(users) > 0 {
		err = sysctl.E(sysctl.Conflict, "it is used by: %s", strings.Join(users, ", ")).WithHint("sysctl network show %s", name)
	}
	if err != nil {
		return n, unlock, err
	}
	unlock, err = m.lock(ctx, "network", name, nil)
	if err != nil {
		unlock = func() {}
	}
	return n, unlock, err
}

// removeNetwork takes a network down and then changes its row; where that is refused, as somebody has come to it, it is
// brought up again if it was up.
func (m *Manager) removeNetwork(ctx context.Context, n sysctl.Network, change func(ctx context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	up, err := m.Net.IsUp(ctx, n)
	if err != nil && sysctl.KindOf(err) != sysctl.Conflict { // the interface of the name is another's
		return err
	}
	if up {
		if err := m.takeDown(ctx, n); err != nil {
			return err
		}
	}
	err = change(ctx)
	if err != nil && up {
		err = errors.Join(err, m.Net.EnsureBridge(ctx, n))
	}
	return err
}

// takeDown removes everything of a network from the kernel.
func (m *Manager) takeDown(ctx context.Context, n sysctl.Network) error {
	if err := m.Net.StopServing(ctx, n); err != nil {
		return err
	}
	return m.Net.RemoveBridge(ctx, n)
}
