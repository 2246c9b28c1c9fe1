package main

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/profiles"
)

// bridges are the fake's networks: sysbr0, and those that were made.
func (f *fake) bridges() map[string]sysctl.Network {
	if f.Nets == nil {
		f.Nets = map[string]sysctl.Network{"sysbr0": {Name: "sysbr0", Config: map[string]string{"ipv4.address": "10.1.2.1/24", "ipv4.nat": "true",
			"ipv6.address": "fd42::1/64", "ipv6.nat": "true"}}}
	}
	return f.Nets
}

// addLab makes the network of the examples.
func (f *fake) addLab() {
	f.bridges()["lab"] = sysctl.Network{Name: "lab", Config: map[string]string{"ipv4.address": "10.20.0.1/24"}}
}

func (f *fake) Networks(context.Context) (list []sysctl.Network, err error) {
	for _, name := range slices.Sorted(maps.Keys(f.bridges())) {
		n := f.Nets[name]
		n.Bridge = name
		if n, err = profiles.ResolveNetwork(n); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func (f *fake) Network(ctx context.Context, name string) (sysctl.Network, map[string][]sysctl.NIC, error) {
	list, err := f.Networks(ctx)
	i := slices.IndexFunc(list, func(n sysctl.Network) bool { return n.Name == name })
	if i < 0 || err != nil {
		return sysctl.Network{}, nil, sysctl.E(sysctl.NotFound, "network %s: no such network", name)
	}
	used := map[string][]sysctl.NIC{}
	for instance, info := range f.Instances {
		for _, nic := range info.NICs {
			if nic.Network == name {
				used[instance] = append(used[instance], nic)
			}
		}
	}
	return list[i], used, nil
}

func (f *fake) CreateNetwork(_ context.Context, n sysctl.Network, p sysctl.Progress) error {
	p.Report("bring up network", 0, 0)
	if _, taken := f.bridges()[n.Name]; taken {
		return sysctl.E(sysctl.Exists, "create network %s: network %q exists already", n.Name, n.Name)
	}
	if _, err := profiles.ResolveNetwork(n); err != nil {
		return sysctl.Wrap(err, "create network %s", n.Name)
	}
	f.Nets[n.Name] = n
	return nil
}

func (f *fake) SetNetwork(ctx context.Context, name string, set map[string]*string, p sysctl.Progress) ([]string, error) {
	n, _, err := f.Network(ctx, name)
	if err != nil {
		return nil, err
	}
	for key, value := range set {
		if delete(n.Config, key); value != nil {
			n.Config[key] = *value
		}
	}
	return f.UpdateNetwork(ctx, n, p)
}

func (f *fake) UpdateNetwork(_ context.Context, n sysctl.Network, _ sysctl.Progress) (later []string, err error) {
	if _, err := profiles.ResolveNetwork(n); err != nil {
		return nil, sysctl.Wrap(err, "network %s", n.Name)
	}
	if _, ok := f.bridges()[n.Name]; !ok {
		return nil, sysctl.E(sysctl.NotFound, "network %s: no such network", n.Name)
	}
	f.Nets[n.Name] = sysctl.Network{Name: n.Name, Description: n.Description, Config: n.Config}
	if n.Config["bridge.mtu"] != "" {
		later = []string{"bridge.mtu"}
	}
	return later, nil
}

func (f *fake) DeleteNetwork(_ context.Context, name string) error {
	switch _, ok := f.bridges()[name]; {
	case !ok:
		return sysctl.E(sysctl.NotFound, "delete network %s: no such network", name)
	case name == "sysbr0":
		return sysctl.E(sysctl.Conflict, "delete network %s: it is used by: %s", name, strings.Join(slices.Sorted(maps.Keys(f.Instances)), ", "))
	}
	delete(f.Nets, name)
	return nil
}

func (f *fake) RenameNetwork(_ context.Context, name, to string) error {
	n, ok := f.bridges()[name]
	if !ok {
		return sysctl.E(sysctl.NotFound, "rename network %s: no such network", name)
	}
	n.Name = to
	delete(f.Nets, name)
	f.Nets[to] = n
	return nil
}

func (f *fake) NetworkLeases(ctx context.Context, name string) ([]sysctl.Lease, error) {
	n, used, err := f.Network(ctx, name)
	if err != nil {
		return nil, err
	}
	list := []sysctl.Lease{{Hostname: n.Bridge, Address: n.IPv4.Addr(), Type: "gateway"}}
	for _, instance := range slices.Sorted(maps.Keys(used)) {
		list = append(list, sysctl.Lease{Hostname: instance, Instance: instance, MAC: used[instance][0].MAC, Address: used[instance][0].IPv4, Type: "static"})
	}
	return append(list, sysctl.Lease{Hostname: "stranger", MAC: "52:54:00:00:00:09", Address: n.IPv4.Addr().Prev(), Type: "dynamic", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}), nil
}

func (f *fake) RestoreNetworks(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(f.bridges())), nil
}

func (f *fake) Forwards(ctx context.Context, network string) ([]sysctl.Forward, error) {
	if _, _, err := f.Network(ctx, network); err != nil {
		return nil, err
	}
	return []sysctl.Forward{{Listen: netip.MustParseAddr("0.0.0.0"), Description: "the web", Ports: []sysctl.ForwardPort{{Protocol: "tcp", Instance: "web1",
		Target: netip.MustParseAddr("10.20.0.2"), Listen: sysctl.PortRange{First: 8080, Last: 8080}, TargetPorts: sysctl.PortRange{First: 80, Last: 80}}}}}, nil
}

func (f *fake) Forward(ctx context.Context, network, listen string) (sysctl.Forward, error) {
	list, err := f.Forwards(ctx, network)
	if err == nil && listen != list[0].Listen.String() {
		err = sysctl.E(sysctl.NotFound, "forward %s %s: nothing listens there", network, listen)
	}
	if err != nil {
		return sysctl.Forward{}, err
	}
	return list[0], nil
}

func (f *fake) CreateForward(ctx context.Context, network, listen, target, description string) error {
	f.note("forward create", []string{network, listen, target, description})
	return nil
}

func (f *fake) DeleteForward(ctx context.Context, network, listen string) error {
	_, err := f.Forward(ctx, network, listen)
	return err
}

func (f *fake) AddForwardPort(_ context.Context, o manager.PortOptions) error {
	f.note("port add", o)
	return nil
}

func (f *fake) RemoveForwardPort(_ context.Context, network, listen, protocol, ports string) error {
	f.note("port remove", []string{network, listen, protocol, ports})
	return nil
}

func TestNetworkCompletion(t *testing.T) {
	f := seeded(sysctl.Running, "run1")
	for line, want := range map[string]string{
		"network|set|":                 "sysbr0",
		"network|set|sysbr0|dns.m":     "dns.mode=",
		"network|set|sysbr0|dns.mode=": "dns.mode=managed dns.mode=dynamic dns.mode=none",
		"network|unset|sysbr0|ipv4":    "ipv4.address ipv4.nat",
		"network|create|lab|bridge":    "bridge.mtu=",
		"network|delete|":              "sysbr0",

		"network|forward|show|sysbr0|":                       "0.0.0.0",
		"network|forward|port|add|sysbr0|0.0.0.0|":           "tcp udp",
		"network|forward|port|add|sysbr0|0.0.0.0|tcp|80|":    "run1",
		"network|forward|port|add|sysbr0|0.0.0.0|tcp|80|x|x": "",
	} {
		if got := strings.Join(completions(t, f, 0, strings.Split(line, "|")...), " "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
