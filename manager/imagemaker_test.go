package manager_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl/manager"
)

// Of layers that come from a source each is made once, whatever image they are in, and ours is on top.
func TestLayersAreMadeOnce(t *testing.T) {
	h := newHouse(t)
	var images [][]string
	for _, parts := range [][]string{{"base", "a"}, {"base", "b"}} {
		h.w.parts = parts
		b, err := h.PullImage(t.Context(), manager.PullOptions{Ref: "oci:hub.example/team/" + parts[1]})
		if err != nil || len(b.Image.Layers) != 3 || b.Image.Size != 30 {
			t.Fatalf("%+v %v", b, err)
		}
		images = append(images, b.Image.Layers)
	}
	if want := []string{"base", "a", "b"}; !slices.Equal(h.w.filled, want) || images[0][0] != images[1][0] || images[0][1] == images[1][1] {
		t.Errorf("made %q: %q", h.w.filled, images)
	}
	if err := h.DeleteImage(t.Context(), "team/a"); err != nil {
		t.Fatal(err)
	}
	if len(h.w.layers) != 3 || !h.w.layers[images[0][0]] {
		t.Errorf("layers %v", h.w.layers)
	}
	if err := h.DeleteImage(t.Context(), "team/b"); err != nil {
		t.Fatal(err)
	}
	if len(h.w.layers) != 0 || h.w.left() != "" {
		t.Errorf("layers %v, left %s", h.w.layers, h.w.left())
	}
	// What is remembered of a layer that is gone is nothing.
	if _, err := h.PullImage(t.Context(), manager.PullOptions{Ref: "oci:hub.example/team/b"}); err != nil || len(h.w.filled) != 5 {
		t.Errorf("made %q %v", h.w.filled, err)
	}
}

// A pull or build of several layers that fails anywhere leaves none of them, and the same works afterwards.
func TestLayersFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, _ context.Context) error {
		h.w.parts, h.w.script, h.w.trees, h.w.edition = []string{"base", "a"}, "install it", t.TempDir(), "e1"
		return nil
	}
	for name, verb := range map[string]func(h house, ctx context.Context) error{
		"pull": func(h house, ctx context.Context) error {
			_, err := h.PullImage(ctx, manager.PullOptions{Ref: "oci:hub.example/team/a"})
			return err
		},
		"build": func(h house, ctx context.Context) error {
			_, err := h.BuildTemplate(ctx, manager.BuildOptions{Template: "debian12"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(t *testing.T, h house, ctx context.Context) error { return verb(h, ctx) }
			everyFault(t, setup, run, func(t *testing.T, h house, err error) {
				if !errors.Is(err, errInjected) && !errors.Is(err, context.Canceled) {
					t.Fatalf("error = %v", err)
				}
				if rows, err := h.db.Layers(t.Context()); err != nil || len(rows) != 0 || h.w.left() != "" {
					t.Errorf("left: %v %v %s", rows, err, h.w.left())
				}
				if err := run(t, h, t.Context()); err != nil {
					t.Fatalf("second try: %v", err)
				}
			})
		})
	}
}
