package guest_test

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

// What is written for Red Hat's and SUSE's network scripts, for which there is no program here that reads it, says the whole
// model: read as those scripts read it, it is the model again.
func TestFilesReadBack(t *testing.T) {
	for name, read := range map[string]func(written, string) string{
		"centos5": written.redHat, "centos6": written.redHat, "centos7": written.redHat, "sles11": written.suse, "sles15": written.suse,
	} {
		_, is := systems[name].tree()
		if at := slices.IndexFunc(guest.AllUnderstood(), func(u guest.Understood) bool { return u.Renderer == is.Renderer && u.Dialect == is.Dialect }); at < 0 || guest.AllUnderstood()[at].Oracle != guest.ReadBack {
			t.Errorf("the table does not say of %s %s that it is read back", is.Renderer, is.Dialect)
		}
		for i, n := range []sysctl.GuestNetwork{full, asked, asked6} {
			tree, g := systems[name].tree()
			if _, err := guest.Render(tree, g, n); sysctl.KindOf(err) == sysctl.Unsupported {
				continue // it says so: the golden files have why
			}
			settle(t, tree, g, n)
			w := written{t: t, files: tree.Files()}
			for _, nic := range n.NICs {
				if got, want := read(w, nic.Name), said(nic); got != want {
					t.Errorf("%s, network %d, read back:\n%s\nthe model:\n%s", name, i, got, want)
				}
			}
			w.identity(name, n)
		}
	}
}

// said is an interface of the model as text: what is the same in another order is the same text.
func said(n sysctl.GuestNIC) string {
	static := func(m sysctl.Method, v4 bool) sysctl.Method {
		some := slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == v4 })
		switch {
		case m != "":
			return m
		case some:
			return sysctl.MethodStatic
		}
		return sysctl.MethodNone
	}
	addresses, routes := slices.Clone(n.Addresses), []string{}
	slices.SortFunc(addresses, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for _, r := range n.Routes {
		routes = append(routes, fmt.Sprintf("%s via %s metric %d", r.Destination, r.Via, r.Metric))
	}
	slices.Sort(routes)
	return fmt.Sprintf("%s: mtu %d; %s %s; %v; gateways %s %s; routes %s", n.Name, n.MTU, static(n.Method4, true), static(n.Method6, false),
		addresses, n.Gateway4, n.Gateway6, strings.Join(routes, ", "))
}

// written is what is in a tree.
type written struct {
	t     *testing.T
	files map[string]string
}

// variables are those that a file of shell assignments sets.
func (r written) variables(name string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(r.files["/etc/sysconfig/"+name]) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			all[key] = strings.Trim(value, `"'`)
		}
	}
	return all
}

// redHat is an interface as initscripts reads its files.
func (r written) redHat(name string) string {
	v := r.variables("network-scripts/ifcfg-" + name)
	n := sysctl.GuestNIC{Name: name}
	if v["DEVICE"] != name || v["ONBOOT"] != "yes" {
		r.t.Errorf("%s is not brought up: %v", name, v)
	}
	n.MTU, _ = strconv.Atoi(v["MTU"])
	if v["BOOTPROTO"] == "dhcp" {
		n.Method4 = sysctl.MethodDHCP
	}
	switch {
	case v["IPV6INIT"] != "yes":
	case v["DHCPV6C"] == "yes":
		n.Method6 = sysctl.MethodDHCP
	case v["IPV6_AUTOCONF"] == "yes":
		n.Method6 = sysctl.MethodSLAAC
	}
	for i := range 9 {
		number := ""
		if i > 0 {
			number = strconv.Itoa(i)
		}
		r.address4(&n, v["IPADDR"+number], v["PREFIX"+number], v["NETMASK"+number])
		alias := r.variables(fmt.Sprintf("network-scripts/ifcfg-%s:%d", name, i))
		if alias["DEVICE"] == fmt.Sprintf("%s:%d", name, i) && alias["ONPARENT"] == "yes" {
			r.address4(&n, alias["IPADDR"], alias["PREFIX"], alias["NETMASK"])
		}
	}
	for _, word := range strings.Fields(v["IPV6ADDR"] + " " + v["IPV6ADDR_SECONDARIES"]) {
		n.Addresses = append(n.Addresses, netip.MustParsePrefix(word))
	}
	if v["GATEWAY"] != "" {
		n.Gateway4 = netip.MustParseAddr(v["GATEWAY"])
	}
	for _, file := range []string{"route-", "route6-"} {
		r.routes(&n, "network-scripts/"+file+name, func(f []string) (to, via string, rest []string) {
			if len(f) > 2 && f[1] == "via" {
				return f[0], f[2], f[3:]
			}
			return f[0], "", f[1:]
		})
	}
	return said(n)
}

// suse is an interface as SUSE's scripts and wicked read its files.
func (r written) suse(name string) string {
	v := r.variables("network/ifcfg-" + name)
	n := sysctl.GuestNIC{Name: name}
	if v["STARTMODE"] != "auto" {
		r.t.Errorf("%s is not brought up: %v", name, v)
	}
	n.MTU, _ = strconv.Atoi(v["MTU"])
	for _, how := range strings.Split(v["BOOTPROTO"], "+") {
		switch how {
		case "dhcp":
			n.Method4, n.Method6 = sysctl.MethodDHCP, sysctl.MethodDHCP
		case "dhcp4":
			n.Method4 = sysctl.MethodDHCP
		case "dhcp6":
			n.Method6 = sysctl.MethodDHCP
		case "auto6":
			n.Method6 = sysctl.MethodSLAAC
		case "static":
		default:
			r.t.Errorf("%s: BOOTPROTO=%s", name, v["BOOTPROTO"])
		}
	}
	if ra := strings.Contains(r.files["/etc/sysconfig/network/ifsysctl-"+name], "net.ipv6.conf."+name+".accept_ra = 1\n"); ra && n.Method6 == "" {
		n.Method6 = sysctl.MethodSLAAC
	}
	for i := range 9 {
		number := ""
		if i > 0 {
			number = "_" + strconv.Itoa(i)
		}
		if address := v["IPADDR"+number]; address != "" {
			n.Addresses = append(n.Addresses, netip.MustParsePrefix(address))
		}
	}
	r.routes(&n, "network/ifroute-"+name, func(f []string) (to, via string, rest []string) {
		if len(f) < 4 || f[2] != "-" {
			r.t.Errorf("%s: %q", name, f)
			return f[0], "", nil
		}
		return f[0], strings.Trim(f[1], "-"), append([]string{"dev"}, f[3:]...)
	})
	return said(n)
}

func (r written) address4(n *sysctl.GuestNIC, address, prefix, mask string) {
	if address == "" {
		return
	}
	bits, err := strconv.Atoi(prefix)
	if m := net.ParseIP(mask).To4(); err != nil && m != nil {
		bits, _ = net.IPMask(m).Size()
	}
	n.Addresses = append(n.Addresses, netip.PrefixFrom(netip.MustParseAddr(address), bits))
}

// routes reads the lines of a file of routes, of which columns tells destination, next hop and words as ip route takes them. That
// a next hop is on the link is said by a route to it.
func (r written) routes(n *sysctl.GuestNIC, name string, columns func([]string) (to, via string, rest []string)) {
	onLink, via := map[netip.Addr]sysctl.Route{}, map[netip.Addr]bool{}
	for line := range strings.Lines(r.files["/etc/sysconfig/"+name]) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		to, hop, rest := columns(f)
		var route sysctl.Route
		if hop != "" {
			route.Via = netip.MustParseAddr(hop)
			via[route.Via] = true
		}
		for i := 0; i+1 < len(rest); i += 2 {
			switch {
			case rest[i] == "dev" && rest[i+1] == n.Name:
			case rest[i] == "metric":
				route.Metric, _ = strconv.Atoi(rest[i+1])
			default:
				r.t.Errorf("%s: %s", name, line)
			}
		}
		switch a, err := netip.ParseAddr(to); {
		case to == "default" && route.Via.Is4():
			n.Gateway4 = route.Via
			continue
		case to == "default":
			n.Gateway6 = route.Via
			continue
		case err == nil:
			route.Destination = netip.PrefixFrom(a, a.BitLen())
		default:
			route.Destination = netip.MustParsePrefix(to)
		}
		if !route.Via.IsValid() && route.Destination.IsSingleIP() {
			onLink[route.Destination.Addr()] = route
			continue
		}
		n.Routes = append(n.Routes, route)
	}
	for a := range via {
		_, said := onLink[a]
		if near := slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Contains(a) }); !near && !said && (a.Is4() || !a.IsLinkLocalUnicast()) {
			r.t.Errorf("%s: nothing says that %s is on the link", name, a)
		}
	}
	for to, route := range onLink {
		if !via[to] {
			n.Routes = append(n.Routes, route)
		}
	}
}

// identity checks names and resolvers.
func (r written) identity(system string, n sysctl.GuestNetwork) {
	full := strings.Trim(n.Hostname+"."+n.Domain, ".")
	name := strings.TrimSpace(cmp.Or(r.files["/etc/hostname"], r.files["/etc/HOSTNAME"]))
	for line := range strings.Lines(r.files["/etc/sysconfig/network"]) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "HOSTNAME="); ok {
			name = cmp.Or(name, value)
		}
	}
	if name != n.Hostname && name != full {
		r.t.Errorf("%s is called %q, want %s", system, name, full)
	}
	config := r.variables("network/config") // netconfig writes resolv.conf by it
	servers, search := strings.Fields(config["NETCONFIG_DNS_STATIC_SERVERS"]), config["NETCONFIG_DNS_STATIC_SEARCHLIST"]
	for line := range strings.Lines(r.files["/etc/resolv.conf"]) {
		switch f := strings.Fields(line); {
		case len(f) > 1 && f[0] == "nameserver":
			servers = append(servers, f[1])
		case len(f) > 1 && f[0] == "search":
			search = strings.Join(f[1:], " ")
		}
	}
	if got, want := fmt.Sprint(servers), fmt.Sprint(n.DNS); len(n.DNS) > 0 && got != want {
		r.t.Errorf("%s has the resolvers %s, want %s", system, got, want)
	}
	for _, domain := range n.Search {
		if !slices.Contains(strings.Fields(search), domain) {
			r.t.Errorf("%s does not search %s: %q", system, domain, search)
		}
	}
}
