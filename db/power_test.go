package db

import (
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

func TestPower(t *testing.T) {
	d := newDB(t)
	ctx := t.Context()
	inst, other := mustClaim(t, d, claim("web1")), mustClaim(t, d, claim("web2"))
	powered := func(want ...int64) {
		t.Helper()
		on, err := d.Powered(ctx)
		must(t, err)
		all := map[int64]bool{}
		for _, id := range want {
			all[id] = true
		}
		wantEqual(t, on, all)
	}
	powered()
	must(t, d.PowerOn(ctx, other.ID))
	powered(other.ID)
	crashes := sysctl.Crashes{Count: 2, Last: epoch, Cause: "killed by SIGKILL", Due: epoch.Add(time.Second), Run: "a"}
	must(t, d.SetCrashes(ctx, inst.ID, crashes, true))
	powered(inst.ID, other.ID)
	got, err := d.Crashes(ctx, inst.ID)
	must(t, err)
	wantEqual(t, got, crashes)

	must(t, d.PowerOn(ctx, inst.ID)) // which may yet fail
	got, err = d.Crashes(ctx, inst.ID)
	must(t, err)
	wantEqual(t, got, crashes)
	must(t, d.SetPower(ctx, inst.ID, true))
	crashes.Due = time.Time{}
	got, err = d.Crashes(ctx, inst.ID)
	must(t, err)
	wantEqual(t, got, crashes)
	powered(inst.ID, other.ID)

	must(t, d.SetCrashes(ctx, inst.ID, crashes, false)) // given up
	powered(other.ID)
	must(t, d.ForgetCrashes(ctx, inst.ID))
	must(t, d.ForgetCrashes(ctx, inst.ID))
	got, err = d.Crashes(ctx, inst.ID)
	must(t, err)
	wantEqual(t, got, sysctl.Crashes{})

	must(t, d.SetCrashes(ctx, inst.ID, crashes, true))
	must(t, d.DeleteInstance(ctx, inst.ID))
	wantKind(t, d.SetPower(ctx, inst.ID, true), sysctl.NotFound)
	wantKind(t, d.SetCrashes(ctx, inst.ID, crashes, true), sysctl.NotFound)
	got, err = d.Crashes(ctx, inst.ID)
	must(t, err)
	wantEqual(t, got, sysctl.Crashes{})
}
