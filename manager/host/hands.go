package host

import (
	"context"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/netconfig"
	"github.com/sysctl-os/sysctl/netconfig/guest"
	"github.com/sysctl-os/sysctl/storage"
	"github.com/sysctl-os/sysctl/templates"
	"github.com/sysctl-os/sysctl/templates/packages"
	"github.com/sysctl-os/sysctl/templates/vsyscall"
)

// The hands, in the shape the manager declares. Adapters only: no decision is taken here.

type storageOf struct{ *storage.Store }

func (s storageOf) Stage(ctx context.Context, below ...string) (manager.Staging, error) {
	st, err := s.Store.Stage(ctx, below...)
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (s storageOf) CopyUpper(ctx context.Context, id int64, p sysctl.Progress) (manager.Staging, error) {
	st, err := s.Store.CopyUpper(ctx, id, p)
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (s storageOf) StagePatched(ctx context.Context, layers []string, find sysctl.Finder, p sysctl.Progress) (manager.Staging, sysctl.PatchedFiles, error) {
	st, found, err := s.Store.StagePatched(ctx, layers, find, p)
	if st == nil || err != nil {
		return nil, found, err
	}
	return st, found, nil
}

// RootTree is the tree of what OpenRoot has opened. With later, what is written is on disk only when synced has returned.
func (s storageOf) RootTree(root *os.File, m sysctl.IDMap, later bool) (t sysctl.Tree, synced func() error) {
	tree := storage.NewTree(root).WithOwner(int(m.Base), int(m.Base))
	if later {
		return tree.Later()
	}
	return tree, func() error { return nil }
}

func (s storageOf) OpenTree(ctx context.Context, id int64, layers []string) (manager.OpenedTree, error) {
	return opened(s.Store.OpenTree(ctx, id, layers))
}

func (s storageOf) OpenLayers(ctx context.Context, layers []string) (manager.OpenedTree, error) {
	return opened(s.Store.OpenLayers(ctx, layers))
}

func (s storageOf) OpenComparison(ctx context.Context, from, to sysctl.Side) (manager.Comparison, error) {
	c, err := s.Store.OpenComparison(ctx, from, to)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s storageOf) OpenDir(path string) (manager.OpenedTree, error) {
	return opened(storage.OpenDir(path))
}

func (s storageOf) OpenProcess(p sysctl.Process) (manager.OpenedTree, error) {
	return opened(storage.ProcTree(p.PID))
}

func (s storageOf) Sweep(ctx context.Context) error { return s.SweepStaging(ctx) }

func (catalogue) ArchiveFormats() []string { return templates.ArchiveFormats() }

func (catalogue) WriteArchive(ctx context.Context, w io.Writer, format string, index []byte, layers []manager.ArchiveLayer, total int64, p sysctl.Progress) (int64, error) {
	list := make([]templates.ArchiveLayer, len(layers))
	for i, l := range layers {
		list[i] = templates.ArchiveLayer(l)
	}
	return templates.WriteArchive(ctx, w, format, index, list, total, p)
}

func (catalogue) ReadArchive(ctx context.Context, r io.Reader, s manager.ArchiveSink, p sysctl.Progress) error {
	return templates.ReadArchive(ctx, r, templates.ArchiveSink(s), p)
}

// opened keeps a nil *Tree from becoming a non-nil interface.
func opened(t *storage.Tree, err error) (manager.OpenedTree, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

type netOf struct {
	env     string
	table   string
	bridges []string
}

func (netOf) EnsureBridge(ctx context.Context, n sysctl.Network) error {
	return netconfig.EnsureBridge(ctx, n)
}

func (netOf) IsUp(ctx context.Context, n sysctl.Network) (bool, error) {
	return netconfig.IsUp(ctx, n)
}

func (netOf) Shed(ctx context.Context, old, n sysctl.Network) error {
	return netconfig.Shed(ctx, old, n)
}

func (netOf) Parent(ctx context.Context, name string) (sysctl.Parent, error) {
	return netconfig.Parent(ctx, name)
}

func (netOf) RemoveBridge(ctx context.Context, n sysctl.Network) error {
	return netconfig.RemoveBridge(ctx, n)
}

func (netOf) PlugNIC(ctx context.Context, init int, n sysctl.BootNIC) error {
	return netconfig.PlugNIC(ctx, init, n)
}

func (netOf) TakeNIC(ctx context.Context, init int, n sysctl.BootNIC) error {
	return netconfig.TakeNIC(ctx, init, n)
}

func (netOf) HasAddresses(ctx context.Context, init int, n sysctl.BootNIC) (bool, error) {
	return netconfig.HasAddresses(ctx, init, n)
}

func (netOf) SetAddresses(ctx context.Context, init int, n sysctl.BootNIC) error {
	return netconfig.SetAddresses(ctx, init, n)
}

func (netOf) UnplugNIC(ctx context.Context, hostName string) error {
	return netconfig.UnplugNIC(ctx, hostName)
}

func (netOf) FreeLink(ctx context.Context, name string) error { return netconfig.FreeLink(ctx, name) }

func (n netOf) SetLink(ctx context.Context, l sysctl.Link) error {
	return netconfig.SetLink(ctx, n.table, l)
}

func (n netOf) Publish(ctx context.Context, id int64, rules []sysctl.PortRule) error {
	return netconfig.Publish(ctx, n.table, id, rules)
}

func (n netOf) ChooseSubnets(ctx context.Context, avoid []netip.Prefix) (v4, v6 netip.Prefix, err error) {
	return netconfig.ChooseSubnets(ctx, avoid, n.env)
}

func (netOf) Picker(p netip.Prefix, prefer netip.Addr) sysctl.AddressPicker {
	return netconfig.Picker(p, prefer)
}

func (netOf) CheckAddress(n sysctl.Network, a netip.Addr) error { return netconfig.CheckAddress(n, a) }

func (n netOf) MAC(id int64, device string) string { return netconfig.MAC(n.env, id, device) }

func (netOf) Answers(ctx context.Context, a netip.Addr) error      { return netconfig.Answers(ctx, a) }
func (netOf) HostDNS(ctx context.Context) ([]netip.Addr, []string) { return netconfig.HostDNS(ctx) }

func (n netOf) Probe(ctx context.Context) []sysctl.Fact { return netconfig.Probe(ctx, n.bridges...) }

type guests struct{}

// Detect is the OS by templates and the network renderer by netconfig/guest.
func (guests) Detect(t sysctl.Tree) (sysctl.Guest, error) {
	before := guests{}.Fingerprint(t) // what changes meanwhile is found next time
	g, err := templates.Detect(t)
	if err != nil {
		return g, err
	}
	var evidence []string
	g.Renderer, g.Dialect, evidence = guest.Probe(t)
	g.Evidence = append(g.Evidence, evidence...)
	g.Fingerprint = before
	return g, nil
}

// Fingerprint is of everything that Detect looks at.
func (guests) Fingerprint(t sysctl.Tree) string {
	return sysctl.Fingerprint(t, append(templates.Watched(), guest.Watched(t)...))
}

func (guests) Vsyscalls() (find sysctl.Finder, edition int) { return vsyscall.Find, vsyscall.Edition }

func (guests) CheckSteps(names []string) error { return templates.CheckSteps(names) }

func (guests) StepNames() (names []string) {
	for _, s := range templates.Steps() {
		names = append(names, s.Name)
	}
	return names
}

func (guests) Prepare(t sysctl.Tree, g sysctl.Guest, skip []string) ([]sysctl.Change, error) {
	changes, _, err := templates.Prepare(t, g, templates.PrepareOptions{Skip: skip})
	return changes, err
}

func (guests) Identify(t sysctl.Tree, g sysctl.Guest, skip []string) ([]sysctl.Change, error) {
	return templates.Identify(t, g, skip)
}

func (guests) Restore(t sysctl.Tree, names []string) ([]sysctl.Change, error) {
	return templates.Restore(t, names)
}

func (guests) Prepared(t sysctl.Tree) ([]sysctl.PrepStep, error) { return templates.Prepared(t) }

func (guests) Packages(t sysctl.Tree) (databases []string, list []sysctl.Package, err error) {
	return packages.List(t)
}

func (guests) Intact(t sysctl.Tree, path, digest string) (bool, error) {
	return packages.Intact(t, path, digest)
}

func (guests) NICCommands(g sysctl.Guest, nic string) (up, down [][]string) {
	return guest.NICCommands(g, nic)
}

func (guests) Render(t sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) ([]sysctl.Change, error) {
	return guest.Render(t, g, n)
}

func (guests) Carry(t sysctl.Tree, g sysctl.Guest, c sysctl.Compat, kernel string) ([]sysctl.Change, []string, error) {
	return templates.Carry(t, g, c, kernel)
}

// catalogue loads the recipes only when a verb asks for them: most verbs never do.
type catalogue struct {
	dirs    []string          // of the user's recipes, later ones win
	cache   string            // what was downloaded
	mirrors map[string]string // of the settings
	remotes map[string]templates.Remote
	silence time.Duration // of servers
}

func (c catalogue) load() (*templates.Catalogue, error) { return templates.Load(c.dirs...) }

func (c catalogue) List() ([]sysctl.Template, error) {
	all, err := c.load()
	if err != nil {
		return nil, err
	}
	return all.List(), nil
}

func (c catalogue) Find(ref string) (sysctl.Template, []byte, error) {
	all, err := c.load()
	if err != nil {
		return sysctl.Template{}, nil, err
	}
	return all.Find(ref)
}

func (c catalogue) Steps(ref string) ([]sysctl.PrepStep, error) {
	all, err := c.load()
	if err != nil {
		return nil, err
	}
	return all.Steps(ref)
}

func (c catalogue) Validate(path string) error {
	all, err := c.load()
	if err != nil {
		return err
	}
	return all.Validate(path)
}

func (catalogue) Schema() []byte { return templates.Schema() }

func (c catalogue) Edition(name string) string { return templates.Edition(name, c.dirs...) }

func (c catalogue) Build(ctx context.Context, ref, dir string, o manager.TreeOptions) (manager.Tree, error) {
	all, err := c.load()
	if err != nil {
		return manager.Tree{}, err
	}
	b, err := all.Build(ctx, ref, dir, c.options(o))
	return manager.Tree(b), err
}

func (c catalogue) Pull(ctx context.Context, ref, dir string, o manager.TreeOptions) (manager.Tree, error) {
	b, err := templates.Pull(ctx, ref, c.remotes, dir, c.options(o))
	return manager.Tree(b), err
}

func (c catalogue) Remotes() []string { return templates.RemoteNames(c.remotes) }

func (c catalogue) options(o manager.TreeOptions) templates.BuildOptions {
	return templates.BuildOptions{
		Set: o.Set, Mirror: o.Mirror, Offline: o.Offline, Have: o.Have, Run: o.Run, Stack: o.Stack, Progress: o.Progress, Note: o.Note,
		Arch: o.Arch, Mirrors: c.mirrors, Cache: c.cache, Silence: c.silence,
	}
}

func (catalogue) Normalize(ctx context.Context, dir string, since time.Time) error {
	return templates.Normalize(ctx, dir, since)
}

func (catalogue) Unpack(ctx context.Context, path, dir string, o manager.UnpackOptions) (source string, err error) {
	return templates.MakeTree(ctx, path, dir, o.Partition, templates.UnpackOptions{MaxSize: o.MaxSize, Progress: o.Progress})
}

func (catalogue) Pack(ctx context.Context, root *os.File, w io.Writer) error {
	return templates.Pack(ctx, "/proc/self/fd/"+strconv.Itoa(int(root.Fd())), w)
}
