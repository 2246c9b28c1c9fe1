package netconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// answersNames reports whether a network's dnsmasq is to answer for names: it needs an address for that.
func answersNames(n sysctl.Network) bool {
	return n.DNS.Mode != "none" && (n.IPv4.IsValid() || n.IPv6.IsValid())
}

// wantsServer reports whether a network wants a dnsmasq at all.
func wantsServer(n sysctl.Network) bool {
	return answersNames(n) || n.IPv4.IsValid() && !n.V4.NoDHCP || advertises(n)
}

// advertises reports whether it is to be heard of as an IPv6 router. dnsmasq knows no subnets larger than /64.
func advertises(n sysctl.Network) bool {
	return n.V6.Router && n.IPv6.IsValid() && n.IPv6.Bits() >= 64
}

// unreadable reports whether the host's list of DNS servers is a link into a directory that is not there, as that of a systemd-resolved that
// does not run: dnsmasq would end ("cannot poll"), and with it DHCP and the names of instances.
func unreadable(path string) bool {
	at, err := os.Readlink(path)
	if err != nil {
		return false
	}
	if !filepath.IsAbs(at) {
		at = filepath.Join(filepath.Dir(path), at)
	}
	_, err = os.Stat(filepath.Dir(at))
	return errors.Is(err, fs.ErrNotExist)
}

// config is dnsmasq's configuration. upstream are the host's DNS servers, for guests of a network without names.
func (s server) config(owner account, upstream []netip.Addr) []byte {
	n := s.network
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by sysctl for the network %s; what is changed here is lost: sysctl network set %s raw.dnsmasq=…", n.Name, n.Name)
	line("# names on the host: %t", n.DNS.Host)
	line("pid-file=%s", s.file("pid"))
	line("user=%s\ngroup=%s", owner.user, owner.group)
	line("interface=%s\nexcept-interface=lo\nbind-dynamic", n.Bridge)
	if answersNames(n) {
		line("no-hosts\ndomain-needed\nbogus-priv\nlocalise-queries\ncache-size=1000")
		line("domain=%s\nlocal=/%s/\nexpand-hosts\naddn-hosts=%s", n.Domain, n.Domain, s.file("hosts"))
		if unreadable("/etc/resolv.conf") {
			line("no-resolv")
		}
	} else {
		line("port=0")
	}
	s.dhcp4(line, upstream)
	s.dhcp6(line)
	if n.IPv4.IsValid() && !n.V4.NoDHCP || advertises(n) {
		line("dhcp-authoritative\ndhcp-no-override\nno-ping\nquiet-dhcp\nquiet-dhcp6\nquiet-ra")
		line("dhcp-leasefile=%s\ndhcp-hostsfile=%s", s.file("leases"), s.file("dhcp"))
		if n.DNS.Mode != "dynamic" {
			line("dhcp-ignore-names")
		}
		if len(n.DNS.Search) > 0 {
			line("dhcp-option=option:domain-search,%s", strings.Join(n.DNS.Search, ","))
		}
	}
	if n.DNS.Raw != "" {
		line("%s", strings.TrimRight(n.DNS.Raw, "\n"))
	}
	return []byte(b.String())
}

func (s server) dhcp4(line func(string, ...any), upstream []netip.Addr) {
	n := s.network
	if !n.IPv4.IsValid() || n.V4.NoDHCP {
		return
	}
	subnet, expiry := n.IPv4.Masked(), expiryOr(n.V4.Expiry)
	mask := netmask(subnet)
	lent := n.Lent(true)
	for _, r := range lent {
		line("dhcp-range=%s,%s,%s,%s", r.First, r.Last, mask, expiry)
	}
	if len(lent) == 0 { // instances only
		line("dhcp-range=%s,static,%s,%s", subnet.Addr(), mask, expiry)
	}
	if n.V4.Gateway.IsValid() {
		line("dhcp-option=option:router,%s", n.V4.Gateway)
	}
	servers := n.DNS.Servers
	if len(servers) == 0 && !answersNames(n) {
		servers = upstream
	}
	var own []string
	for _, a := range servers {
		if a.Is4() {
			own = append(own, a.String())
		}
	}
	if len(own) > 0 {
		line("dhcp-option=option:dns-server,%s", strings.Join(own, ","))
	}
	if n.MTU > 0 {
		line("dhcp-option=option:mtu,%d", n.MTU)
	}
}

// dhcp6 is router advertisement and DHCPv6, which nobody asks for who has heard of no router.
func (s server) dhcp6(line func(string, ...any)) {
	n := s.network
	if !advertises(n) {
		return
	}
	subnet, bits, expiry := n.IPv6.Masked().Addr(), n.IPv6.Bits(), expiryOr(n.V6.Expiry)
	line("enable-ra")
	switch lent := n.Lent(false); {
	case len(lent) > 0:
		for _, r := range lent {
			line("dhcp-range=%s,%s,%d,%s", r.First, r.Last, bits, expiry)
		}
	case n.V6.NoDHCP && bits == 64:
		line("dhcp-range=%s,ra-only,%d,%s", subnet, bits, expiry)
	case bits == 64:
		line("dhcp-range=%s,ra-stateless,%d,%s", subnet, bits, expiry)
	default:
		line("dhcp-range=%s,static,%d,%s", subnet, bits, expiry)
	}
	var own []string
	for _, a := range n.DNS.Servers {
		if a.Is6() {
			own = append(own, "["+a.String()+"]")
		}
	}
	if len(own) > 0 {
		line("dhcp-option=option6:dns-server,%s", strings.Join(own, ","))
	}
}

func expiryOr(s string) string {
	if s == "" {
		return "3600"
	}
	return s
}

func netmask(p netip.Prefix) netip.Addr {
	var b [4]byte
	for i := range p.Bits() {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// hostLines are an instance's lines for names, and for DHCP.
func hostLines(hosts []sysctl.NetworkHost) (names, leases string) {
	for _, h := range hosts {
		lease := h.MAC
		for _, a := range []netip.Addr{h.IPv4, h.IPv6} {
			if !a.IsValid() {
				continue
			}
			names += a.String() + " " + h.Name + "\n"
			if a.Is6() {
				lease += ",[" + a.String() + "]"
			} else {
				lease += "," + a.String()
			}
		}
		if h.MAC != "" {
			leases += lease + "," + h.Name + "\n"
		}
	}
	return names, leases
}
