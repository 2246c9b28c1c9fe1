package netconfig

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// HostDNS returns the resolvers and search domains this host's uplink offers. Loopback resolvers
// (of systemd-resolved, dnsmasq, …) cannot be reached by a guest: where /etc/resolv.conf has no
// other, the files are asked in which such programs keep what they were given. Empty where nobody
// knows a resolver.
func HostDNS(ctx context.Context) (servers []netip.Addr, search []string) {
	for _, name := range []string{
		"/etc/resolv.conf",
		"/run/systemd/resolve/resolv.conf",
		"/run/NetworkManager/no-stub-resolv.conf",
	} {
		data, err := os.ReadFile(name)
		if err != nil || ctx.Err() != nil {
			continue
		}
		if servers, search = parseResolvConf(string(data)); len(servers) > 0 {
			return servers, search
		}
	}
	return nil, nil
}

// parseResolvConf returns the resolvers a guest can reach, and the last search list, as resolv.conf(5) has it.
func parseResolvConf(s string) (servers []netip.Addr, search []string) {
	for line := range strings.Lines(s) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			// A link-local resolver is on a link the guest is not on.
			a, err := netip.ParseAddr(fields[1])
			if a = a.Unmap(); err == nil && !a.IsLoopback() && !a.IsUnspecified() && !a.IsLinkLocalUnicast() && !slices.Contains(servers, a) {
				servers = append(servers, a)
			}
		case "domain", "search":
			search = slices.DeleteFunc(fields[1:], func(d string) bool { return d == "." })
		}
	}
	return servers, search
}
