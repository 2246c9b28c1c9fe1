package guest

import (
	"crypto/sha1"
	"fmt"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	nmDir     = "/etc/NetworkManager/system-connections"
	nmConf    = "/etc/NetworkManager/conf.d/10-sysctl.conf"
	nmOurs    = "sysctl-" // ours are this, the interface, and ".nmconnection"
	nmUnit    = "NetworkManager.service"
	whyNM     = "network (NetworkManager)"
	nmPrefers = 100 // over profiles for any interface, which have 0
)

// networkManager writes a keyfile for each interface. Foreign profiles for them are moved
// aside, those of the network scripts too (ifcfgRedHat).
func (b *builder) networkManager(g sysctl.Guest, n sysctl.GuestNetwork, dns resolver) {
	mine := named(n)
	want := map[string]string{}
	for i, nic := range n.NICs {
		want[nmOurs+nic.Name+".nmconnection"] = keyfile(n, i)
	}
	b.own(directory{path: nmDir, why: whyNM, mode: secret,
		is: func(base string) bool { return !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, "~") },
		foreign: func(_, content string) bool {
			name := iniValue(content, "[connection]", "interface-name")
			return name != "" && mine(name)
		}}, want)
	if g.Renderer != NetworkManager {
		b.removeOurs(whyNM, nmConf)
		return
	}
	b.write(nmConf, nmSettings(n, dns), whyNM)
	b.enableUnit(nmUnit, "multi-user.target")
}

// nmSettings make NetworkManager take interfaces that it would leave alone (veth, macvlan), and
// leave alone what we write: host name and resolv.conf.
func nmSettings(n sysctl.GuestNetwork, dns resolver) string {
	out := []string{mark + ": changes are lost.", "[main]", "hostname-mode=none"}
	if len(n.DNS) > 0 && dns == viaFile {
		out = append(out, "dns=none")
	}
	if len(n.NICs) > 0 {
		names := make([]string, len(n.NICs))
		for i, nic := range n.NICs {
			names[i] = "interface-name:" + nic.Name
		}
		out = append(out, "", "[device-sysctl]", "match-device="+strings.Join(names, ","), "managed=1")
	}
	return joinLines(out)
}

// keyfile renders the i-th interface.
func keyfile(n sysctl.GuestNetwork, i int) string {
	nic := n.NICs[i]
	out := []string{mark + ": changes are lost.", "[connection]", "id=" + nic.Name, "uuid=" + nicUUID(n, nic), "type=ethernet",
		"interface-name=" + nic.Name, fmt.Sprint("autoconnect-priority=", nmPrefers)}
	if nic.MTU != 0 {
		out = append(out, "", "[ethernet]", fmt.Sprint("mtu=", nic.MTU))
	}
	v4, v6 := families(n, i)
	out = append(out, "", "[ipv4]")
	out = append(out, keyfileFamily(v4)...)
	out = append(out, "", "[ipv6]")
	return joinLines(append(out, keyfileFamily(v6)...))
}

func keyfileFamily(f family) []string {
	var out []string
	switch {
	case f.static():
		out = append(out, "method=manual")
	case f.none() && !f.v6:
		return []string{"method=disabled"}
	case f.none():
		return []string{"method=link-local"} // "disabled" is unknown before 1.20
	default:
		// For IPv6 that is what routers advertise, DHCPv6 included: its own word "dhcp" would
		// ignore routers, and so give no default route.
		out = append(out, "method=auto")
	}
	for i, a := range f.addresses {
		out = append(out, fmt.Sprintf("address%d=%s", i+1, a))
	}
	if f.gateway.IsValid() {
		out = append(out, "gateway="+f.gateway.String())
	}
	switch {
	case f.dhcp() && !f.v6:
		out = append(out, fmt.Sprint("route-metric=", f.metric+10)) // between those of static ones
	case f.metric != 0 || f.gateway.IsValid() && !f.v6:
		out = append(out, fmt.Sprint("route-metric=", f.metric)) // by itself it gives 100
	}
	number := 0
	for _, h := range f.hops(true, false) {
		if h.isDefault() {
			continue // the gateway; the route to it, where it needs one, is said
		}
		number++
		route := []string{h.dst.String()}
		if h.via.IsValid() {
			route = append(route, h.via.String())
		}
		if h.metric != 0 {
			if !h.via.IsValid() {
				route = append(route, unspecified(f.v6).String())
			}
			route = append(route, fmt.Sprint(h.metric))
		}
		out = append(out, fmt.Sprintf("route%d=%s", number, strings.Join(route, ",")))
	}
	return out
}

// nicUUID is the same for the same interface at every start: version 5 of RFC 9562, below a name
// space of our own.
func nicUUID(n sysctl.GuestNetwork, nic sysctl.GuestNIC) string {
	space := []byte("sysctl interface")
	sum := sha1.Sum(slices.Concat(space, []byte(n.Hostname+"\n"+nic.Name+"\n"+nic.MAC)))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// iniValue returns the value of a key in a section of an INI file, "" where there is none.
func iniValue(content, section, key string) string {
	at := ""
	for _, line := range splitLines(content) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			at = line
		}
		if k, v, ok := strings.Cut(line, "="); ok && at == section && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// nmEnabled reports where NetworkManager is started at boot, "" where it is not.
func nmEnabled(t sysctl.Tree) string {
	if enabled(t, nmUnit) && unitPath(t, nmUnit) != "" {
		return systemUnits + ": " + nmUnit + " is enabled"
	}
	for _, name := range []string{runlevels + "/default/NetworkManager", runlevels + "/boot/NetworkManager", runitServices + "/NetworkManager"} {
		if _, err := t.Lstat(name); err == nil {
			return name + ": NetworkManager is enabled"
		}
	}
	return ""
}
