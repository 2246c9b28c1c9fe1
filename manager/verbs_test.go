package manager_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func kind(t *testing.T, err error, want sysctl.Kind) {
	t.Helper()
	if got := sysctl.KindOf(err); got != want {
		t.Errorf("kind = %q, want %q: %v", got, want, err)
	}
}

func TestLifecycle(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), sysctl.Conflict)
	kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{}), sysctl.Conflict)
	kind(t, h.Rename(ctx, "web1", "web2"), sysctl.Conflict)
	kind(t, h.Freeze(ctx, "web1"), "")
	kind(t, h.Freeze(ctx, "web1"), "")
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), sysctl.Conflict)
	kind(t, h.Unfreeze(ctx, "web1"), "")
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{}), "")
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), sysctl.Conflict)
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{Force: true}), "")
	kind(t, h.Freeze(ctx, "web1"), sysctl.Conflict)
	kind(t, h.Rename(ctx, "web1", "web2"), "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), sysctl.NotFound)
	kind(t, h.Start(ctx, "web2", manager.StartOptions{}), "")
	if b := h.w.running[1].boot; b.Hostname != "web2" || len(b.NICs) != 1 || b.NICs[0].Link != "sysbr0" || b.IDMap.Base != 1<<20 {
		t.Errorf("boot = %+v", b)
	}
	kind(t, h.Delete(ctx, "web2", manager.DeleteOptions{Force: true}), "")
	if left := h.w.left(); left != "" {
		t.Errorf("left: %s", left)
	}
	if len(h.w.layers) != 1 {
		t.Errorf("the image's layer must stay: %v", h.w.layers)
	}
}

func TestEphemeral(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	make := func() {
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Ephemeral: true}); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(how string) {
		t.Helper()
		if left := h.w.left(); left != "" || len(h.names(t)) != 0 {
			t.Errorf("%s: left %q, %v", how, left, h.names(t))
		}
	}
	make()
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
	gone("stop")
	make()
	r := h.w.running[2]
	kind(t, h.Settle(ctx, 2, r.id, "stop"), "") // it runs: the hook of an older run must not touch it
	if h.w.left() == "" {
		t.Fatal("settle removed a running instance")
	}
	close(r.ended)
	kind(t, h.Settle(ctx, 2, "another run", "stop"), "")
	kind(t, h.Settle(ctx, 2, r.id, "reboot"), "")
	if !slices.Equal(h.w.rebooted, []int64{2}) {
		t.Errorf("of who reboots %v were cleared", h.w.rebooted)
	}
	if len(h.names(t)) != 1 {
		t.Fatal("settle of another run, or of a reboot, deleted the instance")
	}
	kind(t, h.Settle(ctx, 2, r.id, "stop"), "")
	gone("power-off from inside")
	make()
	close(h.w.running[3].ended)
	if _, err := h.Autostart(ctx, manager.AutostartOptions{}); err != nil {
		t.Fatal(err)
	}
	gone("host reboot")
}

// A guest that does not halt is killed when its time is up, and the user is told.
func TestStopTimeout(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.w.running[1].halts = false
	var said []string
	p := func(step string, _, _ int64) { said = append(said, step) }
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{Timeout: 1, Progress: p}), "")
	if h.w.running[1] != nil || !strings.Contains(strings.Join(said, "|"), "killing the guest") {
		t.Errorf("running: %v, said %q", h.w.running, said)
	}
}

// Everything wrong with a create is said at once, and nothing is changed.
func TestCreateBadInput(t *testing.T) {
	h := newHouse(t)
	o := manager.CreateOptions{Source: "debian12", Name: "1bad_", Profiles: []string{"default", "nope"},
		Config: map[string]string{"limits.memory": "lots", "limits.cpus": "1", "boot.autostart": "maybe"},
		IPs:    []string{"192.168.7.7"}}
	_, err := h.Create(t.Context(), o)
	var fe sysctl.FieldErrors
	if !errors.As(err, &fe) {
		t.Fatalf("error = %v, want FieldErrors", err)
	}
	var fields []string
	for _, f := range fe {
		fields = append(fields, f.Field)
	}
	want := []string{"name", "profile", "boot.autostart", "limits.cpus", "limits.memory", "devices.eth0.ipv4.address"}
	if !reflect.DeepEqual(fields, want) {
		t.Errorf("fields = %q, want %q", fields, want)
	}
	for name, o := range map[string]manager.CreateOptions{
		"outside":   {Source: "debian12", Name: "a", IPs: []string{"192.168.7.7"}},
		"no net":    {Source: "debian12", Name: "a", Network: "nope"},
		"ip no net": {Source: "debian12", Name: "a", Network: "none", IPs: []string{"10.99.0.9"}},
	} {
		_, err := h.Create(t.Context(), o)
		t.Run(name, func(t *testing.T) { kind(t, err, sysctl.Invalid) })
	}
	_, err = h.Create(t.Context(), manager.CreateOptions{Source: "debian99", Name: "a"})
	kind(t, err, sysctl.NotFound)
	if sysctl.HintOf(err) == "" {
		t.Error("no hint")
	}
	if len(h.w.calls) != 0 || len(h.names(t)) != 0 {
		t.Errorf("changed something: %v %v", h.w.calls, h.names(t))
	}
}

func TestCreateTakenNameAndAddress(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1"})
	kind(t, err, sysctl.Exists)
	_, err = h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web2", IPs: []string{"10.99.0.2"}})
	kind(t, err, sysctl.Exists)
	if err == nil || !strings.Contains(err.Error(), "web1") {
		t.Errorf("the holder of the address is not named: %v", err)
	}
	if left := h.w.left(); left != "link sy1.0, run 1, upper 1" {
		t.Errorf("on the machine: %s", left)
	}
}

func TestCreateDryRunChangesNothing(t *testing.T) {
	h := newHouse(t)
	plan, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.w.calls) != 0 || len(h.names(t)) != 0 || !plan.Build || len(plan.Steps) < 5 {
		t.Errorf("calls %v, rows %v, plan %+v", h.w.calls, h.names(t), plan)
	}
}

// What is taken is refused before the image is built, and so by a dry run too.
func TestCreateRefusesWhatIsTakenFirst(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	kind(t, h.DeleteImage(t.Context(), "debian12"), "")
	calls := len(h.w.calls)
	nic := func(option, value string) map[string]sysctl.Device {
		return map[string]sysctl.Device{"eth0": {"type": "nic", "network": "sysbr0", option: value}}
	}
	for name, c := range map[string]struct {
		o    manager.CreateOptions
		want sysctl.Kind
	}{
		"address":  {manager.CreateOptions{IPs: []string{"10.99.0.2"}}, sysctl.Exists},
		"option":   {manager.CreateOptions{Devices: nic("ipv6.address", "fd99::2")}, sysctl.Exists},
		"MAC":      {manager.CreateOptions{Devices: nic("hwaddr", "00:16:3E:00:01:04")}, sysctl.Exists},
		"outside":  {manager.CreateOptions{IPs: []string{"192.168.7.7"}}, sysctl.Invalid},
		"profiles": {manager.CreateOptions{Profiles: []string{"default", "default"}}, sysctl.Invalid},
		"disk":     {manager.CreateOptions{Start: true, Devices: map[string]sysctl.Device{"d": {"type": "disk", "source": "/nowhere", "path": "/d"}}}, sysctl.NotFound},
		"free":     {manager.CreateOptions{IPs: []string{"10.99.0.9"}, DryRun: true}, ""},
	} {
		for _, dry := range []bool{true, c.o.DryRun} {
			c.o.Source, c.o.Name, c.o.DryRun = "debian12", "web2", dry
			_, err := h.Create(t.Context(), c.o)
			t.Run(fmt.Sprint(name, dry), func(t *testing.T) { kind(t, err, c.want) })
		}
	}
	if len(h.w.calls) != calls {
		t.Errorf("something was begun: %v", h.w.calls[calls:])
	}
}

func TestCreateKeep(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web0")
	h.w.calls, h.w.failAt = nil, 5
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Keep: true})
	if err == nil {
		t.Fatal("no error")
	}
	if _, err := h.db.Instance(t.Context(), "web1"); err != nil || !h.w.uppers[2] {
		t.Errorf("not kept: %v %v", err, h.w.uppers)
	}
}

func TestGeneratedNames(t *testing.T) {
	h := newHouse(t)
	for i := 1; i <= 2; i++ {
		plan, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian/12"})
		if want := fmt.Sprintf("debian12-%d", i); err != nil || plan.Instance.Name != want {
			t.Errorf("name = %q, %v, want %q", plan.Instance.Name, err, want)
		}
	}
}

// 24 launches by as many goroutines: all get their own address and id range; of those who want the same
// name exactly one wins; the image is built once.
func TestLaunchConcurrently(t *testing.T) {
	h := newHouse(t)
	var wg sync.WaitGroup
	errs := make([]error, 24)
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := fmt.Sprintf("web%d", i)
			if i >= 20 {
				name = "same"
			}
			_, errs[i] = h.Create(context.Background(), manager.CreateOptions{Source: "debian12", Name: name, Start: true})
		}()
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		switch {
		case i < 20 && err != nil:
			t.Errorf("web%d: %v", i, err)
		case i >= 20 && err == nil:
			won++
		case i >= 20:
			kind(t, err, sysctl.Exists)
		}
	}
	if won != 1 {
		t.Errorf("%d launches won the same name", won)
	}
	all, err := h.List(t.Context())
	if err != nil || len(all) != 21 {
		t.Fatalf("%d instances, %v", len(all), err)
	}
	seen := map[any]string{}
	for _, i := range all {
		for _, key := range []any{i.IDMap.Base, i.NICs[0].IPv4, i.NICs[0].IPv6, i.NICs[0].MAC} {
			if other, dup := seen[key]; dup {
				t.Errorf("%v is %s's and %s's", key, other, i.Name)
			}
			seen[key] = i.Name
		}
	}
	builds := strings.Count(strings.Join(h.w.calls, "\n")+"\n", "build\n")
	if builds != 1 || h.w.staging != 0 {
		t.Errorf("%d builds, %d stagings left", builds, h.w.staging)
	}
}

func TestSetConfig(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	text := func(s string) *string { return &s }
	live, err := h.SetConfig(ctx, "web1", map[string]*string{"limits.memory": text("64MiB"), "limits.cpu": text("2"), "user.note": text("hi"), "environment.A": text("b")})
	if err != nil {
		t.Fatal(err)
	}
	if b := h.w.running[1].boot; b.Memory != 64<<20 || b.CPUs != "1,2" {
		t.Errorf("limits did not reach the runtime: %+v (live %v)", b, live)
	}
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"limits.memory": text("x"), "user.note": nil})
	kind(t, err, sysctl.Invalid)
	inst, _ := h.db.Instance(ctx, "web1")
	if inst.Config["user.note"] != "hi" || inst.Config["limits.memory"] != "64MiB" {
		t.Errorf("a refused change changed something: %v", inst.Config)
	}
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"security.privileged": text("true")})
	kind(t, err, sysctl.Invalid)
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"limits.memroy": nil})
	kind(t, err, sysctl.Invalid)
	absent := []string{"devices.none", "devices.none.mtu", "security.privileged"}
	live, err = h.SetConfig(ctx, "web1", map[string]*string{absent[0]: nil, absent[1]: nil, absent[2]: nil})
	if err != nil || !reflect.DeepEqual(live, absent) {
		t.Errorf("unset of what is not set: in force %v, %v", live, err)
	}
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"limits.memory": nil})
	kind(t, err, "")
	if b := h.w.running[1].boot; b.Memory != 0 {
		t.Errorf("memory limit is still %d", b.Memory)
	}
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"devices.eth0.type": text("nic"), "devices.eth0.network": text("sysbr0"), "devices.eth0.ipv4.address": text("10.99.0.77")})
	kind(t, err, "")
	if inst, _ = h.db.Instance(ctx, "web1"); inst.NICs[0].IPv4.String() != "10.99.0.77" {
		t.Errorf("NICs = %+v", inst.NICs)
	}
}

func TestSetConfigAddress(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	h.launch(t, "web2")
	text := func(s string) *string { return &s }
	_, err := h.SetConfig(ctx, "web2", map[string]*string{"devices.eth0.type": text("nic"), "devices.eth0.network": text("sysbr0"),
		"devices.eth0.ipv4.address": text("10.99.0.2")})
	kind(t, err, sysctl.Exists)
	if inst, _ := h.db.Instance(ctx, "web2"); len(inst.Devices) != 0 || inst.NICs[0].IPv4.String() != "10.99.0.3" {
		t.Errorf("a refused change changed something: %+v", inst)
	}
	_, err = h.SetConfig(ctx, "web2", map[string]*string{"devices.eth0.mtu": text("1400")})
	kind(t, err, sysctl.Invalid)
	if hint := sysctl.HintOf(err); hint != "sysctl config set web2 devices.eth0.network=sysbr0 devices.eth0.type=nic devices.eth0.mtu=1400: eth0 is a profile's, and one of its own replaces it as a whole" {
		t.Errorf("hint %q", hint)
	}
}

func TestProfiles(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	kind(t, h.CreateProfile(ctx, sysctl.Profile{Name: "small", Config: map[string]string{"limits.memory": "x"}}), sysctl.Invalid)
	kind(t, h.CreateProfile(ctx, sysctl.Profile{Name: "small", Config: map[string]string{"limits.memory": "128MiB"}}), "")
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web1", Profiles: []string{"default", "small"}, Start: true})
	kind(t, err, "")
	if m := h.w.running[1].boot.Memory; m != 128<<20 {
		t.Errorf("memory = %d", m)
	}
	kind(t, h.DeleteProfile(ctx, "small"), sysctl.Conflict)
	kind(t, h.UpdateProfile(ctx, sysctl.Profile{Name: "small", Config: map[string]string{"security.privileged": "true"}}, nil), sysctl.Invalid)
	_, users, err := h.Profile(ctx, "small")
	if err != nil || !reflect.DeepEqual(users, []string{"web1"}) {
		t.Errorf("users = %v, %v", users, err)
	}
}

func TestExecIdentity(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, c := range []struct {
		o    manager.ExecOptions
		want string
	}{
		{manager.ExecOptions{Argv: []string{"id"}}, "0 0 [] /root id PATH="},
		{manager.ExecOptions{Argv: []string{"id"}}, "SHELL=/bin/bash"},
		{manager.ExecOptions{Argv: []string{"id"}, User: "bob"}, "1000 1000 [27 4] /home/bob id PATH="},
		{manager.ExecOptions{Argv: []string{"id"}, User: "1000", Group: "adm", Cwd: "/etc"}, "1000 4 [27 4] /etc id PATH="},
		{manager.ExecOptions{Argv: []string{"id"}, User: "4242"}, "4242 4242 [] / id PATH="},
		{manager.ExecOptions{Login: true}, "LANG=de_DE.UTF-8"},
		{manager.ExecOptions{Login: true}, "/bin/bash -l"},
		{manager.ExecOptions{Argv: []string{"id"}, Env: []string{"HOME=/x"}}, "HOME=/x"},
	} {
		out.Truncate(0)
		out.Seek(0, 0)
		c.o.Stdout = out
		status, err := h.Exec(t.Context(), "web1", c.o)
		b, _ := os.ReadFile(out.Name())
		if err != nil || status != 7 || !strings.Contains(string(b), c.want) {
			t.Errorf("%+v: %d, %v, %q lacks %q", c.o, status, err, b, c.want)
		}
	}
	_, err = h.Exec(t.Context(), "web1", manager.ExecOptions{Argv: []string{"id"}, User: "nobody-here"})
	kind(t, err, sysctl.NotFound)
	_, err = h.Exec(t.Context(), "web1", manager.ExecOptions{Argv: []string{"id"}, Cwd: "/nope"})
	kind(t, err, sysctl.NotFound)
	_, err = h.Exec(t.Context(), "web1", manager.ExecOptions{Argv: []string{"id"}, Cwd: "etc"})
	kind(t, err, sysctl.Invalid)
	_, err = h.Exec(t.Context(), "nope", manager.ExecOptions{Argv: []string{"id"}})
	kind(t, err, sysctl.NotFound)
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{}), "")
	_, err = h.Exec(t.Context(), "web1", manager.ExecOptions{Argv: []string{"id"}})
	kind(t, err, sysctl.Conflict)
}

func TestDeleteImageKeepsUsedLayers(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	kind(t, h.DeleteImage(ctx, "debian12"), "")
	if len(h.w.layers) != 1 {
		t.Errorf("layers = %v: an instance uses one", h.w.layers)
	}
	kind(t, h.Restart(ctx, "web1", manager.StopOptions{}), "")
	kind(t, h.Delete(ctx, "web1", manager.DeleteOptions{Force: true}), "")
	if len(h.w.layers) != 0 {
		t.Errorf("layers = %v: nobody uses any", h.w.layers)
	}
}

// Copies of layers with the ids of a range are there for as long as an instance has both.
func TestCopiesAreCollected(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	h.launch(t, "web1")
	h.launch(t, "web2")
	of := func(name string) sysctl.LayerCopy {
		inst, err := h.DB.Instance(ctx, name)
		kind(t, err, "")
		return sysctl.LayerCopy{Layer: inst.Layers[0], Base: inst.IDMap.Base, Size: inst.IDMap.Size}
	}
	one, two := of("web1"), of("web2")
	other := one
	other.Layer = "abcdef"
	h.w.copies = []sysctl.LayerCopy{one, other, two, {Base: 7, Size: 7}}
	kind(t, h.Delete(ctx, "web2", manager.DeleteOptions{Force: true}), "")
	if !slices.Equal(h.w.copies, []sysctl.LayerCopy{one}) {
		t.Errorf("copies %+v, want that of web1", h.w.copies)
	}
	kind(t, h.Stop(ctx, "web1", manager.StopOptions{Force: true}), "")
	h.w.shifts = true // somebody has another kernel now
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "web3"})
	kind(t, err, "")
	kind(t, h.Delete(ctx, "web3", manager.DeleteOptions{}), "")
	if len(h.w.copies) != 0 {
		t.Errorf("copies %+v that nobody uses", h.w.copies)
	}
	h.w.copies, h.w.shifts = []sysctl.LayerCopy{one}, false
	base := "3000000"
	_, err = h.SetConfig(ctx, "web1", map[string]*string{"security.idmap.base": &base})
	kind(t, err, "")
	kind(t, h.Start(ctx, "web1", manager.StartOptions{}), "")
	if len(h.w.copies) != 0 {
		t.Errorf("copies %+v of ids that the instance had", h.w.copies)
	}
}

func TestAutostartOrder(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	for name, prio := range map[string]string{"last": "1", "first": "10", "never": ""} {
		c := map[string]string{}
		if prio != "" {
			c = map[string]string{"boot.autostart": "true", "boot.autostart.priority": prio}
		}
		if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: name, Config: c}); err != nil {
			t.Fatal(err)
		}
	}
	results, err := h.Autostart(ctx, manager.AutostartOptions{})
	want := []manager.AutostartResult{{Name: "first"}, {Name: "last"}}
	if err != nil || !reflect.DeepEqual(results, want) {
		t.Errorf("results = %v, %v", results, err)
	}
	if len(h.w.running) != 2 {
		t.Errorf("%d run", len(h.w.running))
	}
}

// What waits for a lock can be interrupted, and says what it waits for.
func TestLockWaitIsInterruptible(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.w.running[1].halts = false
	ctx, cancel := context.WithCancel(t.Context())
	holding := make(chan struct{})
	done := make(chan error)
	go func() {
		done <- h.Stop(ctx, "web1", manager.StopOptions{Progress: func(step string, _, _ int64) {
			if step == "halt" {
				close(holding)
			}
		}})
	}()
	<-holding
	ctx2, cancel2 := context.WithCancel(t.Context())
	err := h.Start(ctx2, "web1", manager.StartOptions{Progress: func(step string, _, _ int64) {
		if !strings.Contains(step, "waiting for another command") {
			t.Errorf("said %q", step)
		}
		cancel2()
	}})
	kind(t, err, sysctl.Canceled)
	cancel()
	kind(t, <-done, sysctl.Canceled)
	if h.w.running[1] == nil {
		t.Error("an interrupted stop killed the guest")
	}
}

func TestRemoveAll(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	kind(t, h.RemoveAll(t.Context(), false, nil), sysctl.Conflict)
	kind(t, h.RemoveAll(t.Context(), true, nil), "")
	if left := h.w.left(); left != "" || len(h.w.layers) != 0 || len(h.w.bridges) != 0 {
		t.Errorf("left: %q, layers %v, bridges %v", left, h.w.layers, h.w.bridges)
	}
}

// Where liblxc sets the addresses it can give one default route of each family only.
func TestOneGatewayFromTheRuntime(t *testing.T) {
	h := newHouse(t)
	h.w.none = true
	second := map[string]sysctl.Device{"eth1": {"type": "nic", "network": "sysbr0", "hwaddr": "00:16:3e:00:00:99"}}
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Devices: second, Start: true}); err != nil {
		t.Fatal(err)
	}
	nics := h.w.running[1].boot.NICs
	if len(nics) != 2 || !nics[0].Gateway4.IsValid() || nics[1].Gateway4.IsValid() || nics[1].Gateway6.IsValid() || len(nics[1].Addresses) == 0 {
		t.Errorf("boot NICs = %+v", nics)
	}
}

// What a killed build has left must not take the room of the next one until the host boots.
func TestBuildSweepsFirst(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	if h.w.swept != 1 {
		t.Errorf("swept %d times", h.w.swept)
	}
}

// On an interface of the host an instance has the address its old server had, or asks the LAN.
func TestLAN(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	ip := []string{"192.168.9.7"}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "old", Network: "lan:eth9", IPs: ip, Start: true}); err != nil {
		t.Fatal(err)
	}
	if n := h.w.running[1].boot.Wiring.Plugged[0]; n.Type != "macvlan" || n.Link != "eth9" || n.HostName != "" {
		t.Errorf("boot NIC = %+v", n)
	}
	g := h.w.network.NICs[0]
	if len(g.Addresses) != 1 || g.Addresses[0].String() != "192.168.9.7/24" || g.Gateway4.String() != "192.168.9.1" || g.Method6 != sysctl.MethodSLAAC {
		t.Errorf("guest NIC = %+v", g)
	}
	if _, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "br", Network: "lan:br9", Start: true}); err != nil {
		t.Fatal(err)
	}
	if n := h.w.running[2].boot.NICs[0]; n.Type != "veth" || n.Link != "br9" {
		t.Errorf("boot NIC = %+v", n)
	}
	if g := h.w.network.NICs[0]; g.Method4 != sysctl.MethodDHCP || len(g.Addresses) != 0 {
		t.Errorf("guest NIC = %+v", g)
	}
	dev := map[string]sysctl.Device{"lan": {"type": "nic", "nictype": "bridged", "parent": "eth9"}}
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "x", Devices: dev})
	if kind(t, err, sysctl.Invalid); err == nil || !strings.Contains(err.Error(), "eth9 is no bridge") {
		t.Errorf("bridged on a network card: %v", err)
	}
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "x", Network: "lan:nope"})
	kind(t, err, sysctl.Invalid)
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "x", Network: "lan:eth9", IPs: []string{"10.0.0.1"}})
	kind(t, err, sysctl.Invalid)
}

// What a nic's options say of addresses, gateways, routes and DNS is what the guest is told.
func TestNICOptions(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	nic := func(more ...string) map[string]sysctl.Device {
		d := sysctl.Device{"type": "nic"}
		for i := 0; i < len(more); i += 2 {
			d[more[i]] = more[i+1]
		}
		return map[string]sysctl.Device{"eth0": d}
	}
	bare := []string{"nictype", "macvlan", "parent", "bare9"} // an interface without an address
	for _, c := range []struct {
		name    string
		devices map[string]sysctl.Device
		want    string // addresses, gateways, routes, DNS, search
		bad     string
	}{
		{"managed", nic("network", "sysbr0", "ipv4.gateway", "10.99.0.77", "ipv6.gateway", "none", "ipv4.routes", "192.0.2.0/24 via 10.99.0.5",
			"dns.nameservers", "10.99.0.53", "dns.search", "lan, example.org"),
			"[10.99.0.2/24 fd99::2/64] 10.99.0.77 invalid IP [{192.0.2.0/24 10.99.0.5 0 false}] [10.99.0.53] [lan example.org]", ""},
		{"further", nic("network", "sysbr0", "ipv4.address", "10.99.0.9, 192.0.2.9/32"), "[10.99.0.9/24 fd99::2/64 192.0.2.9/32] 10.99.0.1 fd99::1 [] [] []", ""},
		{"two on one network", nic("network", "sysbr0", "ipv4.address", "10.99.0.9,10.99.0.10/24"), "", "only the first address"},
		{"no address there", nic(append(bare, "ipv4.address", "192.0.2.5")...), "", "write it as 192.0.2.5/LENGTH"},
		{"length", nic(append(bare, "ipv4.address", "192.0.2.5/24", "ipv6.address", "none")...), "[192.0.2.5/24] invalid IP invalid IP [] [] []", ""},
		{"length and gateway", nic(append(bare, "ipv4.address", "192.0.2.5/32", "ipv4.gateway", "198.51.100.1", "ipv6.address", "fd00::5/64", "ipv6.gateway", "fe80::1")...),
			"[192.0.2.5/32 fd00::5/64] 198.51.100.1 fe80::1 [] [] []", ""},
		{"length in its subnet", nic("nictype", "macvlan", "parent", "eth9", "ipv4.address", "192.168.9.7/25", "ipv6.address", "none"),
			"[192.168.9.7/25] 192.168.9.1 invalid IP [] [] []", ""},
	} {
		_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "x", Devices: c.devices, Start: true})
		if c.bad != "" {
			if kind(t, err, sysctl.Invalid); err == nil || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		n := h.w.network
		g := n.NICs[0]
		if got := fmt.Sprint(g.Addresses, " ", g.Gateway4, " ", g.Gateway6, " ", g.Routes, " ", n.DNS, " ", n.Search); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
		kind(t, h.Delete(ctx, "x", manager.DeleteOptions{Force: true}), "")
	}
	h = newHouse(t)
	h.w.none = true // the runtime sets addresses, but knows no routes
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "y", Network: "lan:bare9", IPs: []string{"192.0.2.5/24"}, Start: true})
	if err != nil || fmt.Sprint(h.w.running[1].boot.Wiring.Plugged[0].Addresses) != "[192.0.2.5/24]" {
		t.Errorf("%+v, %v", h.w.running, err)
	}
	_, err = h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "z", Devices: nic("network", "sysbr0", "ipv6.routes", "2001:db8::/32"), Start: true})
	kind(t, err, sysctl.Unsupported)
}

// A half-made instance that somebody works on is not reported as broken.
func TestListWhileMaking(t *testing.T) {
	h := newHouse(t)
	var seen []manager.Info
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "web1", Start: true, Progress: func(step string, _, _ int64) {
		if step == "boot" {
			seen, _ = h.List(context.Background())
		}
	}})
	if err != nil || len(seen) != 1 || seen[0].State.Status == sysctl.Broken || len(seen[0].State.Problems) != 1 {
		t.Errorf("list during launch: %+v, %v", seen, err)
	}
}

// An image with several names loses the one that is deleted, and goes with the last.
func TestDeleteImageByAlias(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	_, err := h.Create(ctx, manager.CreateOptions{Source: "debian12", Name: "a"})
	kind(t, err, "")
	image, err := h.Image(ctx, "debian12")
	kind(t, err, "")
	kind(t, h.db.SetAlias(ctx, "again", image.ID), "")
	kind(t, h.DeleteImage(ctx, "again"), "")
	if _, err := h.Image(ctx, "debian12"); err != nil {
		t.Errorf("the image went with one of its names: %v", err)
	}
	_, err = h.Image(ctx, "again")
	kind(t, err, sysctl.NotFound)
	kind(t, h.DeleteImage(ctx, "debian12"), "")
	_, err = h.Image(ctx, image.ID)
	kind(t, err, sysctl.NotFound)
}

// Between two lives of a guest that reboots there is a monitor and no init: stop ends it all the same.
func TestStopWhileRebooting(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	close(h.w.running[1].ended)
	list, err := h.List(t.Context())
	if err != nil || list[0].State.Status != sysctl.Stopped || len(list[0].State.Problems) != 1 {
		t.Errorf("listed as %+v, %v", list, err)
	}
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{}), "")
	if left := h.w.left(); left != "upper 1" {
		t.Errorf("left: %s", left)
	}
}
