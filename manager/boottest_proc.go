package manager

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What a guest has is read from its kernel's tables: no program of the guest's has to be there for it but cat.
const (
	addressScript = "cat /proc/net/fib_trie /proc/net/if_inet6 2>/dev/null"
	routeScript   = "cat /proc/net/route; echo; cat /proc/net/ipv6_route 2>/dev/null"
)

// localAddresses are the addresses in /proc/net/fib_trie and if_inet6. Of IPv6 those that are tentative still are none.
func localAddresses(tables string) []netip.Addr {
	const tentative, failed = 0x40, 0x08
	var all []netip.Addr
	var leaf netip.Addr
	for line := range strings.Lines(tables) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "|--":
			leaf, _ = netip.ParseAddr(f[1])
		case len(f) == 3 && f[0] == "/32" && f[1] == "host" && f[2] == "LOCAL" && leaf.IsValid():
			all = append(all, leaf)
		case len(f) == 6 && len(f[0]) == 32:
			flags, err := strconv.ParseUint(f[4], 16, 32)
			if a, ok := hexAddr(f[0]); ok && err == nil && flags&(tentative|failed) == 0 {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// defaultGateways are the gateways of default routes in /proc/net/route and ipv6_route.
func defaultGateways(tables string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(tables) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 8 && f[1] == "00000000" && f[7] == "00000000" && len(f[2]) == 8:
			n, err := strconv.ParseUint(f[2], 16, 32)
			if err == nil && n != 0 {
				var b [4]byte
				binary.NativeEndian.PutUint32(b[:], uint32(n)) // as it lies in memory
				all = append(all, netip.AddrFrom4(b))
			}
		case len(f) >= 10 && len(f[0]) == 32 && strings.Trim(f[0], "0") == "" && f[1] == "00":
			if a, ok := hexAddr(f[4]); ok && !a.IsUnspecified() {
				all = append(all, a)
			}
		}
	}
	return all
}

// listening are the ports of /proc/net/tcp and tcp6 on which somebody listens.
func listening(tables string) []uint16 {
	const listen = "0A"
	var all []uint16
	for line := range strings.Lines(tables) {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != listen {
			continue
		}
		port, err := strconv.ParseUint(f[1][strings.LastIndexByte(f[1], ':')+1:], 16, 16)
		if err == nil {
			all = append(all, uint16(port))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// hexAddr reads an IPv6 address that is written as 32 digits.
func hexAddr(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b)
}
