package manager

import (
	"context"
	"net/netip"

	"github.com/sysctl-os/sysctl"
)

// render returns what has to change in the guest's own files. nics, where there are any, take the place of the
// instance's own.
func (m *Manager) render(ctx context.Context, t sysctl.Tree, inst sysctl.Instance, spec sysctl.Spec, nics []sysctl.GuestNIC) ([]sysctl.Change, error) {
	if untouched(inst.Guest, spec) != "" {
		return nil, nil
	}
	if len(nics) > 0 {
		spec.NICs = nil
	}
	network, err := m.guestNetwork(ctx, inst, spec)
	if err != nil {
		return nil, err
	}
	network.NICs = append(network.NICs, nics...)
	return m.Guests.Render(t, inst.Guest, network)
}

// guestNetwork is the neutral model of what the guest must know.
func (m *Manager) guestNetwork(ctx context.Context, inst sysctl.Instance, spec sysctl.Spec) (sysctl.GuestNetwork, error) {
	g := sysctl.GuestNetwork{Hostname: inst.Name, Keep: spec.Guest.KeepFiles}
	var err error
	if g.DNS, g.Search, err = m.nameServersOf(ctx, spec); err != nil {
		return g, err
	}
	var own sysctl.GuestNetwork // what its NICs say of DNS
	for _, s := range spec.NICs {
		n := nicOf(inst, s.Device)
		nic := sysctl.GuestNIC{Name: s.Name, MAC: n.MAC, MTU: s.MTU}
		if err := m.addresses(ctx, n, s, &nic); err != nil {
			return g, err
		}
		if !configuresItself(inst.Guest) {
			nic.Method4, nic.Method6 = "", "" // nobody in the guest asks; its kernel still hears routers
		}
		g.NICs = append(g.NICs, nic)
		own.DNS = append(own.DNS, s.DNS...)
		own.Search = append(own.Search, s.Search...)
	}
	if len(own.DNS) > 0 {
		g.DNS = own.DNS
	}
	if len(own.Search) > 0 {
		g.Search = own.Search
	}
	return g, nil
}

// addresses fills in a NIC's addresses with their subnets' lengths, its gateways and methods. On a managed
// network they are those it has claimed; on an interface of the host, those the user fixed there, with
// the host's own gateways, and else what the LAN's DHCP server and routers say.
func (m *Manager) addresses(ctx context.Context, n sysctl.NIC, s sysctl.NICSpec, nic *sysctl.GuestNIC) error {
	var parent sysctl.Parent
	if n.Network != "" {
		network, err := m.network(ctx, n.Network)
		if err != nil {
			return err
		}
		if nic.MTU == 0 {
			nic.MTU = network.MTU
		}
		parent.Subnets = []netip.Prefix{network.IPv4, network.IPv6}
		parent.Gateway4, parent.Gateway6 = network.IPv4.Addr(), network.IPv6.Addr()
	} else if s.Type != physical { // of which the host's addresses say nothing
		var err error
		if parent, err = m.Net.Parent(ctx, s.Parent); err != nil {
			return err
		}
	}
	ok4 := add(nic, &nic.Gateway4, n.IPv4, s.Bits4, parent, gateway(s.Gateway4, parent.Gateway4))
	ok6 := add(nic, &nic.Gateway6, n.IPv6, s.Bits6, parent, gateway(s.Gateway6, parent.Gateway6))
	nic.Addresses = append(nic.Addresses, s.More...)
	nic.Routes = s.Routes
	if n.Network == "" && !ok4 && s.IPv4 != "none" {
		nic.Method4 = sysctl.MethodDHCP
	}
	if n.Network == "" && !ok6 && s.IPv6 != "none" {
		nic.Method6 = sysctl.MethodSLAAC
	}
	return nil
}

// add gives a NIC an address with a length, its own or 0 for that of the subnet that it is in, and the gateway of its
// family, which an address in none of the host's subnets has only where it is its neighbour or asked for.
func add(nic *sysctl.GuestNIC, via *netip.Addr, a netip.Addr, bits int, p sysctl.Parent, g gatewayChoice) bool {
	if !a.IsValid() {
		return false
	}
	subnet, known := p.Subnet(a)
	if bits == 0 {
		bits = subnet.Bits()
	}
	if bits < 0 {
		return false // the parent has lost the subnet
	}
	own := netip.PrefixFrom(a, bits)
	nic.Addresses = append(nic.Addresses, own)
	if known || g.asked || own.Masked().Contains(g.addr) || g.addr.IsLinkLocalUnicast() {
		*via = g.addr
	}
	return true
}

// gatewayChoice is a gateway, and whether the user asked for it.
type gatewayChoice struct {
	addr  netip.Addr
	asked bool
}

// gateway is the one that was asked for, which may be none, or else the host's.
func gateway(want string, host netip.Addr) gatewayChoice {
	if want == "" {
		return gatewayChoice{addr: host}
	}
	a, _ := netip.ParseAddr(want) // "none" is none
	return gatewayChoice{addr: a, asked: true}
}

// configuresItself reports whether the guest's own files set its addresses; else the runtime does.
func configuresItself(g sysctl.Guest) bool {
	return g.Known() && g.Renderer != "" && g.Renderer != "none"
}
