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
	Keep     []string // paths of files that are the user's: neither written, moved nor removed
}

// GuestNIC is one interface as the guest configures it. An invalid gateway means none.
type GuestNIC struct {
	Name      string
	MAC       string
	MTU       int
	Method4   Method
	Method6   Method
	Addresses []netip.Prefix
	Gateway4  netip.Addr
	Gateway6  netip.Addr
	Routes    []Route // beside those of the addresses and the gateways
}

// Method is how an interface comes to its addresses of one family. The zero value is MethodStatic
// where the interface has addresses of the family, else MethodNone.
type Method string

// The methods. Only MethodStatic goes with addresses and a gateway.
const (
	MethodStatic Method = "static"
	MethodDHCP   Method = "dhcp"  // for IPv6: with the routes that routers advertise
	MethodSLAAC  Method = "slaac" // IPv6 only: what routers advertise
	MethodNone   Method = "none"
)

// Route is a route through an interface, other than its default route.
type Route struct {
	Destination netip.Prefix // host bits are zero
	Via         netip.Addr   // invalid: the destination is on the link itself
	Metric      int          // 0: the kernel's default
	OnLink      bool         // Via is on the link, whatever the addresses say
}

// Parent is an existing interface of the host that instances are put on.
type Parent struct {
	Bridge   bool           // else a macvlan is made on it
	Subnets  []netip.Prefix // masked; without link-local ones
	Gateway4 netip.Addr     // the host's default gateway through it; invalid: none
	Gateway6 netip.Addr
	Card     Card
	Default  bool   // the host reaches what no other route leads to through it
	Port     string // the bridge or bond that it is a part of, or ""
}

// Subnet returns the parent's subnet that an address is in.
func (p Parent) Subnet(a netip.Addr) (netip.Prefix, bool) {
	for _, s := range p.Subnets {
		if s.Contains(a) {
			return s, true
		}
	}
	return netip.Prefix{}, false
}
