package db

import (
	"context"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestProfiles(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	p := sysctl.Profile{
		Name: "big", Description: "much", Config: map[string]string{"limits.memory": "8GiB", "user.x": ""},
		Devices: map[string]sysctl.Device{"data": {"type": "disk", "path": "/data"}, "empty": {}},
		Text:    "config: {} # as it was written\n",
	}
	must(t, d.CreateProfile(ctx, p))
	got, err := d.Profile(ctx, "big")
	must(t, err)
	wantEqual(t, got, p)
	wantKind(t, unchanged(t, d, func() error { return d.CreateProfile(ctx, sysctl.Profile{Name: "big"}) }), sysctl.Exists, `"big"`, "sysctl profile edit big")

	p = sysctl.Profile{Name: "big", Config: map[string]string{"limits.cpu": "2"}, Devices: map[string]sysctl.Device{"data": {"type": "none"}}}
	must(t, d.UpdateProfile(ctx, p))
	list, err := d.Profiles(ctx)
	must(t, err)
	if len(list) != 3 || list[1].Name != "default" || list[2].Name != "web" {
		t.Fatalf("profiles %+v", list)
	}
	wantEqual(t, list[0], p)

	must(t, d.DeleteProfile(ctx, "big"))
	for _, err := range []error{d.DeleteProfile(ctx, "big"), d.UpdateProfile(ctx, p), func() error { _, err := d.Profile(ctx, "big"); return err }()} {
		wantKind(t, err, sysctl.NotFound, `"big"`, "sysctl profile list")
	}
}

func TestUsedProfilesStay(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	users := func(want ...string) {
		t.Helper()
		got, err := d.ProfileUsers(ctx, "web")
		must(t, err)
		wantEqual(t, got, append([]string{}, want...))
	}
	users()
	b := mustClaim(t, d, claim("b"))
	a := mustClaim(t, d, claim("a"))
	users("a", "b")
	wantKind(t, unchanged(t, d, func() error { return d.DeleteProfile(ctx, "web") }), sysctl.Conflict, `"web" is used by: a, b`)
	must(t, d.SetInstanceProfiles(ctx, b.ID, []string{"default"}))
	must(t, d.DeleteInstance(ctx, a.ID))
	users()
	must(t, d.DeleteProfile(ctx, "web"))
	must(t, d.DeleteInstance(ctx, b.ID))
	wantKind(t, d.DeleteProfile(ctx, "default"), sysctl.Conflict, `"default" cannot be deleted`)
}
