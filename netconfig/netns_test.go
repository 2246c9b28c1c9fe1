package netconfig

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// namespace is a network namespace that lives as long as the test.
type namespace struct{ file *os.File }

// isolate puts the test's thread into a new network namespace. The thread stays locked and ends
// with the test, and the namespace with it. Subtests run on other threads: isolate each.
func isolate(t testing.TB) namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread()
	return unshare(t)
}

func unshare(t testing.TB) namespace {
	t.Helper()
	must(t, unix.Unshare(unix.CLONE_NEWNET))
	f, err := os.Open("/proc/thread-self/ns/net")
	must(t, err)
	t.Cleanup(func() { f.Close() })
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	must(t, setKnob("ipv4/ip_forward", "0")) // a new namespace takes the host's
	return namespace{f}
}

// another makes one more namespace; the thread stays where it is.
func (ns namespace) another(t testing.TB) namespace {
	t.Helper()
	other := unshare(t)
	ns.enter(t)
	return other
}

func (ns namespace) enter(t testing.TB) {
	t.Helper()
	must(t, unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET))
}

// run runs f in ns and comes back to home.
func (ns namespace) run(t testing.TB, home namespace, f func()) {
	t.Helper()
	ns.enter(t)
	defer home.enter(t)
	f()
}

// wire makes a veth pair: here in the thread's namespace, there in the other one. Both are down.
func wire(t testing.TB, here, there string, to namespace) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: here}, PeerName: there, PeerNamespace: netlink.NsFd(to.file.Fd())}))
}

// configure sets an interface up with addresses and default routes.
func configure(t testing.TB, name string, addresses []string, gateways ...string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, setKnob("ipv6/conf/"+name+"/accept_dad", "0"))
	must(t, netlink.LinkSetUp(link))
	for _, a := range addresses {
		addr, err := netlink.ParseAddr(a)
		must(t, err)
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		must(t, netlink.AddrAdd(link, addr))
	}
	for _, g := range gateways {
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(g)}))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prefix(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func testNetwork(name, table, v4, v6 string) sysctl.Network {
	return sysctl.Network{Name: name, Bridge: name, Table: table, IPv4: prefix(v4), IPv6: prefix(v6), NAT: true, NAT6: true}
}
