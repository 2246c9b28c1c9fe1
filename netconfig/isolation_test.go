package netconfig

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sysctl-os/sysctl"
)

// answerTCP answers each connection with the address it came from and the address it was accepted at.
func answerTCP(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, c.RemoteAddr().(*net.TCPAddr).IP.String()+" "+c.LocalAddr().String())
			c.Close()
		}
	}()
}

// call returns what a TCP server says.
func call(address string, patience time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	return string(b), err
}

// cable connects a namespace's eth0, which stays down, to a port of n's bridge.
func cable(t *testing.T, guest namespace, n sysctl.Network, port string) {
	t.Helper()
	wire(t, port, "eth0", guest)
	bridge, err := netlink.LinkByName(n.Bridge)
	must(t, err)
	link, err := netlink.LinkByName(port)
	must(t, err)
	must(t, netlink.LinkSetMaster(link, bridge))
	must(t, netlink.LinkSetUp(link))
}

// join connects a namespace to the bridge of n with addresses.
func (w world) join(t *testing.T, guest namespace, n sysctl.Network, port string, addresses ...string) {
	t.Helper()
	cable(t, guest, n, port)
	guest.run(t, w.host, func() {
		gateways := []string{}
		for _, p := range subnets(n) {
			gateways = append(gateways, p.Addr().String())
		}
		configure(t, "eth0", addresses, gateways...)
	})
}

// pair is a world with two networks, each with a guest, which answer on port 80.
func newPair(t *testing.T, a, b sysctl.Network) (w world, other namespace) {
	w = newWorld(t)
	other = w.host.another(t)
	must(t, EnsureBridge(t.Context(), a))
	must(t, EnsureBridge(t.Context(), b))
	w.join(t, w.guest, a, "porta", "10.77.1.2/24", "fd77:1::2/64")
	w.join(t, other, b, "portb", "10.77.2.2/24", "fd77:2::2/64")
	for _, ns := range []namespace{w.guest, other} {
		ns.run(t, w.host, func() { answerTCP(t, ":80"); serve(t, "[::]:7") })
	}
	return w, other
}

// crosses reports whether the guests of both networks reach each other, over both families. That the path of each to the host
// works is waited for first, so that a silence means a rule.
func crosses(t *testing.T, w world, other namespace) bool {
	t.Helper()
	serve(t, "[::]:7")
	n := 0
	for _, d := range []struct {
		from   namespace
		host   string
		others []string
	}{
		{w.guest, "10.77.1.1:7", []string{"10.77.2.2:80", "[fd77:2::2]:80"}},
		{other, "10.77.2.1:7", []string{"10.77.1.2:80", "[fd77:1::2]:80"}},
	} {
		d.from.run(t, w.host, func() {
			ask(t, d.host)
			for _, address := range d.others {
				if _, err := call(address, time.Second); err == nil {
					n++
				}
			}
		})
	}
	if n != 0 && n != 4 {
		t.Fatalf("%d of 4 ways are open", n)
	}
	return n == 4
}

func TestIsolation(t *testing.T) {
	open := func(n sysctl.Network) sysctl.Network { n.Open = true; return n }
	a := testNetwork("sysbr9", "sysctl-test", "10.77.1.1/24", "fd77:1::1/64")
	b := testNetwork("sysbr8", "sysctl-test", "10.77.2.1/24", "fd77:2::1/64")
	elsewhere := testNetwork("sysbr8", "sysctl-two", "10.77.2.1/24", "fd77:2::1/64")
	for _, c := range []struct {
		name string
		a, b sysctl.Network
		want bool
	}{
		{"both isolated", a, b, false},
		{"one open", open(a), b, false},
		{"the other open", a, open(b), false},
		{"both open", open(a), open(b), true},
		{"both open in two environments", open(a), open(elsewhere), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			w, other := newPair(t, c.a, c.b)
			if got := crosses(t, w, other); got != c.want {
				t.Errorf("they reach each other: %v, want %v", got, c.want)
			}
			if c.want { // and are seen with their own addresses
				w.guest.run(t, w.host, func() {
					if got, err := call("10.77.2.2:80", patience); err != nil || got != "10.77.1.2 10.77.2.2:80" {
						t.Errorf("the other saw %q, %v", got, err)
					}
				})
			}
		})
	}
}

// A network that is not routed reaches the host only.
func TestNoRouting(t *testing.T) {
	w := newWorld(t)
	n := testNet
	n.V4.NoRouting = true
	must(t, EnsureBridge(t.Context(), n))
	w.plug(t, n)
	w.internet.run(t, w.host, func() { answerTCP(t, ":80") })
	serve(t, "10.77.1.1:7")
	w.guest.run(t, w.host, func() {
		ask(t, "10.77.1.1:7")
		if got, err := call("[2001:db8:1::2]:80", patience); err != nil {
			t.Errorf("IPv6: %q, %v", got, err)
		}
		if got, err := call("203.0.113.2:80", time.Second); err == nil {
			t.Errorf("IPv4 reached the internet: %q", got)
		}
	})
}

func TestNATAddressAndFamilies(t *testing.T) {
	w := newWorld(t)
	up, err := netlink.LinkByName("up0")
	must(t, err)
	second, err := netlink.ParseAddr("203.0.113.77/24")
	must(t, err)
	must(t, netlink.AddrAdd(up, second))
	n := testNet
	n.V4.NATAddress, n.NAT6 = netip.MustParseAddr("203.0.113.77"), false
	n.V4.NoFirewall = true
	must(t, EnsureBridge(t.Context(), n))
	w.plug(t, n)
	w.internet.run(t, w.host, func() {
		answerTCP(t, ":80")
		eth0, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: toIPNet(n.IPv6.Masked()), Gw: net.ParseIP("2001:db8:1::1")}))
	})
	w.guest.run(t, w.host, func() {
		for server, want := range map[string]string{"203.0.113.2:80": "203.0.113.77 203.0.113.2:80", "[2001:db8:1::2]:80": "fd77:1::2 [2001:db8:1::2]:80"} {
			if got, err := call(server, patience); err != nil || got != want {
				t.Errorf("%s saw %q, %v; want %q", server, got, err, want)
			}
		}
	})
}

// What is changed on a network that is up is all that changes.
func TestShed(t *testing.T) {
	isolate(t)
	old := testNet
	old.V4.Routes = []netip.Prefix{prefix("192.0.2.0/24"), prefix("198.51.100.0/24")}
	old.V6.Routes = []netip.Prefix{prefix("2001:db8:2::/64")}
	must(t, EnsureBridge(t.Context(), old))
	n := old
	n.IPv4, n.V6.Routes = prefix("10.77.9.1/24"), nil
	n.V4.Routes = old.V4.Routes[:1]
	for range 2 {
		must(t, Shed(t.Context(), old, n))
		must(t, EnsureBridge(t.Context(), n))
	}
	link, err := netlink.LinkByName(n.Bridge)
	must(t, err)
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	must(t, err)
	if len(addrs) != 1 || addrs[0].IPNet.String() != "10.77.9.1/24" {
		t.Errorf("addresses: %v", addrs)
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	must(t, err)
	var far []string
	for _, r := range routes {
		if p, ok := toPrefix(r.Dst); ok && r.Protocol == 0x73 {
			far = append(far, p.String())
		}
	}
	if len(far) != 1 || far[0] != "192.0.2.0/24" {
		t.Errorf("routes: %v of %v", far, routes)
	}
	must(t, RemoveBridge(t.Context(), n))
	must(t, Shed(t.Context(), old, n))
}

func TestForwards(t *testing.T) {
	w := newWorld(t)
	n := testNet
	target := netip.MustParseAddr("10.77.1.2")
	port := func(protocol string, listen, to uint16, more uint16) sysctl.ForwardPort {
		return sysctl.ForwardPort{Protocol: protocol, Target: target, Listen: sysctl.PortRange{First: listen, Last: listen + more}, TargetPorts: sysctl.PortRange{First: to, Last: to + more}}
	}
	n.Forwards = []sysctl.Forward{
		{Listen: netip.MustParseAddr("203.0.113.1"), Ports: []sysctl.ForwardPort{port("tcp", 8080, 80, 0), port("tcp", 9000, 9000, 5), port("udp", 7007, 7, 0)}},
		{Listen: netip.MustParseAddr("2001:db8:1::1"), Ports: []sysctl.ForwardPort{
			{Protocol: "tcp", Target: netip.MustParseAddr("fd77:1::2"), Listen: sysctl.PortRange{First: 8080, Last: 8080}, TargetPorts: sysctl.PortRange{First: 80, Last: 80}}}},
		{Listen: netip.MustParseAddr("203.0.113.9"), Target: target},
	}
	up, err := netlink.LinkByName("up0")
	must(t, err)
	extra, err := netlink.ParseAddr("203.0.113.9/24")
	must(t, err)
	must(t, netlink.AddrAdd(up, extra))
	must(t, EnsureBridge(t.Context(), n))
	once := picture(t)
	must(t, EnsureBridge(t.Context(), n))
	if twice := picture(t); once != twice {
		t.Errorf("the second EnsureBridge changed something:\n%s\nwas:\n%s", twice, once)
	}
	w.plug(t, n)
	w.guest.run(t, w.host, func() { answerTCP(t, ":80"); answerTCP(t, ":9003"); serve(t, "10.77.1.2:7") })
	neighbour := w.host.another(t)
	w.join(t, neighbour, n, "port1", "10.77.1.3/24", "fd77:1::3/64")
	answerTCP(t, "203.0.113.1:81") // what no forward says stays the host's
	reached := func(who string, from namespace, cases map[string]string) {
		t.Helper()
		from.run(t, w.host, func() {
			for address, want := range cases {
				if got, err := call(address, patience); err != nil || got != want {
					t.Errorf("%s called %s: %q, %v; want %q", who, address, got, err, want)
				}
			}
		})
	}
	reached("the internet", w.internet, map[string]string{
		"203.0.113.1:8080": "203.0.113.2 10.77.1.2:80", "203.0.113.1:9003": "203.0.113.2 10.77.1.2:9003",
		"203.0.113.9:80": "203.0.113.2 10.77.1.2:80", "203.0.113.1:81": "203.0.113.2 203.0.113.1:81",
		"[2001:db8:1::1]:8080": "2001:db8:1::2 [fd77:1::2]:80",
	})
	w.internet.run(t, w.host, func() {
		if got := ask(t, "203.0.113.1:7007"); got != "203.0.113.2" {
			t.Errorf("UDP: %s", got)
		}
	})
	reached("the host", w.host, map[string]string{"203.0.113.1:8080": "203.0.113.1 10.77.1.2:80"})
	reached("its neighbour", neighbour, map[string]string{"203.0.113.1:8080": "10.77.1.1 10.77.1.2:80", "[2001:db8:1::1]:8080": "fd77:1::1 [fd77:1::2]:80"})

	// Taken away, it is gone.
	n.Forwards = nil
	must(t, EnsureBridge(t.Context(), n))
	w.internet.run(t, w.host, func() {
		if got, err := call("203.0.113.1:8080", time.Second); err == nil {
			t.Errorf("still forwarded: %q", got)
		}
	})
}

// A forward of an isolated network is there for other networks too; everything else stays closed.
func TestForwardReachesAcrossNetworks(t *testing.T) {
	isolate(t)
	a := testNetwork("sysbr9", "sysctl-test", "10.77.1.1/24", "fd77:1::1/64")
	b := testNetwork("sysbr8", "sysctl-test", "10.77.2.1/24", "fd77:2::1/64")
	a.Forwards = []sysctl.Forward{{Listen: netip.MustParseAddr("0.0.0.0"), Ports: []sysctl.ForwardPort{{Protocol: "tcp", Target: netip.MustParseAddr("10.77.1.2"),
		Listen: sysctl.PortRange{First: 8080, Last: 8080}, TargetPorts: sysctl.PortRange{First: 80, Last: 80}}}}}
	w, other := newPair(t, a, b)
	if crosses(t, w, other) {
		t.Error("they reach each other directly")
	}
	for who, from := range map[string]namespace{"the other network": other, "the internet": w.internet} {
		from.run(t, w.host, func() {
			if got, err := call("203.0.113.1:8080", patience); err != nil || got == "" {
				t.Errorf("%s: %q, %v", who, got, err)
			}
		})
	}
	answerTCP(t, "127.0.0.1:8080")
	if got, err := call("127.0.0.1:8080", patience); err != nil || got != "127.0.0.1 127.0.0.1:8080" {
		t.Errorf("loopback is not the host's own any more: %q, %v", got, err)
	}
}
