package db

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
)

func layerIDs(t *testing.T, list []sysctl.Layer, err error) string {
	t.Helper()
	must(t, err)
	ids := make([]string, len(list))
	for i, l := range list {
		ids[i] = l.ID
	}
	return strings.Join(ids, " ")
}

func TestAddImage(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	want := sysctl.Image{
		ID: "abcdef01", Aliases: []string{"debian12", "stable"}, Layers: []string{"l2", "l1", "l3"}, Arch: "amd64",
		Guest: sysctl.Guest{ID: "debian"}, Description: "d", Template: "debian12", Source: "s", Size: 7, Created: epoch.Add(time.Second),
	}
	layers := []sysctl.Layer{{ID: "l3", Size: 3, Created: epoch.Add(time.Minute)}, {ID: "l1", Size: 99}} // l1 is there
	for range 2 {
		must(t, d.AddImage(ctx, want, layers))
	}
	for _, ref := range []string{"debian12", "stable", "abcdef01", "abcd"} {
		got, err := d.Image(ctx, ref)
		must(t, err)
		wantEqual(t, got, want)
	}
	l3, err := d.Layer(ctx, "l3")
	must(t, err)
	wantEqual(t, l3, layers[0])
	l1, err := d.Layer(ctx, "l1")
	must(t, err)
	wantEqual(t, l1, sysctl.Layer{ID: "l1", Created: epoch})

	// An alias moves to a newer image; the same image again keeps what it was.
	must(t, d.AddImage(ctx, sysctl.Image{ID: "abcd9999", Aliases: []string{"debian12"}}, nil))
	must(t, d.AddImage(ctx, sysctl.Image{ID: "abcdef01", Aliases: []string{"old"}, Description: "changed"}, nil))
	list, err := d.Images(ctx)
	must(t, err)
	want.Aliases = []string{"old", "stable"}
	wantEqual(t, list, []sysctl.Image{
		want, // the newest
		{ID: "abcd9999", Aliases: []string{"debian12"}, Layers: []string{}, Created: epoch},
		{ID: "img", Aliases: []string{}, Layers: []string{"l1", "l2"}, Created: epoch},
	})

	err = unchanged(t, d, func() error {
		return d.AddImage(ctx, sysctl.Image{ID: "new", Aliases: []string{"stable"}, Layers: []string{"l4", "l5"}}, []sysctl.Layer{{ID: "l4"}})
	})
	wantKind(t, err, sysctl.NotFound, "layer l5")
}

func TestImageRefs(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	for _, i := range []sysctl.Image{{ID: "aaaa1111"}, {ID: "aaaa2222"}, {ID: "bbbb1111", Aliases: []string{"aaaa2222", "aaaa", "debian12"}}} {
		must(t, d.AddImage(ctx, i, nil))
	}
	for ref, want := range map[string]string{
		"aaaa1111": "aaaa1111", "aaaa1": "aaaa1111", "bbbb": "bbbb1111",
		"aaaa2222": "bbbb1111", "aaaa": "bbbb1111", // aliases win
	} {
		got, err := d.Image(ctx, ref)
		must(t, err)
		if got.ID != want {
			t.Errorf("%s means %s, want %s", ref, got.ID, want)
		}
	}
	must(t, d.SetAlias(ctx, "aaaa", "aaaa1111"))
	got, err := d.Image(ctx, "aaaa")
	must(t, err)
	wantEqual(t, got.ID, "aaaa1111")
	wantKind(t, d.SetAlias(ctx, "aaaa", "absent"), sysctl.NotFound, "image absent")

	must(t, d.AddImage(ctx, sysctl.Image{ID: "aaab1111"}, nil))
	must(t, d.AddImage(ctx, sysctl.Image{ID: "aaab2222"}, nil))
	for ref, kind := range map[string]sysctl.Kind{
		"aaab": sysctl.Invalid, "bbb": sysctl.NotFound, "bbbb1111x": sysctl.NotFound, "": sysctl.NotFound, "%%%%": sysctl.NotFound,
	} {
		_, err := d.Image(ctx, ref)
		wantKind(t, err, kind, "sysctl image list")
	}
	_, err = d.Image(ctx, "debain12")
	wantKind(t, err, sysctl.NotFound, "did you mean debian12?")
}

func TestLayersAreKeptWhileNamed(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	must(t, d.AddImage(ctx, sysctl.Image{ID: "img2", Layers: []string{"l2", "l3"}, Aliases: []string{"x"}}, []sysctl.Layer{{ID: "l3"}, {ID: "l4"}}))
	c := bare("web1")
	c.Instance.Layers, c.Instance.Image = []string{"l1"}, "img"
	inst := mustClaim(t, d, c)
	unused := func(want string) {
		t.Helper()
		list, err := d.UnusedLayers(ctx)
		if got := layerIDs(t, list, err); got != want {
			t.Errorf("unused: %q, want %q", got, want)
		}
	}
	unused("l4")
	wantKind(t, d.DeleteLayer(ctx, "l1"), sysctl.Conflict, "layer l1", "image img, instance web1")
	for range 2 { // absent is success
		must(t, d.DeleteImage(ctx, "img"))
	}
	unused("l4")
	wantKind(t, d.DeleteLayer(ctx, "l1"), sysctl.Conflict, "instance web1")
	wantKind(t, d.DeleteLayer(ctx, "l2"), sysctl.Conflict, "image img2")
	must(t, d.DeleteInstance(ctx, inst.ID))
	unused("l1 l4")
	must(t, d.DeleteImage(ctx, "img2"))
	unused("l1 l2 l3 l4")
	for _, id := range []string{"l1", "l1", "l2", "l3"} {
		must(t, d.DeleteLayer(ctx, id))
	}
	list, err := d.Layers(ctx)
	wantEqual(t, layerIDs(t, list, err), "l4")
	_, err = d.Layer(ctx, "l1")
	wantKind(t, err, sysctl.NotFound, "layer l1")
	_, err = d.Image(ctx, "x")
	wantKind(t, err, sysctl.NotFound)

	// An instance may be claimed on the layers of an image that is gone.
	c.Instance.Layers, c.Instance.Image = []string{"l4"}, "img2"
	if inst := mustClaim(t, d, c); inst.Image != "img2" {
		t.Errorf("image %q", inst.Image)
	}
}

// A layer may be there before an image names it, and is unused until one does.
func TestAddLayer(t *testing.T) {
	d := newDB(t)
	ctx := context.Background()
	l := sysctl.Layer{ID: "l9", Size: 3, Created: epoch.Add(time.Minute)}
	must(t, d.AddLayer(ctx, l))
	must(t, d.AddLayer(ctx, sysctl.Layer{ID: "l9", Size: 99}))
	got, err := d.Layer(ctx, "l9")
	must(t, err)
	wantEqual(t, got, l)
	unused, err := d.UnusedLayers(ctx)
	if !strings.Contains(layerIDs(t, unused, err), "l9") {
		t.Errorf("unused: %v", unused)
	}
	must(t, d.AddImage(ctx, sysctl.Image{ID: "abcdef01", Layers: []string{"l9"}}, nil))
	unused, err = d.UnusedLayers(ctx)
	if strings.Contains(layerIDs(t, unused, err), "l9") {
		t.Errorf("unused: %v", unused)
	}
}
