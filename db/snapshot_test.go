package db

import (
	"testing"

	"github.com/sysctl-os/sysctl"
)

func snapshotOf(inst sysctl.Instance, name string, layers ...string) sysctl.Snapshot {
	return sysctl.Snapshot{Name: name, Layers: layers, Guest: inst.Guest, Profiles: inst.Profiles, Config: inst.Config,
		Devices: inst.Devices, Created: epoch}
}

func TestSnapshots(t *testing.T) {
	d := newDB(t)
	ctx := t.Context()
	inst := mustClaim(t, d, claim("web1"))
	must(t, d.SetInstancePatched(ctx, inst.ID, sysctl.Patched{Layer: "l2", Files: 1}))
	first := snapshotOf(inst, "snap0", "l1", "l2", "u1")
	must(t, d.SealInstance(ctx, inst.ID, sysctl.Layer{ID: "u1"}, &first))
	layer, pending, err := d.Pending(ctx, inst.ID)
	must(t, err)
	wantEqual(t, []any{layer, pending}, []any{"u1", true})
	sealed, err := d.InstanceByID(ctx, inst.ID)
	must(t, err)
	wantEqual(t, sealed.Stack(), []string{"l1", "l2", "u1"})
	wantKind(t, unchanged(t, d, func() error { return d.SealInstance(ctx, inst.ID, sysctl.Layer{ID: "u2"}, nil) }), sysctl.Conflict)
	must(t, d.Settled(ctx, inst.ID))
	must(t, d.Settled(ctx, inst.ID))

	must(t, d.AddLayer(ctx, sysctl.Layer{ID: "u2"}))
	second := snapshotOf(inst, "b", "l1", "u2")
	second.Profiles = []string{"default"}
	must(t, d.AddSnapshot(ctx, inst.ID, second))
	list, err := d.Snapshots(ctx, inst.ID)
	must(t, err)
	wantEqual(t, list, []sysctl.Snapshot{first, second})
	wantKind(t, d.AddSnapshot(ctx, inst.ID, second), sysctl.Exists)
	wantKind(t, d.AddSnapshot(ctx, inst.ID, snapshotOf(inst, "c", "nope")), sysctl.NotFound)
	wantKind(t, d.RenameSnapshot(ctx, inst.ID, "nope", "x"), sysctl.NotFound)
	wantKind(t, d.RenameSnapshot(ctx, inst.ID, "b", "snap0"), sysctl.Exists)
	must(t, d.RenameSnapshot(ctx, inst.ID, "b", "b"))
	must(t, d.RenameSnapshot(ctx, inst.ID, "b", "c"))
	second.Name = "c"

	// What a snapshot names stays.
	wantKind(t, d.DeleteLayer(ctx, "u2"), sysctl.Conflict, "snapshot web1/c")
	unused, err := d.UnusedLayers(ctx)
	must(t, err)
	if len(unused) > 0 {
		t.Errorf("unused: %v", unused)
	}

	must(t, d.RestoreInstance(ctx, inst.ID, second, nil, testMAC))
	restored, err := d.InstanceByID(ctx, inst.ID)
	must(t, err)
	wantEqual(t, []any{restored.Layers, restored.Profiles, len(restored.NICs)}, []any{[]string{"l1", "u2"}, []string{"default"}, 0})
	layer, pending, err = d.Pending(ctx, inst.ID)
	must(t, err)
	wantEqual(t, []any{layer, pending}, []any{"", true})
	wantKind(t, d.DeleteProfile(ctx, "web"), sysctl.Conflict, "web1/snap0")

	must(t, d.DeleteSnapshot(ctx, inst.ID, "snap0"))
	must(t, d.DeleteSnapshot(ctx, inst.ID, "snap0"))
	must(t, d.DeleteProfile(ctx, "web"))
	must(t, d.DeleteLayer(ctx, "u1"))
	must(t, d.DeleteInstance(ctx, inst.ID))
	must(t, d.DeleteLayer(ctx, "u2"))
}
