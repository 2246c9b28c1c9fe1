package manager_test

import (
	"context"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// What an instance is wired with, in memory.

func (f fakeRuntime) Wiring(id int64) (sysctl.Wiring, bool, error) {
	r := f.get(id)
	if r == nil {
		return sysctl.Wiring{}, false, nil
	}
	return r.boot.Wiring, true, nil
}

func (f fakeRuntime) Forward(_ context.Context, id int64, _ int, all []sysctl.Proxy) error {
	return f.hit("forward", func() error { f.forwards = all; return nil })
}

func (f fakeRuntime) SetWiring(id int64, w sysctl.Wiring) error {
	return f.hit("set wiring", func() error { f.running[id].boot.Wiring = w; return nil })
}

func (f fakeRuntime) AddForwarder(_ context.Context, id int64, _ int, p sysctl.Proxy) error {
	return f.hit("add forwarder", func() error { f.forwards = append(f.forwards, p); return nil })
}

func (f fakeRuntime) EndForwarder(_ context.Context, id int64, p sysctl.Proxy) error {
	return f.hit("end forwarder", func() error {
		f.forwards = slices.DeleteFunc(f.forwards, func(o sysctl.Proxy) bool { return o.Device == p.Device })
		return nil
	})
}

func (f fakeRuntime) WireFailed(_ int64, why error) error { f.unwired = why; return nil }

func (f fakeNet) Publish(_ context.Context, id int64, rules []sysctl.PortRule) error {
	return f.hit("publish", func() error { f.ports = rules; return nil })
}

func (f fakeNet) PlugNIC(_ context.Context, _ int, n sysctl.BootNIC) error {
	return f.hit("plug nic", func() error {
		if n.Type == "veth" {
			f.links[n.HostName] = true
		} else {
			f.plugged[n.Device] = n
		}
		return nil
	})
}

func (f fakeNet) TakeNIC(_ context.Context, _ int, n sysctl.BootNIC) error {
	return f.hit("take nic", func() error { delete(f.plugged, n.Device); return nil })
}

func (f fakeNet) HasAddresses(context.Context, int, sysctl.BootNIC) (bool, error) {
	return !f.lazy, nil
}

func (f fakeNet) SetAddresses(_ context.Context, _ int, n sysctl.BootNIC) error {
	return f.hit("set addresses", func() error { f.byHost = append(f.byHost, n); return nil })
}

func (f fakeNet) UnplugNIC(_ context.Context, hostName string) error {
	return f.hit("unplug nic", func() error { delete(f.links, hostName); return nil })
}

func (f fakeNet) FreeLink(context.Context, string) error { return nil }

func (f fakeNet) SetLink(_ context.Context, l sysctl.Link) error {
	return f.hit("set link", func() error { f.set = append(f.set, l); return nil })
}
