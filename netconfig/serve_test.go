package netconfig

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// served is a network in the test's namespace with its dnsmasq and two instances on it.
func served(t *testing.T, change func(n *sysctl.Network)) (world, sysctl.Network, func() ([]sysctl.NetworkHost, error)) {
	needs.Program(t, "dnsmasq")
	w := newWorld(t)
	n := testNet
	n.Table = "sysctl-test-" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")) // its files are the machine's, not the namespace's
	n.Domain, n.DNS.Mode = "lab.test", "managed"
	if change != nil {
		change(&n)
	}
	must(t, EnsureBridge(t.Context(), n))
	t.Cleanup(func() {
		must(t, StopServing(context.Background(), n))
		if _, err := os.Stat(filepath.Dir(serverOf(n).dir)); err == nil {
			t.Errorf("%s is left", filepath.Dir(serverOf(n).dir))
		}
	})
	hosts := func() ([]sysctl.NetworkHost, error) {
		return []sysctl.NetworkHost{
			{Instance: 1, Name: "web1", MAC: "00:16:3e:00:00:01", IPv4: netip.MustParseAddr("10.77.1.5"), IPv6: netip.MustParseAddr("fd77:1::5")},
			{Instance: 2, Name: "db1", MAC: "00:16:3e:00:00:02", IPv4: netip.MustParseAddr("10.77.1.6")},
		}, nil
	}
	must(t, Serve(t.Context(), n, hosts))
	return w, n, hosts
}

// lookup asks the network's server for a name, from the thread's namespace: nobody else is asked.
func lookup(t *testing.T, n sysctl.Network, name string) []string {
	t.Helper()
	conn := ServerAddress(n).String() + ":53"
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, net.ErrClosed // replaced below
	}}
	// A resolver dials on threads of its own, which are in other namespaces: it is given sockets made here.
	var socks []net.Conn
	for range 8 {
		c, err := net.Dial("udp", conn)
		must(t, err)
		defer c.Close()
		socks = append(socks, c)
	}
	next := make(chan net.Conn, len(socks))
	for _, c := range socks {
		next <- c
	}
	r.Dial = func(context.Context, string, string) (net.Conn, error) { return <-next, nil }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found, err := r.LookupHost(ctx, name+".")
	if err != nil {
		return nil
	}
	slices.Sort(found)
	return found
}

// eventually waits until what is found is what is wanted. It asks again and again: the server reads names anew when it is signalled, and
// says nothing when it has.
func eventually(t *testing.T, what string, want []string, find func() []string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(6 * patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = find(); slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s: %v, want %v", what, got, want)
}

func TestNames(t *testing.T) {
	w, n, hosts := served(t, nil)
	w.plug(t, n)
	in := func(name string) func() []string {
		return func() (found []string) {
			w.guest.run(t, w.host, func() { found = lookup(t, n, name) })
			return found
		}
	}
	eventually(t, "web1", []string{"10.77.1.5", "fd77:1::5"}, in("web1.lab.test"))
	eventually(t, "db1", []string{"10.77.1.6"}, in("db1.lab.test"))
	eventually(t, "nobody", nil, in("nobody.lab.test"))

	// One comes, one changes, one goes; nobody is started anew for it.
	pid, err := os.ReadFile(serverOf(n).file("pid"))
	must(t, err)
	for range 2 {
		must(t, Announce(t.Context(), n, 3, []sysctl.NetworkHost{{Instance: 3, Name: "new", MAC: "00:16:3e:00:00:03", IPv4: netip.MustParseAddr("10.77.1.7")}}))
		must(t, Announce(t.Context(), n, 2, []sysctl.NetworkHost{{Instance: 2, Name: "db2", MAC: "00:16:3e:00:00:02", IPv4: netip.MustParseAddr("10.77.1.6")}}))
		must(t, Announce(t.Context(), n, 1, nil))
	}
	eventually(t, "new", []string{"10.77.1.7"}, in("new.lab.test"))
	eventually(t, "db2", []string{"10.77.1.6"}, in("db2.lab.test"))
	eventually(t, "db1 renamed", nil, in("db1.lab.test"))
	eventually(t, "web1 gone", nil, in("web1.lab.test"))
	must(t, Serve(t.Context(), n, hosts))
	if again, _ := os.ReadFile(serverOf(n).file("pid")); string(again) != string(pid) {
		t.Error("it was started anew")
	}

	// Killed, it is there again with the next start, and knows all.
	fd := serverOf(n).process()
	must(t, unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
	unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60000)
	unix.Close(fd)
	if Serves(n) || !Served(n) {
		t.Errorf("killed: serves %v, served %v", Serves(n), Served(n))
	}
	must(t, Serve(t.Context(), n, hosts))
	eventually(t, "web1 again", []string{"10.77.1.5", "fd77:1::5"}, in("web1.lab.test"))

	// It does not run as root, and answers on the bridge only.
	status, err := os.ReadFile("/proc/" + readPID(t, n) + "/status")
	must(t, err)
	if strings.Contains(string(status), "Uid:\t0") {
		t.Error("it runs as root")
	}
	w.internet.run(t, w.host, func() {
		c, err := net.Dial("udp", "203.0.113.1:53")
		must(t, err)
		defer c.Close()
		c.Write([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04web1\x03lab\x04test\x00\x00\x01\x00\x01"))
		c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(make([]byte, 512)); err == nil {
			t.Errorf("the internet got an answer of %d bytes", n)
		}
	})
}

func readPID(t *testing.T, n sysctl.Network) string {
	b, err := os.ReadFile(serverOf(n).file("pid"))
	must(t, err)
	return strings.TrimSpace(string(b))
}

// A firewall that drops what it does not know leaves guests to the host's servers, until it lets the bridge in.
func TestBarred(t *testing.T) {
	nft := needs.Program(t, "nft")
	_, n, _ := served(t, nil)
	if repair, barred := Barred(n); barred || !Serves(n) {
		t.Errorf("barred without a firewall: %q", repair)
	}
	rules := func(text string) {
		t.Helper()
		if out, err := exec.Command(nft, text).CombinedOutput(); err != nil {
			t.Fatalf("nft %s: %v\n%s", text, err, out)
		}
	}
	rules("add table inet host; add chain inet host input { type filter hook input priority filter; policy drop; }; add rule inet host input iif lo accept")
	repair, barred := Barred(n)
	if !barred || repair != "nft insert rule inet host input iifname sysbr9 accept" || Serves(n) {
		t.Fatalf("barred: %v, %q", barred, repair)
	}
	rules(strings.TrimPrefix(repair, "nft "))
	if _, barred := Barred(n); barred || !Serves(n) {
		t.Error("still barred after the repair")
	}
}

// A broken configuration is refused, and what ran goes on.
func TestBrokenConfiguration(t *testing.T) {
	_, n, hosts := served(t, nil)
	pid := readPID(t, n)
	bad := n
	bad.DNS.Raw = "no-such-option=1"
	if err := Serve(t.Context(), bad, hosts); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "raw.dnsmasq") {
		t.Errorf("error: %v", err)
	}
	if got := readPID(t, n); got != pid || !Serves(n) {
		t.Errorf("it was %s, is %s", pid, got)
	}
	raw := n
	raw.DNS.Raw = "address=/printer.test/10.77.1.99\n"
	must(t, Serve(t.Context(), raw, hosts))
	eventually(t, "printer", []string{"10.77.1.99"}, func() []string { return lookup(t, raw, "printer.test") })
}

// Port 53 is somebody else's: it is said, and nothing is left running.
func TestPortTaken(t *testing.T) {
	needs.Program(t, "dnsmasq")
	isolate(t)
	n := testNet
	n.Table, n.Domain, n.DNS.Mode = "sysctl-test-taken", "lab.test", "managed"
	must(t, EnsureBridge(t.Context(), n))
	l, err := net.ListenPacket("udp", ":53")
	must(t, err)
	defer l.Close()
	defer func() { must(t, StopServing(context.Background(), n)) }()
	err = Serve(t.Context(), n, func() ([]sysctl.NetworkHost, error) { return nil, nil })
	if sysctl.KindOf(err) != sysctl.Conflict || !strings.Contains(err.Error(), "in use") || sysctl.HintOf(err) == "" {
		t.Errorf("error: %v", err)
	}
	if Serves(n) || Alive(n) {
		t.Error("it runs")
	}
}

// dhcp asks for an address as busybox's client on a link with a MAC, and returns what it was told.
func dhcp(t *testing.T, w world, guest namespace, n sysctl.Network, port, mac, hostname string) map[string]string {
	t.Helper()
	busybox := needs.Program(t, "busybox")
	cable(t, guest, n, port)
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = bound ] && env >"+dir+"/env\nexit 0\n"), 0o755))
	guest.run(t, w.host, func() {
		eth0, err := netlink.LinkByName("eth0")
		must(t, err)
		hw, err := net.ParseMAC(mac)
		must(t, err)
		must(t, netlink.LinkSetHardwareAddr(eth0, hw))
		must(t, netlink.LinkSetUp(eth0))
		out, err := exec.Command(busybox, "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", script, "-t", "20", "-T", "1", "-O", "mtu", "-x", "hostname:"+hostname).CombinedOutput()
		if err != nil {
			t.Fatalf("udhcpc: %v\n%s", err, out)
		}
	})
	data, err := os.ReadFile(filepath.Join(dir, "env"))
	must(t, err)
	told := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		told[key] = value
	}
	return told
}

func TestDHCP(t *testing.T) {
	for _, dynamic := range []bool{false, true} {
		t.Run(map[bool]string{false: "managed", true: "dynamic"}[dynamic], func(t *testing.T) {
			isolate(t)
			w, n, _ := served(t, func(n *sysctl.Network) {
				n.Table += "x"
				n.MTU = 1400
				n.V4.Expiry = "7200"
				if dynamic {
					n.DNS.Mode = "dynamic"
					n.V4.Ranges = []sysctl.AddrRange{{First: netip.MustParseAddr("10.77.1.40"), Last: netip.MustParseAddr("10.77.1.40")}}
				}
			})
			// An instance gets what it has, whoever it says it is.
			told := dhcp(t, w, w.guest, n, "p1", "00:16:3e:00:00:02", "impostor")
			for key, want := range map[string]string{"ip": "10.77.1.6", "mask": "24", "router": "10.77.1.1", "dns": "10.77.1.1", "domain": "lab.test", "mtu": "1400", "lease": "7200"} {
				if told[key] != want {
					t.Errorf("%s = %q, want %q", key, told[key], want)
				}
			}
			// A stranger gets one of the lent.
			told = dhcp(t, w, w.host.another(t), n, "p2", "52:54:00:00:00:09", "stranger")
			a, err := netip.ParseAddr(told["ip"])
			if lent := n.Lent(true); err != nil || !lent[0].Contains(a) {
				t.Errorf("a stranger got %q, not of %v", told["ip"], lent)
			}
			leases, err := Leases(n)
			must(t, err)
			i := slices.IndexFunc(leases, func(l sysctl.Lease) bool { return l.MAC == "52:54:00:00:00:09" })
			if i < 0 || leases[i].Address != a || !leases[i].Expires.After(time.Now()) {
				t.Errorf("leases: %+v", leases)
			}
			var want []string
			if dynamic {
				want = []string{a.String()}
			}
			eventually(t, "the stranger's name", want, func() []string { return lookup(t, n, "stranger.lab.test") })
			eventually(t, "the impostor's name", nil, func() []string { return lookup(t, n, "impostor.lab.test") })
		})
	}
}

// Without names guests are told the host's servers; without DHCP and names there is no server.
func TestServerWanted(t *testing.T) {
	n := testNet
	n.DNS.Mode = "none"
	conf := string(serverOf(n).config(account{"nobody", "nogroup", 0}, []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}))
	if !strings.Contains(conf, "\nport=0\n") || !strings.Contains(conf, "\ndhcp-option=option:dns-server,192.0.2.53\n") || strings.Contains(conf, "addn-hosts") {
		t.Error(conf)
	}
	n.V4.NoDHCP = true
	if wantsServer(n) {
		t.Error("a server for nothing")
	}
	if n.V6.Router = true; !wantsServer(n) {
		t.Error("nobody advertises")
	}
}

// Guests that are no instances hear a router, and make themselves addresses of the subnet.
func TestRouterAdvertisement(t *testing.T) {
	w, n, _ := served(t, func(n *sysctl.Network) { n.V6.Router = true })
	cable(t, w.guest, n, "port0")
	w.guest.run(t, w.host, func() {
		must(t, setKnob("ipv6/conf/eth0/accept_ra", "2"))
		must(t, setKnob("ipv6/conf/eth0/accept_dad", "0"))
		eth0, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.LinkSetUp(eth0))
	})
	eventually(t, "an address of the subnet and a default route", []string{"address", "route"}, func() (found []string) {
		w.guest.run(t, w.host, func() {
			eth0, err := netlink.LinkByName("eth0")
			must(t, err)
			addrs, err := netlink.AddrList(eth0, netlink.FAMILY_V6)
			must(t, err)
			for _, a := range addrs {
				if p, ok := toPrefix(a.IPNet); ok && n.IPv6.Masked().Contains(p.Addr()) {
					found = append(found, "address")
				}
			}
			routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Protocol: unix.RTPROT_RA}, netlink.RT_FILTER_PROTOCOL)
			must(t, err)
			if slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw != nil }) {
				found = append(found, "route")
			}
		})
		return found
	})
}

func TestParseLeases(t *testing.T) {
	got := parseLeases("1700000000 52:54:00:00:00:09 10.77.1.40 stranger 01:52:54:00:00:00:09\n0 52:54:00:00:00:0a 10.77.1.41 * *\nduid 00:01\n1700000000 123 fd77:1::40 v6 00:01\nhalf a li")
	if len(got) != 3 || got[0].Hostname != "stranger" || got[0].Expires.Unix() != 1700000000 || got[1].Hostname != "" || !got[1].Expires.IsZero() || got[2].MAC != "" {
		t.Errorf("%+v", got)
	}
}

// Where dnsmasq is not installed there are no names, which only who has asked for them on the host is told.
func TestNoServer(t *testing.T) {
	n := testNet
	if err := serverOf(n).without(); err != nil {
		t.Error(err)
	}
	n.DNS.Host = true
	if err := serverOf(n).without(); sysctl.KindOf(err) != sysctl.Unsupported || sysctl.HintOf(err) == "" {
		t.Error(err)
	}
	n.DNS.Mode = "none"
	if err := serverOf(n).without(); err != nil {
		t.Error(err)
	}
}

// dnsmasq reads the host's list of DNS servers, unless it would end for want of its directory.
func TestUnreadableServers(t *testing.T) {
	dir := t.TempDir()
	for target, want := range map[string]bool{"none/resolv.conf": true, dir + "/none/resolv.conf": true, "missing": false, dir + "/missing": false} {
		link := filepath.Join(t.TempDir(), "resolv.conf")
		must(t, os.Symlink(target, link))
		if got := unreadable(link); got != want {
			t.Errorf("-> %s: %v", target, got)
		}
	}
	if unreadable(filepath.Join(dir, "resolv.conf")) {
		t.Error("one that is not there may come")
	}
}
