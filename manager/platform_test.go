package manager_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// What is for another architecture gets a name of its own, and a launch of the template does not take it.
func TestPlatform(t *testing.T) {
	h := newHouse(t)
	h.w.edition = "e1"
	h.w.host = sysctl.Host{Arch: "amd64", IA32: true}
	own := h.build(t, manager.BuildOptions{Platform: "linux/amd64"})
	if again := h.build(t, manager.BuildOptions{}); !again.Cached || again.Image.ID != own.Image.ID {
		t.Errorf("this machine's own platform is another build: %+v", again)
	}
	small := h.build(t, manager.BuildOptions{Platform: "linux/386"})
	if small.Cached || !slices.Equal(small.Image.Aliases, []string{"debian12/i386"}) {
		t.Errorf("for i386: %+v", small)
	}
	for source, want := range map[string]string{"debian12": own.Image.ID, "debian12/i386": small.Image.ID} {
		plan, err := h.Create(t.Context(), manager.CreateOptions{Source: source, Name: "w" + strings.ReplaceAll(source, "/", "-")})
		if err != nil || plan.Image != want || plan.Build {
			t.Errorf("launched %s: %+v %v", source, plan, err)
		}
	}
	for alias, want := range map[string]string{"": "debian/12/i386", "mine": "mine"} {
		b, err := h.PullImage(t.Context(), manager.PullOptions{Ref: "images:debian/12", Alias: alias, Platform: "i386"})
		if err != nil || !slices.Contains(b.Image.Aliases, want) {
			t.Errorf("pulled as %q: %+v %v", alias, b, err)
		}
	}
}

// What this host cannot run is refused before anything is got.
func TestPlatformRefused(t *testing.T) {
	for platform, c := range map[string]struct {
		host sysctl.Host
		kind sysctl.Kind
		why  string
	}{
		"linux/arm64":   {sysctl.Host{Arch: "amd64", IA32: true}, sysctl.Unsupported, "platform linux/arm64: this guest cannot boot here: its programs are for arm64, this host's processor is amd64"},
		"linux/386":     {sysctl.Host{Arch: "amd64"}, sysctl.Unsupported, "platform linux/386: this guest cannot boot here: "},
		"windows/amd64": {sysctl.Host{Arch: "amd64"}, sysctl.Invalid, "guests are Linux, and that is windows"},
	} {
		h := newHouse(t)
		h.w.host = c.host
		_, pulled := h.PullImage(t.Context(), manager.PullOptions{Ref: "images:debian/12", Platform: platform})
		_, built := h.BuildTemplate(t.Context(), manager.BuildOptions{Template: "debian12", Platform: platform})
		for _, err := range []error{pulled, built} {
			if sysctl.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.why) || sysctl.HintOf(err) == "" {
				t.Errorf("%s: %v (hint %q)", platform, err, sysctl.HintOf(err))
			}
		}
		if len(h.w.calls) > 0 {
			t.Errorf("%s: %v was done", platform, h.w.calls)
		}
	}
	h := newHouse(t)
	h.w.host = sysctl.Host{Arch: "amd64", Emulated: "arm64"}
	if b, err := h.PullImage(t.Context(), manager.PullOptions{Ref: "images:debian/12", Platform: "linux/arm64"}); err != nil || !slices.Equal(b.Image.Aliases, []string{"debian/12/arm64"}) {
		t.Errorf("emulated: %+v %v", b, err)
	}
}
