package netconfig

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The two questions asked at every start are asked in raw netlink: one message for all rules of a
// table, without decoding what the rules say, and with the kernel's error number kept.

// liveRule is a rule that is in the kernel.
type liveRule struct {
	chain   string
	handle  uint64
	comment string // "" where it has none
	raw     string // its expressions, as the kernel sends them
}

// liveRules lists the rules of a table; an absent table has none.
func liveRules(family nftables.TableFamily, table string) ([]liveRule, error) {
	req := request(family, unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP)
	req.AddData(nl.NewRtAttr(unix.NFTA_RULE_TABLE, nl.ZeroTerminated(table)))
	replies, err := dump(func() ([][]byte, error) { return req.Execute(unix.NETLINK_NETFILTER, 0) })
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, nil
		}
		return nil, err
	}
	var out []liveRule
	for _, m := range replies {
		attrs, err := attributes(m)
		if err != nil {
			return nil, err
		}
		out = append(out, liveRule{
			chain:   text(attrs[unix.NFTA_RULE_CHAIN]),
			handle:  binary.BigEndian.Uint64(attrs[unix.NFTA_RULE_HANDLE]),
			comment: commentOf(attrs[unix.NFTA_RULE_USERDATA]),
			raw:     string(attrs[unix.NFTA_RULE_EXPRESSIONS]),
		})
	}
	return out, nil
}

// liveChain reports whether a chain exists and whether its policy is to drop.
func liveChain(family nftables.TableFamily, table, chain string) (exists, drops bool, err error) {
	req := request(family, unix.NFT_MSG_GETCHAIN, 0)
	req.AddData(nl.NewRtAttr(unix.NFTA_CHAIN_TABLE, nl.ZeroTerminated(table)))
	req.AddData(nl.NewRtAttr(unix.NFTA_CHAIN_NAME, nl.ZeroTerminated(chain)))
	replies, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, false, nil
	}
	if err != nil || len(replies) == 0 {
		return false, false, err
	}
	attrs, err := attributes(replies[0])
	if err != nil {
		return false, false, err
	}
	policy := attrs[unix.NFTA_CHAIN_POLICY]
	return true, len(policy) == 4 && binary.BigEndian.Uint32(policy) == uint32(nftables.ChainPolicyDrop), nil
}

// nfgenmsg is the header of every nftables message.
type nfgenmsg struct{ family byte }

func (m nfgenmsg) Len() int          { return 4 }
func (m nfgenmsg) Serialize() []byte { return []byte{m.family, unix.NFNETLINK_V0, 0, 0} }

func request(family nftables.TableFamily, message, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|message, flags)
	req.AddData(nfgenmsg{byte(family)})
	return req
}

func attributes(message []byte) (map[uint16][]byte, error) {
	if len(message) < 4 {
		return nil, unix.EBADMSG
	}
	list, err := nl.ParseRouteAttr(message[4:])
	const typeMask = 0x3fff // the upper two bits are flags
	out := map[uint16][]byte{}
	for _, a := range list {
		out[a.Attr.Type&typeMask] = a.Value
	}
	return out, err
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func commentOf(data []byte) string {
	if len(data) < 2 || len(data) < 2+int(data[1]) { // not a list of type, length, value
		return ""
	}
	s, _ := userdata.GetString(data, userdata.TypeComment)
	return s
}
