package manager_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/manager"
)

// world is a machine in memory: what verbs have made and not yet removed. Every call that changes
// something passes hit, which can make the n-th one fail.
type world struct {
	mu     sync.Mutex
	calls  []string
	failAt int               // fails the call of this number, counted from 1; 0: none
	after  bool              // the failing call has done its work before it fails
	during func(call string) // what somebody else does just before a call
	cancel func()

	running       map[int64]*run
	uppers        map[int64]bool
	layers        map[string]bool
	copies        []sysctl.LayerCopy // of layers, with the ids of ranges
	shifts        bool               // the kernel shifts ids: nobody uses copies
	staging       int
	swept         int
	skipped       []string // preparation steps that were left out last
	print         string   // of the guest's files
	none          bool     // the guest's network is the runtime's to set
	links         map[string]bool
	logs          map[int64]bool
	bridges       map[string]bool
	names         map[string]map[int64][]sysctl.NetworkHost // of networks with a DNS server, by instance
	noNames       error                                     // why no DNS server can be started
	dns           bool                                      // there is a DNS server to be started
	number        int
	network       sysctl.GuestNetwork // the newest that was rendered
	booted        sysctl.Boot         // the newest
	edition       string              // of every template
	chosen        sysctl.GuestChoice  // by every template
	script        string              // that a build runs in an instance; "": none
	status        int                 // of that
	host          sysctl.Host
	scanned       int      // times that layers were looked into
	openedLayers  []string // the last that were opened to be read
	nothing       bool     // there is nothing to change in them
	patched       bool     // what is under construction
	patchedUppers map[int64]bool
	tops          map[int64]string // the uppermost layer of each upper, as overlay remembers it
	os            sysctl.Guest     // in every tree
	promised      sysctl.Guest     // by every recipe; nothing: os
	meanwhile     func()           // what happens while trees are compared
	views         []sysctl.View
	inUse         bool              // what is mounted
	base          map[string]string // files of a new tree
	trees         string            // where trees under construction are; "": nowhere
	built         *treetest.Tree    // the newest that was committed
	parts         []string          // keys of the layers that a source gives; none: its tree is plain
	filled        []string          // keys of those that were asked for
	root          *treetest.Tree    // of the newest start
	mounts        map[string]string // what disks are mounted: by process and path, the source
	lost          string            // a source that is not there
	noQuota       bool              // the disk has no quotas
	sizes         map[int64]int64   // what uppers may have
	cards         map[int64][]sysctl.Card
	back          []sysctl.Card             // given back
	plugged       map[string]sysctl.BootNIC // in the guest, but for those on a bridge
	asked         [][]string                // commands that guests were asked to run
	lazy          bool                      // guests do not set addresses by themselves
	byHost        []sysctl.BootNIC          // whose addresses were set from outside
	rebooted      []int64
	allowed       []sysctl.Node // what the only instance's device filter lets through

	files  *treetest.Tree      // of every instance; nil: a few accounts
	wrote  map[int64][]string  // by each instance since its upper is the one it has
	next   map[int64]bool      // uppers that are prepared
	sealed map[string][]string // what was written in layers that were uppers
	fresh  int                 // times that an identity was taken away

	answers func(script string) (said string, status int) // of a guest's shell; nil: none
	deaf    bool                                          // every guest: it does not halt when it is asked to
	test    sysctl.BootTest                               // of every recipe
	console string                                        // a file
	now     func() time.Time                              // nil: runs do not know when they were started
	crashes map[int64]string                              // how the newest runs have ended, where that is known

	forwards []sysctl.Proxy    // the newest that run
	ports    []sysctl.PortRule // the newest that are published
	set      []sysctl.Link     // all
	unwired  error             // why the newest wiring failed

	kept     map[int64]bool // whose uppers were sealed
	unpacked fakeLayer      // the newest layer of an archive

	halters map[string]halterFake // commands by which a guest can be halted from inside
	signal  syscall.Signal        // the last that was sent
	halted  []string              // those that were run, and how long after since
	since   time.Time
}

// halterFake is what such a command does: it ends with a status, or hangs, and may halt the guest.
type halterFake struct {
	status int
	err    error
	hangs  bool
	halts  bool
}

type run struct {
	id     string
	boot   sysctl.Boot
	frozen bool
	held   bool
	ended  chan struct{} // closed when its init ends
	halts  bool          // ends when asked to halt

	gone    bool // its monitor ended with it
	torn    bool // who started it was killed before its init ran: its monitor is on its way out
	started time.Time
}

var errInjected = errors.New("injected fault")

func newWorld() *world {
	debian := sysctl.Guest{ID: "debian", Version: "12", Init: "systemd", Arch: "amd64", Renderer: "ifupdown"}
	return &world{os: debian, running: map[int64]*run{}, uppers: map[int64]bool{}, layers: map[string]bool{}, links: map[string]bool{}, logs: map[int64]bool{}, bridges: map[string]bool{}, names: map[string]map[int64][]sysctl.NetworkHost{},
		patchedUppers: map[int64]bool{}, tops: map[int64]string{},
		mounts: map[string]string{}, sizes: map[int64]int64{}, cards: map[int64][]sysctl.Card{}, plugged: map[string]sysctl.BootNIC{}, wrote: map[int64][]string{}, next: map[int64]bool{}, kept: map[int64]bool{}, sealed: map[string][]string{}}
}

// hit counts a changing call and runs do, unless it is this call's turn to fail.
func (w *world) hit(name string, do func() error) error {
	if w.during != nil {
		w.during(name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, name)
	if len(w.calls) == w.failAt {
		if w.cancel != nil {
			w.cancel()
		}
		if w.after {
			if err := do(); err != nil {
				return err
			}
		}
		return fmt.Errorf("%s: %w", name, errInjected)
	}
	return do()
}

// changed is what was called after the first calls, without looking.
func (w *world) changed(calls int) []string {
	return slices.DeleteFunc(slices.Clone(w.calls[calls:]), func(c string) bool { return c == "open tree" })
}

// left describes what is on the machine beyond bridges and layers of images, which are shared and stay.
func (w *world) left() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var s []string
	for id := range w.running {
		s = append(s, fmt.Sprintf("run %d", id))
	}
	for id := range w.uppers {
		s = append(s, fmt.Sprintf("upper %d", id))
	}
	for l := range w.links {
		s = append(s, "link "+l)
	}
	for id := range w.logs {
		if !w.uppers[id] {
			s = append(s, fmt.Sprintf("log %d", id))
		}
	}
	if w.staging != 0 {
		s = append(s, fmt.Sprintf("%d stagings", w.staging))
	}
	sort.Strings(s)
	return strings.Join(s, ", ")
}

type fakeRuntime struct{ *world }

func (f fakeRuntime) Start(ctx context.Context, b sysctl.Boot, root *os.File, disks []*os.File, meanwhile func() error) (sysctl.State, error) {
	if meanwhile != nil {
		if err := meanwhile(); err != nil {
			return sysctl.State{}, err
		}
	}
	err := f.hit("runtime start", func() error {
		f.logs[b.Instance] = true
		f.booted = b
		f.running[b.Instance] = &run{id: b.RunID, boot: b, ended: make(chan struct{}), halts: !f.deaf}
		if f.now != nil {
			f.running[b.Instance].started = f.now()
		}
		for i, d := range b.Disks {
			f.mounts[fmt.Sprint(b.Instance+2000, ":", d.Path)] = disks[i].Name()
			f.mounts[fmt.Sprint(b.Instance+1000, ":", d.Path)] = disks[i].Name()
		}
		for _, n := range b.NICs {
			if n.HostName != "" {
				f.links[n.HostName] = true
			}
		}
		return nil
	})
	return sysctl.State{Status: sysctl.Running}, err
}

func (f fakeRuntime) get(id int64) *run {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[id]
}

func (f fakeRuntime) State(id int64) sysctl.State {
	r := f.get(id)
	if r == nil {
		return sysctl.State{Status: sysctl.Stopped}
	}
	if r.torn {
		return sysctl.State{Status: sysctl.Stopped, Monitor: sysctl.Process{PID: int(id) + 2000, Start: 1}}
	}
	s := sysctl.State{Status: sysctl.Running, RunID: r.id, Started: r.started, Measures: r.boot.Measures, Init: sysctl.Process{PID: int(id) + 1000, Start: 1}, Monitor: sysctl.Process{PID: int(id) + 2000, Start: 1}}
	s.Links = map[string]string{}
	for _, n := range r.boot.NICs {
		s.Links[n.Device] = n.HostName
	}
	select {
	case <-r.ended:
		s.Status, s.Init = sysctl.Stopped, sysctl.Process{}
		if r.gone {
			s.Monitor = sysctl.Process{}
		}
	default:
		if r.frozen {
			s.Status = sysctl.Frozen
		}
	}
	return s
}

func (f fakeRuntime) Resources(int64, sysctl.Process) sysctl.Resources {
	return sysctl.Resources{Memory: 1 << 20}
}
func (f fakeRuntime) HostResources() sysctl.Resources { return sysctl.Resources{} }
func (f fakeRuntime) Usage(id int64) sysctl.Usage     { return sysctl.Usage{Processes: 5, Memory: 1 << 20} }

func (f fakeRuntime) Signal(id int64, sig syscall.Signal) error {
	return f.hit("runtime signal", func() error {
		f.signal = sig
		if r := f.running[id]; r != nil && r.halts {
			close(r.ended)
		}
		return nil
	})
}
func (f fakeRuntime) HaltSignal(string) syscall.Signal { return 37 }
func (f fakeRuntime) HaltCommands(string) [][]string {
	return [][]string{{"telinit", "0"}, {"init", "0"}, {"poweroff"}}
}
func (f fakeRuntime) Wait(ctx context.Context, id int64) error {
	r := f.get(id)
	if r == nil {
		return nil
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (f fakeRuntime) Gone(ctx context.Context, id int64) error { return f.Wait(ctx, id) }
func (f fakeRuntime) Settled(id int64) error                   { return nil }
func (f fakeRuntime) Crash(id int64) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cause, known := f.crashes[id]
	return cause, known
}
func (f fakeRuntime) Kill(ctx context.Context, id int64) error {
	return f.Clear(ctx, id)
}
func (f fakeRuntime) Clear(ctx context.Context, id int64) error {
	r := f.get(id)
	if r == nil {
		return nil
	}
	return f.hit("runtime clear", func() error {
		for _, n := range r.boot.NICs {
			delete(f.links, n.HostName)
		}
		delete(f.running, id)
		for at := range f.mounts {
			if strings.HasPrefix(at, fmt.Sprint(id+1000, ":")) || strings.HasPrefix(at, fmt.Sprint(id+2000, ":")) {
				delete(f.mounts, at)
			}
		}
		return nil
	})
}
func (f fakeRuntime) Devices(id int64) (sysctl.RunDevices, bool, error) {
	d := f.get(id).boot.Devices
	return d, d != nil, nil
}
func (f fakeRuntime) SetDevices(id int64, d sysctl.RunDevices) error {
	return f.hit("note devices", func() error { f.running[id].boot.Devices = maps.Clone(d); return nil })
}
func (f fakeRuntime) MountSpaces(s sysctl.State) []sysctl.MountSpace {
	return []sysctl.MountSpace{{Process: s.Monitor, Dir: "/root"}, {Process: s.Init}}
}
func (f fakeRuntime) Cards(id int64) ([]sysctl.Card, error) { return f.cards[id], nil }
func (f fakeRuntime) SetCards(id int64, cards []sysctl.Card) error {
	return f.hit("note cards", func() error { f.cards[id] = slices.Clone(cards); return nil })
}
func (f fakeRuntime) GiveBack(_ context.Context, id int64, _ *os.File) error {
	return f.hit("give back", func() error { f.back = append(f.back, f.cards[id]...); return nil })
}
func (f fakeRuntime) AllowDevices(_ context.Context, _ int64, _, nodes []sysctl.Node) error {
	return f.hit("allow devices", func() error { f.allowed = slices.Clone(nodes); return nil })
}
func (f fakeRuntime) Warm()        {}
func (f fakeRuntime) Leave() error { return nil }
func (f fakeRuntime) Rebooting(_ context.Context, id int64) error {
	return f.hit("rebooting", func() error { f.rebooted = append(f.rebooted, id); return nil })
}
func (f fakeRuntime) Freeze(_ context.Context, id int64) error {
	return f.hit("freeze", func() error { f.running[id].frozen = true; return nil })
}
func (f fakeRuntime) Unfreeze(_ context.Context, id int64) error {
	return f.hit("unfreeze", func() error { f.running[id].frozen = false; return nil })
}
func (f fakeRuntime) Hold(_ context.Context, id int64) error {
	return f.hit("hold", func() error { f.running[id].held, f.running[id].frozen = true, true; return nil })
}
func (f fakeRuntime) Release(_ context.Context, id int64) error {
	if r := f.get(id); r == nil || !r.held {
		return nil
	}
	return f.hit("release", func() error { f.running[id].held, f.running[id].frozen = false, false; return nil })
}
func (f fakeRuntime) CheckSyscalls(s sysctl.Syscalls) error {
	for _, r := range s.Rules {
		if r.Call == "frobnicate" {
			return sysctl.E(sysctl.Invalid, "there is no system call %q", r.Call)
		}
	}
	return nil
}
func (f fakeRuntime) Unenforced(_ int64, b sysctl.Boot) []string {
	if b.DiskShare != 0 {
		return []string{"limits.disk.priority"} // as on a kernel without weights
	}
	return nil
}
func (f fakeRuntime) Limit(id int64, b sysctl.Boot) error {
	return f.hit("limit", func() error {
		r := f.running[id]
		r.boot.Limits = b.Limits
		return nil
	})
}

// halter does what a command by which a guest can be halted does.
func (f fakeRuntime) halter(ctx context.Context, r *run, command string) (int, error) {
	f.mu.Lock()
	f.halted = append(f.halted, fmt.Sprintf("%s@%s", command, time.Since(f.since)))
	h, ok := f.halters[command]
	f.mu.Unlock()
	switch {
	case !ok:
		return 127, nil
	case h.halts:
		close(r.ended)
		return 128 + int(syscall.SIGKILL), nil
	case h.hangs:
		<-ctx.Done()
		return 128 + int(syscall.SIGKILL), nil
	}
	return h.status, h.err
}

func (f fakeRuntime) Exec(ctx context.Context, id int64, c sysctl.Command) (int, error) {
	if command := strings.Join(c.Argv, " "); slices.ContainsFunc(f.HaltCommands(""), func(argv []string) bool { return slices.Equal(argv, c.Argv) }) {
		return f.halter(ctx, f.get(id), command)
	}
	if strings.HasPrefix(c.Argv[0], "guest-") {
		f.asked = append(f.asked, c.Argv)
		return 0, nil
	}
	if f.answers != nil && c.Argv[0] == "/bin/sh" {
		said, status := f.answers(c.Argv[len(c.Argv)-1])
		fmt.Fprint(c.Stdout, said)
		return status, ctx.Err()
	}
	if f.script != "" && c.Argv[len(c.Argv)-1] == f.script {
		fmt.Fprint(c.Stdout, "one\ntwo\n")
		return f.status, f.hit("exec", func() error { return nil })
	}
	fmt.Fprintln(c.Stdout, c.UID, c.GID, c.Groups, c.Cwd, strings.Join(c.Argv, " "), strings.Join(c.Env, " "))
	return 7, nil
}
func (f fakeRuntime) OpenPTY(int64) (*os.File, *os.File, error) { return nil, nil, errInjected }
func (f fakeRuntime) OpenConsole(context.Context, int64) (*os.File, func(), error) {
	return nil, nil, errInjected
}
func (f fakeRuntime) LogPath(int64) string                      { return "/nonexistent" }
func (f fakeRuntime) ConsoleLogPath(int64) string               { return cmp.Or(f.console, "/nonexistent") }
func (f fakeRuntime) RemoveLogs(id int64) error                 { delete(f.logs, id); return nil }
func (f fakeRuntime) Host(context.Context) (sysctl.Host, error) { return f.host, nil }
func (f fakeRuntime) Probe(context.Context) []sysctl.Fact       { return []sysctl.Fact{{Name: "kernel"}} }

type fakeStorage struct{ *world }

type fakeStaging struct {
	w    *world
	tree *treetest.Tree
	dir  string
	open bool
	away bool // an instance has it

	below int
	wrote []string // of a copied upper
}

func (f fakeStorage) PrepareUpper(_ context.Context, id int64, like string) error {
	return f.hit("prepare upper", func() error {
		if like != "" && !f.layers[like] {
			return fmt.Errorf("layer %s is missing", like)
		}
		f.next[id] = true
		return nil
	})
}
func (f fakeStorage) UpperClean(_ context.Context, id int64, _ string) (bool, error) {
	return f.kept[id] && len(f.wrote[id]) == 0, nil
}
func (f fakeStorage) Seal(_ context.Context, id int64, layer string) error {
	return f.hit("seal", func() error {
		if f.layers[layer] {
			return nil
		}
		if f.running[id] != nil || f.patchedUppers[id] || !f.next[id] {
			return fmt.Errorf("instance %d must not be sealed: %v", id, f.next[id])
		}
		f.layers[layer], f.sealed[layer] = true, f.wrote[id]
		delete(f.wrote, id)
		delete(f.tops, id)
		delete(f.next, id)
		f.kept[id] = true
		return nil
	})
}
func (f fakeStorage) RenewUpper(_ context.Context, id int64) error {
	return f.hit("renew upper", func() error {
		if f.running[id] != nil {
			return fmt.Errorf("instance %d runs", id)
		}
		if f.next[id] {
			delete(f.wrote, id)
			delete(f.tops, id)
			delete(f.next, id)
			delete(f.patchedUppers, id)
		}
		return nil
	})
}
func (f fakeStorage) CopyUpper(ctx context.Context, id int64, _ sysctl.Progress) (manager.Staging, error) {
	if r := (fakeRuntime{f.world}).get(id); r != nil && !r.frozen {
		return nil, errors.New("it runs")
	}
	s, err := f.Stage(ctx)
	if err != nil {
		return nil, err
	}
	s.(*fakeStaging).wrote = slices.Clone(f.wrote[id])
	return s, nil
}

func (f fakeStorage) Stage(_ context.Context, below ...string) (manager.Staging, error) {
	var s *fakeStaging
	err := f.hit("stage", func() error {
		f.staging++
		s = &fakeStaging{w: f.world, tree: treetest.New(f.base), dir: os.DevNull, open: true, below: len(below)}
		if len(below) > 0 { // another than that of the layer with nothing below
			s.dir = "/dev/zero"
		}
		if f.trees != "" {
			s.dir = filepath.Join(f.trees, fmt.Sprint(len(f.calls)))
			return os.Mkdir(s.dir, 0o700)
		}
		return nil
	})
	if err != nil {
		if s != nil {
			f.staging-- // a Stage that fails has cleaned up after itself
		}
		return nil, err
	}
	return s, nil
}
func (s *fakeStaging) Dir() string       { return s.dir }
func (s *fakeStaging) Tree() sysctl.Tree { return s.tree }
func (s *fakeStaging) Own() (string, error) {
	return s.dir, s.w.hit("own", func() error { return nil })
}
func (s *fakeStaging) OpenRoot(context.Context, sysctl.IDMap) (root *os.File, err error) {
	err = s.w.hit("open staged root", func() error { s.away = true; return nil })
	if err == nil {
		root, err = os.Open(s.dir)
	}
	return root, err
}
func (s *fakeStaging) Reopen(context.Context) error {
	return s.w.hit("reopen", func() error { s.away = false; return nil })
}
func (s *fakeStaging) Patch(context.Context, sysctl.Finder, sysctl.Progress) (undo func() error, err error) {
	undo = func() error { return s.w.hit("undo patch", func() error { s.w.patched = false; return nil }) }
	return undo, s.w.hit("patch", func() error { s.w.patched = true; return nil })
}
func (s *fakeStaging) Commit(context.Context) (l sysctl.Layer, err error) {
	err = s.w.hit("commit layer", func() error {
		s.w.number++
		l = sysctl.Layer{ID: fmt.Sprintf("%064d", s.w.number), Size: 10}
		s.w.layers[l.ID] = true
		if s.w.built = s.tree; s.away {
			return errors.New("an instance has it")
		}
		s.w.staging--
		s.open = false
		return nil
	})
	return l, err
}
func (s *fakeStaging) CommitAs(_ context.Context, id string) (sysctl.Layer, error) {
	return sysctl.Layer{ID: id}, s.w.hit("commit copy", func() error {
		s.w.layers[id], s.w.sealed[id] = true, s.wrote
		s.w.staging--
		s.open = false
		return nil
	})
}
func (s *fakeStaging) Abort() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.open {
		s.open = false
		s.w.staging--
	}
	return nil
}
func (f fakeStorage) DeleteLayer(_ context.Context, id string) error {
	return f.hit("delete layer", func() error { delete(f.layers, id); return nil })
}
func (f fakeStorage) CreateUpper(_ context.Context, id int64) error {
	return f.hit("create upper", func() error { f.uppers[id] = true; delete(f.wrote, id); return nil })
}
func (f fakeStorage) DeleteUpper(_ context.Context, id int64) error {
	return f.hit("delete upper", func() error { delete(f.uppers, id); return nil })
}
func (f fakeStorage) Usage(context.Context, int64) (int64, error)      { return 4096, nil }
func (f fakeStorage) NeedsCopies(context.Context, int64) (bool, error) { return !f.shifts, nil }
func (f fakeStorage) Copies() ([]sysctl.LayerCopy, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.copies), nil
}
func (f fakeStorage) DeleteCopy(_ context.Context, c sysctl.LayerCopy) error {
	return f.hit("delete copy", func() error {
		f.copies = slices.DeleteFunc(f.copies, func(have sysctl.LayerCopy) bool { return have == c })
		return nil
	})
}
func (f fakeStorage) OpenRoot(_ context.Context, id int64, layers []string, m sysctl.IDMap, _ sysctl.Progress) (file *os.File, err error) {
	err = f.hit("open root", func() error {
		for _, l := range layers {
			if !f.layers[l] {
				return fmt.Errorf("layer %s is missing", l)
			}
		}
		top := layers[len(layers)-1]
		if was, ok := f.tops[id]; ok && was != top {
			return sysctl.E(sysctl.Conflict, "mounted on %s before", was)
		}
		f.tops[id] = top
		return nil
	})
	if err == nil {
		file, err = os.Open(os.DevNull)
	}
	return file, err
}

type fakeTree struct{ *treetest.Tree }

func (fakeTree) Close() error   { return nil }
func (fakeTree) Root() *os.File { return nil }

// What follows stands in for the room storage's copies between a tree and the host.

func (t fakeTree) Put(_ context.Context, src, name string, o sysctl.CopyOptions) error {
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return t.PutStream(context.Background(), bytes.NewReader(data), name, o)
}

func (t fakeTree) PutStream(_ context.Context, r io.Reader, name string, _ sysctl.CopyOptions) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return t.WriteFile(name, data, 0o644)
}

func (t fakeTree) Get(_ context.Context, name, dst string, _ sysctl.CopyOptions) error {
	data, err := t.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, data, 0o644)
}

func (t fakeTree) Mkdir(name string, _ sysctl.CopyOptions) error {
	if _, err := t.Lstat(name); err == nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.EEXIST}
	}
	return t.MkdirAll(name, 0o755)
}

func (t fakeTree) RemoveAll(_ context.Context, name string) error { return t.Remove(name) }

func (t fakeTree) Files(name string) (list []sysctl.File, err error) {
	entries, err := t.ReadDir(name)
	for _, e := range entries {
		list = append(list, sysctl.File{Name: e.Name()})
	}
	return list, err
}

func passwd() fakeTree {
	return fakeTree{treetest.New(map[string]string{
		"/etc/passwd":         "root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/zsh\n",
		"/etc/group":          "root:x:0:\nbob:x:1000:\nsudo:x:27:bob\nadm:x:4:alice,bob\n",
		"/etc/default/locale": "LANG=\"de_DE.UTF-8\"\n",
	})}
}

func (f fakeStorage) RootTree(*os.File, sysctl.IDMap, bool) (sysctl.Tree, func() error) {
	t := passwd()
	f.root = t.Tree
	return t, func() error { return f.hit("sync files", func() error { return nil }) }
}
func (f fakeStorage) OpenTree(context.Context, int64, []string) (manager.OpenedTree, error) {
	if f.files != nil {
		return fakeTree{f.files}, nil
	}
	return passwd(), f.hit("open tree", func() error { return nil })
}
func (f fakeStorage) StagePatched(ctx context.Context, layers []string, _ sysctl.Finder, _ sysctl.Progress) (manager.Staging, sysctl.PatchedFiles, error) {
	f.mu.Lock()
	f.scanned++
	f.mu.Unlock()
	if f.nothing {
		return nil, sysctl.PatchedFiles{}, f.hit("scan", func() error { return nil })
	}
	s, err := f.Stage(ctx)
	return s, sysctl.PatchedFiles{Files: map[string][]sysctl.Patch{"lib/libc": nil, "sbin/ldconfig": nil}, Unsure: []string{"/a"}}, err
}
func (f fakeStorage) PatchUpper(_ context.Context, id int64, below map[string][]sysctl.Patch, _ int, _ sysctl.Finder, _ sysctl.Progress) (n int, unsure []string, err error) {
	return 1, nil, f.hit("patch upper", func() error { f.patchedUppers[id] = true; return nil })
}
func (f fakeStorage) RestoreUpper(_ context.Context, id int64) error {
	return f.hit("restore upper", func() error { delete(f.patchedUppers, id); return nil })
}
func (f fakeStorage) Restack(_ context.Context, id int64) error {
	return f.hit("restack", func() error { delete(f.tops, id); return nil })
}
func (f fakeStorage) OpenDisk(_ context.Context, d sysctl.Disk, _ sysctl.IDMap) (file *os.File, err error) {
	err = f.hit("open disk", func() error {
		if d.Source != "" && d.Source == f.lost {
			return sysctl.E(sysctl.NotFound, "%s is missing", d.Source)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	return os.NewFile(uintptr(fd), d.Source), err
}
func (f fakeStorage) Attach(_ context.Context, spaces []sysctl.MountSpace, _ sysctl.IDMap, mount *os.File, path string) error {
	return f.hit("attach", func() error {
		for _, at := range spaces {
			f.mounts[fmt.Sprint(at.Process.PID, ":", path)] = mount.Name()
		}
		return nil
	})
}
func (f fakeStorage) Detach(_ context.Context, spaces []sysctl.MountSpace, _ sysctl.IDMap, path string) error {
	return f.hit("detach", func() error {
		for _, at := range spaces {
			delete(f.mounts, fmt.Sprint(at.Process.PID, ":", path))
		}
		return nil
	})
}
func (f fakeStorage) CheckSize() error {
	if f.noQuota {
		return sysctl.E(sysctl.Unsupported, "no quotas here").WithHint("switch them on")
	}
	return nil
}
func (f fakeStorage) LimitUpper(_ context.Context, id, size int64, running bool) (bool, error) {
	if _, has := f.sizes[id]; !has && (running && size > 0 || size == 0) {
		return size == 0, nil
	}
	return true, f.hit("limit upper", func() error { f.sizes[id] = size; return nil })
}
func (f fakeStorage) FindNode(n sysctl.Node) (sysctl.Node, error) {
	if n.Source != "" && n.Source == f.lost {
		return n, sysctl.E(sysctl.NotFound, "%s is missing", n.Source)
	}
	if n.Source != "" {
		n.Major, n.Minor = 7, uint32(len(n.Source))
	}
	return n, nil
}
func (f fakeStorage) AttachNode(_ context.Context, at sysctl.MountSpace, _ sysctl.IDMap, n sysctl.Node) error {
	return f.hit("attach node", func() error { f.mounts[fmt.Sprint(at.Process.PID, ":", n.Path)] = n.Numbers(); return nil })
}
func (f fakeStorage) DetachNode(_ context.Context, at sysctl.MountSpace, _ sysctl.IDMap, n sysctl.Node) error {
	return f.hit("detach node", func() error { delete(f.mounts, fmt.Sprint(at.Process.PID, ":", n.Path)); return nil })
}
func (f fakeStorage) OpenLayers(_ context.Context, layers []string) (manager.OpenedTree, error) {
	f.openedLayers = layers
	return passwd(), nil
}

// fakeComparison has a file for each word that was written into one of the sides.
type fakeComparison struct {
	world    *world
	from, to sysctl.Side
}

func (f fakeStorage) Mount(_ context.Context, id int64, side sysctl.Side, dir string) error {
	v := sysctl.View{Instance: id, Dir: dir}
	if side.Instance == 0 {
		v.Layer = side.Layers[len(side.Layers)-1][:8]
	}
	return f.hit("mount view", func() error { f.views = append(f.views, v); return nil })
}

func (f fakeStorage) Views() ([]sysctl.View, error) { return slices.Clone(f.views), nil }

func (f fakeStorage) Unmount(v sysctl.View, detach bool) error {
	if f.inUse && !detach {
		return sysctl.E(sysctl.Busy, "%s is in use", v.Dir)
	}
	f.views = slices.DeleteFunc(f.views, func(o sysctl.View) bool { return o == v })
	return nil
}

func (f fakeStorage) OpenComparison(_ context.Context, from, to sysctl.Side) (manager.Comparison, error) {
	return fakeComparison{f.world, from, to}, f.hit("compare", func() error { return nil })
}

func (c fakeComparison) words(s sysctl.Side) (words []string) {
	for _, l := range s.Layers {
		words = append(words, c.world.sealed[l]...)
	}
	return append(words, c.world.wrote[s.Instance]...)
}

func (c fakeComparison) Close() error      { return nil }
func (c fakeComparison) From() sysctl.Tree { return treetest.New(map[string]string{"/": ""}) }
func (c fakeComparison) To() sysctl.Tree   { return treetest.New(map[string]string{"/to": "x"}) }

func (c fakeComparison) Differences(context.Context) ([]sysctl.Difference, error) {
	if c.world.meanwhile != nil {
		c.world.meanwhile()
	}
	var list []sysctl.Difference
	before, after := c.words(c.from), c.words(c.to)
	for _, w := range after {
		if !slices.Contains(before, w) {
			list = append(list, sysctl.Difference{Path: "/" + w, Change: sysctl.Added})
		}
	}
	for _, w := range before {
		if !slices.Contains(after, w) {
			list = append(list, sysctl.Difference{Path: "/" + w, Change: sysctl.Deleted})
		}
	}
	return list, nil
}

func (f fakeStorage) OpenDir(string) (manager.OpenedTree, error) { return passwd(), nil }
func (f fakeStorage) OpenProcess(sysctl.Process) (manager.OpenedTree, error) {
	if f.files != nil {
		return fakeTree{f.files}, nil
	}
	return passwd(), nil
}
func (f fakeStorage) Sweep(context.Context) error         { f.swept++; return nil }
func (f fakeStorage) Probe(context.Context) []sysctl.Fact { return nil }

type fakeNet struct{ *world }

func (f fakeNet) EnsureBridge(_ context.Context, n sysctl.Network) error {
	return f.hit("ensure bridge", func() error { f.bridges[n.Name] = true; return nil })
}
func (f fakeNet) IsUp(_ context.Context, n sysctl.Network) (bool, error) {
	if n.Name == "eth9" {
		return false, sysctl.E(sysctl.Conflict, "interface eth9 exists and is a device, not a bridge")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bridges[n.Name], nil
}
func (f fakeNet) Shed(_ context.Context, old, n sysctl.Network) error {
	return f.hit("shed", func() error { return nil })
}
func (f fakeNet) Serve(_ context.Context, n sysctl.Network, hosts func() ([]sysctl.NetworkHost, error)) error {
	list, err := hosts()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dns && f.noNames == nil && f.names[n.Name] == nil {
		f.names[n.Name] = map[int64][]sysctl.NetworkHost{}
		for _, h := range list {
			f.names[n.Name][h.Instance] = append(f.names[n.Name][h.Instance], h)
		}
	}
	return f.noNames
}
func (f fakeNet) Announce(_ context.Context, n sysctl.Network, id int64, hosts []sysctl.NetworkHost) error {
	announce := func() error {
		if f.names[n.Name] != nil {
			f.names[n.Name][id] = hosts
		}
		return nil
	}
	if len(hosts) == 0 {
		return f.hit("forget the names", announce)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return announce()
}
func (f fakeNet) StopServing(_ context.Context, n sysctl.Network) error {
	return f.hit("stop serving", func() error { delete(f.names, n.Name); return nil })
}
func (f fakeNet) Serves(n sysctl.Network) bool { return f.Served(n) && n.DNS.Mode != "none" }
func (f fakeNet) Served(n sysctl.Network) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[n.Name] != nil
}
func (f fakeNet) Alive(n sysctl.Network) bool                   { return f.Served(n) }
func (f fakeNet) Barred(sysctl.Network) (string, bool)          { return "", false }
func (f fakeNet) ServerAddress(n sysctl.Network) netip.Addr     { return n.IPv4.Addr() }
func (f fakeNet) Leases(sysctl.Network) ([]sysctl.Lease, error) { return nil, nil }
func (f fakeNet) Parent(_ context.Context, name string) (sysctl.Parent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.running {
		for _, n := range r.boot.Wiring.Plugged {
			if n.Type == "phys" && n.Link == name {
				return sysctl.Parent{}, sysctl.E(sysctl.NotFound, "there is no interface %q", name)
			}
		}
	}
	switch card := (sysctl.Card{Name: name, Index: 9}); name {
	case "bare9":
		return sysctl.Parent{}, nil
	case "card9":
		return sysctl.Parent{Card: card, Subnets: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}}, nil
	case "way9":
		return sysctl.Parent{Card: card, Default: true}, nil
	case "port9":
		return sysctl.Parent{Card: card, Port: "br9"}, nil
	}
	if name != "eth9" && name != "br9" {
		return sysctl.Parent{}, sysctl.E(sysctl.NotFound, "there is no interface %q", name)
	}
	return sysctl.Parent{Bridge: name == "br9", VLANs: name == "br9", Subnets: []netip.Prefix{netip.MustParsePrefix("192.168.9.0/24")}, Gateway4: netip.MustParseAddr("192.168.9.1")}, nil
}
func (f fakeNet) RemoveBridge(_ context.Context, n sysctl.Network) error {
	return f.hit("remove bridge", func() error { delete(f.bridges, n.Name); return nil })
}
func (f fakeNet) ChooseSubnets(context.Context, []netip.Prefix) (netip.Prefix, netip.Prefix, error) {
	return netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("fd99::1/64"), nil
}
func (f fakeNet) Picker(p netip.Prefix, prefer netip.Addr) sysctl.AddressPicker {
	return func(taken func(netip.Addr) bool) (netip.Addr, error) {
		if prefer.IsValid() && !taken(prefer) {
			return prefer, nil
		}
		for a := p.Addr().Next(); p.Contains(a); a = a.Next() {
			if !taken(a) {
				return a, nil
			}
		}
		return netip.Addr{}, sysctl.E(sysctl.NoSpace, "full")
	}
}
func (f fakeNet) CheckAddress(n sysctl.Network, a netip.Addr) error {
	if !n.IPv4.Contains(a) && !n.IPv6.Contains(a) {
		return sysctl.E(sysctl.Invalid, "%s is not in %s or %s", a, n.IPv4.Masked(), n.IPv6.Masked())
	}
	return nil
}
func (f fakeNet) MAC(id int64, device string) string {
	return fmt.Sprintf("00:16:3e:00:%02x:%02x", id, len(device))
}
func (f fakeNet) Answers(context.Context, netip.Addr) error        { return nil }
func (f fakeNet) HostDNS(context.Context) ([]netip.Addr, []string) { return nil, nil }
func (f fakeNet) Probe(context.Context) []sysctl.Fact              { return []sysctl.Fact{{Name: "nat"}} }

type fakeGuests struct{ *world }

func (f fakeGuests) Detect(sysctl.Tree) (sysctl.Guest, error) {
	g := f.os
	g.Fingerprint = f.print
	if f.none {
		g.Renderer = "none"
	}
	return g, f.hit("detect", func() error { return nil })
}
func (f fakeGuests) Fingerprint(sysctl.Tree) string  { return f.print }
func (f fakeGuests) StepNames() []string             { return []string{"console", "udev-off"} }
func (f fakeGuests) Vsyscalls() (sysctl.Finder, int) { return nil, 1 }
func (f fakeGuests) CheckSteps(names []string) error {
	for _, name := range names {
		if name != "console" {
			return sysctl.E(sysctl.Invalid, "no preparation step is called %q", name)
		}
	}
	return nil
}
func (f fakeGuests) Identify(sysctl.Tree, sysctl.Guest, []string) ([]sysctl.Change, error) {
	return nil, f.hit("identify", func() error { f.fresh++; return nil })
}
func (f fakeGuests) Restore(_ sysctl.Tree, names []string) ([]sysctl.Change, error) {
	return []sysctl.Change{{Path: "/etc/inittab"}}, f.hit("restore "+strings.Join(names, " "), func() error { return nil })
}
func (f fakeGuests) Prepared(sysctl.Tree) ([]sysctl.PrepStep, error) {
	return []sysctl.PrepStep{{Name: "console", State: sysctl.PrepDone}}, nil
}
func (f fakeGuests) Prepare(_ sysctl.Tree, _ sysctl.Guest, skip []string) ([]sysctl.Change, error) {
	f.skipped = skip
	return []sysctl.Change{{Path: "/etc/machine-id"}}, f.hit("prepare", func() error { return nil })
}
func (f fakeGuests) Packages(t sysctl.Tree) ([]string, []sysctl.Package, error) {
	list := []sysctl.Package{{Name: "nginx", Version: "1"}}
	if _, err := t.Stat("/to"); err == nil {
		list = []sysctl.Package{{Name: "nginx", Version: "2", Config: map[string]string{"/b": "md5:x", "/z": "md5:x"}}, {Name: "new", Version: "1"}}
	}
	return []string{"dpkg"}, list, nil
}

func (f fakeGuests) Intact(sysctl.Tree, string, string) (bool, error) { return false, nil }

func (f fakeGuests) NICCommands(_ sysctl.Guest, nic string) (up, down [][]string) {
	return [][]string{{"guest-up", nic}}, [][]string{{"guest-down", nic}}
}
func (f fakeGuests) Render(_ sysctl.Tree, _ sysctl.Guest, n sysctl.GuestNetwork) ([]sysctl.Change, error) {
	return []sysctl.Change{{Path: "/etc/hostname", Data: []byte(n.Hostname + "\n")}}, f.hit("render", func() error { f.network = n; return nil })
}

func (f fakeGuests) Carry(_ sysctl.Tree, _ sysctl.Guest, c sysctl.Compat, kernel string) ([]sysctl.Change, []string, error) {
	if c.PrivateDevices == sysctl.On {
		return []sysctl.Change{{Path: "/drop-in", Data: []byte(kernel)}}, nil, nil
	}
	return nil, nil, nil
}

type fakeCatalogue struct{ *world }

func (f fakeCatalogue) promise() sysctl.Guest {
	if f.promised.ID != "" {
		return f.promised
	}
	return f.os
}

func (f fakeCatalogue) List() ([]sysctl.Template, error) {
	return []sysctl.Template{{Name: "broken"}, {Name: "debian12", Guest: f.promise()}}, nil
}
func (f fakeCatalogue) Find(ref string) (sysctl.Template, []byte, error) {
	if ref == "debian12" || ref == "debian/12" {
		return sysctl.Template{Name: "debian12", Guest: f.promise(), Test: f.test}, []byte("name: debian12\n"), nil
	}
	return sysctl.Template{}, nil, sysctl.E(sysctl.NotFound, "no template is called %q", ref).WithHint("sysctl template list")
}
func (f fakeCatalogue) Steps(string) ([]sysctl.PrepStep, error) {
	return []sysctl.PrepStep{{Name: "console"}}, nil
}
func (f fakeCatalogue) Validate(string) error { return nil }
func (f fakeCatalogue) Schema() []byte        { return []byte("{}") }
func (f fakeCatalogue) Remotes() []string     { return []string{"images"} }
func (f fakeCatalogue) Edition(string) string { return f.edition }
func (f fakeCatalogue) Build(ctx context.Context, ref, dir string, o manager.TreeOptions) (manager.Tree, error) {
	t := manager.Tree{Source: "bootstrap", Chosen: f.chosen, Inputs: fmt.Sprintf("inputs-%s-%v%s", f.edition, o.Set, o.Arch)}
	if o.Note != nil {
		o.Note("tried")
	}
	if t.Cached = o.Have(t.Inputs); t.Cached {
		return t, nil
	}
	t.Dir = dir
	err := f.hit("build", func() error { return nil })
	if err == nil && len(f.parts) > 0 {
		t.Dir, err = o.Stack(ctx, f.layers())
	}
	if err == nil && f.script != "" {
		err = o.Run(ctx, t.Dir, f.script)
	}
	return t, err
}

// layers are those that a source gives.
func (f fakeCatalogue) layers() (all []sysctl.TreeLayer) {
	for _, key := range f.parts {
		all = append(all, sysctl.TreeLayer{Key: key, Fill: func(context.Context, string) error {
			return f.hit("fill", func() error { f.filled = append(f.filled, key); return nil })
		}})
	}
	return all
}
func (f fakeCatalogue) Pull(ctx context.Context, ref, dir string, o manager.TreeOptions) (manager.Tree, error) {
	t := manager.Tree{Source: ref, Inputs: "pulled-" + strings.ReplaceAll(ref, "/", "-") + o.Arch}
	if t.Cached = o.Have(t.Inputs); t.Cached {
		return t, nil
	}
	t.Dir = dir
	err := f.hit("pull", func() error { return nil })
	if err == nil && len(f.parts) > 0 {
		t.Dir, err = o.Stack(ctx, f.layers())
	}
	return t, err
}
func (f fakeCatalogue) Normalize(context.Context, string, time.Time) error {
	return f.hit("normalize", func() error { return nil })
}
func (f fakeCatalogue) Unpack(_ context.Context, path, _ string, _ manager.UnpackOptions) (string, error) {
	return path, f.hit("unpack", func() error { return nil })
}
func (f fakeCatalogue) Pack(_ context.Context, _ *os.File, w io.Writer) error {
	_, err := io.WriteString(w, "tar")
	return err
}

// house is a Manager over a world and a real database.
type house struct {
	*manager.Manager
	w    *world
	db   *db.DB
	path string
}

func newHouse(t *testing.T) house {
	t.Helper()
	dir := t.TempDir()
	w := newWorld()
	path := filepath.Join(dir, "sysctl.db")
	d, err := db.Open(t.Context(), db.Options{Path: path, Now: time.Now, DefaultNetwork: "sysbr0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	runs := 0
	m := manager.New(manager.Config{
		DB: d, Runtime: fakeRuntime{w}, Storage: fakeStorage{w}, Net: fakeNet{w}, Guests: fakeGuests{w}, Catalogue: fakeCatalogue{w},
		LockDir: filepath.Join(dir, "lock"), BuiltDir: filepath.Join(dir, "built"), DefaultNetwork: sysctl.Network{Name: "sysbr0"},
		IDs:  db.IDBlock{Base: 1 << 20, Size: 65536, Count: 300},
		Link: func(id int64, nic int, run string) string { return fmt.Sprintf("sy%d.%d", id, nic) },
		CPUs: func() ([]int, error) { return []int{0, 1, 2, 3}, nil }, Memory: func() (int64, error) { return 8 << 30, nil },
		Now: time.Now, Erase: func() error { return nil }, NewRun: func() string { runs++; return fmt.Sprint("run", runs) },
	})
	return house{m, w, d, path}
}

// launch makes a running instance.
func (h house) launch(t *testing.T, name string) {
	t.Helper()
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name, Start: true}); err != nil {
		t.Fatal(err)
	}
}

func (h house) names(t *testing.T) []string {
	t.Helper()
	all, err := h.db.Instances(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}
