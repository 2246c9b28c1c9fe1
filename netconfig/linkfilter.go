package netconfig

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// What a guest sends is judged where it comes out of its link, before any bridge sees it (nftables, family netdev): so it
// is the same on every bridge. Each link has a chain of its own name in one table.

const (
	ethARP  = 0x0806
	ethIPv4 = 0x0800
	ethIPv6 = 0x86dd
)

// ensureLinkChain makes the rules about what comes from a link be l's, and none where it has none. Idempotent.
func ensureLinkChain(table string, l sysctl.Link) error {
	want, err := linkRules(l)
	if err != nil {
		return err
	}
	t := &nftables.Table{Family: nftables.TableFamilyNetdev, Name: table}
	return retry(sysctl.Network{Name: l.Name}, func() error {
		live, err := liveRules(t.Family, t.Name)
		if err != nil {
			return err
		}
		if asWanted(live, want, l.Name) {
			return nil
		}
		if len(want) == 0 {
			return removeLinkChain(t, l.Name, live)
		}
		c := new(nftables.Conn)
		c.AddTable(t)
		accept := nftables.ChainPolicyAccept
		chain := c.AddChain(&nftables.Chain{Table: t, Name: l.Name, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress,
			Priority: nftables.ChainPriorityFilter, Policy: &accept, Device: l.Name})
		if err := deleteOwn(c, t, live, l.Name); err != nil {
			return err
		}
		for _, r := range want {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: r.exprs, UserData: comment(r.comment(l.Name))})
		}
		return c.Flush()
	})
}

// RemoveLinkRules takes away what is judged by about the named links: since Linux 6.16 a chain outlives its link. Absent is success.
func RemoveLinkRules(table string, links []string) error {
	t := &nftables.Table{Family: nftables.TableFamilyNetdev, Name: table}
	for _, name := range links {
		err := retry(sysctl.Network{Name: name}, func() error {
			live, err := liveRules(t.Family, t.Name)
			if err != nil {
				return err
			}
			return removeLinkChain(t, name, live)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeLinkChain removes the chain of a link, and the table with the last one.
func removeLinkChain(t *nftables.Table, name string, live []liveRule) error {
	c := new(nftables.Conn)
	c.AddTable(t) // so that deleting an absent one is no error
	if slices.ContainsFunc(live, func(l liveRule) bool { return l.chain != name }) {
		exists, _, err := liveChain(t.Family, t.Name, name)
		if err != nil || !exists {
			return err
		}
		chain := &nftables.Chain{Table: t, Name: name}
		c.FlushChain(chain)
		c.DelChain(chain)
		return c.Flush()
	}
	c.DelTable(t)
	return c.Flush()
}

// linkRules are the rules for what comes from a link.
func linkRules(l sysctl.Link) (rules []rule, err error) {
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	add := func(text string, exprs ...[]expr.Any) {
		rules = append(rules, rule{l.Name, text, append(slices.Concat(exprs...), &expr.Counter{}, drop)})
	}
	if l.Egress > 0 {
		// A bucket holds what a second brings and this burst besides: nftables knows no less.
		add(fmt.Sprintf("limit rate over %d bytes/second burst %d bytes drop", l.Egress/8, burst(l.Egress)),
			[]expr.Any{&expr.Limit{Type: expr.LimitTypePktBytes, Rate: l.Egress / 8, Over: true, Unit: expr.LimitTimeSecond, Burst: burst(l.Egress)}})
	}
	if !l.FilterMAC && !l.FilterIPv4 && !l.FilterIPv6 {
		return rules, nil
	}
	mac, err := net.ParseMAC(l.MAC)
	if err != nil {
		return nil, sysctl.Wrap(err, "link %s", l.Name)
	}
	not := func(base expr.PayloadBase, offset uint32, allowed ...[]byte) []expr.Any {
		load := []expr.Any{&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: uint32(len(allowed[0]))}}
		for _, a := range allowed {
			load = append(load, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: a})
		}
		return load
	}
	neighbour := slices.Concat(carries(ethIPv6), icmpv6(136))
	add("ether saddr != "+l.MAC+" drop", not(expr.PayloadBaseLLHeader, 6, mac))
	add("arp saddr ether != "+l.MAC+" drop", carries(ethARP), not(expr.PayloadBaseNetworkHeader, 8, mac))
	add("icmpv6 type nd-neighbor-advert lladdr != "+l.MAC+" drop", neighbour, not(expr.PayloadBaseNetworkHeader, 66, mac))
	var v4, v6 [][]byte
	var names []string
	for _, a := range l.Addresses {
		names = append(names, a.String())
		if a.Is4() {
			v4 = append(v4, a.AsSlice())
		} else {
			v6 = append(v6, a.AsSlice())
		}
	}
	all := strings.Join(names, ",")
	if l.FilterIPv4 {
		none := netip.IPv4Unspecified().AsSlice()
		if len(v4) == 0 {
			add("no arp", carries(ethARP))
			add("no ip", carries(ethIPv4))
		} else {
			// Who looks for somebody else with his address, or for a DHCP server, has none yet.
			add("arp saddr ip != "+all+" drop", carries(ethARP), not(expr.PayloadBaseNetworkHeader, 14, append(v4, none)...))
			add("ip saddr != "+all+" drop", carries(ethIPv4), not(expr.PayloadBaseNetworkHeader, 12, append(v4, none)...))
			add("ip saddr 0.0.0.0 udp dport != 67 drop", carries(ethIPv4), is(expr.PayloadBaseNetworkHeader, 12, none),
				not(expr.PayloadBaseNetworkHeader, 9, []byte{unix.IPPROTO_UDP}))
			add("ip saddr 0.0.0.0 dport != 67 drop", carries(ethIPv4), is(expr.PayloadBaseNetworkHeader, 12, none),
				not(expr.PayloadBaseTransportHeader, 2, binaryutil.BigEndian.PutUint16(67)))
		}
	}
	if l.FilterIPv6 {
		if len(v6) == 0 {
			add("no ip6", carries(ethIPv6))
		} else {
			own := append(slices.Clone(v6), netip.IPv6Unspecified().AsSlice())
			add("icmpv6 type nd-router-advert drop", carries(ethIPv6), icmpv6(134))
			add("ip6 saddr != "+all+" drop", carries(ethIPv6), notLinkLocal(8), not(expr.PayloadBaseNetworkHeader, 8, own...))
			add("icmpv6 type nd-neighbor-advert target != "+all+" drop", neighbour, notLinkLocal(48), not(expr.PayloadBaseNetworkHeader, 48, v6...))
		}
	}
	if l.FilterIPv4 || l.FilterIPv6 {
		// What is wrapped in something else would go unseen.
		add("no other protocol", []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.BigEndian.PutUint16(ethARP)},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.BigEndian.PutUint16(ethIPv4)},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.BigEndian.PutUint16(ethIPv6)}})
	}
	return rules, nil
}

// carries compares what a frame carries.
func carries(p uint16) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(p)}}
}

// icmpv6 compares the type of an ICMPv6 message of an IPv6 packet without further headers.
func icmpv6(t byte) []expr.Any {
	return slices.Concat(is(expr.PayloadBaseNetworkHeader, 6, []byte{unix.IPPROTO_ICMPV6}), is(expr.PayloadBaseNetworkHeader, 40, []byte{t}))
}

func is(base expr.PayloadBase, offset uint32, want []byte) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: uint32(len(want))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want}}
}

// notLinkLocal compares an IPv6 address with fe80::/10.
func notLinkLocal(offset uint32) []expr.Any {
	return inSubnet(offset, expr.CmpOpNeq, netip.MustParsePrefix("fe80::/10"))
}

// burst is how many bytes may come at once at a rate in bits per second: a hundredth of a second's, and some of the largest packets.
func burst(rate uint64) uint32 { return uint32(min(max(rate/8/100, 128<<10), 1<<30)) }
