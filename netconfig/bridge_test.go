package netconfig

import (
	"bytes"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

var testNet = testNetwork("sysbr9", "sysctl-test", "10.77.1.1/24", "fd77:1::1/64")

// picture is everything of a namespace that EnsureBridge may change: links, addresses, rules
// with their handles, settings.
func picture(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		a := l.Attrs()
		fmt.Fprintln(&b, "link", a.Index, a.Name, l.Type(), a.HardwareAddr, a.MTU, a.Flags&net.FlagUp)
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		must(t, err)
		for _, a := range addrs {
			if !a.IP.IsLinkLocalUnicast() { // the kernel gives it when it likes
				fmt.Fprintln(&b, "  address", a.IPNet, a.Flags&unix.IFA_F_TENTATIVE)
			}
		}
	}
	c := new(nftables.Conn)
	all, err := c.ListChains()
	must(t, err)
	for _, chain := range all {
		fmt.Fprintln(&b, "chain", chain.Table.Family, chain.Table.Name, chain.Name)
		rules, err := c.GetRules(chain.Table, chain)
		must(t, err)
		for _, r := range rules {
			fmt.Fprintln(&b, "  rule", r.Handle, commentOf(r.UserData), len(r.Exprs))
		}
	}
	return b.String()
}

func TestEnsureTwiceIsOnce(t *testing.T) {
	isolate(t)
	n := testNet
	n.MTU = 1400
	must(t, EnsureBridge(t.Context(), n))
	first := picture(t)
	must(t, EnsureBridge(t.Context(), n))
	if second := picture(t); first != second {
		t.Errorf("the second EnsureBridge changed something:\n%s\nwas:\n%s", second, first)
	}
	link, err := netlink.LinkByName(n.Name)
	must(t, err)
	a := link.Attrs()
	if link.Type() != "bridge" || !bytes.Equal(a.HardwareAddr, BridgeMAC(n)) || a.MTU != 1400 || a.Flags&net.FlagUp == 0 {
		t.Errorf("bridge = %s %s MTU %d %s", link.Type(), a.HardwareAddr, a.MTU, a.Flags)
	}
	for _, want := range []string{"address 10.77.1.1/24 0\n", "address fd77:1::1/64 0\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	for knob, want := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1",
		"ipv6/conf/sysbr9/accept_ra": "0", "ipv6/conf/sysbr9/accept_dad": "0",
	} {
		if got, err := readKnob(knob); got != want || err != nil {
			t.Errorf("%s = %q, %v; want %s", knob, got, err, want)
		}
	}
}

func TestEnsureRepairs(t *testing.T) {
	isolate(t)
	must(t, EnsureBridge(t.Context(), testNet))
	want := picture(t)
	link, err := netlink.LinkByName(testNet.Name)
	must(t, err)
	for name, harm := range map[string]func(){
		"link down":       func() { must(t, netlink.LinkSetDown(link)) },
		"address gone":    func() { must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: toIPNet(testNet.IPv4)})) },
		"v6 address gone": func() { must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: toIPNet(testNet.IPv6)})) },
		"forwarding off":  func() { must(t, setKnob("ipv4/ip_forward", "0")) },
		"rules flushed": func() {
			c := new(nftables.Conn)
			c.FlushTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: testNet.Table})
			must(t, c.Flush())
		},
	} {
		harm()
		must(t, EnsureBridge(t.Context(), testNet))
		if got := withoutHandles(picture(t)); got != withoutHandles(want) {
			t.Errorf("%s: not repaired:\n%s\nwant:\n%s", name, got, want)
		}
		if v, _ := readKnob("ipv4/ip_forward"); v != "1" {
			t.Errorf("%s: forwarding is %s", name, v)
		}
	}
}

// withoutHandles sorts and drops what a repair may change: handles and order.
func withoutHandles(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if f := strings.Fields(l); len(f) > 2 && f[0] == "rule" {
			lines[i] = strings.Join(append(f[:1], f[2:]...), " ")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRulesAreWhatWasMeant(t *testing.T) {
	for _, nat := range []bool{true, false} {
		t.Run(fmt.Sprint("nat=", nat), func(t *testing.T) {
			isolate(t)
			n := testNet
			n.NAT, n.NAT6 = nat, nat
			must(t, EnsureBridge(t.Context(), n))
			table := &nftables.Table{Family: nftables.TableFamilyINet, Name: n.Table}
			var got []rule
			for _, chain := range chains(table) {
				rules, err := new(nftables.Conn).GetRules(table, chain)
				must(t, err)
				for _, r := range rules {
					got = append(got, rule{chain: chain.Name, exprs: r.Exprs})
				}
			}
			want := wantedRules(n)
			if len(got) != len(want) {
				t.Fatalf("%d rules, want %d", len(got), len(want))
			}
			for i, w := range want {
				if got[i].chain != w.chain || !reflect.DeepEqual(got[i].exprs, w.exprs) {
					t.Errorf("rule %d of chain %s is not %q", i, got[i].chain, w.text)
				}
			}
			if masquerades := slices.ContainsFunc(got, func(r rule) bool { return r.chain == "postrouting" }); masquerades != nat {
				t.Errorf("masquerade rules: %v, want %v", masquerades, nat)
			}
		})
	}
}

// A changed network replaces its own rules only.
func TestChangedNetworkReplacesItsRules(t *testing.T) {
	isolate(t)
	other := testNetwork("sysbr8", testNet.Table, "10.77.2.1/24", "")
	must(t, EnsureBridge(t.Context(), testNet))
	must(t, EnsureBridge(t.Context(), other))
	n := testNet
	n.NAT, n.NAT6 = false, false
	must(t, EnsureBridge(t.Context(), n))
	live, err := liveRules(nftables.TableFamilyINet, n.Table)
	must(t, err)
	if !asWanted(live, wantedRules(n), n.Name) || !asWanted(live, wantedRules(other), other.Name) {
		t.Errorf("rules: %+v", live)
	}
}

func TestEnvironmentsAndForeignRules(t *testing.T) {
	isolate(t)
	c := new(nftables.Conn)
	foreign := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "foreign"})
	chain := c.AddChain(chains(foreign)[1])
	c.AddRule(&nftables.Rule{Table: foreign, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}, UserData: comment("sysbr9 not ours")})
	must(t, c.Flush())
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "otherbr"}}))
	before := picture(t)

	one := testNet
	two := testNetwork("sysbr8", "sysctl-two", "10.77.2.1/24", "fd77:2::1/64")
	same := testNetwork("sysbr7", one.Table, "10.77.3.1/24", "")
	for _, n := range []sysctl.Network{one, two, same} {
		must(t, EnsureBridge(t.Context(), n))
	}
	withTwo := func(n sysctl.Network) bool {
		live, err := liveRules(nftables.TableFamilyINet, n.Table)
		must(t, err)
		return asWanted(live, wantedRules(n), n.Name)
	}
	must(t, RemoveBridge(t.Context(), one))
	if !withTwo(two) || !withTwo(same) {
		t.Error("removing one network took another's rules")
	}
	for _, n := range []sysctl.Network{same, two, two} {
		must(t, RemoveBridge(t.Context(), n))
	}
	if after := picture(t); after != before {
		t.Errorf("after removal:\n%s\nbefore:\n%s", after, before)
	}
}

func TestConflicts(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(t *testing.T)
		want  string
	}{
		{"not a bridge", func(t *testing.T) {
			must(t, addPair(testNet.Name))
		}, "is a veth, not a bridge"},
		{"somebody else's bridge", func(t *testing.T) {
			must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: testNet.Name}}))
		}, "made by somebody else"},
		{"another environment's bridge", func(t *testing.T) {
			must(t, EnsureBridge(t.Context(), testNetwork(testNet.Name, "sysctl-two", "10.77.2.1/24", "")))
		}, "made by somebody else"},
		{"subnet of another interface", func(t *testing.T) {
			must(t, addPair("lan0"))
			configure(t, "lan0", []string{"10.77.0.9/16"})
		}, "clashes with 10.77.0.9/16 on interface lan0"},
		{"IPv6 subnet of another interface", func(t *testing.T) {
			must(t, addPair("lan0"))
			configure(t, "lan0", []string{"fd77:1::9/64"})
		}, "clashes with fd77:1::9/64 on interface lan0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			c.setup(t)
			before := picture(t)
			err := EnsureBridge(t.Context(), testNet)
			if sysctl.KindOf(err) != sysctl.Conflict || !strings.Contains(err.Error(), c.want) || sysctl.HintOf(err) == "" {
				t.Errorf("EnsureBridge: %v (hint %q), want a Conflict with %q", err, sysctl.HintOf(err), c.want)
			}
			if after := picture(t); after != before {
				t.Errorf("something was changed:\n%s\nbefore:\n%s", after, before)
			}
			if err := RemoveBridge(t.Context(), testNet); err != nil && sysctl.KindOf(err) != sysctl.Conflict {
				t.Errorf("RemoveBridge: %v", err)
			}
			if after := picture(t); after != before {
				t.Errorf("RemoveBridge took what is not ours:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// addPair makes a veth pair: interfaces that are not bridges.
func addPair(name string) error {
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p-" + name})
}

func TestBadNetworks(t *testing.T) {
	bad := sysctl.Network{Name: "a/b", Bridge: "a/b", IPv4: prefix("10.1.2.0/24"), IPv6: prefix("10.1.2.1/24")}
	for _, f := range []func() error{
		func() error { return EnsureBridge(t.Context(), bad) },
		func() error { return RemoveBridge(t.Context(), bad) },
	} {
		err := f()
		if sysctl.KindOf(err) != sysctl.Invalid {
			t.Fatalf("error = %v", err)
		}
		for _, field := range []string{"name:", "table:", "ipv4.address:", "ipv6.address:"} {
			if !strings.Contains(err.Error(), field) {
				t.Errorf("%q does not name %s", err, field)
			}
		}
	}
}

// Many processes ensure at every start: none fails, and the result is the same as of one.
func TestManyAtOnce(t *testing.T) {
	ns := isolate(t)
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			runtime.LockOSThread() // not unlocked: the thread must not be used for anything else
			if errs[i] = unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); errs[i] == nil {
				errs[i] = EnsureBridge(t.Context(), testNet)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
	must(t, EnsureBridge(t.Context(), testNet))
	live, err := liveRules(nftables.TableFamilyINet, testNet.Table)
	must(t, err)
	if !asWanted(live, wantedRules(testNet), testNet.Name) {
		t.Errorf("rules: %+v", live)
	}
}

// The bridge keeps its address when a port with a lower one joins and leaves.
func TestBridgeAddressStays(t *testing.T) {
	isolate(t)
	must(t, EnsureBridge(t.Context(), testNet))
	must(t, addPair("d0"))
	port, err := netlink.LinkByName("d0")
	must(t, err)
	must(t, netlink.LinkSetHardwareAddr(port, net.HardwareAddr{0, 0, 0, 0, 0, 1}))
	bridge, err := netlink.LinkByName(testNet.Name)
	must(t, err)
	must(t, netlink.LinkSetMaster(port, bridge))
	bridge, err = netlink.LinkByName(testNet.Name)
	must(t, err)
	if !bytes.Equal(bridge.Attrs().HardwareAddr, BridgeMAC(testNet)) {
		t.Errorf("address is %s", bridge.Attrs().HardwareAddr)
	}
	if mac := BridgeMAC(testNet); mac[0]&3 != 2 {
		t.Errorf("%s is not locally administered unicast", mac)
	}
}

func BenchmarkEnsureBridge(b *testing.B) {
	isolate(b)
	must(b, EnsureBridge(b.Context(), testNet))
	for b.Loop() {
		must(b, EnsureBridge(b.Context(), testNet))
	}
}
