package sysctl

import (
	"net/netip"
	"time"
)

// Instance is a container with a whole OS, as promised in the database. What the kernel says
// of it is a State.
type Instance struct {
	ID        int64             `json:"id"` // never reused; names every path and link of the instance
	Name      string            `json:"name"`
	Image     string            `json:"image"`            // Image.ID it was made from
	Template  string            `json:"template"`         // what the user asked for: template or image alias
	Layers    []string          `json:"layers"`           // Layer.ID, lowest first; the instance's own upper lies on top
	Patched   Patched           `json:"patched,omitzero"` // what it runs changed copies of, since its newest start
	Guest     Guest             `json:"guest"`
	Profiles  []string          `json:"profiles"` // in order of application: later wins
	Config    map[string]string `json:"config"`   // the instance's own keys, over its profiles'
	Devices   map[string]Device `json:"devices"`
	Ephemeral bool              `json:"ephemeral"`
	Ready     bool              `json:"ready"` // false while being made or deleted: whoever finds it so deletes it
	IDMap     IDMap             `json:"idmap"`
	NICs      []NIC             `json:"nics"` // addresses claimed with the row
	Created   time.Time         `json:"created_at"`
}

// Device is one device of an instance or profile: option to value, always with "type", as in LXD.
type Device map[string]string

// IDMap is the range of host uids and gids a guest's 0…Size-1 are mapped to. Size 0 means
// privileged: the guest's root is the host's root.
type IDMap struct {
	Base uint32 `json:"base"`
	Size uint32 `json:"size"`
	Raw  string `json:"raw,omitempty"` // raw.idmap: guest ids that are other ids of the host

	Shared bool `json:"shared,omitempty"` // other instances may have the same range (security.idmap.isolated)
}

// NIC is one interface of an instance with the addresses it has claimed on its network.
// An address that is not valid has not been claimed.
type NIC struct {
	Device  string     `json:"device"` // name of the device: "eth0"
	Network string     `json:"network"`
	Name    string     `json:"name"` // name inside the guest
	MAC     string     `json:"hwaddr"`
	IPv4    netip.Addr `json:"ipv4"`
	IPv6    netip.Addr `json:"ipv6"`
}

// Status is what an instance is doing, as observed.
type Status string

// The statuses. Broken means that promise and observation disagree; State.Problems says how.
const (
	Stopped Status = "stopped"
	Running Status = "running"
	Frozen  Status = "frozen"
	Broken  Status = "broken"
)

// Process is the identity of a process: a pid alone can be reused, pid and start time cannot.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // field 22 of /proc/PID/stat: clock ticks since boot
}

// State is an observed instance.
type State struct {
	Status   Status            `json:"status"` // running, stopped, frozen, broken
	Init     Process           `json:"init"`   // the guest's pid 1, as the host numbers it; pid 0: none
	Monitor  Process           `json:"monitor"`
	RunID    string            `json:"run_id,omitempty"`
	Started  time.Time         `json:"started_at"`
	Problems []string          `json:"problems,omitempty"` // for people
	Measures []Measure         `json:"-"`                  // that a run was started with
	RawIDs   string            `json:"-"`                  // raw.idmap that it was started with: IDMap.Raw
	Links    map[string]string `json:"-"`                  // host ends of the interfaces that it was started with, by device
}

// Crashes is how often the init of a guest has crashed in a row, without a minute of life between two, since somebody has
// started it.
type Crashes struct {
	Count int       `json:"count"`
	Last  time.Time `json:"last_at"`
	Cause string    `json:"cause"`      // for people: of the newest
	Due   time.Time `json:"restart_at"` // when it is to be started again; zero: it is not, or has been
	Run   string    `json:"-"`          // id of the run that the newest ended
}

// Usage is what a running instance uses. Negative numbers are unknown.
type Usage struct {
	Processes int64         `json:"processes"`
	Memory    int64         `json:"memory"` // bytes
	CPU       time.Duration `json:"cpu_ns"`
	Disk      int64         `json:"disk"`     // bytes of its own upper
	DiskMax   int64         `json:"disk_max"` // bytes that its root disk is to have; 0: no size
}
