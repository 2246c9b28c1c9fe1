package db

import (
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestPatchedLayers(t *testing.T) {
	d := newDB(t)
	ctx := t.Context()
	must(t, d.AddImage(ctx, sysctl.Image{ID: "img2", Layers: []string{"l2", "l3"}, Aliases: []string{"x"}}, []sysctl.Layer{{ID: "l3"}}))
	base := []string{"l2", "l3"}
	_, err := d.PatchedLayer(ctx, base)
	wantKind(t, err, sysctl.NotFound, "nobody has looked")
	want := PatchedLayer{Edition: 1, Layer: "p1", Unsure: []string{"/a"},
		Files: map[string][]sysctl.Patch{"lib/libc": {{Offset: 7, Old: []byte{1, 0xff}, New: []byte{2, 3}}}}}
	for range 2 {
		must(t, d.SetPatchedLayer(ctx, base, want, sysctl.Layer{ID: "p1", Size: 5}))
	}
	got, err := d.PatchedLayer(ctx, base)
	must(t, err)
	wantEqual(t, got, want)
	_, err = d.PatchedLayer(ctx, []string{"l3", "l2"})
	wantKind(t, err, sysctl.NotFound)

	c := bare("web1")
	c.Instance.Layers, c.Instance.Image = base, "img2"
	inst := mustClaim(t, d, c)
	if inst.Patched.Any() || len(inst.Stack()) != 2 {
		t.Errorf("%+v", inst.Patched)
	}
	patched := sysctl.Patched{Layer: "p1", Files: 1, Own: 2, Unsure: []string{"/b"}}
	must(t, d.SetInstancePatched(ctx, inst.ID, patched))
	inst, err = d.Instance(ctx, "web1")
	must(t, err)
	wantEqual(t, inst.Patched, patched)
	wantEqual(t, inst.Stack(), []string{"l2", "l3", "p1"})
	wantKind(t, d.SetInstancePatched(ctx, 99, patched), sysctl.NotFound)

	unused := func(want string) {
		t.Helper()
		must(t, d.ForgetPatchedLayers(ctx))
		list, err := d.UnusedLayers(ctx)
		if got := layerIDs(t, list, err); got != want {
			t.Errorf("unused: %q, want %q", got, want)
		}
	}
	unused("")
	wantKind(t, d.DeleteLayer(ctx, "p1"), sysctl.Conflict, "instance web1", "changed copies")
	// A finder of another edition finds other files: the instance runs with the former layer.
	want.Edition, want.Layer = 2, "p2"
	must(t, d.SetPatchedLayer(ctx, base, want, sysctl.Layer{ID: "p2"}))
	unused("")
	must(t, d.SetInstancePatched(ctx, inst.ID, sysctl.Patched{Own: 1, Unsure: []string{}}))
	unused("p1")
	must(t, d.SetInstancePatched(ctx, inst.ID, sysctl.Patched{}))
	inst, err = d.Instance(ctx, "web1")
	must(t, err)
	wantEqual(t, inst.Patched, sysctl.Patched{})
	must(t, d.DeleteImage(ctx, "img2")) // the instance still consists of these layers
	unused("p1")
	must(t, d.DeleteInstance(ctx, inst.ID))
	unused("l3 p1 p2")
	must(t, d.DeleteLayer(ctx, "p2"))
	_, err = d.PatchedLayer(ctx, base)
	wantKind(t, err, sysctl.NotFound)
	must(t, d.SetPatchedLayer(ctx, base, PatchedLayer{Edition: 1}, sysctl.Layer{})) // nothing to change is an answer too
	got, err = d.PatchedLayer(ctx, base)
	must(t, err)
	wantEqual(t, got, PatchedLayer{Edition: 1})
}
