package manager_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// old is a guest that needs a measure where cgroup v1 is not there.
func old() sysctl.Guest {
	return sysctl.Guest{ID: "centos", Version: "7", Init: "systemd", InitVersion: "219", Arch: "amd64", Libc: "glibc", LibcVersion: "2.17", Renderer: "ifcfg"}
}

func ids(v sysctl.Verdict) string {
	var s []string
	for _, m := range v.Measures {
		if m.ID != "nofile" && m.ID != "private-devices" { // which every guest of that age has
			s = append(s, m.ID)
		}
	}
	for _, r := range v.Refusals {
		s = append(s, "!"+r.ID)
	}
	for _, r := range v.Notes {
		if r.ID != "cgroup-named-seen" { // which every guest with the measure has
			s = append(s, "?"+r.ID)
		}
	}
	return strings.Join(s, " ")
}

// What a name is: an instance, else an image, else a template, else a path.
func TestCheckGuest(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.w.host, h.w.os = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true}, old()
	t.Chdir(t.TempDir())
	for _, dir := range []string{"web1", "debian12", "tree", "some/tree"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name, kindOf, known, want string) {
		t.Helper()
		c, err := h.CheckGuest(ctx, manager.DetectOptions{Path: name})
		if err != nil || c.Name != name || c.Kind != kindOf || c.Known != known || ids(c.Verdict) != want || c.Boots != !strings.Contains(want, "!") {
			t.Errorf("%s: %+v, %v; want %s by its %s: %s", name, c, err, kindOf, known, want)
		}
	}
	absolute, err := filepath.Abs("tree")
	if err != nil {
		t.Fatal(err)
	}
	check("debian12", "template", "recipe", "cgroup-named")
	check("debian/12", "template", "recipe", "cgroup-named")
	check("./debian12", "tree", "files", "cgroup-named")
	check("some/tree", "tree", "files", "cgroup-named")
	check(absolute, "tree", "files", "cgroup-named")
	for name, want := range map[string][2]string{
		"tree":      {"no instance, image or template is called so; a path has a slash", "sysctl check ./tree"},
		"nothing":   {`no instance or image is called so: no template is called "nothing"`, "sysctl template list"},
		"no/thing":  {"no image or template is called so, and there is no such file or directory", ""},
		"./nothing": {"no such file or directory", ""},
	} {
		_, err := h.CheckGuest(ctx, manager.DetectOptions{Path: name})
		kind(t, err, sysctl.NotFound)
		if err.Error() != "check "+name+": "+want[0] || sysctl.HintOf(err) != want[1] {
			t.Errorf("%s: %v, hint %q", name, err, sysctl.HintOf(err))
		}
	}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Config: map[string]string{"compat.cgroup-named": "off"}}); err != nil {
		t.Fatal(err)
	}
	check("debian12", "image", "image", "cgroup-named")
	check("debian/12", "image", "image", "cgroup-named")
	check("web1", "instance", "files", "?cgroup-named")
	check("./web1", "tree", "files", "cgroup-named")

	// The guest was upgraded from inside.
	h.w.os.InitVersion, h.w.print = "252", "changed"
	check("web1", "instance", "files", "")
	check("debian12", "image", "image", "cgroup-named")
	h.w.os.Init, h.w.os.InitVersion = "", ""
	check("web1", "instance", "files", "?unknown-guest")

	// What a launch is given when nothing is said.
	p, err := h.DB.Profile(ctx, "default")
	if err != nil {
		t.Fatal(err)
	}
	p.Config["compat.cgroup-named"] = "off"
	if err := h.UpdateProfile(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	check("debian12", "image", "image", "?cgroup-named")

	h.w.os, h.w.print = old(), "again"
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "debian12", Config: map[string]string{"compat.cgroup-named": "on"}}); err != nil {
		t.Fatal(err)
	}
	check("debian12", "instance", "files", "cgroup-named")
	check("debian/12", "image", "image", "?cgroup-named")
}

func TestCheckTemplates(t *testing.T) {
	h := newHouse(t)
	h.w.host, h.w.os = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true}, old()
	all, err := h.CheckTemplates(t.Context())
	if len(all) != 1 || all[0].Name != "debian12" || all[0].Known != "recipe" || ids(all[0].Verdict) != "cgroup-named" {
		t.Errorf("%+v", all)
	}
	kind(t, err, sysctl.NotFound) // what is wrong with the broken one
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "debian12"}); err != nil {
		t.Fatal(err)
	}
	h.w.os.InitVersion = "252"
	if all, _ := h.CheckTemplates(t.Context()); len(all) != 1 || all[0].Known != "image" || ids(all[0].Verdict) != "cgroup-named" {
		t.Errorf("%+v", all)
	}
}

// A launch and a start say once which measures they take, and what a recipe promised is looked at in what was built.
func TestStartTellsOfMeasures(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.w.host, h.w.os = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true}, old()
	var notes []string
	note := func(line string) {
		if strings.HasPrefix(line, "measure ") { // not what a build tells
			line, _, _ = strings.Cut(line, ": ")
			notes = append(notes, line)
		}
	}
	said := func(want ...string) {
		t.Helper()
		if !slices.Equal(notes, want) {
			t.Errorf("said %q, want %q", notes, want)
		}
		notes = nil
	}
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Note: note})
	kind(t, err, "")
	said("measure cgroup-named")
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Note: note}), "")
	said("measure cgroup-named")
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"compat.uname26": ptr("on")})
	kind(t, err, "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{Note: note}), "")
	said("measure cgroup-named") // not of what the user asked for
	if got := h.w.booted.Measures; len(got) < 2 || got[1].ID != "uname26" || !got[1].Forced {
		t.Errorf("booted with %+v", got)
	}
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web2", Start: true, Note: note, Config: map[string]string{"compat.cgroup-named": "off"}})
	kind(t, err, "")
	said("measure cgroup-named")
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web3", Note: note})
	kind(t, err, "")
	said()
}

// A template that promises what its tree does not hold is refused when that is known, and nothing is left.
func TestBuiltGuestIsJudgedAgain(t *testing.T) {
	h := newHouse(t)
	h.w.host, h.w.os = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true, Named: "it was forbidden"}, old()
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true})
	kind(t, err, sysctl.Unsupported)
	if slices.Contains(h.w.calls, "build") {
		t.Error("it was built")
	}
	h.w.promised = sysctl.Guest{ID: "debian", Init: "systemd", InitVersion: "252"}
	_, err = h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true})
	kind(t, err, sysctl.Unsupported)
	if !slices.Contains(h.w.calls, "build") || slices.Contains(h.w.calls, "create upper") || h.w.left() != "" || len(h.names(t)) != 0 {
		t.Errorf("%v, left %q", h.w.calls, h.w.left())
	}
}

// Info tells what a run was started with, whatever is configured since, and what the next start would do.
func TestInfoTellsMeasures(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.w.host, h.w.os = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true}, old()
	has := func(want string) {
		t.Helper()
		d, err := h.Info(ctx, "web1")
		if got := ids(sysctl.Verdict{Measures: d.Measures, Refusals: d.Refusals}); err != nil || got != want || d.Measures == nil || d.Refusals == nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true})
	kind(t, err, "")
	has("cgroup-named")
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"compat.uname26": ptr("on"), "compat.cgroup-named": ptr("off")})
	kind(t, err, "")
	has("cgroup-named")
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	has("uname26")
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"compat.uname26": nil, "compat.cgroup-named": nil})
	kind(t, err, "")
	h.w.host.Named = "it was forbidden"
	has("!cgroup-named")
}

// A restart of what would not start again stops nothing, and a guest that was mended while it did not run starts.
func TestGuestIsLookedAtAgain(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.w.host, h.w.os = sysctl.Host{Arch: "amd64", Cgroups: sysctl.CgroupV2, Unified: true}, old()
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true})
	kind(t, err, "")
	h.w.host.Named = "it was forbidden"
	calls := len(h.w.calls)
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{}), sysctl.Unsupported)
	if did := h.w.changed(calls); len(did) > 0 || h.w.running[1] == nil {
		t.Errorf("a refused restart did %v", did)
	}
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), sysctl.Unsupported)
	h.w.os.InitVersion, h.w.print = "252", "changed"
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	if ids(sysctl.Verdict{Measures: h.w.booted.Measures}) != "" {
		t.Errorf("booted with %v", h.w.booted.Measures)
	}
}

func ptr(s string) *string { return &s }
