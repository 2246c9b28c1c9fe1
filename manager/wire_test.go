package manager_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// proxy is a proxy device.
func proxy(options string) sysctl.Device {
	d := sysctl.Device{"type": "proxy"}
	for _, o := range strings.Fields(options) {
		name, value, _ := strings.Cut(o, "=")
		d[name] = value
	}
	return d
}

// A proxy is packets sent on where that comes to the same, and else a process.
func TestWiring(t *testing.T) {
	for options, want := range map[string]struct {
		rules []sysctl.PortRule // without what all have
		fails string
	}{
		"listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80":                   {},
		"listen=tcp:192.0.2.1:80 connect=tcp:127.0.0.1:80":                 {},
		"listen=tcp:192.0.2.1:80 connect=tcp:192.0.2.9:80":                 {},
		"listen=tcp:192.0.2.1:80 connect=tcp:10.99.0.2:80 nat=false":       {},
		"listen=tcp:192.0.2.1:80 connect=tcp:10.99.0.2:80 security.uid=33": {},
		"listen=tcp:192.0.2.1:80 connect=tcp:10.99.0.2:80 bind=instance":   {},
		"listen=unix:/x connect=tcp:10.99.0.2:80":                          {},
		"listen=tcp:192.0.2.1:80 connect=tcp:10.99.0.2:8080":               {rules: []sysctl.PortRule{{First: 80, Last: 80, Port: 8080}}},
		"listen=tcp:192.0.2.1:80-82,90 connect=tcp:10.99.0.2:80-82,90":     {rules: []sysctl.PortRule{{First: 80, Last: 82}, {First: 90, Last: 90, Port: 90}}},
		"listen=tcp:192.0.2.1:80-81 connect=tcp:10.99.0.2:90-91":           {rules: []sysctl.PortRule{{First: 80, Last: 80, Port: 90}, {First: 81, Last: 81, Port: 91}}},
		"listen=tcp:0.0.0.0:80 connect=tcp:0.0.0.0:80 nat=true":            {rules: []sysctl.PortRule{{First: 80, Last: 80, Port: 80}}},
		"listen=tcp:0.0.0.0:80 connect=tcp:192.0.2.9:80 nat=true":          {fails: "device web: nat leads to a fixed address of the instance on a bridge, and 192.0.2.9 is none"},
	} {
		h := newHouse(t)
		_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "a", Start: true, IPs: []string{"10.99.0.2"},
			Devices: map[string]sysctl.Device{"web": proxy(options)}})
		if want.fails != "" {
			if err == nil || !strings.Contains(err.Error(), want.fails) {
				t.Errorf("%s: %v, wanted %q", options, err, want.fails)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", options, err)
		}
		b := h.w.booted
		if len(b.Wiring.Ports) != len(want.rules) || len(b.Wiring.Proxies)+min(len(want.rules), 1) != 1 {
			t.Errorf("%s: %+v", options, b.Wiring)
			continue
		}
		for i, r := range b.Wiring.Ports {
			w := want.rules[i]
			if r.First != w.First || r.Last != w.Last || r.Port != w.Port || r.Target != netip.MustParseAddr("10.99.0.2") || r.Device != "web" || r.NIC != "eth0" ||
				r.Siblings != netip.MustParsePrefix("10.99.0.0/24") {
				t.Errorf("%s: rule %+v, wanted %+v", options, r, w)
			}
		}
		if len(want.rules) > 0 && (len(b.Wiring.Links) != 1 || !b.Wiring.Links[0].Hairpin || b.Wiring.Links[0].Name != b.NICs[0].HostName) {
			t.Errorf("%s: links %+v", options, b.Wiring.Links)
		}
	}
}

// What fails keeps a guest from booting, and not from booting again.
func TestWire(t *testing.T) {
	h := newHouse(t)
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "a", Start: true, IPs: []string{"10.99.0.2"}, Devices: map[string]sysctl.Device{
		"nat": proxy("listen=tcp:192.0.2.1:80 connect=tcp:10.99.0.2:80"), "web": proxy("listen=tcp:0.0.0.0:81 connect=tcp:127.0.0.1:81"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Wire(t.Context(), 1, 1001); err != nil || len(h.w.forwards) != 1 || len(h.w.ports) != 1 || len(h.w.set) != 1 {
		t.Errorf("%v: %v, %v, %v", err, h.w.forwards, h.w.ports, h.w.set)
	}
	for step := 1; step <= 3; step++ {
		h.w.calls, h.w.failAt, h.w.unwired = nil, step, nil
		if err := h.Wire(t.Context(), 1, 1001); err != nil || !errors.Is(h.w.unwired, errInjected) {
			t.Errorf("fault %d: %v, left %v", step, err, h.w.unwired)
		}
	}
	h.w.failAt, h.w.calls = 0, nil
	if err := h.Wire(t.Context(), 1, 1001); err != nil || h.w.unwired != nil {
		t.Errorf("%v, left %v", err, h.w.unwired)
	}
}
