package sysctl

import (
	"net/netip"
	"os"
)

// Boot is everything the runtime needs to know to start an instance: decided by the manager, rendered
// and carried out by manager/lxc. Nothing in it is a liblxc key.
type Boot struct {
	Instance    int64
	Name        string
	RunID       string // names this one run; the post-stop hook is guarded by it
	Hostname    string
	Arch        string // of the guest: amd64, i386, …
	IDMap       IDMap
	Environment map[string]string
	Limits
	Kernel   Kernel
	Disks    []BootDisk // that are handed over with the boot
	NICs     []BootNIC
	Compat   Compat
	Measures []Measure // what Compat is the sum of, for people
	Settle   []string  // command the post-stop hook runs; "": none
	Wiring   Wiring
	Wire     []string // command that makes it, before each start of the guest's init
	Devices  RunDevices
}

// BootDisk is where in the guest a disk goes.
type BootDisk struct {
	Path  string // absolute and clean
	InDev bool   // below /dev
	File  bool   // it is a file and no directory
}

// BootNIC is an interface as the host side makes it. Addresses are set by the runtime only where the
// guest cannot configure itself (an unknown guest).
type BootNIC struct {
	Device   string
	Type     string // veth; macvlan or phys of one that is plugged in
	Link     string // bridge, parent interface, or the interface itself
	Card     Card   // of type phys: what it is on the host
	HostName string // of the host end of a veth
	Name     string // inside the guest
	MAC      string
	MTU      int
	// Addresses, Gateway4 and Gateway6 are empty when the guest's own files configure it.
	Addresses []netip.Prefix
	Gateway4  netip.Addr
	Gateway6  netip.Addr
}

// Card is an interface of the host as it is before an instance gets it: what it is known by, and given back as.
type Card struct {
	Name  string `json:"name"`
	Index int    `json:"index"` // it keeps it in every network namespace where nobody has it
	Kind  string `json:"kind"`  // of a virtual one: dummy, veth, …
	MAC   string `json:"mac"`
	MTU   int    `json:"mtu"`
}

// Command is one program to run inside a running instance.
type Command struct {
	Argv   []string // Argv[0] is looked up in Env's PATH inside the guest
	Env    []string // the whole environment
	Cwd    string
	UID    int
	GID    int
	Groups []int
	Stdin  *os.File
	Stdout *os.File
	Stderr *os.File
}

// RunDevices is what a run has, by name.
type RunDevices map[string]RunDevice

// RunDevice is a device of a run: the options with which the run began, and those that it has now. Nil is none.
type RunDevice struct {
	Booted Device `json:"booted,omitempty"`
	Now    Device `json:"now,omitempty"`
}

// MountSpace is where mounts of a running instance are: the mount namespace of a process, and the directory in it that is the
// guest's root; "": the root of the process.
type MountSpace struct {
	Process Process
	Dir     string
}
