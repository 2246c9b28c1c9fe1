package guest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

// resident is an interface that no system speaks of, and that leaves a trace wherever one can be left.
var resident = sysctl.GuestNIC{Name: "lan9", Addresses: prefixes("198.51.100.9/32", "2001:db8:9::9/128"),
	Gateway4: netip.MustParseAddr("169.254.0.1"), Gateway6: netip.MustParseAddr("fe80::1")}

// visitors are the interfaces of the models under names that no system speaks of.
func visitors() []sysctl.GuestNIC {
	var out []sysctl.GuestNIC
	for _, n := range []sysctl.GuestNetwork{full, asked, asked6} {
		for _, nic := range n.NICs {
			nic.Name = fmt.Sprint("lan", 10+len(out))
			out = append(out, nic)
		}
	}
	return out
}

// In every system: interfaces that come and go leave nothing behind, and what others have written
// survives them.
func TestVisitorsLeaveNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, name := range sortedKeys(systems) {
		t.Run(name, func(t *testing.T) {
			tree, g := systems[name].tree()
			n := full
			n.NICs = []sysctl.GuestNIC{resident}
			settle(t, tree, g, n)
			checkForeign(t, systems[name].files, tree.Files())
			before := tree.Files()
			for range 100 {
				more := n
				all := visitors()
				random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				more.NICs = append([]sysctl.GuestNIC{resident}, all[:random.IntN(len(all))]...)
				if _, err := guest.Render(tree, g, more); sysctl.KindOf(err) == sysctl.Unsupported {
					continue
				}
				settle(t, tree, g, more)
				checkForeign(t, systems[name].files, tree.Files())
				settle(t, tree, g, n)
				if after := tree.Files(); !maps.Equal(before, after) {
					for path := range after {
						if after[path] != before[path] {
							t.Errorf("%s is left as\n%s\nwas\n%s", path, after[path], before[path])
						}
					}
					for path := range before {
						if _, ok := after[path]; !ok {
							t.Errorf("%s is gone", path)
						}
					}
					return
				}
			}
		})
	}
}

// ruled are files of which we own some lines.
var ruled = map[string]bool{"/etc/hostname": true, "/etc/HOSTNAME": true, "/etc/conf.d/hostname": true, "/etc/resolv.conf": true,
	"/etc/sysconfig/network": true, "/etc/sysconfig/network/config": true}

// checkForeign checks that every line somebody else has written is still there.
func checkForeign(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path, content := range before {
		if ruled[path] || strings.HasPrefix(content, "-> ") || strings.HasSuffix(path, "/") {
			continue
		}
		for _, line := range strings.Split(content, "\n") {
			if !strings.Contains("\n"+after[path]+"\n", "\n"+line+"\n") {
				t.Errorf("%s: %q is lost from\n%s", path, line, after[path])
			}
		}
	}
}

// Foreign files for an interface of ours are put back when it goes.
func TestForeignFilesComeBack(t *testing.T) {
	for _, c := range []struct{ system, dir string }{
		{"centos5", "/etc/sysconfig/network-scripts/"}, {"centos6", "/etc/sysconfig/network-scripts/"},
		{"rocky9", "/etc/sysconfig/network-scripts/"}, {"rocky9", "/etc/NetworkManager/system-connections/"},
		{"sles11", "/etc/sysconfig/network/ifcfg-"}, {"networkd252", "/etc/systemd/network/"}, {"netctl", "/etc/netctl/"},
	} {
		tree, g := systems[c.system].tree()
		before := tree.Files()
		settle(t, tree, g, full)
		moved := 0
		for path := range tree.Files() {
			if strings.HasPrefix(path, c.dir) && strings.HasSuffix(path, "~") {
				moved++
			}
		}
		if moved == 0 {
			t.Errorf("%s: nothing in %s was in the way", c.system, c.dir)
		}
		n := full
		n.NICs = nil
		settle(t, tree, g, n)
		after := tree.Files()
		for path := range maps.Clone(after) {
			if strings.HasPrefix(path, c.dir) && after[path] != before[path] {
				t.Errorf("%s: %s = %q, was %q", c.system, path, after[path], before[path])
			}
		}
		for path := range before {
			if _, ok := after[path]; strings.HasPrefix(path, c.dir) && !ok {
				t.Errorf("%s: %s is gone", c.system, path)
			}
		}
	}
}

// A newer foreign file is not overwritten by the one that was moved aside.
func TestNewerForeignFileStays(t *testing.T) {
	tree, g := systems["rocky9"].tree()
	settle(t, tree, g, full)
	const path = "/etc/sysconfig/network-scripts/ifcfg-eth0"
	n := full
	n.NICs = nil
	if err := tree.WriteFile(path, []byte("DEVICE=eth0\n# newer\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	settle(t, tree, g, n)
	if got := file(t, tree, path); !strings.Contains(got, "newer") {
		t.Errorf("%s = %q", path, got)
	}
}

// Every renderer takes away what every other has left.
func TestEveryRendererClearsUpAfterTheOthers(t *testing.T) {
	for _, name := range sortedKeys(systems) {
		tree, g := systems[name].tree()
		settle(t, tree, g, full)
		g.Renderer, g.Dialect = guest.None, ""
		settle(t, tree, g, full)
		for path, content := range tree.Files() {
			if strings.Contains(content, "10.0.0.5") && path != "/etc/hosts" || strings.Contains(path, "sysctl-") {
				t.Errorf("%s: %s stays:\n%s", name, path, content)
			}
		}
	}
}

// Nowhere is a link of a hostile guest followed when writing.
func TestNoLinkIsFollowed(t *testing.T) {
	const passwd = "root:x:0:0\n"
	for _, name := range sortedKeys(systems) {
		tree, g := systems[name].tree()
		files := tree.Files()
		for _, c := range render(t, tree, g, full) {
			if c.Link == "" && !c.Remove {
				files[c.Path] = "-> /etc/passwd"
			}
		}
		files["/etc/passwd"] = passwd
		tree = treetest.New(files)
		settle(t, tree, g, full)
		if got := file(t, tree, "/etc/passwd"); got != passwd {
			t.Errorf("%s: passwd = %q", name, got)
		}
	}
}

// What cannot be said is named, all at once, and nothing is written.
func TestUnsupportedNamesEverything(t *testing.T) {
	n := sysctl.GuestNetwork{Hostname: "web1", NICs: []sysctl.GuestNIC{
		{Name: "eth0", Method6: sysctl.MethodDHCP}, {Name: "eth1", Method4: sysctl.MethodDHCP,
			Routes: []sysctl.Route{{Destination: netip.MustParsePrefix("192.0.2.0/24")}}},
	}}
	bare := func(name string, without ...string) system {
		s := systems[name]
		s.files = maps.Clone(s.files)
		for _, path := range without {
			delete(s.files, path)
		}
		return s
	}
	for _, c := range []struct {
		system system
		want   []string
	}{
		{systems["debian6"], []string{"ifupdown 0.6", "devices.eth0: DHCPv6"}},
		{systems["alpine-busybox"], []string{"ifupdown busybox", "devices.eth0: DHCPv6"}},
		{systems["alpine-ng"], []string{"ifupdown ng", "devices.eth0: DHCPv6"}},
		{systems["slackware14"], []string{"rc.inet1 14", "devices.eth0: DHCPv6"}},
		{bare("slackware15", "/sbin/ip"), []string{"devices.eth1", "no ip program"}},
		{bare("gentoo", "/sbin/ip"), []string{"devices.eth1: route to 192.0.2.0/24", "iproute2"}},
		{systems["void"], []string{"devices.eth1: static routes beside DHCP"}},
		{bare("void", "/usr/bin/dhcpcd", "/usr/bin/ip"), []string{"devices.eth0: DHCP: the guest has no dhcpcd", "devices.eth1: DHCP", "no ip program"}},
		{bare("netctl", "/usr/bin/dhcpcd", "/usr/bin/dhclient"), []string{"devices.eth0: DHCP", "devices.eth1: DHCP"}},
		{systems["connman"], []string{"none", "devices.eth0: DHCP for IPv6", "devices.eth1: DHCP for IPv4", "devices.eth1: static routes"}},
	} {
		tree, g := c.system.tree()
		changes, err := guest.Render(tree, g, n)
		if sysctl.KindOf(err) != sysctl.Unsupported || len(changes) > 0 {
			t.Errorf("%s %s: %d changes, %v", g.Renderer, g.Dialect, len(changes), err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: no %q in %q", g.Renderer, g.Dialect, want, err)
			}
		}
	}
	g := systems["debian12"].guest
	g.Renderer = "ifplugd"
	if _, err := guest.Render(treetest.New(nil), g, full); sysctl.KindOf(err) != sysctl.Unsupported {
		t.Errorf("a renderer that does not exist: %v", err)
	}
}

func TestBadMethodsAndRoutes(t *testing.T) {
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	for _, c := range []struct {
		nic  sysctl.GuestNIC
		want string
	}{
		{sysctl.GuestNIC{Method4: sysctl.MethodStatic}, "static IPv4 needs an address"},
		{sysctl.GuestNIC{Method4: sysctl.MethodSLAAC}, "IPv4 has no slaac"},
		{sysctl.GuestNIC{Method6: "auto"}, `"auto" is no method`},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Addresses: prefixes("10.0.0.2/24")}, "IPv4 dhcp goes without addresses"},
		{sysctl.GuestNIC{Method6: sysctl.MethodNone, Gateway6: a("fe80::1")}, "gateway fe80::1 needs an address"},
		{sysctl.GuestNIC{MTU: 12}, "an MTU of 12"},
		{sysctl.GuestNIC{Routes: []sysctl.Route{{}}}, "not the address of a network"},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Routes: []sysctl.Route{{Destination: p("10.0.0.1/8")}}}, "not the address of a network"},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Routes: []sysctl.Route{{Destination: p("0.0.0.0/0")}}}, "the gateway is the default route"},
		{sysctl.GuestNIC{Routes: []sysctl.Route{{Destination: p("10.0.0.0/8")}}}, "needs addresses of its family"},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Routes: []sysctl.Route{{Destination: p("10.0.0.0/8"), Via: a("fe80::1")}}}, "fe80::1 is of the wrong family"},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Routes: []sysctl.Route{{Destination: p("10.0.0.0/8"), OnLink: true}}}, "on the link without a next hop"},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Routes: []sysctl.Route{{Destination: p("10.0.0.0/8"), Metric: -1}}}, "a metric of -1"},
		{sysctl.GuestNIC{Method4: sysctl.MethodDHCP, Routes: []sysctl.Route{{Destination: p("10.0.0.0/8")}, {Destination: p("10.0.0.0/8")}}}, "twice with the same metric"},
	} {
		c.nic.Name = "eth0"
		tree, g := systems["debian12"].tree()
		_, err := guest.Render(tree, g, sysctl.GuestNetwork{Hostname: "web1", NICs: []sysctl.GuestNIC{c.nic}})
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.nic, err, c.want)
		}
	}
}

// A netplan file that speaks of our interface in braces is not guessed at.
func TestNetplanInBracesIsRefused(t *testing.T) {
	tree, g := systems["ubuntu2204"].tree()
	if err := tree.WriteFile("/etc/netplan/70-flow.yaml", []byte("network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Render(tree, g, full); sysctl.KindOf(err) != sysctl.Conflict || !strings.Contains(err.Error(), "70-flow.yaml") {
		t.Errorf("error = %v", err)
	}
}
