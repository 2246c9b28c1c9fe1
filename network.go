package sysctl

import "net/netip"

// Network is a managed bridge with its subnets and NAT.
type Network struct {
	Name   string       `json:"name"` // of the network and of its bridge interface
	IPv4   netip.Prefix `json:"ipv4"` // the bridge's own address with the subnet's length; invalid: no IPv4
	IPv6   netip.Prefix `json:"ipv6"`
	NAT    bool         `json:"nat"` // masquerade what leaves the subnet
	MTU    int          `json:"mtu"` // 0: the kernel's default
	Table  string       `json:"-"`   // nftables table that holds its rules (one per environment)
	Domain string       `json:"domain"`
}

// AddressPicker chooses a free address; taken reports whether one is in use. It fails with
// NoSpace where none is left.
type AddressPicker func(taken func(netip.Addr) bool) (netip.Addr, error)

// GuestNetwork is what a guest must know about its network: the neutral model that netconfig/guest
// renders into the guest's own files.
type GuestNetwork struct {
	Hostname string
	Domain   string
	DNS      []netip.Addr
	Search   []string
	NICs     []GuestNIC
}

// GuestNIC is one interface as the guest configures it. An invalid gateway means none.
type GuestNIC struct {
	Name      string
	MAC       string
	MTU       int
	Addresses []netip.Prefix
	Gateway4  netip.Addr
	Gateway6  netip.Addr
}
