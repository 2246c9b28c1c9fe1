package sysctl

import "net/netip"

// Wiring is what an instance has of the host's network and devices beside what the runtime makes of it. It is made at each boot of the
// guest, before its init runs, and taken away with the run.
type Wiring struct {
	Proxies []Proxy    `json:"proxies,omitempty"`
	Ports   []PortRule `json:"ports,omitempty"`   // of proxies that are done by NAT
	Links   []Link     `json:"links,omitempty"`   // with something to set
	Plugged []BootNIC  `json:"plugged,omitempty"` // interfaces that came while the guest ran, and all that are on no bridge
	Removed []string   `json:"removed,omitempty"` // host ends of those with which it was started, and which it has no more
	Nodes   []Node     `json:"nodes,omitempty"`   // devices of the host that it may open
	IDMap   IDMap      `json:"idmap,omitzero"`    // whose the nodes are
}

// Link is the host's end of an interface of a guest, and what is set on it.
type Link struct {
	Device     string       `json:"device"`
	Name       string       `json:"name"`
	Hairpin    bool         `json:"hairpin,omitempty"`     // its bridge may send a guest's packets back to it
	Isolated   bool         `json:"isolated,omitempty"`    // its bridge lets it talk to no other isolated port
	Ingress    uint64       `json:"ingress,omitempty"`     // bits a second to the guest; 0: as many as there are
	Egress     uint64       `json:"egress,omitempty"`      // and from it
	TxQueue    int          `json:"tx_queue,omitempty"`    // packets; 0: the kernel's default
	FilterMAC  bool         `json:"filter_mac,omitempty"`  // it sends from no other than MAC
	FilterIPv4 bool         `json:"filter_ipv4,omitempty"` // and from no IPv4 address than one of Addresses
	FilterIPv6 bool         `json:"filter_ipv6,omitempty"`
	MAC        string       `json:"mac,omitempty"`
	Addresses  []netip.Addr `json:"addresses,omitempty"`
	VLAN       int          `json:"vlan,omitempty"`   // of what is sent without a tag; 0: the bridge's, -1: none
	Tagged     []int        `json:"tagged,omitempty"` // VLANs besides, sorted
}

// HasVLANs reports that there are VLANs to set.
func (l Link) HasVLANs() bool { return l.VLAN != 0 || len(l.Tagged) > 0 }

// Empty reports that there is nothing to do.
func (w Wiring) Empty() bool {
	return len(w.Proxies) == 0 && len(w.Ports) == 0 && len(w.Links) == 0 && len(w.Plugged) == 0 && len(w.Removed) == 0 && len(w.Nodes) == 0
}

// Proxy is a proxy device: what it takes on one side it passes to the other.
type Proxy struct {
	Device   string      `json:"device"`
	Instance bool        `json:"instance"` // it listens in the guest and connects on the host; else the reverse
	Pairs    []ProxyPair `json:"pairs"`
	NAT      Choice      `json:"-"`
	UID      uint32      `json:"uid"` // of a listening unix socket, as are GID and Mode: of the side where it is
	GID      uint32      `json:"gid"`
	Mode     uint32      `json:"mode"`
	AsUID    uint32      `json:"as_uid"` // as whom it connects
	AsGID    uint32      `json:"as_gid"`
	Protocol bool        `json:"protocol"` // it tells the target about the client: the PROXY protocol
}

// ProxyPair is one address to listen on and where what comes in there goes.
type ProxyPair struct {
	Listen  Endpoint `json:"listen"`
	Connect Endpoint `json:"connect"`
}

// Endpoint is a socket's address.
type Endpoint struct {
	Proto string     `json:"proto"` // tcp, udp, unix
	Addr  netip.Addr `json:"addr"`
	Port  uint16     `json:"port"`
	Path  string     `json:"path"` // of a unix socket: absolute, or abstract with an @ before it
}

// PortRule sends what comes to ports of the host to those of a guest.
type PortRule struct {
	Device   string       `json:"device"`
	Proto    string       `json:"proto"`
	Listen   netip.Addr   `json:"listen"` // unspecified: any address of the host but loopback
	First    uint16       `json:"first"`
	Last     uint16       `json:"last"`
	Target   netip.Addr   `json:"target"`
	Port     uint16       `json:"port"`     // of the target; 0: the same, where First and Last are several
	NIC      string       `json:"nic"`      // the device whose address Target is
	Siblings netip.Prefix `json:"siblings"` // who reaches the target without the host: they are given the host's address
}

// String is the endpoint as one writes it.
func (e Endpoint) String() string {
	if e.Proto == "unix" {
		return e.Proto + ":" + e.Path
	}
	return e.Proto + ":" + netip.AddrPortFrom(e.Addr, e.Port).String()
}
