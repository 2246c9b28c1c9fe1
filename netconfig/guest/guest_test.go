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
	"centos5": {sysctl.Guest{Family: "rhel", ID: "centos", Version: "5", Init: "sysvinit"}, map[string]string{
		"/etc/sysconfig/network": "NETWORKING=no\nNETWORKING_IPV6=no\nGATEWAY=192.0.2.1\n", "/etc/init.d": "-> rc.d/init.d", "/etc/rc.d/init.d/network": "#!/bin/bash\n",
		"/etc/rc.d/rc3.d/K90network": "-> ../init.d/network", "/etc/rc.d/rc5.d/S10network": "-> ../init.d/network",
		"/etc/sysconfig/network-scripts/network-functions": "expand_config", "/etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nHWADDR=00:11:22:33:44:55\n",
		"/etc/sysconfig/network-scripts/ifcfg-eth0:7": "DEVICE=eth0:7\n", "/etc/sysconfig/network-scripts/ifcfg-eth9": "DEVICE=eth9\nBOOTPROTO=dhcp\n",
		"/etc/sysconfig/network-scripts/ifcfg-eth3.bak": "DEVICE=eth3\n", "/etc/sysconfig/network-scripts/route-eth0": "ADDRESS0=192.0.2.0\n",
	}},
	"centos6": {sysctl.Guest{Family: "rhel", ID: "centos", Version: "6", Init: "upstart"}, map[string]string{
		"/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=old.example\nHOSTNAME=twice\nNOZEROCONF=yes\n",
		"/sbin/ifup":             "#!/bin/sh\n", "/etc/sysconfig/network-scripts/network-functions": "ipaddr[$i]=", "/etc/rc.d/init.d/network": "#!/bin/bash\n",
		"/etc/sysconfig/network-scripts/ifcfg-Auto_eth1": "NAME=x\nDEVICE=\"eth1\"\n",
	}},
	"centos7": {sysctl.Guest{Family: "rhel", ID: "centos", Version: "7", Init: "systemd", InitVersion: "219"}, map[string]string{
		"/etc/sysconfig/network-scripts/network-functions": "ipaddr[$i]=", "/etc/rc.d/init.d/network": "#!/bin/bash\n", "/usr/lib/systemd/systemd": "elf",
		"/usr/lib/systemd/system/NetworkManager.service":                     "",
		"/etc/systemd/system/multi-user.target.wants/NetworkManager.service": "-> /usr/lib/systemd/system/NetworkManager.service",
	}},
	"rocky8-scripts": {sysctl.Guest{Family: "rhel", ID: "rocky", Version: "8", Init: "systemd", InitVersion: "239"}, map[string]string{
		"/etc/sysconfig/network-scripts/network-functions": "ipaddr[$i]=", "/etc/sysconfig/network-scripts/ifup": "# You are using 'ifup' script ... which are now deprecated.",
		"/etc/rc.d/init.d/network": "#!/bin/bash\n", "/etc/rc.d/rc3.d/S10network": "-> ../init.d/network", "/usr/lib/systemd/systemd": "elf",
		"/usr/lib/systemd/system/NetworkManager.service": "", "/etc/sysconfig/network": "# Created by anaconda\n",
		"/etc/systemd/system/multi-user.target.wants/NetworkManager.service": "-> /usr/lib/systemd/system/NetworkManager.service",
	}},
	"rocky9": {sysctl.Guest{Family: "rhel", ID: "rocky", Version: "9", Init: "systemd", InitVersion: "252"}, map[string]string{
		"/usr/lib/systemd/system/NetworkManager.service":                "",
		"/etc/sysconfig/network-scripts/ifcfg-eth0":                     "DEVICE=eth0\nBOOTPROTO=dhcp\n",
		"/etc/sysconfig/network-scripts/ifcfg-eth9":                     "DEVICE=eth9\nBOOTPROTO=dhcp\n",
		"/etc/NetworkManager/system-connections/mine.nmconnection":      "[connection]\nid=mine\ninterface-name = eth2\n",
		"/etc/NetworkManager/system-connections/elsewhere.nmconnection": "[connection]\nid=x\ninterface-name=wlan0\n[x]\ninterface-name=eth0\n",
	}},
	"ubuntu1804": {sysctl.Guest{Family: "debian", ID: "ubuntu", Version: "18.04", Init: "systemd", InitVersion: "237"}, map[string]string{
		"/usr/sbin/netplan": "", "/lib/systemd/system/systemd-networkd.service": "", "/etc/netplan/50-cloud-init.yaml": "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n",
		"/var/lib/dpkg/status": "Package: netplan.io\nStatus: install ok installed\nVersion: 0.36.1\n\n",
	}},
	"ubuntu2204": {sysctl.Guest{Family: "debian", ID: "ubuntu", Version: "22.04", Init: "systemd", InitVersion: "249"}, map[string]string{
		"/usr/sbin/netplan": "", "/lib/systemd/system/systemd-networkd.service": "",
		"/etc/netplan/50-cloud-init.yaml": "# cloud\nnetwork:\n    version: 2\n    ethernets:\n        eth0:\n            dhcp4: true\n            match:\n                macaddress: 00:16:3e:00:00:01\n            set-name: eth0\n",
		"/etc/netplan/60-mine.yaml":       "network:\n  version: 2\n  ethernets:\n    # about eth9\n    eth9:\n      dhcp4: true\n    \"eth1\":\n      addresses: [192.0.2.4/24]\n      routes:\n      - to: 0.0.0.0/0\n        via: 192.0.2.1\n  bridges:\n    br0:\n      interfaces: [eth9]\n",
		"/etc/netplan/90-default.yaml":    "network:\n  version: 2\n  ethernets:\n    all-eth:\n      match:\n        name: eth*\n      dhcp4: true\n",
		"/etc/resolv.conf":                "-> ../run/systemd/resolve/stub-resolv.conf",
		"/etc/systemd/system/multi-user.target.wants/systemd-resolved.service": "-> x",
	}},
	"sles11": {sysctl.Guest{Family: "suse", ID: "sles", Version: "11", Init: "sysvinit"}, map[string]string{
		"/etc/sysconfig/network/config": "NETCONFIG_DNS_POLICY=\"auto\"\n", "/etc/init.d/network": "#!/bin/bash\n", "/etc/HOSTNAME": "old.example\n",
		"/etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='dhcp'\n", "/etc/sysconfig/network/ifcfg-lo": "IPADDR=127.0.0.1/8\n", "/etc/sysconfig/network/routes": "default 192.0.2.1 - -\n",
		"/etc/init.d/rc3.d/S05network": "-> ../network",
	}},
	"sles15": {sysctl.Guest{Family: "suse", ID: "sles", Version: "15", Init: "systemd", InitVersion: "254"}, map[string]string{
		"/etc/sysconfig/network/config": "NETCONFIG_DNS_STATIC_SERVERS=\"\"\nX=1\n", "/usr/lib/systemd/system/wicked.service": "", "/sbin/netconfig": "",
		"/etc/resolv.conf": "-> /run/netconfig/resolv.conf", "/etc/HOSTNAME": "-> hostname", "/etc/hostname": "old\n",
	}},
	"gentoo": {sysctl.Guest{Family: "gentoo", ID: "gentoo", Init: "openrc"}, map[string]string{
		"/etc/conf.d/hostname": "# comment\nhostname=\"localhost\"\n", "/etc/init.d/net.lo": "", "/sbin/ip": "elf", "/sbin/openrc": "elf", "/etc/runlevels/default/": "",
		"/etc/conf.d/net": "config_eth0=\"dhcp\"\nconfig_wlan0=\"null\"\n",
	}},
	"gentoo-baselayout1": {sysctl.Guest{Family: "gentoo", ID: "gentoo", Init: "sysvinit"}, map[string]string{
		"/etc/conf.d/hostname": "HOSTNAME=\"localhost\"\n", "/etc/init.d/net.lo": "", "/sbin/ip": "elf", "/sbin/functions.sh": "", "/etc/runlevels/default/": "",
	}},
	"slackware14": {sysctl.Guest{Family: "slackware", ID: "slackware", Version: "14.2", Init: "sysvinit"}, map[string]string{
		"/etc/rc.d/rc.inet1": "#!/bin/sh\nIPADDR[0]\n", "/sbin/ip": "elf", "/etc/rc.d/rc.local": "#!/bin/bash\n/usr/bin/mine\nexit 0\n",
		"/etc/rc.d/rc.inet1.conf": "IPADDR[0]=\"192.0.2.7\"\nUSE_DHCP[1]=\"\"\nIFNAME[3]=\"wlan0\"\nUSE_DHCP[3]=\"yes\"\nGATEWAY=\"192.0.2.1\"\n",
	}},
	"slackware15": {sysctl.Guest{Family: "slackware", ID: "slackware", Version: "15.0", Init: "sysvinit"}, map[string]string{
		"/etc/rc.d/rc.inet1": "#!/bin/bash\nIP6ADDRS\n", "/sbin/ip": "elf",
	}},
	"void": {sysctl.Guest{Family: "void", ID: "void", Init: "runit"}, map[string]string{
		"/etc/runit/runsvdir/default/": "", "/etc/sv/agetty-tty1/run": "", "/usr/bin/ip": "elf", "/usr/bin/dhcpcd": "elf",
		"/etc/rc.local": "# Default rc.local for void; add your custom commands here.\n",
	}},
	"void-dhcpcd": {sysctl.Guest{Family: "void", ID: "void", Init: "runit"}, map[string]string{
		"/etc/runit/runsvdir/default/dhcpcd": "-> /etc/sv/dhcpcd", "/etc/sv/dhcpcd/run": "", "/usr/bin/ip": "elf", "/usr/bin/dhcpcd": "elf",
		"/etc/dhcpcd.conf": "hostname\ninterface wlan0\nmetric 500\n",
	}},
	"netctl": {sysctl.Guest{Family: "arch", ID: "arch", Init: "systemd", InitVersion: "208"}, map[string]string{
		"/usr/lib/systemd/system/netctl@.service": "", "/usr/bin/dhcpcd": "elf", "/usr/bin/dhclient": "elf",
		"/etc/systemd/system/multi-user.target.wants/netctl@home.service": "-> /usr/lib/systemd/system/netctl@.service",
		"/etc/netctl/home": "Interface='eth0'\nConnection=ethernet\nIP=dhcp\n", "/etc/netctl/cafe": "Interface=wlan0\n",
	}},
	"connman": {sysctl.Guest{Family: "debian", ID: "debian", Init: "systemd", InitVersion: "252"}, map[string]string{
		"/lib/systemd/system/connman.service":                         "",
		"/etc/systemd/system/multi-user.target.wants/connman.service": "-> x",
		"/etc/connman/main.conf":                                      "[General]\nNetworkInterfaceBlacklist = virbr,wlan9\n",
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

// asked has the other methods, and routes: of both families, with and without next hops, on and
// off the link, and beside DHCP.
var asked = sysctl.GuestNetwork{
	Hostname: "web1", DNS: addrs("192.0.2.53"),
	NICs: []sysctl.GuestNIC{
		{Name: "eth0", MTU: 1400, Method4: sysctl.MethodDHCP, Method6: sysctl.MethodSLAAC},
		{Name: "eth1", Addresses: prefixes("10.1.0.5/24", "fd01::5/64"), Gateway4: netip.MustParseAddr("10.1.0.1"), Gateway6: netip.MustParseAddr("fe80::1"),
			Routes: []sysctl.Route{
				{Destination: netip.MustParsePrefix("192.0.2.0/24"), Via: netip.MustParseAddr("10.1.0.9"), Metric: 50},
				{Destination: netip.MustParsePrefix("198.51.100.0/24")},
				{Destination: netip.MustParsePrefix("198.51.101.7/32"), Via: netip.MustParseAddr("169.254.0.9"), OnLink: true},
				{Destination: netip.MustParsePrefix("198.51.102.0/24"), Via: netip.MustParseAddr("169.254.0.9"), OnLink: true},
				{Destination: netip.MustParsePrefix("2001:db8:1::/48"), Via: netip.MustParseAddr("fd01::9")},
				{Destination: netip.MustParsePrefix("2001:db8:2::/48"), Via: netip.MustParseAddr("fd99::9"), OnLink: true, Metric: 70},
				{Destination: netip.MustParsePrefix("2001:db8:3::/48")},
			}},
		{Name: "eth2", Method6: sysctl.MethodSLAAC},
		{Name: "eth3", MTU: 1300, Method4: sysctl.MethodDHCP, Method6: sysctl.MethodNone},
		{Name: "eth4", Addresses: prefixes("10.4.0.4/24"), Method6: sysctl.MethodSLAAC},
	},
}

// asked6 is what many cannot say.
var asked6 = sysctl.GuestNetwork{
	Hostname: "web1",
	NICs: []sysctl.GuestNIC{
		{Name: "eth0", Method4: sysctl.MethodDHCP, Method6: sysctl.MethodDHCP},
		{Name: "eth1", Method6: sysctl.MethodDHCP},
		{Name: "eth2", Method4: sysctl.MethodDHCP,
			Routes: []sysctl.Route{{Destination: netip.MustParsePrefix("192.0.2.0/24"), Via: netip.MustParseAddr("169.254.0.9"), OnLink: true}}},
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
