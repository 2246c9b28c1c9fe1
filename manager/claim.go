package manager

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/profiles"
)

// What an instance asks of networks: NICs, addresses and MACs, checked before they are claimed.

// networkFlags turns --ip and --network into the instance's own devices: they are short for options
// of its first NIC.
func (m *Manager) networkFlags(ctx context.Context, o *CreateOptions, ps []sysctl.Profile, bad *sysctl.FieldErrors) (map[string]sysctl.Device, error) {
	devices := o.Devices
	if o.Network == "" && len(o.IPs) == 0 {
		return devices, nil
	}
	_, all := profiles.Merge(ps, nil, o.Devices)
	first := firstNIC(all)
	out := map[string]sysctl.Device{}
	for name, d := range devices {
		out[name] = d
	}
	if o.Network == "none" {
		if len(o.IPs) > 0 {
			bad.Add("--ip", "an address needs a network: drop --network none")
		}
		for name, d := range all {
			if d["type"] == "nic" {
				out[name] = sysctl.Device{"type": "none"}
			}
		}
		return out, nil
	}
	nic := sysctl.Device{"type": "nic"}
	if first == "" {
		first = "eth0"
	} else {
		for k, v := range all[first] {
			nic[k] = v
		}
	}
	switch parent, lan := strings.CutPrefix(o.Network, "lan:"); {
	case lan:
		if parent == "" {
			bad.Add("--network", "names no interface: write lan:IF, such as lan:eth0")
			return devices, nil
		}
		delete(nic, "network")
		nic["nictype"], nic["parent"] = "macvlan", parent
		p, err := m.Net.Parent(ctx, parent) // one that is not there is reported when its addresses are judged
		if err != nil && sysctl.KindOf(err) != sysctl.NotFound {
			return nil, err
		}
		if p.Bridge {
			nic["nictype"] = "bridged"
		}
	case o.Network != "":
		delete(nic, "nictype")
		delete(nic, "parent")
		nic["network"] = o.Network
	case nic["network"] == "" && nic["parent"] == "":
		nic["network"] = m.DefaultNetwork.Name
	}
	for _, ip := range o.IPs {
		key := "ipv6.address"
		if !strings.Contains(ip, ":") {
			key = "ipv4.address"
		}
		if nic[key] == ip {
			bad.Add("--ip", "%s is given twice", ip)
		}
		nic[key] = ip
	}
	out[first] = nic
	return out, nil
}

// firstNIC returns the name of the first nic device, in order of names.
func firstNIC(devices map[string]sysctl.Device) string {
	var names []string
	for name, d := range devices {
		if d["type"] == "nic" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// claimNICs turns the NICs of a spec into claims on their networks; addresses are checked here and
// given or refused in the claiming transaction. The addresses that the instance holds already are preferred; inst is
// zero for one that is yet to be made.
func (m *Manager) claimNICs(ctx context.Context, spec sysctl.Spec, inst sysctl.Instance) ([]db.ClaimNIC, error) {
	return m.claimNICsOn(ctx, spec, inst, m.network)
}

// claimNICsOn is claimNICs with networks that may be other than they are stored.
func (m *Manager) claimNICsOn(ctx context.Context, spec sysctl.Spec, inst sysctl.Instance, find func(context.Context, string) (sysctl.Network, error)) ([]db.ClaimNIC, error) {
	var bad sysctl.FieldErrors
	var claims []db.ClaimNIC
	for _, n := range spec.NICs {
		c := db.ClaimNIC{NIC: sysctl.NIC{Device: n.Device, Network: n.Network, Name: n.Name, MAC: n.MAC}, OwnMAC: n.Type == physical}
		var old sysctl.NIC
		for _, h := range inst.NICs {
			if h.Device == n.Device && h.Network == n.Network {
				old = h
			}
		}
		if c.NIC.MAC == "" && !c.OwnMAC {
			c.NIC.MAC = old.MAC
		}
		if n.Network == "" {
			if err := m.claimOnParent(ctx, inst, n, &c.NIC, &bad); err != nil {
				return nil, err
			}
			claims = append(claims, c)
			continue
		}
		network, err := find(ctx, n.Network)
		if sysctl.KindOf(err) == sysctl.NotFound {
			bad.Add("devices."+n.Device+".network", "%v (\"sysctl network list\" lists them)", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range n.More {
			if network.IPv4.Masked().Contains(p.Addr()) || network.IPv6.Masked().Contains(p.Addr()) {
				bad.Add("devices."+n.Device+"."+familyKey(p.Addr())+".address", "%s: only the first address is kept from others on network %s: give the second on a nic of its own, or one outside of it", p.Addr(), network.Name)
			}
		}
		c.PickIPv4, c.NIC.IPv4 = m.address(network, network.IPv4, n.IPv4, old.IPv4, "devices."+n.Device+".ipv4.address", &bad)
		c.PickIPv6, c.NIC.IPv6 = m.address(network, network.IPv6, n.IPv6, old.IPv6, "devices."+n.Device+".ipv6.address", &bad)
		claims = append(claims, c)
	}
	return claims, bad.Err()
}

// claimOnParent checks the fixed addresses of a NIC on an interface of the host. Nobody gives out addresses
// there but its own DHCP server, so only their subnet can be checked.
func (m *Manager) claimOnParent(ctx context.Context, inst sysctl.Instance, n sysctl.NICSpec, nic *sysctl.NIC, bad *sysctl.FieldErrors) error {
	p, err := m.parent(ctx, inst, n)
	if kind := sysctl.KindOf(err); kind == sysctl.NotFound || kind == sysctl.Conflict {
		bad.Add("devices."+n.Device+".parent", "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if n.Type == "bridged" && !p.Bridge {
		bad.Add("devices."+n.Device+".nictype", "%s is no bridge: write \"macvlan\"", n.Parent)
	}
	if n.Link.HasVLANs() && p.Bridge && !p.VLANs {
		option := "vlan"
		if n.Link.VLAN == 0 {
			option = "vlan.tagged"
		}
		bad.Add("devices."+n.Device+"."+option, "bridge %s does not filter VLANs: switch that on, where the kernel can (ip link set %[1]s type bridge vlan_filtering 1)", n.Parent)
	}
	for _, f := range []struct {
		key, address string
		bits         int
	}{{"ipv4.address", n.IPv4, n.Bits4}, {"ipv6.address", n.IPv6, n.Bits6}} {
		addr, err := netip.ParseAddr(f.address)
		if err != nil {
			continue // "" and "none" are no addresses
		}
		_, known := p.Subnet(addr)
		switch field := "devices." + n.Device + "." + f.key; {
		case known || f.bits > 0:
			setAddress(nic, addr)
		case n.Type == physical:
			bad.Add(field, "needs a prefix length on a physical nic: write it as %s/LENGTH", addr)
		case len(p.Subnets) == 0:
			bad.Add(field, "%s has no address on this host, so the subnet of %s is not known: write it as %[2]s/LENGTH, or ask the LAN's DHCP server by naming none", n.Parent, addr)
		default:
			bad.Add(field, "%s is in no subnet of %s (%v): write it as %[1]s/LENGTH if that is meant", addr, n.Parent, p.Subnets)
		}
	}
	return nil
}

// address is one family of one NIC: a fixed address to claim, a picker, or neither.
func (m *Manager) address(n sysctl.Network, p netip.Prefix, want string, old netip.Addr, field string, bad *sysctl.FieldErrors) (sysctl.AddressPicker, netip.Addr) {
	switch {
	case want == "none" || (!p.IsValid() && want == ""):
		return nil, netip.Addr{}
	case want == "":
		return m.pick(n, p, old), netip.Addr{}
	}
	a, err := netip.ParseAddr(want)
	if err == nil {
		err = m.Net.CheckAddress(n, a)
	}
	if err != nil {
		bad.Add(field, "%v", err)
	}
	return nil, a
}

// pick chooses old where it is free, else an address that is not lent to others, while there is one.
func (m *Manager) pick(n sysctl.Network, p netip.Prefix, old netip.Addr) sysctl.AddressPicker {
	return func(taken func(netip.Addr) bool) (netip.Addr, error) {
		if old.IsValid() && !taken(old) && m.Net.CheckAddress(n, old) == nil {
			return old, nil
		}
		lent := n.Lent(p.Addr().Is4())
		a, err := m.Net.Picker(p, netip.Addr{})(func(a netip.Addr) bool {
			return taken(a) || slices.ContainsFunc(lent, func(r sysctl.AddrRange) bool { return r.Contains(a) })
		})
		if sysctl.KindOf(err) == sysctl.NoSpace && len(lent) > 0 {
			return m.Net.Picker(p, netip.Addr{})(taken)
		}
		return a, err
	}
}

// familyKey is what the options of an address's family begin with.
func familyKey(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

func setAddress(n *sysctl.NIC, a netip.Addr) {
	if a.Is4() {
		n.IPv4 = a
	} else {
		n.IPv6 = a
	}
}

// checkFree fails with Exists where an instance other than the one named holds a fixed address or MAC of a claim. The
// claim itself would say so, but a dry run makes none, and a real run makes it after the image is built.
func (m *Manager) checkFree(ctx context.Context, name string, nics []db.ClaimNIC) error {
	if !slices.ContainsFunc(nics, func(c db.ClaimNIC) bool {
		return c.NIC.MAC != "" || c.NIC.Network != "" && (c.NIC.IPv4.IsValid() || c.NIC.IPv6.IsValid())
	}) {
		return nil
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return err
	}
	for _, inst := range all {
		if inst.Name == name {
			continue // what it holds it may keep; half-made, it is removed first
		}
		for _, held := range inst.NICs {
			for _, c := range nics {
				if err := clash(inst.Name, held, c.NIC); err != nil {
					return sysctl.Wrap(err, "device %s", c.NIC.Device)
				}
			}
		}
	}
	return nil
}

// clash reports what of a wanted NIC is held already.
func clash(holder string, held, want sysctl.NIC) error {
	if want.MAC != "" && strings.EqualFold(want.MAC, held.MAC) {
		return sysctl.E(sysctl.Exists, "MAC %s is taken by instance %s", held.MAC, holder).WithHint("sysctl info %s", holder)
	}
	if want.Network == "" || want.Network != held.Network {
		return nil // off managed networks addresses are not ours to guard
	}
	for _, a := range []netip.Addr{want.IPv4, want.IPv6} {
		if a.IsValid() && (a == held.IPv4 || a == held.IPv6) {
			return sysctl.E(sysctl.Exists, "address %s of network %s is taken by instance %s", a, want.Network, holder).
				WithHint("sysctl network show %s", want.Network)
		}
	}
	return nil
}
