package manager_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// Two that listen on the same packets of the host are told apart before anything is changed, and no others.
func TestTwoListeners(t *testing.T) {
	for _, c := range []struct {
		first, second string // options of a proxy
		both          bool
	}{
		{"listen=tcp:0.0.0.0:80", "listen=tcp:0.0.0.0:80", false},
		{"listen=tcp:0.0.0.0:79-81", "listen=tcp:127.0.0.1:81", false},
		{"listen=tcp:127.0.0.1:80", "listen=tcp:0.0.0.0:80", false},
		{"listen=tcp:[::]:80", "listen=tcp:192.0.2.1:80 nat=false", false},
		{"listen=tcp:[::]:80", "listen=tcp:[2001:db8::1]:80", false},
		{"listen=tcp:192.0.2.1:80 connect=tcp:0.0.0.0:80 nat=true", "listen=tcp:192.0.2.1:80 connect=tcp:0.0.0.0:80 nat=true", false},
		{"listen=tcp:192.0.2.1:80-90 connect=tcp:0.0.0.0:80-90 nat=true", "listen=tcp:192.0.2.1:85 nat=false", false},
		{"listen=tcp:0.0.0.0:80 connect=tcp:0.0.0.0:80 nat=true", "listen=tcp:192.0.2.1:80 nat=false", false},
		{"listen=unix:/run/x", "listen=unix:/run/x", false},
		{"listen=unix:@x", "listen=unix:@x", false},

		{"listen=tcp:0.0.0.0:80", "listen=tcp:0.0.0.0:81", true},
		{"listen=tcp:0.0.0.0:80", "listen=udp:0.0.0.0:80 connect=udp:127.0.0.1:80", true},
		{"listen=tcp:0.0.0.0:80", "listen=tcp:[2001:db8::1]:80", true},
		{"listen=tcp:127.0.0.1:80", "listen=tcp:127.0.0.2:80", true},
		{"listen=tcp:127.0.0.1:80", "listen=tcp:0.0.0.0:80 connect=tcp:0.0.0.0:80 nat=true", true},
		{"listen=tcp:0.0.0.0:80", "listen=tcp:0.0.0.0:80 bind=instance", true},
		{"listen=tcp:0.0.0.0:80 bind=instance", "listen=tcp:0.0.0.0:80", true},
		{"listen=unix:/run/x", "listen=unix:@/run/x", true},
	} {
		h := newHouse(t)
		launch := func(name, options string) error {
			d := sysctl.Device{"connect": "tcp:127.0.0.1:80"}
			maps.Copy(d, proxy(options))
			_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name, Start: true, Devices: map[string]sysctl.Device{"web": d}})
			return err
		}
		kind(t, launch("a", c.first), "")
		before := len(h.w.calls)
		switch err := launch("b", c.second); {
		case c.both && err != nil:
			t.Errorf("%s and %s: %v", c.first, c.second, err)
		case !c.both && (sysctl.KindOf(err) != sysctl.Conflict || !strings.Contains(err.Error(), "launch b: devices.web.listen: instance a listens there already (")):
			t.Errorf("%s and %s: %v", c.first, c.second, err)
		case !c.both && len(h.w.calls) != before:
			t.Errorf("%s and %s: changed %v", c.first, c.second, h.w.calls[before:])
		}
	}
}

// Every verb by which an instance that runs would listen where another one does refuses; who does not run may be given what it likes.
func TestPortsOfOthers(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	web := proxy("listen=tcp:0.0.0.0:80 connect=tcp:127.0.0.1:80")
	profile := func(name string, devices map[string]sysctl.Device) sysctl.Profile {
		return sysctl.Profile{Name: name, Devices: devices}
	}
	for _, p := range []sysctl.Profile{profile("empty", nil), profile("web", map[string]sysctl.Device{"web": web})} {
		kind(t, h.CreateProfile(ctx, p), "")
	}
	for _, name := range []string{"a", "b", "c"} {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Start: name != "c", Profiles: []string{"default", "empty"}})
		kind(t, err, "")
	}
	refused := func(what string, err error, words ...string) {
		t.Helper()
		for _, w := range append(words, "listen: instance ", " listens there already (tcp:0.0.0.0:80, its device web)") {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, wanted %q", what, err, w)
			}
		}
		if len(h.w.forwards) > 1 {
			t.Errorf("%s: %v", what, h.w.forwards)
		}
	}
	device := func(name string) error { _, err := h.AddDevice(ctx, name, "web", web); return err }
	fine := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	// A profile of two that run, neither of which has it yet; and of one that runs.
	err := h.UpdateProfile(ctx, profile("empty", map[string]sysctl.Device{"web": web}), nil)
	refused("update a profile", err, "instance b: devices.web.")
	if sysctl.KindOf(err) != sysctl.Invalid || strings.Contains(err.Error(), "instance c:") {
		t.Errorf("update a profile: %v", err)
	}
	if p, _, err := h.Profile(ctx, "empty"); err != nil || len(p.Devices) != 0 {
		t.Errorf("%v, %v", p, err)
	}
	kind(t, h.Stop(ctx, "b", manager.StopOptions{}), "")
	fine("one of three runs", h.UpdateProfile(ctx, profile("empty", map[string]sysctl.Device{"web": web}), nil))
	refused("start", h.Start(ctx, "b", manager.StartOptions{}), "start b: devices.web.")
	fine("without", h.UpdateProfile(ctx, profile("empty", nil), nil))
	kind(t, h.Start(ctx, "b", manager.StartOptions{}), "")

	// Of one alone.
	fine("add a device", device("a"))
	fine("again, elsewhere", func() error {
		_, err := h.SetConfig(ctx, "a", sets("devices.web.connect=tcp:127.0.0.1:81"))
		return err
	}())
	refused("add a device", device("b"))
	if inst, err := h.Info(ctx, "b"); err != nil || len(inst.Devices) != 0 {
		t.Errorf("%v, %v", inst.Devices, err)
	}
	_, err = h.SetConfig(ctx, "b", sets("devices.x.type=proxy", "devices.x.listen=tcp:127.0.0.1:80", "devices.x.connect=tcp:127.0.0.1:80"))
	refused("set", err, "devices.x.")
	_, err = h.AddProfile(ctx, "b", "web")
	refused("add a profile", err)
	_, err = h.AssignProfiles(ctx, "b", []string{"default", "web"})
	refused("assign profiles", err)
	refused("update a profile", h.SetProfile(ctx, "empty", sets("devices.y.type=proxy", "devices.y.listen=tcp:[::]:80", "devices.y.connect=tcp:127.0.0.1:80"), nil),
		"instance b: devices.y.")

	// Who does not run.
	fine("add a device", device("c"))
	refused("start", h.Start(ctx, "c", manager.StartOptions{}), "start c: devices.web.")
	_, err = h.Copy(ctx, manager.CopyOptions{Source: "c", Names: []string{"d"}, Start: true})
	refused("copy", err)
	kind(t, h.Stop(ctx, "a", manager.StopOptions{}), "")
	_, err = h.Copy(ctx, manager.CopyOptions{Source: "c", Names: []string{"d", "e"}, Start: true})
	refused("copies", err, "e: devices.web.", "instance d")
	if _, err := h.Info(ctx, "d"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("d: %v", err)
	}
	kind(t, h.Start(ctx, "c", manager.StartOptions{}), "")
	refused("start", h.Start(ctx, "a", manager.StartOptions{}), "start a: ")
	fine("restart", h.Restart(ctx, "c", manager.StopOptions{}))

	// What the run has counts, not what is configured: here, as if somebody else had been first.
	w := h.w.running[2].boot.Wiring
	w.Proxies = h.w.running[3].boot.Wiring.Proxies
	h.w.running[2].boot.Wiring = w
	refused("restart", h.Restart(ctx, "c", manager.StopOptions{}), "instance b")
	if h.w.running[3] == nil {
		t.Error("it was stopped for that")
	}
	if _, err := h.SetConfig(ctx, "c", sets("devices.z.type=proxy", "devices.z.listen=tcp:0.0.0.0:81", "devices.z.connect=tcp:127.0.0.1:81")); err != nil {
		t.Errorf("what was so before is no matter of another device: %v", err)
	}
}
