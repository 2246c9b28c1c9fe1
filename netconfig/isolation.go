package netconfig

import (
	"hash/fnv"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// Every bridge of ours is in a group of interfaces: the first byte is the same in all environments, the others follow from
// the environment's table. So one rule of a network speaks of all other managed networks, also of those that are made later and
// of those that this environment knows nothing of.
const (
	groupMask = 0xff000000
	groupOurs = 0x73000000
)

// group is the group of an environment's bridges.
func group(table string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(table))
	return groupOurs | h.Sum32()&^groupMask
}

// managed matches packets whose other interface is, or is not, a bridge of ours, of whichever environment.
func managed(key expr.MetaKey, op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(groupMask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: binaryutil.NativeEndian.PutUint32(groupOurs)},
	}
}

// isolationRules keep n's instances and those of other managed networks apart: of all others or, where n is open, of those
// of other environments. What a forward has led somewhere may go there. A family that is not routed goes nowhere.
func isolationRules(n sysctl.Network) (out []rule) {
	for _, d := range []struct {
		own, other           string
		ownName, otherName   expr.MetaKey
		ownGroup, otherGroup expr.MetaKey
	}{
		{"iif", "oif", expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME, expr.MetaKeyIIFGROUP, expr.MetaKeyOIFGROUP},
		{"oif", "iif", expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME, expr.MetaKeyOIFGROUP, expr.MetaKeyIIFGROUP},
	} {
		text := d.own + "name " + n.Bridge + " " + d.other + "group managed "
		exprs := append(onInterface(d.ownName, n.Bridge), managed(d.otherGroup, expr.CmpOpEq)...)
		if n.Open {
			text += d.other + "group != own"
			exprs = append(exprs, &expr.Meta{Key: d.otherGroup, Register: 1},
				&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(group(n.Table))})
		} else {
			text += d.other + "name != " + n.Bridge
			exprs = append(exprs, &expr.Meta{Key: d.otherName, Register: 1},
				&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte(n.Bridge + "\x00")})
		}
		exprs = append(exprs, redirected(expr.CmpOpEq)...)
		out = append(out, rule{"isolation", text + " ct status ! dnat drop", append(exprs, &expr.Verdict{Kind: expr.VerdictDrop})})
		for _, f := range []struct {
			of     sysctl.NetworkFamily
			number byte
			word   string
		}{{n.V4, unix.NFPROTO_IPV4, "ipv4"}, {n.V6, unix.NFPROTO_IPV6, "ipv6"}} {
			if f.of.NoRouting {
				exprs := append(onlyFamily(f.number), onInterface(d.ownName, n.Bridge)...)
				out = append(out, rule{"isolation", d.own + "name " + n.Bridge + " meta nfproto " + f.word + " drop", append(exprs, &expr.Verdict{Kind: expr.VerdictDrop})})
			}
		}
	}
	return out
}

// ipsDstNAT is the bit of a connection's status that says that its destination was changed (IPS_DST_NAT).
const ipsDstNAT = 1 << 5

// redirected matches packets of connections whose destination no rule has changed (op ==), or one has (op !=).
func redirected(op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATUS},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(ipsDstNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: make([]byte, 4)},
	}
}
