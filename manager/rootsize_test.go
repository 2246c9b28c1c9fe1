package manager_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func rootDisk(size string) map[string]sysctl.Device {
	d := sysctl.Device{"type": "disk", "path": "/"}
	if size != "" {
		d["size"] = size
	}
	return map[string]sysctl.Device{"root": d}
}

// The root disk has its size when the instance starts, and another one at once; the first one of a running instance waits.
func TestRootSize(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Devices: rootDisk("1GiB")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set  string
		want int64
	}{{"", 1 << 30}, {"devices.root.size=2GiB", 2 << 30}, {"devices.root.pool=default", 2 << 30}, {"devices.root.size", 0}, {"devices.root.size=4GiB", 4 << 30}, {"devices.root", 0}} {
		if c.set != "" {
			if live, err := h.SetConfig(ctx, "web1", sets(c.set)); err != nil || len(live) != 1 {
				t.Errorf("%s: live %v, %v", c.set, live, err)
			}
		}
		if got := h.w.sizes[1]; got != c.want {
			t.Errorf("%s: %d, want %d", c.set, got, c.want)
		}
		if d, err := h.Info(ctx, "web1"); err != nil || d.Usage.DiskMax != c.want {
			t.Errorf("%s: info says %d, %v, want %d", c.set, d.Usage.DiskMax, err, c.want)
		}
	}
	if len(h.w.mounts) > 0 {
		t.Errorf("mounts %v", h.w.mounts)
	}

	h.launch(t, "web2")
	set := sets("devices.root.type=disk", "devices.root.path=/", "devices.root.size=1GiB")
	if live, err := h.SetConfig(ctx, "web2", set); err != nil || len(live) > 0 || h.w.sizes[2] != 0 {
		t.Errorf("of one that runs without: live %v, %v, %d", live, err, h.w.sizes[2])
	}
	if err := errors.Join(h.Stop(ctx, "web2", manager.StopOptions{Force: true}), h.Start(ctx, "web2", manager.StartOptions{})); err != nil || h.w.sizes[2] != 1<<30 {
		t.Errorf("after a restart: %v, %d", err, h.w.sizes[2])
	}
}

// Where the disk has no quotas a size is refused before anything is changed, and what has none is no matter.
func TestRootSizeIsRefused(t *testing.T) {
	h := newHouse(t)
	h.w.noQuota = true
	ctx := t.Context()
	refused := func(what string, err error) {
		t.Helper()
		if sysctl.KindOf(err) != sysctl.Unsupported || !strings.Contains(err.Error(), "devices.root.size: no quotas here") || sysctl.HintOf(err) == "" {
			t.Errorf("%s: %v, hint %q", what, err, sysctl.HintOf(err))
		}
	}
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Devices: rootDisk("1GiB")})
	refused("create", err)
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Devices: rootDisk("")}); err != nil {
		t.Fatal(err)
	}
	_, err = h.SetConfig(ctx, "web1", sets("devices.root.size=1GiB"))
	refused("set", err)
	if err := h.CreateProfile(ctx, sysctl.Profile{Name: "sized", Devices: rootDisk("1GiB")}); err != nil {
		t.Fatal(err)
	}
	h.launch(t, "web2")
	_, err = h.AddProfile(ctx, "web2", "sized")
	refused("add a profile", err)
	if inst, _ := h.db.Instance(ctx, "web2"); slices.Contains(inst.Profiles, "sized") {
		t.Errorf("profiles are %v", inst.Profiles)
	}
}
