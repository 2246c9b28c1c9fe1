package guest_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

// system is a guest by the files that tell it apart.
type system struct {
	guest sysctl.Guest // without renderer and dialect: Probe finds them
	files map[string]string
}

const foreign = `# mine
source /etc/network/interfaces.d/*

auto lo wlan0 eth0
iface lo inet loopback

allow-hotplug eth1
iface eth0 inet dhcp
	# inside
	hostname old

# about wlan0
iface wlan0 inet dhcp
	wpa-ssid a\
	b
iface eth0:1 inet static
	address 192.0.2.1
mapping eth1
	script /bin/true
`

func dpkg(version string) string {
	return "Package: ifupdown-extra\nStatus: install ok installed\nVersion: 9\n\n" +
		"Package: ifupdown\nStatus: install ok installed\nPriority: important\nVersion: " + version + "\n\nPackage: z\n"
}

var systems = map[string]system{
	"debian12": {sysctl.Guest{Family: "debian", ID: "debian", Init: "systemd", InitVersion: "252"}, map[string]string{
		"/sbin": "-> usr/sbin", "/lib": "-> usr/lib", "/usr/sbin/ifup": "elf", "/var/lib/dpkg/status": dpkg("0.8.41"),
		"/usr/lib/systemd/system/networking.service": "[Install]", "/usr/lib/systemd/system/systemd-networkd.service": "[Install]",
		"/etc/network/interfaces": foreign, "/etc/network/interfaces.d/old": "auto eth0\niface eth0 inet dhcp\n",
		"/etc/hosts": "127.0.0.1 localhost\n192.0.2.9 friend\n", "/etc/resolv.conf": "nameserver 10.0.2.3\noptions edns0\n",
	}},
	"ubuntu1604": {sysctl.Guest{Family: "debian", ID: "ubuntu", Init: "systemd", InitVersion: "229"}, map[string]string{
		"/sbin/ifup": "elf", "/var/lib/dpkg/status": dpkg("0.8.10ubuntu1"), "/lib/systemd/system/networking.service": "",
		"/etc/network/interfaces": foreign, "/sbin/resolvconf": "", "/etc/resolv.conf": "-> ../run/resolvconf/resolv.conf",
	}},
	"debian7": {sysctl.Guest{Family: "debian", ID: "debian", Init: "sysvinit"}, map[string]string{
		"/sbin/ifup": "elf", "/var/lib/dpkg/status": dpkg("0.7.8"), "/etc/init.d/networking": "#!/bin/sh\n",
		"/etc/network/interfaces": foreign,
	}},
	"debian6": {sysctl.Guest{Family: "debian", ID: "debian", Init: "sysvinit"}, map[string]string{
		"/sbin/ifup": "\x7fELF … %s version 0.6.10 …", "/etc/init.d/networking": "#!/bin/sh\n",
		"/etc/rcS.d/S12networking": "-> ../init.d/networking", "/etc/network/interfaces": foreign,
	}},
	"alpine-busybox": {sysctl.Guest{Family: "alpine", ID: "alpine", Init: "busybox"}, map[string]string{
		"/bin/busybox": "elf", "/sbin/ifup": "-> /bin/busybox", "/etc/init.d/networking": "#!/sbin/openrc-run\n",
		"/etc/runlevels/boot/": "", "/etc/network/if-up.d/": "",
	}},
	"alpine-ng": {sysctl.Guest{Family: "alpine", ID: "alpine", Init: "openrc"}, map[string]string{
		"/sbin/ifupdown": "elf", "/sbin/ifup": "-> ifupdown", "/etc/init.d/networking": "#!/sbin/openrc-run\n",
		"/etc/runlevels/boot/networking": "-> /etc/init.d/networking", "/etc/network/interfaces": "",
	}},
	"networkd252": {sysctl.Guest{Family: "debian", ID: "debian", Init: "systemd", InitVersion: "252"}, map[string]string{
		"/lib/systemd/system/systemd-networkd.service": "", "/lib/systemd/system/systemd-networkd.socket": "",
		"/etc/systemd/network/05-first.network": "[Match]\nName=eth0\n[Network]\nDHCP=yes\n",
		"/etc/systemd/network/05-other.network": "[Match]\nName=wlan0\n[Network]\nDHCP=yes\n",
		"/etc/systemd/network/05-kind.network":  "[Match]\nName=eth0\nType=wlan\n",
	}},
	"networkd219": {sysctl.Guest{Family: "arch", ID: "arch", Init: "systemd", InitVersion: "219"}, map[string]string{
		"/usr/lib/systemd/system/systemd-networkd.service":                     "",
		"/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "-> /usr/lib/systemd/system/systemd-networkd.service",
		"/etc/systemd/system/sockets.target.wants/systemd-resolved.service":    "-> x",
		"/etc/resolv.conf": "-> /run/systemd/resolve/stub-resolv.conf",
	}},
	"centos6": {sysctl.Guest{Family: "rhel", ID: "centos", Version: "6", Init: "upstart"}, map[string]string{
		"/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=old.example\nHOSTNAME=twice\nNOZEROCONF=yes\n",
		"/sbin/ifup":             "#!/bin/sh\n", "/etc/sysconfig/network-scripts/network-functions": "",
	}},
	"gentoo": {sysctl.Guest{Family: "gentoo", ID: "gentoo", Init: "openrc"}, map[string]string{
		"/etc/conf.d/hostname": "# comment\nhostname=\"localhost\"\n", "/etc/init.d/net.lo": "",
	}},
}

// tree makes a system's tree and detects it.
func (s system) tree() (*treetest.Tree, sysctl.Guest) {
	t := treetest.New(s.files)
	g := s.guest
	g.Renderer, g.Dialect, g.Evidence = guest.Probe(t)
	return t, g
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// full has every case a renderer must know: several addresses of both families, gateways inside,
// link-local, and outside the subnet, one family alone, and no address.
var full = sysctl.GuestNetwork{
	Hostname: "web1", Domain: "sysctl.example", DNS: addrs("192.0.2.53", "2001:db8::53"), Search: []string{"corp.example", "sysctl.example"},
	NICs: []sysctl.GuestNIC{
		{Name: "eth0", MTU: 1450, Addresses: prefixes("10.0.0.5/24", "fd00::5/64", "10.0.1.5/16", "fd00:1::6/64"),
			Gateway4: netip.MustParseAddr("10.0.0.1"), Gateway6: netip.MustParseAddr("fe80::1")},
		{Name: "eth1", Addresses: prefixes("203.0.113.7/32", "2001:db8::7/128"),
			Gateway4: netip.MustParseAddr("169.254.0.1"), Gateway6: netip.MustParseAddr("2001:db8:ffff::1")},
		{Name: "eth2", MTU: 1280, Addresses: prefixes("fd00:2::2/64"), Gateway6: netip.MustParseAddr("fd00:2::1")},
		{Name: "eth3", Addresses: prefixes("172.16.0.2/24", "172.16.9.2/24"), Gateway4: netip.MustParseAddr("172.16.9.1")},
		{Name: "eth4", MTU: 9000},
	},
}

func render(t *testing.T, tree sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) []sysctl.Change {
	t.Helper()
	changes, err := guest.Render(tree, g, n)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func apply(t *testing.T, tree sysctl.Tree, changes []sysctl.Change) {
	t.Helper()
	if err := sysctl.Apply(tree, changes); err != nil {
		t.Fatal(err)
	}
}

// settle renders and applies, and checks that nothing is left to do then.
func settle(t *testing.T, tree sysctl.Tree, g sysctl.Guest, n sysctl.GuestNetwork) {
	t.Helper()
	apply(t, tree, render(t, tree, g, n))
	if left := render(t, tree, g, n); len(left) > 0 {
		t.Errorf("rendered again, %s is changed: %s", left[0].Path, left[0].Data)
	}
}

func file(t *testing.T, tree sysctl.Tree, name string) string {
	t.Helper()
	data, err := tree.ReadFile(name)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func sortedKeys(m map[string]system) []string { return slices.Sorted(maps.Keys(m)) }

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }
