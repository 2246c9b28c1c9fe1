package netconfig

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/sysctl-os/sysctl"
)

// Picker returns how an address is chosen on the network whose bridge has n (its own address with
// the subnet's length): prefer where that is valid, else the lowest free host address. The
// network's, the broadcast and the bridge's own address are never chosen. The picker fails with
// Invalid where prefer cannot be an address of the network, Exists where it is taken, NoSpace
// where nothing is free.
func Picker(n netip.Prefix, prefer netip.Addr) sysctl.AddressPicker {
	return func(taken func(netip.Addr) bool) (netip.Addr, error) {
		if prefer.IsValid() {
			if err := checkAddress(n, prefer); err != nil {
				return netip.Addr{}, err
			}
			if taken(prefer) {
				return netip.Addr{}, sysctl.E(sysctl.Exists, "address %s is taken", prefer)
			}
			return prefer, nil
		}
		if !n.IsValid() {
			return netip.Addr{}, sysctl.E(sysctl.Invalid, "choose address: the network has no subnet of this family")
		}
		low, high := hostRange(n)
		for a := low; a.IsValid() && a.Compare(high) <= 0; a = a.Next() {
			if a != n.Addr() && !taken(a) {
				return a, nil
			}
		}
		return netip.Addr{}, sysctl.E(sysctl.NoSpace, "choose address: every address of %s to %s is taken", low, high).
			WithHint("delete an instance, or make a network with a larger subnet")
	}
}

// CheckAddress reports why an instance cannot have the address a on n, or nil. The error is of
// kind Invalid and says the range.
func CheckAddress(n sysctl.Network, a netip.Addr) error {
	p := n.IPv6
	word := "IPv6"
	if a.Is4() {
		p, word = n.IPv4, "IPv4"
	}
	if a.IsValid() && !p.IsValid() {
		return sysctl.E(sysctl.Invalid, "address %s: network %s has no %s", a, n.Name, word)
	}
	return checkAddress(p, a)
}

func checkAddress(p netip.Prefix, a netip.Addr) error {
	low, high := hostRange(p)
	switch {
	case !a.IsValid() || a.Zone() != "" || a.Is4In6():
		return sysctl.E(sysctl.Invalid, "%s is not a plain address", a)
	case !p.Contains(a):
		return sysctl.E(sysctl.Invalid, "address %s is outside the network: %s to %s", a, low, high)
	case a.Less(low) || high.Less(a):
		return sysctl.E(sysctl.Invalid, "address %s is the network's own or its broadcast address: use %s to %s", a, low, high)
	case a == p.Addr():
		return sysctl.E(sysctl.Invalid, "address %s is the bridge's own: use another of %s to %s", a, low, high)
	}
	return nil
}

// hostRange returns the first and last address hosts can have in p's subnet.
func hostRange(p netip.Prefix) (low, high netip.Addr) {
	if !p.IsValid() {
		return
	}
	p = p.Masked()
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	low = p.Addr()
	high, _ = netip.AddrFromSlice(b)
	if p.Addr().BitLen()-p.Bits() < 2 { // point to point: both ends are hosts
		return low, high
	}
	low = low.Next() // IPv6: the subnet's own is the routers' anycast address
	if p.Addr().Is4() {
		high = high.Prev()
	}
	return low, high
}

// MAC returns the address of an instance's interface: the prefix 00:16:3e, as of other container
// and virtual machine managers, and 24 bits that follow from environment, instance and device.
// Within one environment two instances' interfaces of the same device name never collide while
// ids are below 2^24.
func MAC(env string, id int64, device string) string {
	sum := sha256.Sum256([]byte(env + "\x00" + device))
	// Multiplying by an odd number only changes the order of the 2^24 values: neighbours get
	// addresses that look nothing alike.
	low := binary.BigEndian.Uint32(sum[:4]) + uint32(id)*0x9e3779b1
	return fmt.Sprintf("00:16:3e:%02x:%02x:%02x", byte(low>>16), byte(low>>8), byte(low))
}
