package sysctl

import (
	"net/netip"
	"strconv"
	"time"
)

// Network is a managed bridge: its own keys and, behind them, what they say.
type Network struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Config      map[string]string `json:"config"` // its own keys

	Bridge string        `json:"bridge"` // the interface
	IPv4   netip.Prefix  `json:"ipv4"`   // the bridge's own address with the subnet's length; invalid: no IPv4
	IPv6   netip.Prefix  `json:"ipv6"`
	NAT    bool          `json:"nat"`  // give IPv4 that leaves the subnet an address of the host
	NAT6   bool          `json:"nat6"` // the same for IPv6
	MTU    int           `json:"mtu"`  // 0: the kernel's default
	Domain string        `json:"domain"`
	V4     NetworkFamily `json:"-"`
	V6     NetworkFamily `json:"-"`
	DNS    NetworkDNS    `json:"-"`
	Open   bool          `json:"-"` // instances of other networks that are open too may reach its own
	Table  string        `json:"-"` // nftables table that holds its rules (one per environment)

	Forwards []Forward `json:"-"` // what is led to its instances
}

// NetworkFamily is what a network does for IPv4 or for IPv6.
type NetworkFamily struct {
	NATAddress netip.Addr     // what leaves the subnet gets this address; invalid: the one of the interface that it leaves through
	NoFirewall bool           // write no rules that let traffic through
	NoRouting  bool           // route nothing in or out
	NoDHCP     bool           // give out no addresses
	Router     bool           // IPv6: advertise the bridge as a router
	Stateful   bool           // IPv6: give out addresses by DHCP, beside those that guests make up
	Expiry     string         // how long an address is lent, such as 1h
	Ranges     []AddrRange    // that are lent; none: a part of the subnet
	Gateway    netip.Addr     // what DHCP names as gateway; invalid: the bridge's own address
	Routes     []netip.Prefix // of the host, to the bridge
}

// AddrRange is a range of addresses, both ends included.
type AddrRange struct{ First, Last netip.Addr }

// Contains reports whether an address is in the range.
func (r AddrRange) Contains(a netip.Addr) bool { return !a.Less(r.First) && !r.Last.Less(a) }

// Lent are the ranges that are lent by DHCP to those who are no instances: what is set, or the upper quarter of the subnet. None
// where there is no such DHCP.
func (n Network) Lent(v4 bool) []AddrRange {
	own, f := n.IPv6, n.V6
	if v4 {
		own, f = n.IPv4, n.V4
	}
	if !own.IsValid() || f.NoDHCP || !v4 && !f.Stateful {
		return nil
	}
	if len(f.Ranges) > 0 {
		return f.Ranges
	}
	if own.Addr().BitLen()-own.Bits() < 4 {
		return nil // too small to be shared
	}
	low, high := own.Masked().Addr().AsSlice(), own.Masked().Addr().AsSlice()
	for i := own.Bits(); i < own.Addr().BitLen(); i++ {
		high[i/8] |= 0x80 >> (i % 8)
		if i < own.Bits()+2 {
			low[i/8] |= 0x80 >> (i % 8)
		}
	}
	first, _ := netip.AddrFromSlice(low)
	last, _ := netip.AddrFromSlice(high)
	return []AddrRange{{first, last.Prev()}} // IPv4's last is for broadcasts
}

// NetworkDNS is what answers for names on a network.
type NetworkDNS struct {
	Mode    string       // managed: names of instances, dynamic: names that clients give too, none
	Servers []netip.Addr // given to guests instead of the bridge's own address
	Search  []string     // given to guests; none: the network's domain
	Host    bool         // this host asks it for the network's domain
	Raw     string       // further lines of dnsmasq's configuration
}

// NetworkHost is an instance's interface on a network.
type NetworkHost struct {
	Instance int64
	Name     string // of the instance
	MAC      string
	IPv4     netip.Addr
	IPv6     netip.Addr
}

// Forward leads what arrives at an address of the host to instances.
type Forward struct {
	Listen      netip.Addr    `json:"listen_address"` // unspecified: every address of the host
	Description string        `json:"description"`
	Target      netip.Addr    `json:"target_address"` // of everything that no port says; invalid: none
	Ports       []ForwardPort `json:"ports"`
}

// ForwardPort is a part of a forward.
type ForwardPort struct {
	Protocol    string     `json:"protocol"`       // tcp or udp
	Listen      PortRange  `json:"listen_ports"`   // at the forward's address
	Instance    string     `json:"instance"`       // whose address it is led to, or ""
	Target      netip.Addr `json:"target_address"` // that address
	TargetPorts PortRange  `json:"target_ports"`   // one, or as many as are listened at
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// String is "80", or "80-90".
func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// MarshalText makes it text in JSON.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Overlaps reports whether a port is in both.
func (r PortRange) Overlaps(o PortRange) bool { return r.First <= o.Last && o.First <= r.Last }

// Lease is an address on a network and who has it.
type Lease struct {
	Hostname string     `json:"hostname"`
	MAC      string     `json:"mac"`
	Address  netip.Addr `json:"address"`
	Type     string     `json:"type"`     // static: an instance's; dynamic: lent; gateway: the network's own
	Instance string     `json:"instance"` // whose it is, or ""
	Expires  time.Time  `json:"expires"`  // of a lent one
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
	VLANs    bool           // of a bridge: it filters them
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
