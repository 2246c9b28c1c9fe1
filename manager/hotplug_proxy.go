package manager

import (
	"context"
	"reflect"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// proxyHotplug opens and closes a proxy while its instance runs. It is noted in the run's wiring, by which it is made again when
// the guest reboots.
func proxyHotplug() hotplug {
	return hotplug{
		plug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			return m.rewire(ctx, r, s.Proxies, nil)
		},
		unplug: func(m *Manager, ctx context.Context, r running, s sysctl.Spec) error {
			return m.rewire(ctx, r, nil, s.Proxies)
		},
	}
}

// rewire adds proxies to what a running instance is wired with, and takes others away. What is there already, or not there any
// more, is success. What is added is noted first and what is taken away last: whoever clears the run finds it.
func (m *Manager) rewire(ctx context.Context, r running, plug, unplug []sysctl.Proxy) error {
	was, _, err := m.Runtime.Wiring(r.ID)
	if err != nil {
		return err
	}
	spec, err := m.spec(ctx, *r.Instance)
	if err != nil {
		return err
	}
	now, all := was, slices.Concat(plug, unplug)
	changed := func(device string) bool {
		return slices.ContainsFunc(all, func(p sysctl.Proxy) bool { return p.Device == device })
	}
	now.Proxies = slices.DeleteFunc(slices.Clone(was.Proxies), func(p sysctl.Proxy) bool { return changed(p.Device) })
	now.Ports = slices.DeleteFunc(slices.Clone(was.Ports), func(p sysctl.PortRule) bool { return changed(p.Device) })
	var begin []sysctl.Proxy
	for _, p := range plug {
		rules, err := m.portRules(ctx, *r.Instance, spec, p)
		if err != nil {
			return err
		}
		if rules == nil {
			now.Proxies, begin = append(now.Proxies, p), append(begin, p)
		}
		now.Ports = append(now.Ports, rules...)
	}
	links := m.hairpins(&now, r)
	if len(plug) > 0 {
		if err := m.Runtime.SetWiring(r.ID, now); err != nil {
			return err
		}
	}
	for _, l := range links {
		if err := m.Net.SetLink(ctx, l); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(was.Ports, now.Ports) {
		if err := m.Net.Publish(ctx, r.ID, now.Ports); err != nil {
			return err
		}
	}
	for _, p := range unplug {
		if err := m.Runtime.EndForwarder(ctx, r.ID, p); err != nil {
			return err
		}
	}
	for _, p := range begin {
		if err := m.Runtime.AddForwarder(ctx, r.ID, r.state.Init.PID, p); err != nil {
			return err
		}
	}
	if len(plug) > 0 {
		return nil
	}
	return m.Runtime.SetWiring(r.ID, now)
}

// hairpins makes the links that ports lead to by NAT be noted as such, and returns those that are so anew.
func (m *Manager) hairpins(w *sysctl.Wiring, r running) (changed []sysctl.Link) {
	w.Links = slices.Clone(w.Links)
	for _, p := range w.Ports {
		i := slices.IndexFunc(w.Links, func(l sysctl.Link) bool { return l.Device == p.NIC })
		if i < 0 {
			i = len(w.Links)
			w.Links = append(w.Links, sysctl.Link{Device: p.NIC, Name: hostEnd(*w, r, p.NIC)})
		}
		if !w.Links[i].Hairpin && w.Links[i].Name != "" {
			w.Links[i].Hairpin = true
			changed = append(changed, w.Links[i])
		}
	}
	w.Links = slices.DeleteFunc(w.Links, func(l sysctl.Link) bool { return l.Name == "" })
	return changed
}
