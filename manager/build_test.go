package manager_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (h house) build(t *testing.T, o manager.BuildOptions) manager.Build {
	t.Helper()
	o.Template = "debian12"
	b, err := h.BuildTemplate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An image is built once for the same inputs, and the newest has the template's name.
func TestBuildTemplate(t *testing.T) {
	h := newHouse(t)
	h.w.edition = "e1"
	first := h.build(t, manager.BuildOptions{})
	if again := h.build(t, manager.BuildOptions{}); first.Cached || !again.Cached || again.Image.ID != first.Image.ID || h.w.staging != 0 {
		t.Errorf("first %+v, again %+v, %d stagings", first, again, h.w.staging)
	}
	other := h.build(t, manager.BuildOptions{Set: map[string]string{"a": "b"}})
	if other.Cached || other.Image.ID == first.Image.ID || !slices.Contains(other.Image.Aliases, "debian12") {
		t.Errorf("other variables: %+v", other)
	}
	if back := h.build(t, manager.BuildOptions{}); !back.Cached || back.Image.ID != first.Image.ID || !slices.Contains(back.Image.Aliases, "debian12") {
		t.Errorf("the first inputs again: %+v", back)
	}
	if again := h.build(t, manager.BuildOptions{Rebuild: true}); again.Cached || again.Image.ID == first.Image.ID {
		t.Errorf("rebuilt: %+v", again)
	}
	if err := h.DeleteImage(t.Context(), first.Image.ID); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(h.BuiltDir); err != nil || len(left) != 3 {
		t.Errorf("notes of a deleted image: %v %v", left, err)
	}
	if _, err := h.BuildTemplate(t.Context(), manager.BuildOptions{Template: "nobody"}); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("nobody: %v", err)
	}
}

// A launch takes what was built last, whatever with, and builds where the recipe has changed since.
func TestLaunchBuildsWhatIsStale(t *testing.T) {
	h := newHouse(t)
	h.w.edition = "e1"
	want := h.build(t, manager.BuildOptions{Set: map[string]string{"a": "b"}})
	launch := func(name string) string {
		t.Helper()
		plan, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian/12", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return plan.Image
	}
	if got := launch("web1"); got != want.Image.ID {
		t.Errorf("launched %s, built was %s", got, want.Image.ID)
	}
	h.w.edition = "e2"
	plan, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web2", DryRun: true})
	if err != nil || !plan.Build {
		t.Errorf("the recipe has changed: %+v %v", plan, err)
	}
	h.w.calls, h.w.failAt = nil, 2
	if _, err = h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web2"}); err == nil || !strings.Contains(sysctl.HintOf(err), "sysctl launch "+sysctl.ShortID(want.Image.ID)) {
		t.Errorf("a build that fails: %v (hint %q)", err, sysctl.HintOf(err))
	}
	h.w.failAt = 0
	got := launch("web2")
	if got == want.Image.ID || launch("web3") != got {
		t.Errorf("launched %s", got)
	}
	// By its id an image is what it is.
	if plan, err := h.Create(t.Context(), manager.CreateOptions{Source: want.Image.ID, Name: "web4"}); err != nil || plan.Image != want.Image.ID {
		t.Errorf("%+v %v", plan, err)
	}
	h.w.edition = "" // the template is gone: its image stays good
	if launch("web5") != got {
		t.Error("an image whose template is gone was built again")
	}
}

// A script runs in an instance over the tree itself, with another init, and nothing of that is left in the tree.
func TestBuildRunsInAnInstance(t *testing.T) {
	for name, x := range map[string]struct {
		base map[string]string
		want map[string]string
	}{
		"no init":     {nil, map[string]string{"/etc/resolv.conf": "", "/sbin/init": ""}},
		"has an init": {map[string]string{"/sbin/init": "the init", "/etc/resolv.conf": "old"}, map[string]string{"/etc/resolv.conf": "old", "/sbin/init": "the init"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.w.script, h.w.trees, h.w.base = "install it", t.TempDir(), x.base
			h.build(t, manager.BuildOptions{})
			for file, want := range x.want {
				if got, err := h.w.built.ReadFile(file); string(got) != want || want == "" && err == nil {
					t.Errorf("%s: %q %v", file, got, err)
				}
			}
			if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
				t.Errorf("left: %s %v", left, h.names(t))
			}
			if n := h.w.booted.NICs; len(n) != 1 || len(n[0].Addresses) == 0 || !n[0].Gateway4.IsValid() || h.w.booted.IDMap.Size == 0 {
				t.Errorf("booted with %+v", h.w.booted)
			}
			if !slices.Contains(h.w.calls, "exec") || !slices.Contains(h.w.calls, "runtime start") {
				t.Errorf("calls: %q", h.w.calls)
			}
		})
	}
	h := newHouse(t)
	h.w.script, h.w.trees = "install it", t.TempDir()
	h.build(t, manager.BuildOptions{Offline: true, Set: map[string]string{"another": "one"}})
	if len(h.w.booted.NICs) != 0 {
		t.Errorf("offline it has a network: %+v", h.w.booted.NICs)
	}
	h.w.status = 100
	_, err := h.BuildTemplate(t.Context(), manager.BuildOptions{Template: "debian12"})
	if sysctl.KindOf(err) != sysctl.Unavailable || !strings.Contains(err.Error(), "in an instance: exit status 100: one; two") {
		t.Errorf("a script that fails: %v", err)
	}
	if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
		t.Errorf("left: %s %v", left, h.names(t))
	}
}

// A build that fails anywhere leaves nothing, and the same build works afterwards.
func TestBuildFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, _ context.Context) error {
		h.w.script, h.w.trees, h.w.edition = "install it", t.TempDir(), "e1"
		return nil
	}
	build := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.BuildTemplate(ctx, manager.BuildOptions{Template: "debian12"})
		return err
	}
	everyFault(t, setup, build, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if err := build(t, h, t.Context()); err != nil {
			t.Fatalf("second try: %v", err)
		}
		if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
			t.Errorf("left: %s %v", left, h.names(t))
		}
	})
}

// What a build that was killed has left is removed by the next one, and nobody else can have its name.
func TestBuildNames(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"sysctl-build-x", "SYSCTL-build-x"} {
		if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name}); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "for building templates") {
			t.Errorf("create %s: %v", name, err)
		}
	}
	h.launch(t, "web1")
	if err := h.Rename(t.Context(), "web1", "sysctl-build-web"); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("rename: %v", err)
	}
}

// A pull makes an image of its own name, and does not make it again.
func TestPullImage(t *testing.T) {
	h := newHouse(t)
	for ref, alias := range map[string]string{
		"images:debian/12": "debian/12", "oci:hub.example:5000/team/app:7": "team/app:7", "docker://debian:12": "debian:12", "oci:hub.example/a/b@sha256:" + strings.Repeat("a", 64): "a/b",
	} {
		b, err := h.PullImage(t.Context(), manager.PullOptions{Ref: ref})
		if err != nil || b.Cached || !slices.Equal(b.Image.Aliases, []string{alias}) {
			t.Errorf("%s: %+v %v", ref, b, err)
		}
		again, err := h.PullImage(t.Context(), manager.PullOptions{Ref: ref, Alias: "mine"})
		if err != nil || !again.Cached || again.Image.ID != b.Image.ID || !slices.Contains(again.Image.Aliases, "mine") {
			t.Errorf("%s again: %+v %v", ref, again, err)
		}
	}
	if _, err := h.PullImage(t.Context(), manager.PullOptions{Ref: "x:y", Alias: "not a name"}); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("bad alias: %v", err)
	}
	h.w.calls, h.w.failAt = nil, 2
	if _, err := h.PullImage(t.Context(), manager.PullOptions{Ref: "x:y"}); !errors.Is(err, errInjected) || h.w.staging != 0 {
		t.Errorf("a pull that fails: %v, %d stagings", err, h.w.staging)
	}
}
