package manager_test

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// setKeys sets keys of web1 and returns the error.
func (h house) setKeys(t *testing.T, pairs ...string) error {
	t.Helper()
	set := map[string]*string{}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = &pairs[i+1]
	}
	_, err := h.SetConfig(t.Context(), "web1", set)
	return err
}

func TestProtection(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	kind(t, h.setKeys(t, "security.protection.delete", "true", "security.protection.start", "true"), "")
	calls := len(h.w.calls)
	err := h.Delete(ctx, "web1", manager.DeleteOptions{Force: true})
	kind(t, err, sysctl.Conflict)
	if hint := sysctl.HintOf(err); hint != "sysctl config set web1 security.protection.delete=false" {
		t.Errorf("hint %q", hint)
	}
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{}), sysctl.Conflict)
	if len(h.w.calls) != calls || h.w.running[1] == nil {
		t.Errorf("something was done: %v", h.w.calls[calls:])
	}
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{Force: true}), "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), sysctl.Conflict)
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web2", Start: true, Config: map[string]string{"security.protection.start": "1"}})
	kind(t, err, sysctl.Conflict)
	kind(t, h.setKeys(t, "security.protection.delete", "", "security.protection.start", ""), "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{Force: true}), "")
}

// An ephemeral instance that is protected stays when it stops, and can be started again.
func TestProtectedEphemeral(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	for _, protect := range []string{"true", "false"} {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Ephemeral: true, Config: map[string]string{"security.protection.delete": protect}})
		kind(t, err, "")
		kind(t, h.Stop(ctx, "web1", manager.StopOptions{Force: true}), "")
		if _, err := h.db.Instance(ctx, "web1"); (err == nil) != (protect == "true") {
			t.Errorf("protected %s: %v", protect, err)
		}
		if protect == "true" {
			kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
			kind(t, h.setKeys(t, "security.protection.delete", "false"), "")
			kind(t, h.Stop(ctx, "web1", manager.StopOptions{Force: true}), "")
		}
	}
}

// Ids that are asked for are claimed at once by what is made, and at its next start by what is there.
func TestIDs(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web2", Start: true,
		Config: map[string]string{"security.idmap.base": "500000", "security.idmap.size": "100000", "raw.idmap": "both 1000 1000"}})
	kind(t, err, "")
	if got, want := h.w.running[2].boot.IDMap, (sysctl.IDMap{Base: 500000, Size: 100000, Raw: "both 1000 1000"}); got != want {
		t.Errorf("web2 runs with %+v", got)
	}
	for _, dry := range []bool{true, false} {
		_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web3", DryRun: dry, Config: map[string]string{"security.idmap.base": "599999"}})
		kind(t, err, sysctl.Exists)
		if !strings.Contains(err.Error(), "web2") {
			t.Errorf("the holder is not named: %v", err)
		}
	}
	kind(t, h.setKeys(t, "security.idmap.base", "550000"), sysctl.Exists)
	kind(t, h.setKeys(t, "security.idmap.base", "700000", "raw.idmap", "uid 700005 7"), sysctl.Invalid)
	before, _ := h.db.Instance(ctx, "web1")
	kind(t, h.setKeys(t, "security.idmap.base", "700000"), "")
	if now, _ := h.db.Instance(ctx, "web1"); now.IDMap != before.IDMap {
		t.Errorf("its ids changed under a running instance: %+v", now.IDMap)
	}
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true}), "")
	now, _ := h.db.Instance(ctx, "web1")
	if want := (sysctl.IDMap{Base: 700000, Size: 65536}); now.IDMap != want || h.w.running[1].boot.IDMap != want {
		t.Errorf("row %+v, run %+v", now.IDMap, h.w.running[1].boot.IDMap)
	}
	// Without a base it keeps what it has; with another size it gets one of the usual block again.
	kind(t, h.setKeys(t, "security.idmap.base", "", "security.idmap.size", "70000"), "")
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{Force: true}), "")
	if now, _ := h.db.Instance(ctx, "web1"); now.IDMap.Size != 70000 || now.IDMap.Base == 700000 {
		t.Errorf("row %+v", now.IDMap)
	}
	made, err := h.Copy(ctx, manager.CopyOptions{Source: "web2", Names: []string{"web4"}})
	kind(t, err, "")
	if len(made) == 1 && (made[0].IDMap.Base == 500000 || made[0].Config["security.idmap.base"] != "") {
		t.Errorf("the copy has %+v", made[0])
	}
}

// Instances that are not isolated have one range, which no other has.
func TestSharedIDs(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	create := func(name string, config map[string]string) (sysctl.IDMap, error) {
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Config: config}); err != nil {
			return sysctl.IDMap{}, err
		}
		inst, err := h.db.Instance(ctx, name)
		return inst.IDMap, err
	}
	own, err := create("web1", nil)
	kind(t, err, "")
	one, err := create("one", map[string]string{"security.idmap.isolated": "false"})
	kind(t, err, "")
	two, err := create("two", map[string]string{"security.idmap.isolated": "false"})
	kind(t, err, "")
	other, err := create("web2", nil)
	kind(t, err, "")
	if one != two || !one.Shared || one.Base == own.Base || other.Base == one.Base || other.Shared {
		t.Errorf("own %+v, shared %+v and %+v, own %+v", own, one, two, other)
	}
	based := map[string]string{"security.idmap.isolated": "false", "security.idmap.base": "3000000"}
	three, err := create("three", based)
	kind(t, err, "")
	four, err := create("four", based)
	kind(t, err, "")
	if want := (sysctl.IDMap{Base: 3000000, Size: 65536, Shared: true}); three != want || four != want {
		t.Errorf("with a base %+v and %+v", three, four)
	}
	for _, dry := range []bool{true, false} {
		for _, config := range []map[string]string{
			{"security.idmap.base": "3000000"},
			{"security.idmap.isolated": "false", "security.idmap.base": "3000001"},
			{"security.idmap.isolated": "false", "security.idmap.base": "3000000", "security.idmap.size": "65537"},
		} {
			_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "bad", DryRun: dry, Config: config})
			kind(t, err, sysctl.Exists)
		}
	}
	// One that is there moves at its next start, and leaves.
	start := func(name, isolated string) sysctl.IDMap {
		_, err := h.SetConfig(ctx, name, map[string]*string{"security.idmap.isolated": &isolated})
		kind(t, err, "")
		kind(t, h.Start(ctx, name, manager.StartOptions{}), "")
		inst, err := h.db.Instance(ctx, name)
		kind(t, err, "")
		return inst.IDMap
	}
	if got := start("web1", "false"); got != one {
		t.Errorf("it shares %+v", got)
	}
	if got := start("one", "true"); got.Shared || got.Base == one.Base || got.Base == other.Base {
		t.Errorf("it has %+v of its own", got)
	}
	kind(t, h.Delete(ctx, "two", manager.DeleteOptions{}), "")
	if got, err := create("five", map[string]string{"security.idmap.isolated": "false"}); err != nil || got != two {
		t.Errorf("a new one shares %+v %v", got, err)
	}
}

func TestUnknownSystemCall(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	err := h.setKeys(t, "security.syscalls.deny", "bpf,frobnicate")
	kind(t, err, sysctl.Invalid)
	if err == nil || !strings.Contains(err.Error(), "security.syscalls.deny: there is no system call") {
		t.Errorf("%v", err)
	}
}
