package manager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// exported makes an instance with two snapshots and a profile, and an archive of it.
func exported(t *testing.T, h house, o manager.ExportOptions) []byte {
	t.Helper()
	if err := h.CreateProfile(t.Context(), sysctl.Profile{Name: "big", Config: map[string]string{"limits.memory": "1GiB"}, Devices: map[string]sysctl.Device{}}); err != nil {
		t.Fatal(err)
	}
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Profiles: []string{"default", "big"}, Config: map[string]string{"user.a": "b"},
		Devices: map[string]sysctl.Device{"eth0": {"type": "nic", "network": "sysbr0", "hwaddr": "00:16:3e:11:22:33"}}})
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "web1", "a")
	week, _ := sysctl.ParseExpiry("1w")
	if _, err := h.Snapshot(t.Context(), "web1", "one", manager.SnapshotOptions{Expiry: &week}); err != nil {
		t.Fatal(err)
	}
	h.write(t, "web1", "b")
	snap(t, h, "web1", "two")
	h.write(t, "web1", "c")
	return export(t, h, "web1", o)
}

func export(t *testing.T, h house, name string, o manager.ExportOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := h.Export(t.Context(), name, &b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (h house) imports(t *testing.T, data []byte, o manager.ImportInstanceOptions) (string, error) {
	t.Helper()
	var told []string
	o.Note = func(s string) { told = append(told, s) }
	_, err := h.Import(t.Context(), bytes.NewReader(data), o)
	return strings.Join(told, "\n"), err
}

// What was exported comes back on another host, under another name too.
func TestExportAndImport(t *testing.T) {
	h := newHouse(t)
	data := exported(t, h, manager.ExportOptions{})
	list, err := h.Snapshots(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	there := newHouse(t)
	there.w.layers = map[string]bool{}
	for _, c := range []struct{ name, told string }{
		{"", "profile big was not here and was made"},
		{"web2", "devices.eth0.hwaddr=00:16:3e:11:22:33 cannot be had here: left out"},
	} {
		told, err := there.imports(t, data, manager.ImportInstanceOptions{Name: c.name})
		if err != nil || told != c.told {
			t.Fatalf("told %q: %v", told, err)
		}
		name := c.name
		if name == "" {
			name = "web1"
		}
		inst := there.instance(t, name)
		if got := there.files(t, name); got != "a b c" || !inst.Ready || inst.Config["user.a"] != "b" || !slices.Equal(inst.Profiles, []string{"default", "big"}) {
			t.Errorf("%s has %q: %+v", name, got, inst)
		}
		back, err := there.Snapshots(t.Context(), name)
		if err != nil || len(back) != 2 || back[0].Name != "one" || !back[0].Expires.Equal(list[0].Expires) || back[1].Name != "two" {
			t.Fatalf("snapshots %+v: %v", back, err)
		}
		for snap, want := range map[string]string{"two": "a b", "one": "a"} {
			kind(t, there.Restore(t.Context(), name, snap, manager.StartOptions{}), "")
			if got := there.files(t, name); got != want {
				t.Errorf("%s/%s has %q", name, snap, got)
			}
		}
		kind(t, there.Start(t.Context(), name, manager.StartOptions{}), "")
	}
	if there.w.fresh != 0 {
		t.Error("it lost its identity")
	}
	if _, err := there.imports(t, data, manager.ImportInstanceOptions{Name: "web3", Fresh: true}); err != nil || there.w.fresh != 1 {
		t.Errorf("%d got an identity of their own: %v", there.w.fresh, err)
	}
	_, err = there.imports(t, data, manager.ImportInstanceOptions{})
	kind(t, err, sysctl.Exists)
	_, err = there.imports(t, data, manager.ImportInstanceOptions{Name: "1st"})
	kind(t, err, sysctl.Invalid)
	for _, name := range there.names(t) {
		kind(t, there.Delete(t.Context(), name, manager.DeleteOptions{Force: true}), "")
	}
	if left := there.w.left(); left != "" || len(there.w.layers) != 0 {
		t.Errorf("left: %s, layers %v", left, there.w.layers)
	}
	// The source is what it was.
	if got := h.files(t, "web1"); got != "a b c" || h.snapshots(t, "web1") != "one two" {
		t.Errorf("the source has %q, %s", got, h.snapshots(t, "web1"))
	}
}

func TestExportOfARunningOne(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.write(t, "web1", "a")
	layers := len(h.w.layers)
	calls := len(h.w.calls)
	data := export(t, h, "web1", manager.ExportOptions{InstanceOnly: true})
	if got := h.w.changed(calls); !slices.Equal(got, []string{"hold", "stage", "release", "commit copy", "sum", "sum", "write archive", "delete layer"}) {
		t.Errorf("it does %q", got)
	}
	if h.status(t, "web1") != sysctl.Running || len(h.w.layers) != layers {
		t.Errorf("it is %s, with %d layers more", h.status(t, "web1"), len(h.w.layers)-layers)
	}
	if _, err := h.imports(t, data, manager.ImportInstanceOptions{Name: "web2"}); err != nil || h.files(t, "web2") != "a" {
		t.Errorf("%v", err)
	}
	kind(t, h.Export(t.Context(), "web1", &bytes.Buffer{}, manager.ExportOptions{Compression: "rar"}), sysctl.Invalid)
	kind(t, h.Export(t.Context(), "web9", &bytes.Buffer{}, manager.ExportOptions{}), sysctl.NotFound)
}

// Changed copies are no part of an archive; asked for, they lie on top of what the instance and each of its snapshots was, and
// are files like any other for who imports it. Nothing of them stays on the host that it is from but what its next start
// would make anyway.
func TestExportWithCompat(t *testing.T) {
	for _, running := range []bool{false, true} {
		h := newHouse(t)
		exported(t, h, manager.ExportOptions{})
		if running {
			kind(t, h.Start(t.Context(), "web1", manager.StartOptions{}), "")
			h.write(t, "web1", "d")
		}
		index := func(o manager.ExportOptions) (a struct {
			Instance  struct{ Layers []int }
			Snapshots []struct{ Layers []int }
		}) {
			t.Helper()
			var f fakeArchive
			if err := errors.Join(json.Unmarshal(export(t, h, "web1", o), &f), json.Unmarshal(f.Index, &a)); err != nil {
				t.Fatal(err)
			}
			return a
		}
		plain := index(manager.ExportOptions{})
		if h.w.scanned != 0 {
			t.Errorf("nobody asked, and %d lists were looked into", h.w.scanned)
		}
		var told []string
		with := manager.ExportOptions{WithCompat: true, Note: func(s string) { told = append(told, s) }}
		changed := index(with)
		more := func(a, b []int) bool { return len(b) == len(a)+1 }
		if !more(plain.Instance.Layers, changed.Instance.Layers) || !more(plain.Snapshots[0].Layers, changed.Snapshots[0].Layers) || !more(plain.Snapshots[1].Layers, changed.Snapshots[1].Layers) {
			t.Errorf("with copies %+v, without %+v", changed, plain)
		}
		if h.w.scanned != 3 || len(told) != 1 || !strings.HasPrefix(told[0], "/a: it looks as if") {
			t.Errorf("looked %d times, told %q", h.w.scanned, told)
		}
		if inst := h.instance(t, "web1"); inst.Patched.Any() {
			t.Errorf("the instance itself has %+v", inst.Patched)
		}
		data := export(t, h, "web1", with)
		there := newHouse(t)
		there.w.layers = map[string]bool{}
		if _, err := there.imports(t, data, manager.ImportInstanceOptions{}); err != nil {
			t.Fatal(err)
		}
		if inst := there.instance(t, "web1"); len(inst.Layers) != len(changed.Instance.Layers) || inst.Patched.Any() {
			t.Errorf("imported: %+v", inst)
		}
		told = nil
		h.w.nothing = true
		h.write(t, "web1", "e")
		if got := index(manager.ExportOptions{WithCompat: true, InstanceOnly: true, Note: with.Note}); len(got.Instance.Layers) != len(h.instance(t, "web1").Layers)+map[bool]int{true: 1}[running] {
			t.Errorf("nothing to change, and there are layers %v", got.Instance.Layers)
		}
		if len(told) != 1 || !strings.HasPrefix(told[0], "none of its programs is known") {
			t.Errorf("told %q", told)
		}
		kind(t, h.Delete(t.Context(), "web1", manager.DeleteOptions{Force: true}), "")
		if list, err := h.Images(t.Context()); err != nil || h.layersLeft(t) != len(list[0].Layers) {
			t.Errorf("%d layers are left, %v", h.layersLeft(t), err)
		}
	}
}

// So with an image's tarball.
func TestExportImageWithCompat(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	image := h.instance(t, "web1").Image
	for _, with := range []bool{false, true} {
		var told []string
		o := manager.ImageExportOptions{WithCompat: with, Note: func(s string) { told = append(told, s) }}
		kind(t, h.ExportImage(t.Context(), image, &bytes.Buffer{}, o), "")
		if h.w.scanned != map[bool]int{true: 1}[with] || (len(told) > 0) != with {
			t.Errorf("with %v: looked %d times, told %q", with, h.w.scanned, told)
		}
		if opened := h.w.openedLayers; len(opened) != map[bool]int{false: 1, true: 2}[with] {
			t.Errorf("with %v: %v", with, opened)
		}
	}
	kind(t, h.ExportImage(t.Context(), "nobody", &bytes.Buffer{}, manager.ImageExportOptions{WithCompat: true}), sysctl.NotFound)
}

func TestThinArchive(t *testing.T) {
	h := newHouse(t)
	data := exported(t, h, manager.ExportOptions{Thin: true})
	if _, err := h.imports(t, data, manager.ImportInstanceOptions{Name: "web2"}); err != nil || h.files(t, "web2") != "a b c" {
		t.Errorf("%v", err)
	}
	there := newHouse(t)
	_, err := there.imports(t, data, manager.ImportInstanceOptions{})
	if kind(t, err, sysctl.NotFound); !strings.Contains(sysctl.HintOf(err), "without --thin") {
		t.Errorf("hint %q", sysctl.HintOf(err))
	}
}

// An archive that was changed anywhere is refused, and nothing of it is left.
func TestImportOfATamperedArchive(t *testing.T) {
	h := newHouse(t)
	data := exported(t, h, manager.ExportOptions{})
	change := func(f func(a *fakeArchive, index map[string]any)) []byte {
		var a fakeArchive
		var index map[string]any
		if json.Unmarshal(data, &a) != nil || json.Unmarshal(a.Index, &index) != nil {
			t.Fatal("no archive")
		}
		f(&a, index)
		a.Index, _ = json.Marshal(index)
		b, _ := json.Marshal(a)
		return b
	}
	part := func(v any, name string) map[string]any { return v.(map[string]any)[name].(map[string]any) }
	for name, c := range map[string]struct {
		f    func(a *fakeArchive, index map[string]any)
		want string
	}{
		"a file":          {func(a *fakeArchive, _ map[string]any) { a.Layers[1].Words = []string{"evil"} }, "layer 2 of the archive is not what its index says"},
		"the last layer":  {func(a *fakeArchive, _ map[string]any) { a.Layers = a.Layers[:3] }, "ends before layer 4 of 4"},
		"a middle layer":  {func(a *fakeArchive, _ map[string]any) { a.Layers = slices.Delete(a.Layers, 1, 2) }, "layer 3 comes where layer 2 of 4 should"},
		"a layer more":    {func(a *fakeArchive, _ map[string]any) { a.Layers = append(a.Layers, fakeLayer{Number: 5}) }, "one too many"},
		"another version": {func(_ *fakeArchive, i map[string]any) { i["version"] = 2 }, "version 2"},
		"another format":  {func(_ *fakeArchive, i map[string]any) { i["format"] = "x" }, "no archive of an instance"},
		"no layer":        {func(_ *fakeArchive, i map[string]any) { part(i, "instance")["layers"] = []int{9} }, "there is no layer 9"},
		"no layers":       {func(_ *fakeArchive, i map[string]any) { part(i, "instance")["layers"] = []int{} }, "instance.layers: there is none"},
		"no profile":      {func(_ *fakeArchive, i map[string]any) { i["profiles"] = []any{} }, `there is no profile \"big\"`},
		"a bad name":      {func(_ *fakeArchive, i map[string]any) { part(i, "instance")["name"] = "../x" }, "instance.name"},
		"a bad key": {func(_ *fakeArchive, i map[string]any) {
			part(i, "instance")["config"] = map[string]string{"limits.memory": "much"}
		}, "limits.memory"},
		"two snapshots": {func(_ *fakeArchive, i map[string]any) {
			s := i["snapshots"].([]any)
			s[1].(map[string]any)["name"] = "one"
		}, "two of the name one"},
		"a bad snapshot": {func(_ *fakeArchive, i map[string]any) { i["snapshots"].([]any)[1].(map[string]any)["name"] = "a/b" }, "must not contain"},
	} {
		t.Run(name, func(t *testing.T) {
			there := newHouse(t)
			there.w.layers = map[string]bool{}
			_, err := there.imports(t, change(c.f), manager.ImportInstanceOptions{})
			if k := sysctl.KindOf(err); k != sysctl.Invalid && k != sysctl.Unsupported || !strings.Contains(err.Error(), strings.ReplaceAll(c.want, `\"`, `"`)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if left := there.w.left(); left != "" || len(there.names(t)) > 0 || len(there.w.layers) > 0 {
				t.Errorf("left: %s, %v, layers %v", left, there.names(t), there.w.layers)
			}
			if _, _, err := there.Profile(t.Context(), "big"); sysctl.KindOf(err) != sysctl.NotFound {
				t.Errorf("the profile stayed: %v", err)
			}
		})
	}
}

// What is asked for and is not on this host is changed, and said.
func TestImportElsewhere(t *testing.T) {
	h := newHouse(t)
	h.create(t, "web1")
	data := export(t, h, "web1", manager.ExportOptions{})
	var a fakeArchive
	var index map[string]any
	if json.Unmarshal(data, &a) != nil || json.Unmarshal(a.Index, &index) != nil {
		t.Fatal("no archive")
	}
	instance := index["instance"].(map[string]any)
	instance["devices"] = map[string]sysctl.Device{
		"eth0":  {"type": "nic", "network": "lab7", "ipv4.address": "10.77.0.5", "name": "lan0"},
		"eth10": {"type": "nic", "nictype": "macvlan", "parent": "enp99s0"},
		"data":  {"type": "disk", "source": "/no/such/place", "path": "/mnt"},
	}
	a.Index, _ = json.Marshal(index)
	data, _ = json.Marshal(a)
	told, err := h.imports(t, data, manager.ImportInstanceOptions{Name: "web2"})
	want := "interface enp99s0 is not on this host: eth10 is on sysbr0"
	if err != nil || !strings.Contains(told, want) || !strings.Contains(told, "network lab7 is not on this host: eth0 is on sysbr0") ||
		!strings.Contains(told, "disk data: /no/such/place does not exist on this host: it does not start without") {
		t.Errorf("told %q: %v", told, err)
	}
	if inst := h.instance(t, "web2"); len(inst.NICs) != 2 || inst.NICs[0].Name != "lan0" {
		t.Errorf("nics %+v", inst.NICs)
	}
}

// An import that fails anywhere leaves no instance; the next one goes on behind the layers that were unpacked, and what nobody
// comes back for is collected after a day.
func TestImportFaultAtEveryStep(t *testing.T) {
	source := newHouse(t)
	data := exported(t, source, manager.ExportOptions{})
	unpacked := 0
	verb := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Import(ctx, bytes.NewReader(data), manager.ImportInstanceOptions{Name: "web2"})
		return err
	}
	setup := func(t *testing.T, h house, ctx context.Context) error {
		h.w.layers = map[string]bool{}
		return nil
	}
	everyFault(t, setup, verb, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if left := h.w.left(); left != "" || len(h.names(t)) > 0 {
			t.Errorf("left: %s, %v", left, h.names(t))
		}
		kept := len(h.w.layers)
		calls := len(h.w.calls)
		if err := verb(t, h, t.Context()); err != nil {
			t.Fatal(err)
		}
		again := 0
		for _, c := range h.w.calls[calls:] {
			if c == "unpack layer" {
				again++
			}
		}
		if again+kept != 4 && again+kept != 5 { // a layer that was put into its place and has no row is put there again
			t.Errorf("%d layers were kept and %d unpacked again", kept, again)
		}
		unpacked = max(unpacked, kept)
		if got := h.files(t, "web2"); got != "a b c" {
			t.Errorf("it has %q", got)
		}
	})
	if unpacked == 0 {
		t.Error("nothing was ever kept")
	}
}

// What an interrupted import has kept goes after a day, with the next collection.
func TestKeptLayersExpire(t *testing.T) {
	source := newHouse(t)
	data := exported(t, source, manager.ExportOptions{})
	for _, ago := range []time.Duration{time.Hour, 25 * time.Hour} {
		h := newHouse(t)
		h.Now = func() time.Time { return time.Now().Add(-ago) }
		h.create(t, "web5")
		before := len(h.w.layers)
		h.w.calls, h.w.failAt = nil, 6 // while the second layer of it is unpacked
		_, err := h.Import(t.Context(), bytes.NewReader(data), manager.ImportInstanceOptions{})
		if h.w.failAt = 0; err == nil || ago < 24*time.Hour && len(h.w.layers) <= before {
			t.Fatalf("%v: kept %v; calls %q", err, h.w.layers, h.w.calls)
		}
		kind(t, h.Delete(t.Context(), "web5", manager.DeleteOptions{}), "")
		if kept := len(h.w.layers) > before; kept != (ago < 24*time.Hour) {
			t.Errorf("%v ago: kept is %v; calls %q", ago, kept, h.w.calls)
		}
	}
}
