package manager_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// sets makes the changes of KEY=VALUE and, to unset, KEY.
func sets(words ...string) map[string]*string {
	set := map[string]*string{}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		set[key] = nil
		if ok {
			set[key] = &value
		}
	}
	return set
}

// mounted describes the mounts of a world's only instance, which must be the same in the guest and where it boots from.
func (h house) mounted(t *testing.T) string {
	t.Helper()
	where := map[bool][]string{}
	for _, at := range slices.Sorted(maps.Keys(h.w.mounts)) {
		pid, path, _ := strings.Cut(at, ":")
		where[pid[0] == '2'] = append(where[pid[0] == '2'], h.w.mounts[at]+" on "+path)
	}
	if !slices.Equal(where[true], where[false]) {
		t.Errorf("mounted in the guest: %v, where it boots from: %v", where[false], where[true])
	}
	return strings.Join(where[false], ", ")
}

func dataDisk(source, path string) []string {
	return []string{"devices.data.type=disk", "devices.data.source=" + source, "devices.data.path=" + path}
}

// Disks come and go while the instance runs, whether it was started with them or not.
func TestDisksArePluggedLive(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true,
		Devices: map[string]sysctl.Device{"boot": {"type": "disk", "source": "/etc", "path": "/boot"}}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set  []string
		live bool
		want string
	}{
		{nil, true, "/etc on /boot"},
		{dataDisk("/srv/a", "/dev/a"), false, "/etc on /boot"}, // /dev is made by each boot
		{[]string{"devices.data"}, true, "/etc on /boot"},
		{dataDisk("/srv/a", "/a"), true, "/srv/a on /a, /etc on /boot"},
		{[]string{"devices.data.path=/b"}, true, "/srv/a on /b, /etc on /boot"},
		{[]string{"devices.data.path=/boot", "devices.boot.path=/b"}, true, "/etc on /b, /srv/a on /boot"}, // each in the place of the other
		{[]string{"devices.boot"}, true, "/srv/a on /boot"},
		{[]string{"devices.data.type=none", "devices.data.source", "devices.data.path"}, true, ""},
	} {
		live, err := h.SetConfig(ctx, "web1", sets(c.set...))
		if err != nil {
			t.Fatalf("%v: %v", c.set, err)
		}
		if got := h.mounted(t); got != c.want {
			t.Errorf("%v: mounted %q, want %q", c.set, got, c.want)
		}
		if (len(live) == len(c.set)) != c.live {
			t.Errorf("%v: live are %v", c.set, live)
		}
	}
	h.w.lost = "/srv/gone"
	before, _ := h.db.Instance(ctx, "web1")
	if _, err := h.SetConfig(ctx, "web1", sets(dataDisk("/srv/gone", "/gone")...)); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("a source that is not there: %v", err)
	}
	if after, _ := h.db.Instance(ctx, "web1"); fmt.Sprint(after.Devices) != fmt.Sprint(before.Devices) {
		t.Errorf("devices are %v, want %v", after.Devices, before.Devices)
	}
	live, err := h.SetConfig(ctx, "web1", sets(append(dataDisk("/srv/gone", "/gone"), "devices.data.optional=true")...))
	if err != nil || len(live) > 0 {
		t.Errorf("an optional source that is not there: live %v, %v", live, err)
	}
	h.w.lost = ""
	if live, err = h.SetConfig(ctx, "web1", sets("devices.data.optional=true")); err != nil || len(live) != 1 || h.mounted(t) != "/srv/gone on /gone" {
		t.Errorf("set again when it is there: live %v, %v, mounted %q", live, err, h.mounted(t))
	}
}

// Of a stopped instance every device waits for the start.
func TestDevicesOfStoppedWait(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1"}); err != nil {
		t.Fatal(err)
	}
	live, err := h.SetConfig(t.Context(), "web1", sets(dataDisk("/srv/a", "/a")...))
	if err != nil || len(live) > 0 || len(h.w.mounts) > 0 {
		t.Errorf("live %v, %v, mounts %v", live, err, h.w.mounts)
	}
}

// A change that fails anywhere leaves configuration and guest as they were; what is done again works.
func TestHotplugFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Devices: map[string]sysctl.Device{
			"gone": {"type": "disk", "source": "/usr", "path": "/gone"}, "data": {"type": "disk", "source": "/var", "path": "/a"}}})
		return err
	}
	set := sets("devices.gone", "devices.data.path=/b", "devices.new.type=disk", "devices.new.source=/srv/new", "devices.new.path=/new")
	change := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.SetConfig(ctx, "web1", set)
		return err
	}
	everyFault(t, setup, change, func(t *testing.T, h house, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error = %v, want the injected one", err)
		}
		if got := h.mounted(t); got != "/var on /a, /usr on /gone" {
			t.Errorf("mounted %q", got)
		}
		if inst, _ := h.db.Instance(t.Context(), "web1"); inst.Devices["new"] != nil || inst.Devices["gone"] == nil {
			t.Errorf("devices are %v", inst.Devices)
		}
		if err := change(t, h, t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.mounted(t); got != "/var on /b, /srv/new on /new" {
			t.Errorf("mounted %q after the second time", got)
		}
	})
}

// What a profile brings comes to its running instances at once, and goes with it.
func TestProfilesDevicesArePluggedLive(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	disk := func(path string) map[string]sysctl.Device {
		return map[string]sysctl.Device{"data": {"type": "disk", "source": "/usr", "path": path}}
	}
	if err := h.CreateProfile(ctx, sysctl.Profile{Name: "shared", Devices: disk("/a")}); err != nil {
		t.Fatal(err)
	}
	h.launch(t, "web1")
	for _, c := range []struct {
		what string
		do   func() ([]string, error)
		want string
		has  string
	}{
		{"add", func() ([]string, error) { return h.AddProfile(ctx, "web1", "shared") }, "/usr on /a", "default shared"},
		{"edit", func() ([]string, error) {
			return nil, h.UpdateProfile(ctx, sysctl.Profile{Name: "shared", Devices: disk("/b")}, nil)
		}, "/usr on /b", "default shared"},
		{"assign", func() ([]string, error) { return h.AssignProfiles(ctx, "web1", []string{"shared", "default"}) }, "/usr on /b", "shared default"},
		{"remove", func() ([]string, error) { return h.RemoveProfile(ctx, "web1", "shared") }, "", "default"},
	} {
		later, err := c.do()
		inst, _ := h.db.Instance(ctx, "web1")
		if err != nil || len(later) > 0 || h.mounted(t) != c.want || strings.Join(inst.Profiles, " ") != c.has {
			t.Errorf("%s: later %v, %v, mounted %q, profiles %v", c.what, later, err, h.mounted(t), inst.Profiles)
		}
	}
	kind(t, second(h.AddProfile(ctx, "web1", "absent")), sysctl.NotFound)
	kind(t, second(h.RemoveProfile(ctx, "web1", "shared")), sysctl.NotFound)
	kind(t, second(h.AddProfile(ctx, "web1", "default")), sysctl.Exists)
	kind(t, second(h.AssignProfiles(ctx, "web1", []string{"default", "default"})), sysctl.Invalid)

	// One that cannot be plugged for want of something else than its source waits, and is told of.
	if _, err := h.AddProfile(ctx, "web1", "shared"); err != nil {
		t.Fatal(err)
	}
	h.w.lost = "/etc"
	var told []string
	err := h.UpdateProfile(ctx, sysctl.Profile{Name: "shared", Devices: map[string]sysctl.Device{"data": {"type": "disk", "source": "/etc", "path": "/b"}}},
		func(line string) { told = append(told, line) })
	if err != nil || len(told) != 1 || !strings.Contains(told[0], "web1: its devices are as they were until its next start") {
		t.Errorf("one that cannot be opened: %v, told %q", err, told)
	}
	if got := h.mounted(t); got != "/usr on /b" {
		t.Errorf("mounted %q", got)
	}
}

// A profile that would break instances is refused with the list of them, running or not, and nothing is changed.
func TestProfileThatBreaksIsRefused(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	none := map[string]sysctl.Device{}
	if err := h.CreateProfile(ctx, sysctl.Profile{Name: "shared", Devices: none}); err != nil {
		t.Fatal(err)
	}
	for name, own := range map[string]map[string]sysctl.Device{
		"run1": nil, "stopped1": nil,
		"own1": {"data": {"type": "none"}, "lan": {"type": "none"}, "extra": {"type": "disk", "source": "/usr", "path": "/taken"}},
	} {
		o := manager.CreateOptions{Source: "debian12", Name: name, Profiles: []string{"default", "shared"}, Devices: own, Start: name == "run1"}
		if _, err := h.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "other", IPs: []string{"10.99.0.77"}}); err != nil {
		t.Fatal(err)
	}
	before, _ := h.db.Instances(ctx)
	for _, c := range []struct {
		name   string
		device sysctl.Device
		want   []string // of what is said of each that would break
	}{
		{"data", sysctl.Device{"type": "disk", "source": "/srv/nowhere", "path": "/a"}, []string{
			"instance run1: disk data: /srv/nowhere does not exist", "instance stopped1: disk data: /srv/nowhere does not exist"}},
		{"more", sysctl.Device{"type": "disk", "source": "/usr", "path": "/taken"}, []string{`instance own1: devices.more.path: "/taken" is the path of the device extra already`}},
		{"lan", sysctl.Device{"type": "nic", "network": "sysbr0", "ipv4.address": "10.99.0.77"}, []string{
			"instance run1: device lan: address 10.99.0.77 of network sysbr0 is taken by instance other", "instance stopped1: device lan: address 10.99.0.77"}},
		{"lan", sysctl.Device{"type": "nic", "network": "sysbr0", "ipv4.address": "10.99.0.78"}, []string{
			"instance stopped1: device lan: address 10.99.0.78 of network sysbr0 is taken by instance run1"}}, // both would have it
		{"lan", sysctl.Device{"type": "nic", "network": "sysbr0", "hwaddr": "00:16:3e:00:00:77"}, []string{"instance stopped1: device lan: MAC 00:16:3e:00:00:77 is taken by instance run1"}},
		{"lan", sysctl.Device{"type": "nic", "network": "sysbr0", "name": "eth0"}, []string{
			`instance run1: devices.lan.name: "eth0" is the interface of the device eth0`, `instance stopped1: devices.lan.name`}},
		{"dev", sysctl.Device{"type": "unix-char", "source": "/srv/gone"}, []string{"instance own1: devices.dev: /srv/gone is missing", "instance run1: ", "instance stopped1: "}},
	} {
		h.w.lost = "/srv/gone"
		err := h.UpdateProfile(ctx, sysctl.Profile{Name: "shared", Devices: map[string]sysctl.Device{c.name: c.device}}, nil)
		var fields sysctl.FieldErrors
		if !errors.As(err, &fields) || len(fields) != len(c.want) {
			t.Errorf("%v: %v", c.device, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %q", c.device, err, want)
			}
		}
		after, _ := h.db.Instances(ctx)
		if p, _, _ := h.Profile(ctx, "shared"); len(p.Devices) != 0 || fmt.Sprint(after) != fmt.Sprint(before) || h.mounted(t) != "" {
			t.Errorf("%v: changed: %v, mounted %q", c.device, p.Devices, h.mounted(t))
		}
	}
	// What may be missing is no matter, nor what was so before.
	gone := map[string]sysctl.Device{"data": {"type": "disk", "source": "/srv/nowhere", "path": "/a", "required": "false"}}
	for _, description := range []string{"one", "two"} {
		if err := h.UpdateProfile(ctx, sysctl.Profile{Name: "shared", Description: description, Devices: gone}, nil); err != nil {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Another list of profiles that fails anywhere leaves the instance as it was.
func TestAssignProfilesFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		for name, source := range map[string]string{"one": "/usr", "two": "/var"} {
			if err := h.CreateProfile(ctx, sysctl.Profile{Name: name, Devices: map[string]sysctl.Device{"data": {"type": "disk", "source": source, "path": "/a"}}}); err != nil {
				return err
			}
		}
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Profiles: []string{"default", "one"}})
		return err
	}
	assign := func(t *testing.T, h house, ctx context.Context) error {
		return second(h.AssignProfiles(ctx, "web1", []string{"default", "two"}))
	}
	everyFault(t, setup, assign, func(t *testing.T, h house, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error = %v, want the injected one", err)
		}
		if inst, _ := h.db.Instance(t.Context(), "web1"); h.mounted(t) != "/usr on /a" || inst.Profiles[1] != "one" {
			t.Errorf("mounted %q, profiles %v", h.mounted(t), inst.Profiles)
		}
		if err := assign(t, h, t.Context()); err != nil || h.mounted(t) != "/var on /a" {
			t.Errorf("the second time: %v, mounted %q", err, h.mounted(t))
		}
	})
}
