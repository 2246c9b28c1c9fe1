package manager_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// write has an instance's guest write a word.
func (h house) write(t *testing.T, name, word string) {
	t.Helper()
	id := h.instance(t, name).ID
	h.w.wrote[id] = append(h.w.wrote[id], word)
}

// files is all that an instance's guest sees of what was written.
func (h house) files(t *testing.T, name string) string {
	t.Helper()
	inst := h.instance(t, name)
	var words []string
	for _, l := range inst.Stack() {
		if !h.w.layers[l] {
			t.Errorf("%s: layer %s is missing", name, l)
		}
		words = append(words, h.w.sealed[l]...)
	}
	return strings.Join(append(words, h.w.wrote[inst.ID]...), " ")
}

func (h house) create(t *testing.T, name string) {
	t.Helper()
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name}); err != nil {
		t.Fatal(err)
	}
}

func (h house) snapshots(t *testing.T, name string) string {
	t.Helper()
	list, err := h.Snapshots(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func snap(t *testing.T, h house, name, snap string) {
	t.Helper()
	if _, err := h.Snapshot(t.Context(), name, snap, manager.SnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.create(t, "web1")
	h.write(t, "web1", "a")
	snap(t, h, "web1", "")
	h.write(t, "web1", "b")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	calls := len(h.w.calls)
	snap(t, h, "web1", "")
	if got := h.w.calls[calls:]; !slices.Equal(got, []string{"hold", "stage", "release", "commit copy"}) {
		t.Errorf("a snapshot of a running one does %q", got)
	}
	memory := "1GiB"
	if _, err := h.SetConfig(ctx, "web1", map[string]*string{"limits.memory": &memory}); err != nil {
		t.Fatal(err)
	}
	h.write(t, "web1", "c")
	if got := h.snapshots(t, "web1"); got != "snap0 snap1" {
		t.Errorf("snapshots %q", got)
	}
	address := h.instance(t, "web1").NICs[0].IPv4
	for _, c := range []struct{ snap, want string }{{"snap0", "a"}, {"snap1", "a b"}, {"snap0", "a"}} {
		kind(t, h.Restore(ctx, "web1", c.snap, manager.StartOptions{}), "")
		inst := h.instance(t, "web1")
		if got := h.files(t, "web1"); got != c.want || inst.Config["limits.memory"] != "" || inst.NICs[0].IPv4 != address {
			t.Errorf("restored %s: %q, want %q; %v", c.snap, got, c.want, inst)
		}
		if h.w.running[inst.ID] == nil {
			t.Error("it ran and was not started again")
		}
	}
	_, err := h.Snapshot(ctx, "web1", "snap1", manager.SnapshotOptions{})
	kind(t, err, sysctl.Exists)
	_, err = h.Snapshot(ctx, "web1", "a/b", manager.SnapshotOptions{})
	kind(t, err, sysctl.Invalid)
	_, err = h.Snapshot(ctx, "web9", "", manager.SnapshotOptions{})
	kind(t, err, sysctl.NotFound)
	kind(t, h.Restore(ctx, "web1", "snap7", manager.StartOptions{}), sysctl.NotFound)
	kind(t, h.RenameSnapshot(ctx, "web1", "snap1", "snap0"), sysctl.Exists)
	kind(t, h.RenameSnapshot(ctx, "web1", "snap1", "good"), "")
	kind(t, h.DeleteSnapshot(ctx, "web1", "snap1"), sysctl.NotFound)
	kind(t, h.DeleteSnapshot(ctx, "web1", "good"), "")
	if n := len(h.w.layers); n != 2 { // the image's and what snap0 has
		t.Errorf("%d layers", n)
	}
	kind(t, h.Freeze(ctx, "web1"), "")
	snap(t, h, "web1", "cold")
	if h.w.running[1].boot.Name != "web1" || !h.w.running[1].frozen {
		t.Error("it was frozen and is not any more")
	}
	kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{Force: true}), "")
	if left := h.w.left(); left != "" || len(h.w.layers) != 1 {
		t.Errorf("left: %s, %d layers", left, len(h.w.layers))
	}
}

// Snapshots of an instance that changes programs in its upper have them as they were.
func TestSnapshotOfChangedPrograms(t *testing.T) {
	h := newHouse(t)
	h.w.host.Vsyscall = sysctl.VsyscallNone
	h.create(t, "web1")
	id := h.instance(t, "web1").ID
	if err := h.db.SetInstancePatched(t.Context(), id, sysctl.Patched{Own: 1}); err != nil {
		t.Fatal(err)
	}
	h.w.patchedUppers[id] = true
	snap(t, h, "web1", "")
	if p := h.instance(t, "web1").Patched; p.Any() {
		t.Errorf("patched: %v", p)
	}
}

func TestCopy(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.create(t, "web1")
	set := func(key, value string) {
		t.Helper()
		if _, err := h.SetConfig(ctx, "web1", map[string]*string{key: &value}); err != nil {
			t.Fatal(err)
		}
	}
	set("limits.memory", "1GiB")
	h.write(t, "web1", "a")
	snap(t, h, "web1", "old")
	h.write(t, "web1", "b")
	copied := func(o manager.CopyOptions, want string) {
		t.Helper()
		made, err := h.Copy(ctx, o)
		if err != nil || len(made) != len(o.Names) {
			t.Fatalf("made %v: %v", made, err)
		}
		src := h.instance(t, "web1")
		for _, name := range o.Names {
			inst := h.instance(t, name)
			if got := h.files(t, name); got != want || !inst.Ready || inst.Ephemeral != o.Ephemeral || inst.Config["limits.memory"] != "1GiB" {
				t.Errorf("%s has %q, want %q: %+v", name, got, want, inst)
			}
			if inst.IDMap == src.IDMap || inst.NICs[0].MAC == src.NICs[0].MAC || inst.NICs[0].IPv4 == src.NICs[0].IPv4 {
				t.Errorf("%s shares ids or addresses with its source: %+v", name, inst)
			}
			if (h.w.running[inst.ID] != nil) != o.Start {
				t.Errorf("%s: started is not %v", name, o.Start)
			}
		}
	}
	copied(manager.CopyOptions{Source: "web1", Snapshot: "old", Names: []string{"c1"}}, "a")
	copied(manager.CopyOptions{Source: "web1", Names: []string{"c2", "c3", "c4"}, Start: true}, "a b")
	h.write(t, "web1", "c")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	copied(manager.CopyOptions{Source: "web1", Names: []string{"c5"}, Ephemeral: true}, "a b c")
	if h.w.fresh != 5 {
		t.Errorf("%d of 5 copies were given an identity of their own", h.w.fresh)
	}
	_, err := h.Copy(ctx, manager.CopyOptions{Source: "web1", Names: []string{"new", "c1"}})
	kind(t, err, sysctl.Exists)
	_, err = h.Copy(ctx, manager.CopyOptions{Source: "web1", Names: []string{"1st"}})
	kind(t, err, sysctl.Invalid)
	_, err = h.Copy(ctx, manager.CopyOptions{Source: "web9", Names: []string{"x"}})
	kind(t, err, sysctl.NotFound)
	// A copy lives on when its source has gone.
	kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{Force: true}), "")
	for name, want := range map[string]string{"c1": "a", "c3": "a b", "c5": "a b c"} {
		if got := h.files(t, name); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	for _, name := range h.names(t) {
		kind(t, h.Delete(ctx, name, manager.DeleteOptions{Force: true}), "")
	}
	if left := h.w.left(); left != "" || len(h.w.layers) != 1 {
		t.Errorf("left: %s, %d layers", left, len(h.w.layers))
	}
}

func TestCopyLeavesFixedAddressesOut(t *testing.T) {
	h := newHouse(t)
	o := manager.CreateOptions{Source: "debian12", Name: "web1", Devices: map[string]sysctl.Device{
		"eth0": {"type": "nic", "network": "sysbr0", "hwaddr": "00:16:3e:11:22:33", "ipv6.address": "none"}}}
	if _, err := h.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var told []string
	_, err := h.Copy(t.Context(), manager.CopyOptions{Source: "web1", Names: []string{"web2"}, Note: func(s string) { told = append(told, s) }})
	if err != nil || !slices.Equal(told, []string{"devices.eth0.hwaddr=00:16:3e:11:22:33 is not copied"}) {
		t.Errorf("told %q, %v", told, err)
	}
	if d := h.instance(t, "web2").Devices["eth0"]; d["hwaddr"] != "" || d["ipv6.address"] != "none" {
		t.Errorf("device %v", d)
	}
}

// An instance that lies on many layers does not get deeper.
func TestSnapshotOfADeepOne(t *testing.T) {
	h := newHouse(t)
	h.create(t, "web1")
	for range 70 {
		h.write(t, "web1", "a")
		snap(t, h, "web1", "")
	}
	if snap(t, h, "web1", ""); len(h.instance(t, "web1").Layers) != 60 {
		t.Error("it got deeper though nothing was written")
	}
	if n := len(h.instance(t, "web1").Layers); n != 60 {
		t.Errorf("%d layers", n)
	}
}

// A snapshot that fails anywhere has made none, or has made it; the instance has what it had, and works.
func TestSnapshotFaultAtEveryStep(t *testing.T) {
	for _, runs := range []bool{false, true} {
		setup := func(t *testing.T, h house, ctx context.Context) error {
			if runs {
				h.launch(t, "web1")
			} else {
				h.create(t, "web1")
			}
			h.write(t, "web1", "a")
			return nil
		}
		verb := func(t *testing.T, h house, ctx context.Context) error {
			_, err := h.Snapshot(ctx, "web1", "snap", manager.SnapshotOptions{})
			return err
		}
		everyFault(t, setup, verb, func(t *testing.T, h house, err error) {
			if !errors.Is(err, errInjected) {
				t.Fatalf("error = %v, want the injected one", err)
			}
			if s := h.status(t, "web1"); runs && s != sysctl.Running && s != sysctl.Frozen {
				t.Errorf("it is %s", s)
			}
			if s := h.status(t, "web1"); s == sysctl.Frozen && !strings.Contains(err.Error(), "release") {
				t.Error("it was left frozen")
			}
			snap(t, h, "web1", "again")
			if s := h.status(t, "web1"); s == sysctl.Frozen {
				t.Error("the next one did not let it go on")
			}
			if got := h.files(t, "web1"); got != "a" {
				t.Errorf("it has %q", got)
			}
			h.write(t, "web1", "b")
			for _, name := range strings.Fields(h.snapshots(t, "web1")) {
				kind(t, h.Restore(t.Context(), "web1", name, manager.StartOptions{}), "")
				if got := h.files(t, "web1"); got != "a" {
					t.Errorf("%s has %q", name, got)
				}
			}
			kind(t, h.Delete(t.Context(), "web1", manager.DeleteOptions{Force: true}), "")
			if left := h.w.left(); left != "" || len(h.w.layers) != 1 {
				t.Errorf("left: %s, %d layers", left, len(h.w.layers))
			}
		})
	}
}

func (h house) status(t *testing.T, name string) sysctl.Status {
	t.Helper()
	d, err := h.Info(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return d.State.Status
}

// A restore that fails anywhere leaves what was there or what the snapshot has, never a mixture.
func TestRestoreFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		h.create(t, "web1")
		h.write(t, "web1", "a")
		snap(t, h, "web1", "snap")
		h.write(t, "web1", "b")
		return h.Start(ctx, "web1", manager.StartOptions{})
	}
	verb := func(t *testing.T, h house, ctx context.Context) error {
		return h.Restore(ctx, "web1", "snap", manager.StartOptions{})
	}
	everyFault(t, setup, verb, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if err := h.Start(t.Context(), "web1", manager.StartOptions{}); err != nil && sysctl.KindOf(err) != sysctl.Conflict {
			t.Errorf("start: %v", err)
		}
		if got := h.files(t, "web1"); got != "a b" && got != "a" {
			t.Errorf("it has %q", got)
		}
		kind(t, h.Restore(t.Context(), "web1", "snap", manager.StartOptions{}), "")
		if got := h.files(t, "web1"); got != "a" {
			t.Errorf("after the second try it has %q", got)
		}
	})
}

// A verb that was killed while a guest was frozen for it leaves it frozen until the next one has its lock. What the user froze stays frozen.
func TestNextVerbLetsItGoOn(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.launch(t, "web2")
	for id := int64(1); id <= 2; id++ {
		h.w.running[id].frozen = true
	}
	h.w.running[1].held = true
	for name, want := range map[string]sysctl.Status{"web1": sysctl.Running, "web2": sysctl.Frozen} {
		note := "x"
		if _, err := h.SetConfig(t.Context(), name, map[string]*string{"user.note": &note}); err != nil {
			t.Fatal(err)
		}
		if s := h.status(t, name); s != want {
			t.Errorf("%s is %s, want %s", name, s, want)
		}
	}
}

// Of several copies all are made or none, whichever fails, and the same call works afterwards.
func TestCopiesFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		h.create(t, "web1")
		return nil
	}
	verb := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Copy(ctx, manager.CopyOptions{Source: "web1", Names: []string{"c2", "c1", "c3"}, Start: true})
		return err
	}
	everyFault(t, setup, verb, func(t *testing.T, h house, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error = %v, want the injected one", err)
		}
		if names := h.names(t); !slices.Equal(names, []string{"web1"}) {
			t.Fatalf("instances: %v", names)
		}
		if left := h.w.left(); left != "upper 1" {
			t.Errorf("left: %s", left)
		}
		if err := verb(t, h, t.Context()); err != nil {
			t.Fatal(err)
		}
		if names := h.names(t); !slices.Equal(names, []string{"c1", "c2", "c3", "web1"}) {
			t.Fatalf("instances: %v", names)
		}
	})
}

// A copy that fails anywhere leaves no half of one, and its source as it was.
func TestCopyFaultAtEveryStep(t *testing.T) {
	setup := func(t *testing.T, h house, ctx context.Context) error {
		h.create(t, "web1")
		h.write(t, "web1", "a")
		return nil
	}
	verb := func(t *testing.T, h house, ctx context.Context) error {
		_, err := h.Copy(ctx, manager.CopyOptions{Source: "web1", Names: []string{"web2"}, Start: true})
		return err
	}
	everyFault(t, setup, verb, func(t *testing.T, h house, err error) {
		if err == nil {
			t.Fatal("no error")
		}
		if names := h.names(t); !slices.Equal(names, []string{"web1"}) {
			t.Fatalf("instances: %v", names)
		}
		if left := h.w.left(); left != "upper 1" {
			t.Errorf("left: %s", left)
		}
		if err := verb(t, h, t.Context()); err != nil {
			t.Fatal(err)
		}
		if a, b := h.files(t, "web1"), h.files(t, "web2"); a != "a" || b != "a" {
			t.Errorf("the source has %q, the copy %q", a, b)
		}
	})
}
