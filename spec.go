package sysctl

import (
	"net/netip"
	"strings"
	"time"
)

// Spec is an instance's configuration, merged from its profiles and its own keys, and typed.
type Spec struct {
	Privileged  bool
	Environment map[string]string // environment.* : what init and exec see
	User        map[string]string // user.*
	Memory      Memory
	CPU         CPU
	Processes   int64            // 0: no limit
	DiskShare   int              // limits.disk.priority less 5
	HugePages   map[string]int64 // limits.hugepages.*: bytes, by page size
	Autostart   Autostart
	Restart     bool // boot.autorestart: start it again when its init has crashed
	Shutdown    Shutdown
	Kernel      Kernel
	IDs         IDSpec
	Protection  Protection
	CloudInit   CloudInit
	Guest       GuestSpec
	Compat      map[string]Choice // compat.*: by measure
	Snapshots   SnapshotSpec
	Root        RootDisk
	Disks       []Disk
	NICs        []NICSpec
	Proxies     []Proxy
	Nodes       []Node
}

// GuestSpec is guest.*: what is left alone in the guest.
type GuestSpec struct {
	KeepNetwork bool     // guest.network=keep: its identity and network files are the user's
	KeepFiles   []string // guest.network.keep: paths of such files, absolute and clean
	SkipPrep    []string // guest.prep: names of preparation steps that are not to be done
}

// Memory is limits.memory: bytes, or a percentage of the host's memory. Both 0: no limit.
type Memory struct {
	Bytes   int64
	Percent int
	Soft    bool // limits.memory.enforce=soft
	Swap    Swap
	Yield   int // 10 less limits.memory.swap.priority
}

// SnapshotSpec is snapshots.*: which snapshots are made and how long they are kept.
type SnapshotSpec struct {
	Schedule Schedule
	Stopped  bool   // also of an instance that does not run
	Pattern  string // of names that nobody gives; "": DefaultPattern
	Expiry   Expiry
}

// CPU is limits.cpu: a number of CPUs, or a set in kernel list format ("0-2,5"). Zero: no limit.
type CPU struct {
	Count int
	Set   string
	Time  CPUTime
}

// Autostart is boot.autostart and its ordering. Where it is neither enabled nor disabled, an instance is started at boot that
// was running when the host went down.
type Autostart struct {
	Enabled  bool
	Disabled bool
	Priority int           // higher starts first
	Delay    time.Duration // waited after starting it before the next priority
}

// Shutdown is what happens when the host shuts down: boot.stop.priority and boot.host_shutdown_*.
type Shutdown struct {
	Priority int           // higher stops first
	Timeout  time.Duration // how long the guest may take; 0: the default of a stop
	Force    bool          // kill it at once
}

// IDSpec is security.idmap.* and raw.idmap: which of the host's ids an instance has. Zero: a free range of the usual size.
type IDSpec struct {
	Base uint32
	Size uint32
	Raw  string // raw.idmap, as CheckRawIDs takes it

	Shared bool // other instances that say so may have the same
}

// Protection is security.protection.*: what is refused until it is unset.
type Protection struct {
	Delete bool
	Start  bool
}

// CloudInit is cloud-init.*: what the guest's cloud-init finds as its NoCloud seed. All empty: no seed.
type CloudInit struct {
	UserData      string
	VendorData    string
	NetworkConfig string
}

// Disk is a disk device: a host path bound into the guest, or an empty filesystem in memory.
type Disk struct {
	Device    string
	Source    string // absolute host path; "": in memory
	Path      string // absolute path in the guest
	Size      int64  // bytes in memory; 0: half of limits.memory, or of the host's memory
	ReadOnly  bool
	Optional  bool // a missing source is not an error
	Recursive bool // with what is mounted below the source
	Follow    bool // what the host mounts below the source later is seen
}

// InDev reports whether it is seen below /dev, which the runtime makes anew for each run.
func (d Disk) InDev() bool { return strings.HasPrefix(d.Path, "/dev/") }

// RootDisk is the disk device with the path /.
type RootDisk struct {
	Device string // "": there is none
	Size   int64  // bytes that the instance itself may have on disk; 0: as much as there is
}

// NICSpec is a nic device, before addresses are claimed.
type NICSpec struct {
	Device  string
	Network string // managed network, or "" with Parent set
	Parent  string // existing host bridge (nictype=bridged) or interface (nictype=macvlan, physical)
	Type    string // bridged, macvlan, physical
	Name    string // inside the guest
	MAC     string
	IPv4    string // address, "" = allocate, "none"
	IPv6    string
	MTU     int
	// Bits4 and Bits6 are the prefix lengths given with IPv4 and IPv6; 0: that of the subnet they are in.
	Bits4, Bits6 int
	More         []netip.Prefix // further addresses, which nobody claims
	// Gateway4 and Gateway6 are addresses, "none", or "" for the network's or the host's.
	Gateway4, Gateway6 string
	Routes             []Route
	DNS                []netip.Addr // of both families; empty: the host's
	Search             []string     // empty: the host's

	// Link is what its host's end is to be like: only what is set there by options.
	Link     Link
	HostName string // of the host's end; "": made up
}

// Profile is a named piece of instance configuration.
type Profile struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Config      map[string]string `json:"config"`
	Devices     map[string]Device `json:"devices"`
	Text        string            `json:"-"` // YAML as somebody wrote it, with its comments; "": nobody did
}
