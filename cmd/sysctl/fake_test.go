package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// fake is a backend in memory. What it holds can be written to a file, so that the commands of a script share it.
type fake struct {
	mu     sync.Mutex
	opened int
	calls  []string

	Instances map[string]*manager.Info     `json:"instances"`
	Pictures  []sysctl.Image               `json:"images"`
	Pieces    map[string]sysctl.Profile    `json:"profiles"`
	Facts     []sysctl.Fact                `json:"facts"`
	Snaps     map[string][]sysctl.Snapshot `json:"snapshots"` // by instance
	Files     map[string]string            `json:"files"`     // of instances: NAME/PATH to content
	Nets      map[string]sysctl.Network    `json:"nets"`
	Last      string                       `json:"last"` // the last request that has no other effect, as JSON

	Mounts []manager.View `json:"views"`

	broken bool // two of its recipes are

	exec func(manager.ExecOptions) (int, error) // nil: a few commands of its own
}

// seeded is a fake with an image, a profile and some instances in a state.
func seeded(status sysctl.Status, names ...string) *fake {
	f := &fake{
		Instances: map[string]*manager.Info{}, Snaps: map[string][]sysctl.Snapshot{},
		Pictures: []sysctl.Image{picture("debian12"), picture("mybox")},
		Pieces: map[string]sysctl.Profile{
			"default": {Name: "default", Description: "what an instance has when nothing is said",
				Config:  map[string]string{"limits.memory": "1GiB"},
				Devices: map[string]sysctl.Device{"eth0": {"type": "nic", "network": "sysbr0"}}},
			"shared": {Name: "shared", Config: map[string]string{}, Devices: map[string]sysctl.Device{}},
		},
		Facts: []sysctl.Fact{{Name: "kernel", Value: "6.1.0", Level: sysctl.OK},
			{Name: "forwarding", Value: "off", Level: sysctl.Warning, Cost: "instances reach nobody outside", Repair: "sysctl -w net.ipv4.ip_forward=1"}},
	}
	for _, name := range names {
		f.add(name, status)
	}
	for _, snap := range []string{"snap0", "snap1"} {
		f.Snaps["web1"] = append(f.Snaps["web1"], sysctl.Snapshot{Name: snap, Layers: []string{"l1"}, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	}
	return f
}

func picture(alias string) sysctl.Image {
	return sysctl.Image{ID: strings.Repeat("ab", 31) + fmt.Sprintf("%02x", len(alias)), Aliases: []string{alias}, Arch: "amd64",
		Guest: sysctl.Guest{ID: "debian", Name: "Debian GNU/Linux 12 (bookworm)", Init: "systemd", InitVersion: "252"},
		Size:  232 << 20, Layers: []string{"l1"}, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (f *fake) add(name string, status sysctl.Status) *manager.Info {
	n := len(f.Instances) + 1
	i := &manager.Info{Instance: sysctl.Instance{ID: int64(n), Name: name, Image: picture("debian12").ID, Template: "debian12",
		Guest: picture("debian12").Guest, Profiles: []string{"default"}, Config: map[string]string{"limits.memory": "512MiB"},
		Devices: map[string]sysctl.Device{"data": {"type": "disk", "path": "/data"}},
		IDMap:   sysctl.IDMap{Base: 1000000, Size: 65536}, Ready: true, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		NICs: []sysctl.NIC{{Device: "eth0", Network: "sysbr0", Name: "eth0", MAC: fmt.Sprintf("00:16:3e:00:00:%02x", n),
			IPv4: netip.AddrFrom4([4]byte{10, 1, 2, byte(n + 1)}), IPv6: netip.MustParseAddr("fd42::" + strconv.Itoa(n+1))}}},
		State: sysctl.State{Status: status}}
	if status == sysctl.Running || status == sysctl.Frozen {
		i.State.Init = sysctl.Process{PID: 4000 + n, Start: 1}
	}
	if status == sysctl.Broken {
		i.State.Problems = []string{"its image's layer is gone"}
	}
	f.Instances[name] = i
	return i
}

// loadFake reads the fake of a script, or makes the one that scripts begin with.
func loadFake(file string) (*fake, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		f := seeded(sysctl.Running, "web1", "web2")
		f.add("old1", sysctl.Stopped)
		return f, nil
	}
	f := &fake{}
	return f, json.Unmarshal(b, f)
}

func (f *fake) open(context.Context, bool) (backend, func(), error) {
	f.opened++
	return f, func() {}, nil
}

// openFakeFile opens the fake that a script's commands share.
func openFakeFile(file string) opener {
	return func(context.Context, bool) (backend, func(), error) {
		f, err := loadFake(file)
		return f, func() { f.store(file) }, err
	}
}

func (f *fake) store(file string) {
	b, err := json.Marshal(f)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// note remembers a request.
func (f *fake) note(verb string, request any) {
	b, err := json.Marshal(request)
	if err != nil {
		panic(err)
	}
	f.Last = verb + " " + string(b)
	f.calls = append(f.calls, f.Last)
}

// on finds an instance, in one of the states where any are given.
func (f *fake) on(verb, name string, states ...sysctl.Status) (*manager.Info, error) {
	i, ok := f.Instances[name]
	switch {
	case !ok:
		return nil, sysctl.Wrap(sysctl.E(sysctl.NotFound, "instance %q not found", name).WithHint("sysctl list"), "%s %s", verb, name)
	case len(states) > 0 && !slices.Contains(states, i.State.Status):
		return nil, sysctl.Wrap(sysctl.E(sysctl.Conflict, "it is %s", i.State.Status).WithHint("sysctl info %s", name), "%s %s", verb, name)
	}
	return i, nil
}

func (f *fake) Create(ctx context.Context, o manager.CreateOptions) (manager.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	verb := "create"
	if o.Start {
		verb = "launch"
	}
	o.Progress.Report("make", 1, 2)
	p := o.Progress
	o.Progress, o.Note = nil, nil
	if o.Name == "" {
		o.Name = sysctl.Generated(o.Source, 1)
	}
	kind, fails := strings.CutPrefix(o.Source, "fail-")
	f.note(verb, struct {
		manager.CreateOptions
		Progress any `json:",omitempty"`
		Note     any `json:",omitempty"`
	}{CreateOptions: o})
	var err error
	switch {
	case o.Source == "slow":
		p.Report("waiting", 0, 0)
		<-ctx.Done()
		err = ctx.Err()
	case o.Source == "stuck":
		p.Report("waiting", 0, 0)
		select {}
	case fails:
		err = sysctl.E(sysctl.Kind(kind), "made to fail")
	case o.Source != "debian12" && o.Source != "mybox":
		err = sysctl.E(sysctl.NotFound, "no template or image %q", o.Source).WithHint("sysctl template list")
	case f.Instances[o.Name] != nil:
		err = sysctl.E(sysctl.Exists, "an instance of this name exists").WithHint("sysctl info %s", o.Name)
	case o.Config["limits.memory"] == "lots":
		var bad sysctl.FieldErrors
		bad.Add("limits.memory", "%q is not a size", "lots")
		bad.Add("name", "too\nugly")
		err = bad.Err()
	}
	if err != nil {
		return manager.Plan{}, sysctl.Wrap(err, "%s %s", verb, o.Name)
	}
	status := sysctl.Stopped
	if o.Start {
		status = sysctl.Running
	}
	i := f.add(o.Name, status)
	if o.DryRun {
		delete(f.Instances, o.Name)
	}
	return manager.Plan{Instance: i.Instance, Image: i.Image, Steps: []string{"claim", "rootfs", "network"}}, nil
}

// tell says what a start of an old guest does differently.
func (f *fake) tell(name string, note func(string)) {
	if strings.HasPrefix(name, "older") && note != nil {
		note("measure " + oldMeasure().ID + ": " + oldMeasure().Does)
	}
}

func oldMeasure() sysctl.Measure {
	return sysctl.Measure{ID: "cgroup-named", Does: "gives it a hierarchy", Because: "its systemd ends"}
}

// become changes an instance's state.
func (f *fake) become(verb, name string, to sysctl.Status, from ...sysctl.Status) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.on(verb, name, from...)
	if err == nil {
		i.State.Status, i.State.Init = to, sysctl.Process{}
		if to != sysctl.Stopped {
			i.State.Init = sysctl.Process{PID: 4000 + int(i.ID), Start: 1}
		}
	}
	return err
}

func (f *fake) Start(_ context.Context, name string, o manager.StartOptions) error {
	o.Progress.Report("boot", 0, 0)
	f.tell(name, o.Note)
	return f.become("start", name, sysctl.Running, sysctl.Stopped)
}

func (f *fake) Stop(_ context.Context, name string, o manager.StopOptions) error {
	f.mu.Lock()
	f.note("stop", []any{name, o.Timeout.String(), o.Force})
	f.mu.Unlock()
	return f.become("stop", name, sysctl.Stopped, sysctl.Running, sysctl.Frozen)
}

func (f *fake) Restart(ctx context.Context, name string, o manager.StopOptions) error {
	f.mu.Lock()
	f.note("restart", []any{name, o.Timeout.String(), o.Force})
	f.mu.Unlock()
	f.tell(name, o.Note)
	return f.become("restart", name, sysctl.Running, sysctl.Running)
}

func (f *fake) Freeze(_ context.Context, name string) error {
	return f.become("freeze", name, sysctl.Frozen, sysctl.Running)
}

func (f *fake) Unfreeze(_ context.Context, name string) error {
	return f.become("unfreeze", name, sysctl.Running, sysctl.Frozen)
}

func (f *fake) Delete(_ context.Context, name string, o manager.DeleteOptions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := []sysctl.Status{sysctl.Stopped, sysctl.Broken}
	if o.Force {
		states = nil
	}
	_, err := f.on("delete", name, states...)
	if err == nil {
		delete(f.Instances, name)
	}
	return err
}

func (f *fake) KeepSchedules(context.Context, sysctl.Progress) ([]manager.Due, error) {
	var done []manager.Due
	for _, name := range slices.Sorted(maps.Keys(f.Instances)) {
		if strings.HasPrefix(name, "fail") {
			done = append(done, manager.Due{Name: name, Error: "snapshot " + name + ": no space left on device"})
		}
		for _, s := range f.Snaps[name] {
			if !s.Expires.IsZero() {
				done = append(done, manager.Due{Name: name, Snapshot: s.Name, Deleted: true})
			}
		}
	}
	return done, nil
}

func (f *fake) Snapshot(_ context.Context, name, snap string, o manager.SnapshotOptions) (sysctl.Snapshot, error) {
	if _, err := f.on("snapshot", name); err != nil {
		return sysctl.Snapshot{}, err
	}
	o.Progress.Report("seal", 0, 0)
	if snap == "" {
		snap = "snap" + strconv.Itoa(len(f.Snaps[name]))
	}
	if slices.ContainsFunc(f.Snaps[name], func(s sysctl.Snapshot) bool { return s.Name == snap }) {
		return sysctl.Snapshot{}, sysctl.E(sysctl.Exists, "snapshot %q exists already", snap).WithHint("sysctl snapshot list %s", name)
	}
	if f.Snaps == nil {
		f.Snaps = map[string][]sysctl.Snapshot{}
	}
	s := sysctl.Snapshot{Name: snap, Layers: []string{"l1"}, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if o.Expiry != nil {
		s.Expires = o.Expiry.After(s.Created)
	}
	f.Snaps[name] = append(f.Snaps[name], s)
	return s, nil
}

func (f *fake) Snapshots(_ context.Context, name string) ([]sysctl.Snapshot, error) {
	_, err := f.on("snapshots of", name)
	return f.Snaps[name], err
}

// snapshot finds one.
func (f *fake) snapshot(verb, name, snap string) (int, error) {
	if _, err := f.on(verb, name); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(f.Snaps[name], func(s sysctl.Snapshot) bool { return s.Name == snap })
	if i < 0 {
		return i, sysctl.E(sysctl.NotFound, "snapshot %q not found", snap).WithHint("sysctl snapshot list %s", name)
	}
	return i, nil
}

func (f *fake) RenameSnapshot(_ context.Context, name, snap, to string) error {
	i, err := f.snapshot("rename snapshot of", name, snap)
	if err == nil {
		f.Snaps[name][i].Name = to
	}
	return err
}

func (f *fake) DeleteSnapshot(_ context.Context, name, snap string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.snapshot("delete snapshot of", name, snap)
	if err == nil {
		f.Snaps[name] = slices.Delete(f.Snaps[name], i, i+1)
	}
	return err
}

func (f *fake) Restore(_ context.Context, name, snap string, _ manager.StartOptions) error {
	_, err := f.snapshot("restore", name, snap)
	if err == nil {
		f.note("restore", name+"/"+snap)
	}
	return err
}

func (f *fake) Copy(_ context.Context, o manager.CopyOptions) (made []sysctl.Instance, err error) {
	if o.Snapshot != "" {
		_, err = f.snapshot("copy", o.Source, o.Snapshot)
	} else {
		_, err = f.on("copy", o.Source)
	}
	for _, name := range o.Names {
		if err == nil && f.Instances[name] != nil {
			err = sysctl.Wrap(sysctl.E(sysctl.Exists, "an instance of this name exists").WithHint("sysctl info %s", name), "copy %s: %s", o.Source, name)
		}
		if err != nil {
			return made, err
		}
		status := sysctl.Stopped
		if o.Start {
			status = sysctl.Running
		}
		i := f.add(name, status)
		i.Ephemeral = o.Ephemeral
		made = append(made, i.Instance)
	}
	return made, nil
}

func (f *fake) Export(_ context.Context, name string, w io.Writer, o manager.ExportOptions) error {
	if _, err := f.on("export", name); err != nil {
		return err
	}
	if !slices.Contains([]string{"zstd", "gzip", "none"}, o.Compression) {
		return sysctl.FieldErrors{{Field: "--compression", Msg: "no way to compress"}}
	}
	if o.WithCompat {
		o.Note("with changed copies")
	}
	_, err := fmt.Fprintf(w, "archive %s %v\n", name, o.Thin)
	if strings.HasPrefix(name, "fail") {
		err = sysctl.Wrap(sysctl.E(sysctl.NoSpace, "no space left on device"), "export %s", name)
	}
	return err
}

func (f *fake) Import(_ context.Context, r io.Reader, o manager.ImportInstanceOptions) (sysctl.Instance, error) {
	var name, thin string
	if n, _ := fmt.Fscanf(r, "archive %s %s", &name, &thin); n != 2 {
		return sysctl.Instance{}, sysctl.Wrap(sysctl.E(sysctl.Invalid, "this is no archive of an instance"), "import")
	}
	if o.Name != "" {
		name = o.Name
	}
	if f.Instances[name] != nil {
		return sysctl.Instance{}, sysctl.E(sysctl.Exists, "import: an instance %s exists", name).WithHint("sysctl import FILE NEW-NAME")
	}
	if o.Note != nil {
		o.Note("profile big was not here and was made")
	}
	return f.add(name, sysctl.Stopped).Instance, nil
}

func (f *fake) Rename(_ context.Context, name, to string) error {
	i, err := f.on("rename", name, sysctl.Stopped)
	if err != nil {
		return err
	}
	delete(f.Instances, name)
	i.Name = to
	f.Instances[to] = i
	return nil
}

func (f *fake) List(context.Context) ([]manager.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []manager.Info
	for _, i := range f.Instances {
		list = append(list, *i)
	}
	return list, nil
}

func (f *fake) Info(_ context.Context, name string) (manager.Detail, error) {
	i, err := f.on("info", name)
	if err != nil {
		return manager.Detail{}, err
	}
	d := manager.Detail{Info: *i, Expanded: map[string]string{"boot.autostart": "true"}, AllDevs: map[string]sysctl.Device{}, Uptime: 90 * time.Second,
		Usage: sysctl.Usage{Processes: 12, Memory: 34 << 20, CPU: 1500 * time.Millisecond, Disk: -1}}
	maps.Copy(d.Expanded, i.Config)
	d.AllDevs["eth0"] = sysctl.Device{"type": "nic", "network": "sysbr0"}
	maps.Copy(d.AllDevs, i.Devices)
	d.Measures, d.Refusals = []sysctl.Measure{}, []sysctl.Remark{}
	if strings.HasPrefix(name, "older") {
		d.Measures = append(d.Measures, oldMeasure())
		d.Refusals = append(d.Refusals, sysctl.Remark{ID: "arch", Why: "it is for\tanother machine", Way: "sysctl delete " + name})
	}
	return d, nil
}

// CheckGuest knows the instances there are, and takes what has a slash for a tree and anything else but nothing and nobody for
// an image. What begins with cannot does not boot.
func (f *fake) CheckGuest(ctx context.Context, o manager.DetectOptions) (manager.Checked, error) {
	f.note("check", []any{o.Path, o.Partition, o.MaxSize})
	c := manager.Checked{Name: o.Path, Kind: "image", Known: "image", Guest: picture("x").Guest,
		Verdict: sysctl.Verdict{Boots: true, Measures: []sysctl.Measure{}, Refusals: []sysctl.Remark{}, Notes: []sysctl.Remark{}}}
	switch {
	case f.Instances[o.Path] != nil:
		c.Kind, c.Known = "instance", "files"
	case strings.Contains(o.Path, "/"):
		c.Kind, c.Known = "tree", "files"
	case strings.HasPrefix(o.Path, "cannot"):
		c.Boots = false
		c.Refusals = append(c.Refusals, sysctl.Remark{ID: "arch", Why: "it is for another machine", Way: "get one\nfor this"})
	case strings.HasPrefix(o.Path, "no"):
		return c, sysctl.Wrap(sysctl.E(sysctl.NotFound, "nothing is called so").WithHint("sysctl list"), "check %s", o.Path)
	}
	if strings.HasPrefix(o.Path, "older") {
		c.Measures = append(c.Measures, oldMeasure(), sysctl.Measure{ID: "uname26", Does: "says 2.6", Because: "it looks", Forced: true})
		c.Notes = append(c.Notes, sysctl.Remark{ID: "iptables", Why: "its iptables does not work"})
	}
	return c, nil
}

func (f *fake) CheckTemplates(ctx context.Context) ([]manager.Checked, error) {
	var list []manager.Checked
	for _, name := range []string{"older1/", "older2/", "debian12"} {
		c, err := f.CheckGuest(ctx, manager.DetectOptions{Path: name})
		if err != nil {
			return nil, err
		}
		c.Name, c.Kind, c.Known = strings.TrimSuffix(name, "/"), "template", "recipe"
		list = append(list, c)
	}
	if f.broken {
		return list, errors.Join(sysctl.E(sysctl.Invalid, "one.yaml:1: x"), sysctl.E(sysctl.Invalid, "two.yaml:1: z"))
	}
	return list, nil
}

func (f *fake) Exec(ctx context.Context, name string, o manager.ExecOptions) (int, error) {
	if _, err := f.on("exec", name, sysctl.Running); err != nil {
		return 0, err
	}
	f.note("exec", []any{name, o.Argv, o.Env, o.User, o.Group, o.Cwd, o.Login, o.TTY})
	if f.exec != nil {
		return f.exec(o)
	}
	if len(o.Argv) == 0 {
		return 0, nil
	}
	switch words := strings.Join(o.Argv[1:], " "); o.Argv[0] {
	case "echo":
		fmt.Fprintln(o.Stdout, words)
	case "complain":
		fmt.Fprintln(o.Stderr, words)
	case "cat":
		_, err := io.Copy(o.Stdout, o.Stdin)
		return 0, err
	case "exit":
		return strconv.Atoi(words)
	case "sizes": // of its terminal, two of them
		for range 2 {
			size := <-o.Resize
			fmt.Fprintf(o.Stdout, "%dx%d\r\n", size.Rows, size.Cols)
		}
	case "wait": // until it is told to end, and write that into a file
		fmt.Fprintln(o.Stdout, "waiting")
		<-ctx.Done()
		return 0, errors.Join(ctx.Err(), os.WriteFile(words, []byte("ended\n"), 0o600))
	}
	return 0, nil
}

func (f *fake) Console(_ context.Context, name string, o manager.ConsoleOptions) error {
	f.note("console", []any{name, o.Escape, o.Resize != nil})
	_, err := f.on("console", name, sysctl.Running)
	return err
}

func (f *fake) Logs(_ context.Context, name string, o manager.LogOptions) (io.ReadCloser, error) {
	if o.Lines != nil || o.Follow {
		f.note("logs", o)
	}
	if _, err := f.on("logs", name); err != nil {
		return nil, err
	}
	text := "lxc: started\n"
	if name == "old1" {
		text = ""
	} else if o.Console {
		text = "login: \x1b[2J\r\n"
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (f *fake) SetConfig(_ context.Context, name string, set map[string]*string) ([]string, error) {
	i, err := f.on("config", name)
	if err != nil {
		return nil, err
	}
	var bad sysctl.FieldErrors
	var live []string
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if strings.HasPrefix(key, "limits.") {
			live = append(live, key)
		}
		if strings.HasPrefix(key, "wrong") {
			bad.Add(key, "no such key")
		}
	}
	if err := bad.Err(); err != nil {
		return nil, sysctl.Wrap(err, "config %s", name)
	}
	for key, value := range set {
		if delete(i.Config, key); value != nil {
			i.Config[key] = *value
		}
	}
	return live, nil
}

func (f *fake) AddDevice(_ context.Context, name, device string, d sysctl.Device) (bool, error) {
	i, err := f.on("config", name)
	if err != nil {
		return false, err
	}
	if i.Devices[device] != nil {
		return false, sysctl.E(sysctl.Exists, "config %s: it has a device %q of its own already", name, device)
	}
	i.Devices[device] = d
	return d["type"] == "nic", nil
}

func (f *fake) OverrideDevice(ctx context.Context, name, device string, d sysctl.Device) (bool, error) {
	i, err := f.on("config", name)
	if err != nil {
		return false, err
	}
	d["type"] = "nic"
	i.Devices[device] = d
	return true, nil
}

func (f *fake) RemoveDevices(_ context.Context, name string, devices []string) ([]string, error) {
	i, err := f.on("config", name)
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		delete(i.Devices, d)
	}
	return nil, nil
}

func (f *fake) Images(context.Context) ([]sysctl.Image, error) { return f.Pictures, nil }

func (f *fake) Image(_ context.Context, ref string) (sysctl.Image, error) {
	for _, i := range f.Pictures {
		if slices.Contains(i.Aliases, ref) {
			return i, nil
		}
	}
	return sysctl.Image{}, sysctl.E(sysctl.NotFound, "image %s: no such image", ref).WithHint("sysctl image list")
}

func (f *fake) Detect(_ context.Context, o manager.DetectOptions) (manager.Detection, error) {
	f.note("detect", []any{o.Path, o.MaxSize})
	if o.Path == "empty" {
		return manager.Detection{Guest: sysctl.Guest{Evidence: []string{"/sbin/init: is not there"}}}, nil
	}
	g := picture("x").Guest
	g.Evidence = []string{"/etc/os-release: ID=debian VERSION_ID=12"}
	return manager.Detection{Guest: g, Known: true}, nil
}

func (f *fake) ImportImage(_ context.Context, o manager.ImportOptions) (sysctl.Image, error) {
	f.note("import", []any{o.Path, o.Alias, o.MaxSize, o.Prep, o.Partition})
	i := picture(o.Alias)
	f.Pictures = append(f.Pictures, i)
	return i, nil
}

func (f *fake) ExportImage(ctx context.Context, ref string, w io.Writer, o manager.ImageExportOptions) error {
	if _, err := f.Image(ctx, ref); err != nil {
		return err
	}
	what := "the tree of "
	if o.WithCompat {
		what = "the changed tree of "
		o.Note("no file is changed")
	}
	_, err := io.WriteString(w, what+ref+"\n")
	return err
}

func (f *fake) DeleteImage(ctx context.Context, ref string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.Image(ctx, ref)
	f.Pictures = slices.DeleteFunc(f.Pictures, func(p sysctl.Image) bool { return p.ID == i.ID })
	return err
}

func (f *fake) Templates(context.Context) ([]sysctl.Template, error) {
	return []sysctl.Template{{Name: "debian12", Aliases: []string{"bookworm"}, Description: "Debian 12", Family: "debian",
		Version: "12", Arch: []string{"amd64", "arm64"}, EOL: "2028-06-30", Tried: true, Origin: "built-in", Variables: map[string]string{"suite": "bookworm"},
		Test:  sysctl.BootTest{MayFail: []string{}, Running: []string{}, Listening: []uint16{}, Commands: []string{}},
		Guest: sysctl.Guest{ID: "debian", Version: "12", Arch: "amd64", Bits: 64, Init: "systemd", InitVersion: "252", Libc: "glibc", LibcVersion: "2.36", Evidence: []string{"recipe debian12"}}}}, nil
}

func (f *fake) Template(ctx context.Context, name string) (sysctl.Template, []byte, error) {
	list, err := f.Templates(ctx)
	if name != "debian12" {
		return sysctl.Template{}, nil, sysctl.E(sysctl.NotFound, "template %s: no such template", name)
	}
	return list[0], []byte("name: debian12\n# the recipe\n"), err
}

func (f *fake) ValidateTemplate(_ context.Context, path string) error {
	f.note("validate", path)
	if f.broken {
		return errors.Join(sysctl.Wrap(sysctl.FieldErrors{{Field: "a", Msg: "x"}, {Field: "b", Msg: "y"}}, "one.yaml"), sysctl.E(sysctl.Invalid, "two.yaml:1: z"))
	}
	if strings.HasPrefix(path, "bad") {
		return sysctl.FieldErrors{{Field: path + ":3", Msg: "no such field"}, {Field: path + ":7", Msg: "no such family"}}
	}
	return nil
}

func (f *fake) BuildTemplate(ctx context.Context, o manager.BuildOptions) (manager.Build, error) {
	f.note("build", []any{o.Template, o.Set, o.Mirror, o.Offline, o.Rebuild, o.Platform})
	if _, _, err := f.Template(ctx, o.Template); err != nil && o.Template == "nobody" {
		return manager.Build{}, err
	}
	if o.Note != nil && o.Mirror != "" {
		o.Note("bootstrap bookworm does not work, trying oci x: no answer")
	}
	return manager.Build{Image: picture(o.Template), Cached: !o.Rebuild}, nil
}

func (f *fake) TestTemplate(ctx context.Context, o manager.TestOptions) (manager.TemplateTest, error) {
	f.note("test", []any{o.Template, o.Keep})
	well := o.Template != "bookworm"
	if _, _, err := f.Template(ctx, o.Template); err != nil && well {
		return manager.TemplateTest{}, err
	}
	t := manager.TemplateTest{Template: "debian12", Image: picture("debian12").ID, Passed: well, Checks: []manager.TestCheck{
		{Phase: "boot", Name: "boots", Passed: true, Found: "running, after 1.2s"},
		{Phase: "boot", Name: "host name", Passed: well, Found: "testdebian12-1"},
	}}
	if o.Keep {
		t.Instance = "testdebian12-1"
	}
	return t, nil
}

func (f *fake) TemplateSchema() []byte { return []byte("{}\n") }

func (f *fake) PullImage(_ context.Context, o manager.PullOptions) (manager.Build, error) {
	f.note("pull", []any{o.Ref, o.Alias, o.Offline, o.Platform})
	if strings.HasPrefix(o.Ref, "nowhere:") {
		return manager.Build{}, sysctl.E(sysctl.NotFound, "pull %s: there is no remote", o.Ref)
	}
	return manager.Build{Image: picture("pulled")}, nil
}

func (f *fake) StepNames() []string   { return []string{"console", "machine-id", "udev-off"} }
func (f *fake) PullRemotes() []string { return []string{"docker", "images", "oci"} }

func (f *fake) Profiles(context.Context) ([]sysctl.Profile, error) {
	return slices.SortedFunc(maps.Values(f.Pieces), func(a, b sysctl.Profile) int { return strings.Compare(a.Name, b.Name) }), nil
}

func (f *fake) Profile(_ context.Context, name string) (sysctl.Profile, []string, error) {
	p, ok := f.Pieces[name]
	if !ok {
		return p, nil, sysctl.E(sysctl.NotFound, "profile %s: no such profile", name)
	}
	return p, []string{"web1"}, nil
}

func (f *fake) CreateProfile(_ context.Context, p sysctl.Profile) error {
	if _, taken := f.Pieces[p.Name]; taken {
		return sysctl.E(sysctl.Exists, "profile create %s: exists", p.Name)
	}
	f.Pieces[p.Name] = p
	return nil
}

func (f *fake) UpdateProfile(_ context.Context, p sysctl.Profile, _ func(string)) error {
	f.Pieces[p.Name] = p
	return nil
}

func (f *fake) SetProfile(_ context.Context, name string, set map[string]*string, note func(string)) error {
	p, ok := f.Pieces[name]
	if !ok {
		return sysctl.E(sysctl.NotFound, "profile %s: no such profile", name)
	}
	overlay(&p, nil, nil)
	f.Pieces[name] = p
	for key, value := range set {
		rest, isDevice := strings.CutPrefix(key, "devices.")
		at := p.Config
		if isDevice {
			var device string
			device, key, _ = strings.Cut(rest, ".")
			if p.Devices[device] == nil {
				p.Devices[device] = sysctl.Device{}
			}
			at = p.Devices[device]
		}
		if delete(at, key); value != nil {
			at[key] = *value
		}
	}
	if note != nil {
		note("web1: at its next start: devices.eth0")
	}
	return nil
}

func (f *fake) AddProfileDevice(_ context.Context, name, device string, d sysctl.Device, _ func(string)) error {
	f.Pieces[name].Devices[device] = d
	return nil
}

func (f *fake) RemoveProfileDevices(_ context.Context, name string, devices []string, _ func(string)) error {
	for _, d := range devices {
		delete(f.Pieces[name].Devices, d)
	}
	return nil
}

func (f *fake) AssignProfiles(_ context.Context, name string, names []string) ([]string, error) {
	i, err := f.on("profiles of", name)
	if err == nil {
		i.Profiles = names
	}
	return nil, err
}

func (f *fake) AddProfile(_ context.Context, name, profile string) ([]string, error) {
	i, err := f.on("profiles of", name)
	if err == nil {
		i.Profiles = append(i.Profiles, profile)
	}
	return []string{"eth0"}, err
}

func (f *fake) RemoveProfile(_ context.Context, name, profile string) ([]string, error) {
	i, err := f.on("profiles of", name)
	if err == nil {
		i.Profiles = slices.DeleteFunc(i.Profiles, func(p string) bool { return p == profile })
	}
	return nil, err
}

func (f *fake) DeleteProfile(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.Pieces[name]; !ok {
		return sysctl.E(sysctl.NotFound, "profile delete %s: no such profile", name)
	}
	delete(f.Pieces, name)
	return nil
}

func (f *fake) TemplateSteps(ctx context.Context, name string) ([]sysctl.PrepStep, error) {
	_, _, err := f.Template(ctx, name)
	return []sysctl.PrepStep{{Name: "console", Version: 1, Why: "a container has a console and no virtual terminals", Touches: []string{"/etc/inittab"}},
		{Name: "udev-off", Version: 2, Why: "devices are the host's business"}}, err
}

func (f *fake) ImageSteps(ctx context.Context, ref string) ([]sysctl.PrepStep, error) {
	_, err := f.Image(ctx, ref)
	return []sysctl.PrepStep{{Name: "console", Version: 1, State: sysctl.PrepDone}, {Name: "machine-id", Version: 1, State: sysctl.PrepDone},
		{Name: "udev-off", Version: 2, State: sysctl.PrepSkipped}, {Name: "mtab-link", Version: 1, State: sysctl.PrepNothing}}, err
}

func (f *fake) RenderNetwork(_ context.Context, o manager.RenderOptions) (manager.Rendering, error) {
	f.note("render", o)
	r := manager.Rendering{Guest: picture("x").Guest, Changes: []manager.FileChange{}}
	switch {
	case o.Image == "nobody":
		return r, sysctl.E(sysctl.NotFound, "image %s: no such image", o.Image).WithHint("sysctl image list")
	case o.Image != "":
		r.Reason = "the system in it is not known"
	case o.Name == "web1":
		r.Changes = []manager.FileChange{{Path: "/etc/hostname", Why: "hostname", Before: &manager.FileState{Mode: "0644", Content: "old\n"},
			After: &manager.FileState{Mode: "0644", Content: "web1\n"}}}
	}
	return r, nil
}

func (f *fake) Check(context.Context) ([]sysctl.Fact, error) { return f.Facts, nil }

func (f *fake) Autostart(_ context.Context, o manager.AutostartOptions) ([]manager.AutostartResult, error) {
	if o.Crashed {
		return nil, nil
	}
	return f.Autostop(nil, o.Progress)
}

func (f *fake) Autostop(_ context.Context, p sysctl.Progress) ([]manager.AutostartResult, error) {
	p.Report("web1", 0, 0)
	var results []manager.AutostartResult
	for _, name := range slices.Sorted(maps.Keys(f.Instances)) {
		r := manager.AutostartResult{Name: name}
		if strings.HasPrefix(name, "fail") {
			r.Error = "start " + name + ": no space left on device"
		}
		results = append(results, r)
	}
	return results, nil
}

func (f *fake) Settle(_ context.Context, id int64, runID, target string) error {
	f.note("settle", []any{id, runID, target})
	if id == 99 {
		return sysctl.E(sysctl.Busy, "made to fail")
	}
	return nil
}

func (f *fake) Unwire(_ context.Context, id int64, path string) error {
	f.note("unwire", []any{id, path})
	return nil
}

func (f *fake) Wire(_ context.Context, id int64, init int) error {
	f.note("wire", []any{id, init})
	return nil
}

func (f *fake) RemoveAll(_ context.Context, force bool, _ sysctl.Progress) error {
	if len(f.Instances) > 0 && !force {
		return sysctl.E(sysctl.Conflict, "remove environment: it has %d instances", len(f.Instances)).WithHint("sysctl environment remove --force")
	}
	clear(f.Instances)
	return nil
}

func (f *fake) PushFiles(_ context.Context, sources []string, to manager.FileRef, in io.Reader, o manager.FileOptions) error {
	if _, err := f.on("file push", to.Instance); err != nil {
		return err
	}
	o.Note, o.Progress = nil, nil
	f.note("push", []any{sources, to, o.Parents, o.Recursive, o.UID, o.GID, o.Mode})
	if sources[0] == "-" {
		data, err := io.ReadAll(in)
		f.write(to.String(), data)
		return err
	}
	return nil
}

func (f *fake) write(name string, data []byte) {
	if f.Files == nil {
		f.Files = map[string]string{}
	}
	f.Files[name] = string(data)
}

func (f *fake) PullFiles(ctx context.Context, refs []manager.FileRef, dst string, out io.Writer, o manager.FileOptions) error {
	f.note("pull", []any{refs, dst, o.Parents, o.Recursive, o.Mode})
	for _, ref := range refs {
		data, err := f.ReadFile(ctx, ref)
		if err != nil {
			return err
		}
		if dst == "-" {
			_, err = out.Write(data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What comes and goes in streams is in a tree beside the state.
func (f *fake) tree(ref manager.FileRef) string {
	return filepath.Join(os.Getenv("FAKE_STATE")+".tree", ref.Instance, ref.Path)
}

func (f *fake) PushPacked(ctx context.Context, names []string, to manager.FileRef, in io.Reader, o manager.FileOptions) error {
	if _, err := f.on("file push", to.Instance); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fake-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = manager.UnpackFiles(ctx, in, dir)
	}
	for i, name := range names {
		if err == nil {
			dst := f.tree(to)
			if info, statErr := os.Stat(dst); statErr == nil && info.IsDir() || strings.HasSuffix(to.Path, "/") || len(names) > 1 {
				dst = filepath.Join(dst, name)
			}
			if err = os.MkdirAll(filepath.Dir(dst), 0o755); err == nil {
				err = os.Rename(filepath.Join(dir, strconv.Itoa(i), name), dst)
			}
		}
	}
	return err
}

func (f *fake) PullPacked(ctx context.Context, refs []manager.FileRef, out io.Writer, o manager.FileOptions) error {
	dir, err := os.MkdirTemp("", "fake-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var sources []string
	for i, ref := range refs {
		in := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(in, 0o700); err != nil {
			return err
		}
		if exec.Command("cp", "-a", f.tree(ref), in).Run() != nil {
			return sysctl.E(sysctl.NotFound, "file pull %s: no such file", ref)
		}
		sources = append(sources, in+"/.")
	}
	return manager.PackFiles(ctx, out, sources, true, nil)
}

func (f *fake) DeleteFile(ctx context.Context, ref manager.FileRef, all bool) error {
	f.note("unlink", []any{ref, all})
	_, err := f.ReadFile(ctx, ref)
	delete(f.Files, ref.String())
	return err
}

func (f *fake) MakeDir(_ context.Context, ref manager.FileRef, o manager.FileOptions) error {
	f.note("mkdir", []any{ref, o.Parents, o.UID, o.GID, o.Mode})
	_, err := f.on("file mkdir", ref.Instance)
	return err
}

func (f *fake) ListFiles(_ context.Context, ref manager.FileRef) ([]sysctl.File, error) {
	if _, err := f.on("file ls", ref.Instance); err != nil {
		return nil, err
	}
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []sysctl.File{{Name: "a\x1b", Type: "file", Mode: "0644", Size: 5, Modified: when},
		{Name: "bin", Type: "symlink", Mode: "0777", Size: 7, Modified: when, Target: "usr/bin"},
		{Name: "etc", Type: "directory", Mode: "0755", UID: 33, GID: 34, Size: 4096, Modified: when}}, nil
}

// ReadFile knows what was written, and of anything else but what is called none the same words.
func (f *fake) ReadFile(_ context.Context, ref manager.FileRef) ([]byte, error) {
	if _, err := f.on("file", ref.Instance); err != nil {
		return nil, err
	}
	data, ok := f.Files[ref.String()]
	switch {
	case ok:
		return []byte(data), nil
	case strings.HasSuffix(ref.Path, "none"):
		return nil, sysctl.E(sysctl.NotFound, "file %s: no such file", ref)
	}
	return []byte("words\n"), nil
}

func (f *fake) ReplaceFile(_ context.Context, ref manager.FileRef, before, data []byte) error {
	if now, _ := f.ReadFile(context.Background(), ref); string(now) != string(before) {
		return sysctl.E(sysctl.Conflict, "file edit %s: changed", ref)
	}
	f.note("replace", []any{ref})
	f.write(ref.String(), data)
	return nil
}
