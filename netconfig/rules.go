package netconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// rule is one rule as it should be. Its text, in nft's own words, is what its comment is a digest
// of: a rule in the kernel is as wanted when its chain and comment are.
type rule struct {
	chain string
	text  string
	exprs []expr.Any
}

// comment names the network a rule belongs to and what the rule says.
func (r rule) comment(network string) string {
	sum := sha256.Sum256([]byte(r.text))
	return network + " " + hex.EncodeToString(sum[:6])
}

// chains are the chains of every table of ours.
func chains(t *nftables.Table) []*nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return []*nftables.Chain{
		{Table: t, Name: "postrouting", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource, Policy: &accept},
		{Table: t, Name: "forward", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &accept},
		{Table: t, Name: "input", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &accept},
		// Of its own, and earlier: one network's "accept" must not end the judgement before another's "drop".
		{Table: t, Name: "isolation", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(-10), Policy: &accept},
		{Table: t, Name: "prerouting", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest, Policy: &accept},
		{Table: t, Name: "output", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest, Policy: &accept},
	}
}

// wantedRules are n's rules in its table.
func wantedRules(n sysctl.Network) []rule {
	var out []rule
	if n.NAT && n.IPv4.IsValid() {
		out = append(out, masquerade(n.IPv4, n.V4, n.Open))
	}
	if n.NAT6 && n.IPv6.IsValid() {
		out = append(out, masquerade(n.IPv6, n.V6, n.Open))
	}
	out = append(out, acceptRules(n)...)
	out = append(out, isolationRules(n)...)
	return append(out, forwardRules(n)...)
}

// acceptRules let the network's own traffic through, of the families that are not left to the user's firewall.
func acceptRules(n sysctl.Network) (out []rule) {
	if n.V4.NoFirewall && n.V6.NoFirewall {
		return nil
	}
	family, word := []expr.Any(nil), ""
	switch {
	case n.V4.NoFirewall:
		family, word = onlyFamily(unix.NFPROTO_IPV6), "meta nfproto ipv6 "
	case n.V6.NoFirewall:
		family, word = onlyFamily(unix.NFPROTO_IPV4), "meta nfproto ipv4 "
	}
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	add := func(chain, text string, exprs []expr.Any) {
		out = append(out, rule{chain, word + text + " accept", append(slices.Concat(family, exprs), accept)})
	}
	add("forward", "iifname "+n.Bridge, onInterface(expr.MetaKeyIIFNAME, n.Bridge))
	add("forward", "oifname "+n.Bridge, onInterface(expr.MetaKeyOIFNAME, n.Bridge))
	for _, s := range []struct {
		text  string
		proto byte
		port  uint16
	}{
		{"udp dport 53", unix.IPPROTO_UDP, 53}, {"tcp dport 53", unix.IPPROTO_TCP, 53},
		{"udp dport 67", unix.IPPROTO_UDP, 67}, {"udp dport 547", unix.IPPROTO_UDP, 547},
	} {
		add("input", "iifname "+n.Bridge+" "+s.text, append(onInterface(expr.MetaKeyIIFNAME, n.Bridge), toPorts(s.proto, sysctl.PortRange{First: s.port, Last: s.port})...))
	}
	return out
}

// onlyFamily matches packets of IPv4 or IPv6.
func onlyFamily(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

// toPorts matches packets of a protocol to one of the ports.
func toPorts(proto byte, ports sysctl.PortRange) []expr.Any {
	out := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
	if ports.First == ports.Last {
		return append(out, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(ports.First)})
	}
	return append(out,
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binaryutil.BigEndian.PutUint16(ports.First)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: binaryutil.BigEndian.PutUint16(ports.Last)})
}

// protocol is what a rule has to know of a family: its words and where addresses are in its header.
type protocol struct {
	word         string
	number       byte
	saddr, daddr uint32
}

func protocolOf(a netip.Addr) protocol {
	if a.Is4() {
		return protocol{"ip", unix.NFPROTO_IPV4, 12, 16}
	}
	return protocol{"ip6", unix.NFPROTO_IPV6, 8, 24}
}

// masquerade gives what leaves the subnet of p the host's address. What goes to another managed network that it is open to
// keeps its own.
func masquerade(p netip.Prefix, f sysctl.NetworkFamily, open bool) rule {
	subnet, of := p.Masked(), protocolOf(p.Addr())
	text := of.word + " saddr " + subnet.String() + " " + of.word + " daddr != " + subnet.String()
	exprs := onlyFamily(of.number)
	exprs = append(exprs, inSubnet(of.saddr, expr.CmpOpEq, subnet)...)
	exprs = append(exprs, inSubnet(of.daddr, expr.CmpOpNeq, subnet)...)
	if open {
		text += " oifgroup unmanaged"
		exprs = append(exprs, managed(expr.MetaKeyOIFGROUP, expr.CmpOpNeq)...)
	}
	if a := f.NATAddress; a.IsValid() {
		return rule{"postrouting", text + " snat to " + a.String(), append(exprs,
			&expr.Immediate{Register: 1, Data: a.AsSlice()},
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(of.number), RegAddrMin: 1, RegAddrMax: 1})}
	}
	return rule{"postrouting", text + " masquerade", append(exprs, &expr.Masq{})}
}

// inSubnet compares the address at offset of the network header with a subnet.
func inSubnet(offset uint32, op expr.CmpOp, subnet netip.Prefix) []expr.Any {
	length := uint32(subnet.Addr().BitLen() / 8)
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length,
			Mask: net.CIDRMask(subnet.Bits(), subnet.Addr().BitLen()), Xor: make([]byte, length)},
		&expr.Cmp{Op: op, Register: 1, Data: subnet.Addr().AsSlice()},
	}
}

func onInterface(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(name + "\x00")},
	}
}

// ensureTable makes n's rules be in its table, once each.
func ensureTable(n sysctl.Network) error {
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: n.Table}
	return retry(n, func() error {
		live, err := liveRules(table.Family, table.Name)
		if err != nil {
			return err
		}
		want := wantedRules(n)
		if asWanted(live, want, n.Name) {
			return nil
		}
		c := new(nftables.Conn)
		c.AddTable(table)
		byName := map[string]*nftables.Chain{}
		for _, chain := range chains(table) {
			byName[chain.Name] = c.AddChain(chain)
		}
		if err := deleteOwn(c, table, live, n.Name); err != nil {
			return err
		}
		for _, r := range want {
			c.AddRule(&nftables.Rule{Table: table, Chain: byName[r.chain], Exprs: r.exprs, UserData: comment(r.comment(n.Name))})
		}
		return c.Flush()
	})
}

// removeTable removes n's rules, and the table where it then has none.
func removeTable(n sysctl.Network) error {
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: n.Table}
	return retry(n, func() error {
		live, err := liveRules(table.Family, table.Name)
		if err != nil {
			return err
		}
		c := new(nftables.Conn)
		if slices.ContainsFunc(live, func(l liveRule) bool { return !l.of(n.Name) }) {
			if err := deleteOwn(c, table, live, n.Name); err != nil {
				return err
			}
			return c.Flush()
		}
		c.AddTable(table) // so that deleting an absent one is no error
		c.DelTable(table)
		return c.Flush()
	})
}

func deleteOwn(c *nftables.Conn, t *nftables.Table, live []liveRule, network string) error {
	for _, l := range live {
		if !l.of(network) {
			continue
		}
		if err := c.DelRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Table: t, Name: l.chain}, Handle: l.handle}); err != nil {
			return err
		}
	}
	return nil
}

// asWanted reports whether the network's rules are exactly the wanted ones.
func asWanted(live []liveRule, want []rule, network string) bool {
	var have, need []string
	for _, l := range live {
		if l.of(network) {
			have = append(have, l.chain+" "+l.comment)
		}
	}
	for _, r := range want {
		need = append(need, r.chain+" "+r.comment(network))
	}
	slices.Sort(have)
	slices.Sort(need)
	return slices.Equal(have, need)
}

// retry runs one read-decide-write transaction again when a rule it was to delete has been deleted
// by another process meanwhile.
func retry(n sysctl.Network, transaction func() error) error {
	const tries = 10
	var err error
	for range tries {
		if err = transaction(); !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return sysctl.E(sysctl.Permission, "network %s: change nftables: %w", n.Name, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT):
		return sysctl.E(sysctl.Unsupported, "network %s: this kernel's nftables cannot do NAT: %w", n.Name, err).
			WithHint("modprobe -a nf_tables nft_chain_nat nft_masq")
	}
	return sysctl.Wrap(err, "network %s: change nftables", n.Name)
}

func comment(s string) []byte { return userdata.AppendString(nil, userdata.TypeComment, s) }

// of reports whether the rule is the named network's.
func (l liveRule) of(network string) bool { return strings.HasPrefix(l.comment, network+" ") }
