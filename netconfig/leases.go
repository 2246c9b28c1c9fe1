package netconfig

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// Leases are the addresses that n's dnsmasq has lent. None where it has none.
func Leases(n sysctl.Network) ([]sysctl.Lease, error) {
	data, err := os.ReadFile(serverOf(n).file("leases"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseLeases(string(data)), err
}

// parseLeases reads dnsmasq's file: "EXPIRES MAC ADDRESS NAME CLIENT-ID" for each lease, IPv6's behind a line "duid ID", with a
// number in the place of the MAC. An expiry of 0 is never, a name of * none.
func parseLeases(text string) (list []sysctl.Lease) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		expires, err := strconv.ParseInt(f[0], 10, 64)
		a, bad := netip.ParseAddr(f[2])
		if err != nil || bad != nil {
			continue
		}
		l := sysctl.Lease{MAC: f[1], Address: a, Hostname: f[3], Type: "dynamic"}
		if a.Is6() {
			l.MAC = ""
		}
		if l.Hostname == "*" {
			l.Hostname = ""
		}
		if expires > 0 {
			l.Expires = time.Unix(expires, 0).UTC()
		}
		list = append(list, l)
	}
	return list
}
