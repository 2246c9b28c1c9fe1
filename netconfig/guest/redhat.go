package guest

import (
	"fmt"
	"path"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const (
	redhatDir     = "/etc/sysconfig/network-scripts"
	redhatNetwork = "/etc/sysconfig/network"
	redhatScripts = redhatDir + "/network-functions"
	whyRedHat     = "network (network scripts)"
)

// ifcfgRedHat writes what Red Hat's network scripts read: for each interface ifcfg-IF and, where there
// are routes they would not set from that, route-IF and route6-IF. Those are lines for "ip route
// add", run in order when all addresses are set.
func (b *builder) ifcfgRedHat(g sysctl.Guest, n sysctl.GuestNetwork, _ resolver) {
	want := map[string]string{}
	d := redhat{old: g.Dialect == "el5"}
	any6 := false
	for i, nic := range n.NICs {
		v4, v6 := families(n, i)
		any6 = any6 || !v6.none()
		want["ifcfg-"+nic.Name] = d.ifcfg(n, i)
		if d.old {
			for i := 1; i < len(v4.addresses); i++ {
				name := fmt.Sprintf("%s:%d", nic.Name, i)
				a := v4.addresses[i]
				want["ifcfg-"+name] = joinLines([]string{mark + ": changes are lost.", "DEVICE=" + name, "ONPARENT=yes",
					"IPADDR=" + a.Addr().String(), "NETMASK=" + netmask(a)})
			}
		}
		putRoutes(want, "route-"+nic.Name, v4.hops(!d.gateway(v4), false), nic.Name)
		putRoutes(want, "route6-"+nic.Name, v6.hops(true, false), nic.Name)
	}
	mine := named(n)
	if g.Renderer == NetworkManager {
		mine = named(b.network) // it reads these files too, up to EL9
	}
	b.own(directory{path: redhatDir, why: whyRedHat, mode: plain, is: isRedHat,
		foreign: func(base, content string) bool { return mine(redhatDevice(base, content)) }}, want)
	if g.Renderer != IfcfgRedHat {
		return
	}
	// Without NETWORKING=yes the service does nothing; the zeroconf route collides with gateways
	// of 169.254/16.
	content := setLine(setLine(b.read(redhatNetwork), "NETWORKING=", "yes"), "NOZEROCONF=", "yes")
	if any6 && (d.old || strings.Contains(content, "NETWORKING_IPV6=")) {
		content = setLine(content, "NETWORKING_IPV6=", "yes")
	}
	b.write(redhatNetwork, content, whyRedHat)
	b.enableSysV("network", 10, "/etc/rc.d/init.d", "/etc/rc.d")
}

func putRoutes(want map[string]string, name string, hops []hop, device string) {
	if len(hops) == 0 {
		return
	}
	out := []string{mark + ": changes are lost."}
	for _, h := range hops {
		out = append(out, h.words(device))
	}
	want[name] = joinLines(out)
}

// isRedHat reports whether the scripts read a file of this name.
func isRedHat(base string) bool {
	for _, end := range []string{"~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave"} {
		if strings.HasSuffix(base, end) {
			return false
		}
	}
	kind, _, ok := strings.Cut(base, "-")
	return ok && (kind == "ifcfg" || kind == "route" || kind == "route6")
}

// redhatDevice returns the interface a file of the scripts is for: the one it says, else that of its
// name. An alias counts as its interface.
func redhatDevice(base, content string) string {
	_, name, _ := strings.Cut(base, "-")
	for _, line := range splitLines(content) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVICE="); ok && strings.HasPrefix(base, "ifcfg-") {
			name = strings.Trim(value, `"' `)
		}
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// redhat is the dialect of ifcfg files.
type redhat struct {
	old bool // EL5: one IPv4 address in a file
}

// gateway reports whether ifcfg says the IPv4 gateway: the scripts take it only in the subnet of the
// first address.
func (d redhat) gateway(f family) bool {
	return f.gateway.IsValid() && f.gatewayAt() == 0 && f.metric == 0
}

func (d redhat) ifcfg(n sysctl.GuestNetwork, i int) string {
	nic := n.NICs[i]
	v4, v6 := families(n, i)
	out := []string{mark + ": changes are lost.", "DEVICE=" + nic.Name, "TYPE=Ethernet", "ONBOOT=yes", "NM_CONTROLLED=no"}
	if v4.dhcp() {
		out = append(out, "BOOTPROTO=dhcp", "DHCP_HOSTNAME="+n.Hostname, "PERSISTENT_DHCLIENT=yes")
		if v4.metric != 0 {
			out = append(out, fmt.Sprint("METRIC=", v4.metric))
		}
	} else {
		out = append(out, "BOOTPROTO=none")
		out = append(out, d.addresses(v4)...)
		// Empty, they hide what /etc/sysconfig/network says for all interfaces.
		gateway := "GATEWAY="
		if d.gateway(v4) {
			gateway += v4.gateway.String()
		}
		out = append(out, gateway, "GATEWAYDEV=")
	}
	if !v4.dhcp() || len(n.DNS) > 0 {
		out = append(out, "PEERDNS=no") // resolv.conf is written by us
	}
	if nic.MTU != 0 {
		out = append(out, fmt.Sprint("MTU=", nic.MTU))
	}
	return joinLines(append(out, d.ipv6(v6)...))
}

func (d redhat) addresses(f family) []string {
	var out []string
	for i, a := range f.addresses {
		switch {
		case d.old && i == 0:
			out = append(out, "IPADDR="+a.Addr().String(), "NETMASK="+netmask(a))
		case d.old: // has a file of its own
		default:
			// Numbered without a gap: the scripts stop at the first. The host may answer ARP for the
			// guest's address, so the guest must not ask whether it is free.
			index := ""
			if i > 0 {
				index = fmt.Sprint(i)
			}
			out = append(out, "IPADDR"+index+"="+a.Addr().String(), fmt.Sprintf("PREFIX%s=%d", index, a.Bits()), "ARPCHECK"+index+"=no")
		}
	}
	return out
}

func (d redhat) ipv6(f family) []string {
	switch f.method {
	case sysctl.MethodStatic:
		out := []string{"IPV6INIT=yes", "IPV6_AUTOCONF=no", "IPV6ADDR=" + f.addresses[0].String()}
		if len(f.addresses) > 1 {
			more := make([]string, 0, len(f.addresses)-1)
			for _, a := range f.addresses[1:] {
				more = append(more, a.String())
			}
			out = append(out, `IPV6ADDR_SECONDARIES="`+strings.Join(more, " ")+`"`)
		}
		return append(out, "IPV6_DEFAULTGW=", "IPV6_DEFAULTDEV=") // route6-IF says it, with the device
	case sysctl.MethodSLAAC:
		return []string{"IPV6INIT=yes", "IPV6_AUTOCONF=yes"}
	case sysctl.MethodDHCP:
		return []string{"IPV6INIT=yes", "IPV6_AUTOCONF=yes", "DHCPV6C=yes"}
	}
	return []string{"IPV6INIT=no"}
}

// probeRedHat returns the dialect of Red Hat's network scripts, "" where they are not installed.
func probeRedHat(t sysctl.Tree) (dialect, evidence string) {
	functions, err := t.ReadFile(redhatScripts)
	if err != nil {
		return "", ""
	}
	ifup, _ := t.ReadFile(path.Join(redhatDir, "ifup"))
	switch {
	case strings.Contains(string(ifup), "deprecat"):
		return "el8", redhatDir + "/ifup: calls itself deprecated, as since EL8"
	case existsAny(t, "/usr/lib/systemd/systemd", "/lib/systemd/systemd"):
		return "el7", redhatScripts + ": network scripts, beside systemd"
	case strings.Contains(string(functions), "ipaddr["):
		return "el6", redhatScripts + ": knows numbered addresses, as since EL6"
	}
	return "el5", redhatScripts + ": knows no numbered addresses, as before EL6"
}
