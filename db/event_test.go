package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

func actions(t *testing.T, d *DB, after int64) string {
	t.Helper()
	list, err := d.Events(context.Background(), after)
	must(t, err)
	var words []string
	for _, e := range list {
		words = append(words, e.Action+" "+e.Name)
		if since := time.Since(e.Time); since < -time.Minute || since > time.Hour {
			t.Errorf("%s has the time %s", e.Action, e.Time)
		}
	}
	return strings.Join(words, ", ")
}

// TestEvents is of rows that tell of themselves, and only when they are written.
func TestEvents(t *testing.T) {
	ctx := context.Background()
	d := newDB(t)
	last, err := d.LastEvent(ctx)
	must(t, err)
	inst := mustClaim(t, d, claim("web1"))
	half := mustClaim(t, d, claim("half"))
	must(t, d.DeleteInstance(ctx, half.ID)) // it was never whole
	if got := actions(t, d, last); got != "" {
		t.Errorf("of claims: %s", got)
	}
	must(t, d.MarkReady(ctx, inst.ID, true))
	must(t, d.MarkReady(ctx, inst.ID, false)) // a delete that was interrupted
	must(t, d.MarkReady(ctx, inst.ID, true))
	must(t, d.SetInstanceConfig(ctx, inst.ID, map[string]string{"user.a": "1"}, nil))
	failure := errors.New("no")
	err = d.write(ctx, func(t *tx) error {
		if err := t.update(ctx, inst.ID, "name", "lost"); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Error(err)
	}
	must(t, d.RenameInstance(ctx, inst.ID, "web2"))
	must(t, d.RunStarted(ctx, inst.ID, "a"))
	must(t, d.RunStarted(ctx, inst.ID, "a"))
	must(t, d.RunEnded(ctx, inst.ID, "other", sysctl.InstanceShutdown))
	must(t, d.RunStarted(ctx, inst.ID, "b")) // the end of a was told by nobody
	must(t, d.RunEnded(ctx, inst.ID, "b", sysctl.InstanceShutdown))
	must(t, d.RunEnded(ctx, inst.ID, "", sysctl.InstanceStopped))
	must(t, d.DeleteInstance(ctx, inst.ID))
	want := "instance-created web1, instance-updated web1, instance-renamed web2, instance-started web2, instance-stopped web2, instance-started web2, " +
		"instance-shutdown web2, instance-deleted web2"
	if got := actions(t, d, last); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

// TestEventsAreBounded writes more than are kept.
func TestEventsAreBounded(t *testing.T) {
	ctx := context.Background()
	d := newDB(t)
	must(t, d.write(ctx, func(t *tx) error {
		for i := range 10050 {
			if err := t.exec(ctx, "INSERT INTO events (action, name) VALUES ('x', ?)", fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	}))
	list, err := d.Events(ctx, 0)
	must(t, err)
	if len(list) != 10000 || list[len(list)-1].Name != "10049" {
		t.Errorf("%d are kept", len(list))
	}
	must(t, d.write(ctx, func(t *tx) error { return t.forgetEvents(ctx, 500) }))
	if list, err = d.Events(ctx, 0); err != nil || len(list) != 9500 || list[len(list)-1].Name != "10049" {
		t.Errorf("%d are left, %v", len(list), err)
	}
}
