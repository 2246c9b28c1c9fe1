package netconfig

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// patience is how long a test waits for a packet that must come.
const patience = 10 * time.Second

// world is three namespaces: a guest on the bridge, the host, and a server behind the host's
// uplink that has no route to the guest.
type world struct{ host, guest, internet namespace }

func newWorld(t *testing.T) world {
	host := isolate(t)
	w := world{host, host.another(t), host.another(t)}
	wire(t, "up0", "eth0", w.internet)
	configure(t, "up0", []string{"203.0.113.1/24", "2001:db8:1::1/64"})
	w.internet.run(t, host, func() { configure(t, "eth0", []string{"203.0.113.2/24", "2001:db8:1::2/64"}) })
	return w
}

// plug connects the guest to the bridge of n.
func (w world) plug(t *testing.T, n sysctl.Network) {
	cable(t, w.guest, n, "port0")
	w.guest.run(t, w.host, func() {
		configure(t, "eth0", []string{"10.77.1.2/24", "fd77:1::2/64"}, "10.77.1.1", "fd77:1::1")
	})
}

// serve answers each datagram with the address it came from.
func serve(t *testing.T, address string) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort([]byte(from.Addr().Unmap().String()), from)
		}
	}()
}

// ask returns the address a server saw us come from. It asks again and again: the kernel drops what
// is sent before a new link's carrier has been noticed.
func ask(t *testing.T, server string) string {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server)))
	must(t, err)
	defer conn.Close()
	buf := make([]byte, 64)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		conn.Write([]byte("who am I")) // fails while the answer to an earlier one is "unreachable"
		must(t, conn.SetReadDeadline(time.Now().Add(patience/100)))
		if got, err := conn.Read(buf); err == nil {
			return string(buf[:got])
		}
	}
	t.Fatalf("no answer from %s", server)
	return ""
}

func (w world) check(t *testing.T) {
	t.Helper()
	servers := map[string]string{"203.0.113.2:7": "203.0.113.1", "[2001:db8:1::2]:7": "2001:db8:1::1"}
	w.internet.run(t, w.host, func() {
		for server := range servers {
			serve(t, server)
		}
	})
	local := map[string]string{"10.77.1.1:7": "10.77.1.2", "[fd77:1::1]:7": "fd77:1::2"}
	for server := range local {
		serve(t, server)
	}
	w.guest.run(t, w.host, func() {
		for server, want := range servers {
			if got := ask(t, server); got != want {
				t.Errorf("the server %s saw %s, want the host's %s", server, got, want)
			}
		}
		for server, want := range local {
			if got := ask(t, server); got != want {
				t.Errorf("the host saw %s, want the guest's own %s", got, want)
			}
		}
	})
}

func TestNAT(t *testing.T) {
	w := newWorld(t)
	before := picture(t)
	must(t, EnsureBridge(t.Context(), testNet))
	w.plug(t, testNet)
	w.check(t)
	must(t, RemoveBridge(t.Context(), testNet))
	must(t, netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port0"}}))
	if after := picture(t); after != before {
		t.Errorf("after removal:\n%s\nbefore:\n%s", after, before)
	}
}

// docker builds what Docker makes of iptables: a FORWARD chain that drops, and DOCKER-USER.
func docker(t *testing.T, family nftables.TableFamily) {
	c := new(nftables.Conn)
	policy := nftables.ChainPolicyDrop
	table := c.AddTable(&nftables.Table{Family: family, Name: iptablesFilter})
	forward := c.AddChain(&nftables.Chain{Table: table, Name: iptablesForward, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &policy})
	user := c.AddChain(&nftables.Chain{Table: table, Name: dockerUser})
	c.AddRule(&nftables.Rule{Table: table, Chain: user, Exprs: []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictReturn}}})
	c.AddRule(&nftables.Rule{Table: table, Chain: forward, Exprs: []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictJump, Chain: dockerUser}}})
	must(t, c.Flush())
}

func TestDockerDropsForward(t *testing.T) {
	w := newWorld(t)
	docker(t, nftables.TableFamilyIPv4)
	docker(t, nftables.TableFamilyIPv6)
	before := picture(t)
	must(t, EnsureBridge(t.Context(), testNet))
	once := picture(t)
	must(t, EnsureBridge(t.Context(), testNet))
	if twice := picture(t); once != twice {
		t.Errorf("the second EnsureBridge changed something:\n%s\nwas:\n%s", twice, once)
	}
	w.plug(t, testNet)
	w.check(t)
	must(t, RemoveBridge(t.Context(), testNet))
	must(t, netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port0"}}))
	if after := picture(t); after != before {
		t.Errorf("after removal:\n%s\nbefore:\n%s", after, before)
	}
}

// The host's IPv6 default route from router advertisements must outlive the switch to forwarding.
func TestUplinkKeepsRouterAdvertisements(t *testing.T) {
	host := isolate(t)
	router := host.another(t)
	must(t, setKnob("ipv6/conf/default/accept_dad", "0"))
	wire(t, "up0", "eth0", router)
	wire(t, "deaf0", "eth1", router)
	must(t, setKnob("ipv6/conf/deaf0/accept_ra", "0"))
	done := make(chan struct{})
	defer close(done)
	addresses := make(chan netlink.AddrUpdate)
	must(t, netlink.AddrSubscribe(addresses, done))
	router.run(t, host, func() { configure(t, "eth0", []string{"fe80::1/64"}) })
	configure(t, "up0", nil)
	deadline := time.After(patience)
	for ready := false; !ready; { // the kernel gives up0 its link-local address when it listens
		select {
		case a := <-addresses:
			ready = a.NewAddr && a.LinkAddress.IP.IsLinkLocalUnicast()
		case <-deadline:
			t.Fatal("up0 got no link-local address")
		}
	}

	changes := make(chan netlink.RouteUpdate)
	must(t, netlink.RouteSubscribe(changes, done))
	router.run(t, host, func() { advertise(t, "eth0") })
	for learnt := false; !learnt; {
		select {
		case c := <-changes:
			learnt = c.Type == unix.RTM_NEWROUTE && c.Protocol == unix.RTPROT_RA && c.Gw != nil
		case <-deadline:
			t.Fatal("no default route came from the router advertisement")
		}
	}
	must(t, EnsureBridge(t.Context(), testNet))
	routes, err := netlink.RouteListFiltered(unix.AF_INET6, &netlink.Route{Protocol: unix.RTPROT_RA}, netlink.RT_FILTER_PROTOCOL)
	must(t, err)
	if len(routes) != 1 || routes[0].Gw == nil {
		t.Errorf("the default route is gone: %v", routes)
	}
	for knob, want := range map[string]string{"up0": "2", "deaf0": "0", testNet.Name: "0"} {
		if got, _ := readKnob("ipv6/conf/" + knob + "/accept_ra"); got != want {
			t.Errorf("accept_ra of %s = %s, want %s", knob, got, want)
		}
	}
}

// advertise sends one router advertisement to all nodes.
func advertise(t *testing.T, device string) {
	t.Helper()
	link, err := netlink.LinkByName(device)
	must(t, err)
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255))
	message := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // lifetime 1800 s
	all := unix.SockaddrInet6{ZoneId: uint32(link.Attrs().Index), Addr: [16]byte{0: 0xff, 1: 0x02, 15: 1}}
	must(t, unix.Sendto(fd, message, 0, &all))
}
