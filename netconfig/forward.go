package netconfig

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// forwardRules lead what arrives at addresses of the host to n's instances. They are written twice: for what comes from elsewhere
// and for what the host sends itself.
func forwardRules(n sysctl.Network) (out []rule) {
	v4, v6 := false, false
	for _, f := range n.Forwards {
		v4, v6 = v4 || f.Listen.Is4(), v6 || f.Listen.Is6()
		for _, chain := range []string{"prerouting", "output"} {
			for _, p := range f.Ports {
				if p.Target.IsValid() {
					out = append(out, redirect(chain, f.Listen, &p, p.Target))
				}
			}
			if f.Target.IsValid() { // behind the ports, which go elsewhere
				out = append(out, redirect(chain, f.Listen, nil, f.Target))
			}
		}
	}
	// An instance that calls the host's address and is led to its neighbour must not be answered by that directly.
	if v4 && n.IPv4.IsValid() {
		out = append(out, hairpin(n.IPv4))
	}
	if v6 && n.IPv6.IsValid() {
		out = append(out, hairpin(n.IPv6))
	}
	return out
}

// redirect is one rule; p is nil for everything that no port says.
func redirect(chain string, listen netip.Addr, p *sysctl.ForwardPort, target netip.Addr) rule {
	of := protocolOf(listen)
	text, exprs := atAddress(listen)
	to := target.String()
	nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(of.number), RegAddrMin: 1, RegAddrMax: 1}
	load := []expr.Any{&expr.Immediate{Register: 1, Data: target.AsSlice()}}
	if p != nil {
		number := byte(unix.IPPROTO_TCP)
		if p.Protocol == "udp" {
			number = unix.IPPROTO_UDP
		}
		text += fmt.Sprintf(" %s dport %s", p.Protocol, p.Listen)
		exprs = append(exprs, toPorts(number, p.Listen)...)
		// A range that stays itself keeps each packet's port.
		if p.TargetPorts != p.Listen {
			to = fmt.Sprintf("%s port %s", target, p.TargetPorts)
			load = append(load, &expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(p.TargetPorts.First)})
			nat.RegProtoMin, nat.RegProtoMax = 2, 2
			nat.Specified = true
		}
	}
	return rule{chain, text + " dnat to " + to, append(append(exprs, load...), nat)}
}

// atAddress matches what is sent to an address of the host: one, or any but loopback.
func atAddress(listen netip.Addr) (string, []expr.Any) {
	of := protocolOf(listen)
	exprs := onlyFamily(of.number)
	if !listen.IsUnspecified() {
		return of.word + " daddr " + listen.String(), append(exprs, inSubnet(of.daddr, expr.CmpOpEq, netip.PrefixFrom(listen, listen.BitLen()))...)
	}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	if listen.Is6() {
		loopback = netip.MustParsePrefix("::1/128")
	}
	exprs = append(exprs, inSubnet(of.daddr, expr.CmpOpNeq, loopback)...)
	return of.word + " daddr type local", append(exprs,
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)})
}

// hairpin gives what was led from an instance to another of the same network the bridge's address.
func hairpin(p netip.Prefix) rule {
	subnet, of := p.Masked(), protocolOf(p.Addr())
	exprs := append(onlyFamily(of.number), inSubnet(of.saddr, expr.CmpOpEq, subnet)...)
	exprs = append(exprs, inSubnet(of.daddr, expr.CmpOpEq, subnet)...)
	exprs = append(exprs, redirected(expr.CmpOpNeq)...)
	return rule{"postrouting", of.word + " saddr " + subnet.String() + " " + of.word + " daddr " + subnet.String() + " ct status dnat masquerade", append(exprs, &expr.Masq{})}
}
