package sysctl

import "strconv"

// Node is a unix-char or unix-block device: a device of the host that a guest has a node of, and may open.
type Node struct {
	Device   string `json:"device"`
	Block    bool   `json:"block,omitempty"`
	Source   string `json:"source,omitempty"` // path on the host of a node of the device; "": Major and Minor say which it is
	Path     string `json:"path"`             // absolute path in the guest
	Major    uint32 `json:"major"`
	Minor    uint32 `json:"minor"`
	UID      uint32 `json:"uid"` // the guest's
	GID      uint32 `json:"gid"`
	Mode     uint32 `json:"mode"` // permission bits
	Optional bool   `json:"optional,omitempty"`
}

// Kind is the letter of the device's kind: b or c (mknod(1)).
func (n Node) Kind() string {
	if n.Block {
		return "b"
	}
	return "c"
}

// Numbers is what the kernel knows the device by, as it stands in a device cgroup's rules: "b 7:0".
func (n Node) Numbers() string {
	return n.Kind() + " " + strconv.FormatUint(uint64(n.Major), 10) + ":" + strconv.FormatUint(uint64(n.Minor), 10)
}
