package guest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	networkdDir    = "/etc/systemd/network"
	networkdOurs   = "10-sysctl-" // ours are this, the interface, and ".network"
	networkdPreset = "/etc/systemd/system-preset/10-sysctl.preset"
	whyNetworkd    = "network (systemd-networkd)"
)

// networkd writes a file for each interface and removes ours of interfaces that have gone, which is
// all of them for a guest with another renderer.
func (b *builder) networkd(g sysctl.Guest, n sysctl.GuestNetwork) {
	want := map[string]bool{}
	if g.Renderer == Networkd {
		for i, nic := range n.NICs {
			name := path.Join(networkdDir, networkdOurs+nic.Name+".network")
			want[name] = true
			b.moveAside(nic.Name, path.Base(name))
			b.write(name, networkdFile(n, i, g.InitVersion), whyNetworkd)
		}
		b.enableNetworkd()
	}
	isOurs := func(name string) bool {
		return strings.HasPrefix(name, networkdOurs) && strings.HasSuffix(name, ".network")
	}
	for _, name := range regularFiles(b.tree, networkdDir, isOurs) {
		if !want[name] && strings.HasPrefix(b.read(name), mark) {
			b.remove(name, whyNetworkd)
		}
	}
	if g.Renderer != Networkd && strings.HasPrefix(b.read(networkdPreset), mark) {
		b.remove(networkdPreset, whyNetworkd)
	}
}

// networkdFile renders the i-th interface for a version of systemd ("252"; unknown counts as new).
func networkdFile(n sysctl.GuestNetwork, i int, systemd string) string {
	nic := n.NICs[i]
	v, err := strconv.Atoi(systemd)
	if err != nil {
		v = 1000
	}
	out := []string{mark + ": changes are lost.", "[Match]", "Name=" + nic.Name}
	if nic.MTU != 0 {
		out = append(out, "", "[Link]", fmt.Sprint("MTUBytes=", nic.MTU))
	}
	out = append(out, "", "[Network]", "DHCP=no", "LinkLocalAddressing=ipv6", "IPv6AcceptRA=no")
	// Per address, as newer versions can, detection is off for good; the older setting leaves a
	// random delay.
	perAddress := v >= 243
	if !perAddress {
		out = append(out, "IPv6DuplicateAddressDetection=0")
	}
	for _, a := range nic.Addresses {
		out = append(out, "", "[Address]", "Address="+a.String())
		if a.Addr().Is6() && perAddress {
			out = append(out, "DuplicateAddressDetection=none")
		}
	}
	v4, v6 := families(n, i)
	for _, f := range []family{v4, v6} {
		if f.gateway.IsValid() {
			out = append(out, networkdRoute(f, v)...)
		}
	}
	return joinLines(out)
}

func networkdRoute(f family, systemd int) []string {
	route := []string{"", "[Route]", "Gateway=" + f.gateway.String()}
	if f.metric != 0 {
		route = append(route, fmt.Sprint("Metric=", f.metric))
	}
	switch {
	case f.gatewayAt() >= 0:
		return route
	case systemd >= 243:
		return append(route, "GatewayOnLink=yes")
	}
	// A route to the gateway itself does the same, and is known to all versions.
	return append([]string{"", "[Route]", fmt.Sprintf("Destination=%s/%d", f.gateway, f.gateway.BitLen()), "Scope=link"}, route...)
}

// moveAside renames somebody else's file for just this interface that networkd would read
// before ours: it takes the first file that matches, and only that.
func (b *builder) moveAside(nic, ours string) {
	others := regularFiles(b.tree, networkdDir, func(name string) bool {
		return strings.HasSuffix(name, ".network") && name < ours
	})
	for _, name := range others {
		content := b.read(name)
		if strings.HasPrefix(content, mark) || !slices.Equal(matchedNames(content), []string{nic}) {
			continue
		}
		b.write(name+".before-sysctl", content, whyNetworkd)
		b.remove(name, whyNetworkd)
	}
}

// matchedNames returns the names in a .network file's [Match] section where names are all it matches by.
func matchedNames(content string) []string {
	var names []string
	section := ""
	for _, line := range splitLines(content) {
		line = strings.TrimSpace(line)
		key, value, isKey := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = line
		case section != "[Match]" || !isKey:
		case strings.TrimSpace(key) != "Name":
			return nil
		default:
			names = append(names, strings.Fields(value)...)
		}
	}
	return names
}
