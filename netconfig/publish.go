package netconfig

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// portChains are where ports are led to guests: what comes from elsewhere, what the host itself sends, and what goes
// from a guest by way of the host to its neighbour, or to itself, which must come back the same way.
func portChains(t *nftables.Table) []*nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return []*nftables.Chain{
		{Table: t, Name: "ports-in", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest, Policy: &accept},
		{Table: t, Name: "ports-own", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest, Policy: &accept},
		{Table: t, Name: "ports-out", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource, Policy: &accept},
	}
}

// Publish makes rules be the ones that lead ports of the host to an instance, in a table of ours, and no others; none takes all of
// them away, and the table with the last rule in it. One transaction. Idempotent. The kind is Unsupported where the kernel
// cannot do it.
func Publish(ctx context.Context, table string, id int64, rules []sysctl.PortRule) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A network cannot be called so.
	owner := "instance/" + strconv.FormatInt(id, 10)
	var want []rule
	for _, r := range rules {
		want = append(want, portRule(r)...)
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: table}
	return retry(sysctl.Network{Name: owner}, func() error {
		live, err := liveRules(t.Family, t.Name)
		if err != nil {
			return err
		}
		if asWanted(live, want, owner) {
			return nil
		}
		c := new(nftables.Conn)
		c.AddTable(t)
		if len(want) == 0 && !slices.ContainsFunc(live, func(l liveRule) bool { return !l.of(owner) }) {
			c.DelTable(t)
			return c.Flush()
		}
		if err := deleteOwn(c, t, live, owner); err != nil {
			return err
		}
		if len(want) > 0 {
			byName := map[string]*nftables.Chain{}
			for _, chain := range portChains(t) {
				byName[chain.Name] = c.AddChain(chain)
			}
			for _, r := range want {
				c.AddRule(&nftables.Rule{Table: t, Chain: byName[r.chain], Exprs: r.exprs, UserData: comment(r.comment(owner))})
			}
		}
		return c.Flush()
	})
}

// portRule is one of them for each chain.
func portRule(r sysctl.PortRule) []rule {
	proto, word := byte(unix.IPPROTO_TCP), r.Proto
	if r.Proto == "udp" {
		proto = unix.IPPROTO_UDP
	}
	family, saddr, daddr, name := byte(unix.NFPROTO_IPV4), uint32(12), uint32(16), "ip"
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	if r.Target.Is6() {
		family, saddr, daddr, name = unix.NFPROTO_IPV6, 8, 24, "ip6"
		loopback = netip.MustParsePrefix("::1/128")
	}
	is := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
	match := slices.Concat(is, portsBetween(r.First, r.Last))
	text := fmt.Sprintf("%s dport %d-%d", word, r.First, r.Last)
	if r.Listen.IsUnspecified() {
		match = append(match, inSubnet(daddr, expr.CmpOpNeq, loopback)...)
		match = append(match, &expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)})
		text += " " + name + " daddr local"
	} else {
		match = append(match, inSubnet(daddr, expr.CmpOpEq, netip.PrefixFrom(r.Listen, r.Listen.BitLen()))...)
		text += " " + name + " daddr " + r.Listen.String()
	}
	nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(family), RegAddrMin: 1}
	match = append(match, &expr.Immediate{Register: 1, Data: r.Target.AsSlice()})
	to := r.Target.String()
	inside := [2]uint16{r.First, r.Last}
	if r.Port != 0 && (r.Port != r.First || r.First != r.Last) {
		match = append(match, &expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(r.Port)})
		nat.RegProtoMin = 2
		to += " port " + strconv.Itoa(int(r.Port))
	}
	if r.Port != 0 {
		inside = [2]uint16{r.Port, r.Port}
	}
	match = append(match, nat)
	text += " dnat to " + to
	rules := []rule{{"ports-in", text, match}, {"ports-own", text, match}}
	if r.Siblings.IsValid() {
		back := slices.Concat(is, inSubnet(saddr, expr.CmpOpEq, r.Siblings.Masked()), inSubnet(daddr, expr.CmpOpEq, netip.PrefixFrom(r.Target, r.Target.BitLen())),
			portsBetween(inside[0], inside[1]), []expr.Any{
				&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}, // that it was led there: neighbours talk without us else
				&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(ipsDNAT), Xor: make([]byte, 4)},
				&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
				&expr.Masq{},
			})
		rules = append(rules, rule{"ports-out", fmt.Sprintf("%s saddr %s daddr %s %s dport %d-%d ct status dnat masquerade", name, r.Siblings, r.Target, word, inside[0], inside[1]), back})
	}
	return rules
}

// ipsDNAT is IPS_DST_NAT (nf_conntrack_common.h).
const ipsDNAT = 1 << 5

// portsBetween compares the destination port.
func portsBetween(first, last uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: binaryutil.BigEndian.PutUint16(first), ToData: binaryutil.BigEndian.PutUint16(last)},
	}
}
