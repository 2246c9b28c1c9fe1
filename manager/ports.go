package manager

import (
	"context"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
)

// The hands, as the verbs need them. host plugs them in; tests plug in fakes. What each method promises
// is written at its implementation.

// Runtime is manager/lxc.
type Runtime interface {
	Start(ctx context.Context, b sysctl.Boot, root *os.File, disks []*os.File, meanwhile func() error) (sysctl.State, error)
	State(id int64) sysctl.State
	Usage(id int64) sysctl.Usage
	Resources(id int64, init sysctl.Process) sysctl.Resources
	HostResources() sysctl.Resources
	Signal(id int64, sig syscall.Signal) error
	HaltSignal(init string) syscall.Signal
	HaltCommands(init string) [][]string
	Wait(ctx context.Context, id int64) error
	Gone(ctx context.Context, id int64) error
	Settled(id int64) error
	Crash(id int64) (cause string, known bool)
	Kill(ctx context.Context, id int64) error
	Clear(ctx context.Context, id int64) error
	Freeze(ctx context.Context, id int64) error
	Unfreeze(ctx context.Context, id int64) error
	Hold(ctx context.Context, id int64) error
	Release(ctx context.Context, id int64) error
	Warm()
	Leave() error
	Rebooting(ctx context.Context, id int64) error
	Limit(id int64, b sysctl.Boot) error
	CheckSyscalls(s sysctl.Syscalls) error
	Unenforced(id int64, b sysctl.Boot) []string
	Wiring(id int64) (w sysctl.Wiring, again bool, err error)
	SetWiring(id int64, w sysctl.Wiring) error
	Forward(ctx context.Context, id int64, init int, all []sysctl.Proxy) error
	AddForwarder(ctx context.Context, id int64, init int, p sysctl.Proxy) error
	EndForwarder(ctx context.Context, id int64, p sysctl.Proxy) error
	WireFailed(id int64, err error) error
	Exec(ctx context.Context, id int64, c sysctl.Command) (int, error)
	OpenPTY(id int64) (master, slave *os.File, err error)
	OpenConsole(ctx context.Context, id int64) (pty *os.File, release func(), err error)
	LogPath(id int64) string
	ConsoleLogPath(id int64) string
	RemoveLogs(id int64) error
	Probe(ctx context.Context) []sysctl.Fact
	Host(ctx context.Context) (sysctl.Host, error)

	RunningDevices
}

// RunningDevices is the part of Runtime that changes what a running instance has.
type RunningDevices interface {
	Devices(id int64) (sysctl.RunDevices, bool, error)
	SetDevices(id int64, d sysctl.RunDevices) error
	MountSpaces(s sysctl.State) []sysctl.MountSpace
	Cards(id int64) ([]sysctl.Card, error)
	SetCards(id int64, cards []sysctl.Card) error
	GiveBack(ctx context.Context, id int64, guest *os.File) error
	AllowDevices(ctx context.Context, id int64, was, nodes []sysctl.Node) error
}

// Storage is the room storage.
type Storage interface {
	Stage(ctx context.Context, below ...string) (Staging, error)
	DeleteLayer(ctx context.Context, id string) error
	LayerPath(id string) string
	LayerSum(ctx context.Context, id string) (sysctl.LayerSum, error)
	CreateUpper(ctx context.Context, id int64) error
	DeleteUpper(ctx context.Context, id int64) error
	PrepareUpper(ctx context.Context, id int64, like string) error
	UpperClean(ctx context.Context, id int64, top string) (bool, error)
	Seal(ctx context.Context, id int64, layer string) error
	RenewUpper(ctx context.Context, id int64) error
	CopyUpper(ctx context.Context, id int64, p sysctl.Progress) (Staging, error)
	Usage(ctx context.Context, id int64) (int64, error)
	OpenRoot(ctx context.Context, id int64, layers []string, m sysctl.IDMap, p sysctl.Progress) (*os.File, error)
	NeedsCopies(ctx context.Context, id int64) (bool, error)
	Copies() ([]sysctl.LayerCopy, error)
	DeleteCopy(ctx context.Context, c sysctl.LayerCopy) error
	StagePatched(ctx context.Context, layers []string, find sysctl.Finder, p sysctl.Progress) (Staging, sysctl.PatchedFiles, error)
	PatchUpper(ctx context.Context, id int64, below map[string][]sysctl.Patch, edition int, find sysctl.Finder, p sysctl.Progress) (files int, unsure []string, err error)
	RestoreUpper(ctx context.Context, id int64) error
	Restack(ctx context.Context, id int64) error
	OpenDisk(ctx context.Context, d sysctl.Disk, m sysctl.IDMap) (*os.File, error)
	Attach(ctx context.Context, spaces []sysctl.MountSpace, m sysctl.IDMap, mount *os.File, path string) error
	Detach(ctx context.Context, spaces []sysctl.MountSpace, m sysctl.IDMap, path string) error
	CheckSize() error
	LimitUpper(ctx context.Context, id, size int64, running bool) (applied bool, err error)
	FindNode(n sysctl.Node) (sysctl.Node, error)
	AttachNode(ctx context.Context, at sysctl.MountSpace, m sysctl.IDMap, n sysctl.Node) error
	DetachNode(ctx context.Context, at sysctl.MountSpace, m sysctl.IDMap, n sysctl.Node) error
	RootTree(root *os.File, m sysctl.IDMap, later bool) (t sysctl.Tree, synced func() error)
	OpenTree(ctx context.Context, id int64, layers []string) (OpenedTree, error)
	OpenLayers(ctx context.Context, layers []string) (OpenedTree, error)
	OpenComparison(ctx context.Context, from, to sysctl.Side) (Comparison, error)
	Mount(ctx context.Context, id int64, side sysctl.Side, dir string) error
	Views() ([]sysctl.View, error)
	Unmount(v sysctl.View, detach bool) error
	OpenDir(path string) (OpenedTree, error)
	OpenProcess(p sysctl.Process) (OpenedTree, error)
	Sweep(ctx context.Context) error
	Probe(ctx context.Context) []sysctl.Fact
}

// Staging is a layer under construction.
type Staging interface {
	Dir() string
	Tree() sysctl.Tree
	Own() (string, error)
	OpenRoot(ctx context.Context, m sysctl.IDMap) (*os.File, error)
	Reopen(ctx context.Context) error
	Patch(ctx context.Context, find sysctl.Finder, p sysctl.Progress) (undo func() error, err error)
	Commit(ctx context.Context) (sysctl.Layer, error)
	CommitAs(ctx context.Context, id string) (sysctl.Layer, error)
	CommitSum(ctx context.Context, digest string) (sysctl.Layer, error)
	Abort() error
}

// OpenedTree is a tree that must be closed.
type OpenedTree interface {
	sysctl.Tree
	io.Closer
	// Root is the tree's root directory, for reading whole trees.
	Root() *os.File

	Put(ctx context.Context, src, name string, o sysctl.CopyOptions) error
	PutStream(ctx context.Context, r io.Reader, name string, o sysctl.CopyOptions) error
	Get(ctx context.Context, name, dst string, o sysctl.CopyOptions) error
	Mkdir(name string, o sysctl.CopyOptions) error
	RemoveAll(ctx context.Context, name string) error
	Files(name string) ([]sysctl.File, error)
}

// Comparison is two trees that are compared. It must be closed.
type Comparison interface {
	io.Closer
	From() sysctl.Tree
	To() sysctl.Tree
	Differences(ctx context.Context) ([]sysctl.Difference, error)
}

// Net is the room netconfig.
type Net interface {
	EnsureBridge(ctx context.Context, n sysctl.Network) error
	IsUp(ctx context.Context, n sysctl.Network) (bool, error)
	Shed(ctx context.Context, old, n sysctl.Network) error
	Serve(ctx context.Context, n sysctl.Network, hosts func() ([]sysctl.NetworkHost, error)) error
	Announce(ctx context.Context, n sysctl.Network, instance int64, hosts []sysctl.NetworkHost) error
	StopServing(ctx context.Context, n sysctl.Network) error
	Serves(n sysctl.Network) bool
	Served(n sysctl.Network) bool
	Alive(n sysctl.Network) bool
	Barred(n sysctl.Network) (repair string, barred bool)
	ServerAddress(n sysctl.Network) netip.Addr
	Leases(n sysctl.Network) ([]sysctl.Lease, error)
	Parent(ctx context.Context, name string) (sysctl.Parent, error)
	RemoveBridge(ctx context.Context, n sysctl.Network) error
	PlugNIC(ctx context.Context, init int, n sysctl.BootNIC) error
	UnplugNIC(ctx context.Context, hostName string) error
	TakeNIC(ctx context.Context, init int, n sysctl.BootNIC) error
	HasAddresses(ctx context.Context, init int, n sysctl.BootNIC) (bool, error)
	SetAddresses(ctx context.Context, init int, n sysctl.BootNIC) error
	FreeLink(ctx context.Context, name string) error
	SetLink(ctx context.Context, l sysctl.Link) error
	Publish(ctx context.Context, id int64, rules []sysctl.PortRule) error
	ChooseSubnets(ctx context.Context, avoid []netip.Prefix) (v4, v6 netip.Prefix, err error)
	Picker(p netip.Prefix, prefer netip.Addr) sysctl.AddressPicker
	CheckAddress(n sysctl.Network, a netip.Addr) error
	MAC(id int64, device string) string
	Answers(ctx context.Context, a netip.Addr) error
	HostDNS(ctx context.Context) (servers []netip.Addr, search []string)
	Probe(ctx context.Context) []sysctl.Fact
}

// Guests is what is known of guests: the rooms templates (detection, preparation, packages) and netconfig/guest
// (their own network files).
type Guests interface {
	Detect(t sysctl.Tree) (sysctl.Guest, error)
	Fingerprint(t sysctl.Tree) string
	Vsyscalls() (find sysctl.Finder, edition int)
	CheckSteps(names []string) error
	StepNames() []string
	Prepare(t sysctl.Tree, g sysctl.Guest, skip []string) ([]sysctl.Change, error)
	Identify(t sysctl.Tree, g sysctl.Guest, skip []string) ([]sysctl.Change, error)
	Restore(t sysctl.Tree, names []string) ([]sysctl.Change, error)
	Prepared(t sysctl.Tree) ([]sysctl.PrepStep, error)
	Packages(t sysctl.Tree) (databases []string, list []sysctl.Package, err error)
	Intact(t sysctl.Tree, path, digest string) (bool, error)
	Render(t sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) ([]sysctl.Change, error)
	NICCommands(g sysctl.Guest, nic string) (up, down [][]string)
	Carry(t sysctl.Tree, g sysctl.Guest, c sysctl.Compat, kernel string) (changes []sysctl.Change, copyUp []string, err error)
}

// Templates is the catalogue and the ways to make a tree, of the room templates.
type Templates interface {
	List() ([]sysctl.Template, error)
	Find(ref string) (sysctl.Template, []byte, error)
	Validate(path string) error
	Steps(ref string) ([]sysctl.PrepStep, error)
	Schema() []byte
	Edition(name string) string
	Build(ctx context.Context, ref, dir string, o TreeOptions) (Tree, error)
	Pull(ctx context.Context, ref, dir string, o TreeOptions) (Tree, error)
	Remotes() []string
	Normalize(ctx context.Context, dir string, since time.Time) error
	Unpack(ctx context.Context, path, dir string, o UnpackOptions) (source string, err error)
	Pack(ctx context.Context, root *os.File, w io.Writer) error
	ArchiveFormats() []string
	WriteArchive(ctx context.Context, w io.Writer, format string, index []byte, layers []ArchiveLayer, total int64, p sysctl.Progress) (left int64, err error)
	ReadArchive(ctx context.Context, r io.Reader, s ArchiveSink, p sysctl.Progress) error
}

// ArchiveLayer is one layer that goes into an archive of an instance.
type ArchiveLayer struct {
	Number int // from 1
	Dir    string
}

// ArchiveSink takes what an archive of an instance has, in its order.
type ArchiveSink struct {
	Index func(data []byte) error
	Layer func(number int) (dir string, size, entries int64, err error) // dir "": it is passed over
	Done  func(number int) error
}

// TreeOptions says how the tree of a template is made.
type TreeOptions struct {
	Set     map[string]string // values of the recipe's variables
	Mirror  string            // URL of the package archive; "": the configured one, or the recipe's
	Offline bool              // use no network
	Arch    string            // in Debian's name; "": this host's

	Have func(inputs string) bool                            // whether what was made from these inputs is there already
	Run  func(ctx context.Context, dir, script string) error // runs a script in an instance whose root is dir

	// Stack makes layers of ours of a tree that comes in layers, the lowest first. dir shows them and takes what is
	// written later.
	Stack func(ctx context.Context, layers []sysctl.TreeLayer) (dir string, err error)

	Progress sysctl.Progress
	Note     func(line string) // told what the user should know though it is no error; nil: nobody is
}

// UnpackOptions says how the tree of a file or directory is made.
type UnpackOptions struct {
	Partition string // of a disk image: what has the root filesystem; "": the only one
	MaxSize   int64  // bytes the tree may have
	Progress  sysctl.Progress
}

// Tree is a tree that was made.
type Tree struct {
	Source string   // for people
	Inputs string   // digest of everything that went in
	Cached bool     // Have knew them: nothing was made
	Skip   []string // steps of preparation to leave out
	Chosen sysctl.GuestChoice
	Dir    string // where it is: the directory it was to be made in, or what TreeOptions.Stack returned
}
