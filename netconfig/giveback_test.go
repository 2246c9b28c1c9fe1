package netconfig

import (
	"net"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/vishvananda/netlink"
)

// lend makes an interface and puts it into the guest's namespace.
func lend(t *testing.T, guest namespace, name string) sysctl.Card {
	t.Helper()
	must(t, addPair(name))
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetMTU(link, 1450))
	p, err := Parent(t.Context(), name)
	must(t, err)
	must(t, netlink.LinkSetNsFd(link, int(guest.file.Fd())))
	return p.Card
}

// whole fails unless the host has the card as it was.
func whole(t *testing.T, c sysctl.Card) {
	t.Helper()
	p, err := Parent(t.Context(), c.Name)
	if err != nil || p.Card != c {
		t.Errorf("%+v %v, wanted %+v", p.Card, err, c)
	}
}

func TestGiveBack(t *testing.T) {
	home := isolate(t)
	guest := home.another(t)
	inGuest := func(f func()) { guest.run(t, home, f) }
	link := func(c sysctl.Card) netlink.Link {
		l, err := netlink.LinkByIndex(c.Index)
		must(t, err)
		return l
	}
	left := lend(t, guest, "card0")
	for range 2 {
		must(t, GiveBack(t.Context(), guest.file, []sysctl.Card{left}))
		whole(t, left)
	}
	a, b := lend(t, guest, "card1"), lend(t, guest, "card2")
	inGuest(func() {
		l := link(a)
		must(t, netlink.LinkSetName(l, "card2x"))
		must(t, netlink.LinkSetHardwareAddr(l, net.HardwareAddr{2, 0, 0, 0, 0, 9}))
		must(t, netlink.LinkSetMTU(l, 1300))
		must(t, netlink.LinkSetUp(l))
		l = link(b)
		must(t, netlink.LinkSetName(l, "card1"))
		must(t, netlink.LinkSetUp(l))
	})
	must(t, GiveBack(t.Context(), guest.file, []sysctl.Card{a, b}))
	whole(t, a)
	whole(t, b)

	// The kernel, or a monitor that was killed, has brought it back under another name.
	must(t, netlink.LinkSetName(link(a), "eth7"))
	must(t, GiveBack(t.Context(), nil, []sysctl.Card{a}))
	whole(t, a)

	// The guest has removed it, and made another of another kind with its number.
	c := lend(t, guest, "card3")
	inGuest(func() {
		must(t, netlink.LinkDel(link(c)))
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "card3", Index: c.Index}}))
	})
	must(t, GiveBack(t.Context(), guest.file, []sysctl.Card{c}))
	if _, err := Parent(t.Context(), "card3"); sysctl.KindOf(err) != sysctl.NotFound {
		t.Errorf("what the guest made came out: %v", err)
	}

	// Somebody has taken its name.
	d := lend(t, guest, "card4")
	must(t, addPair("other4"))
	taken, err := netlink.LinkByName("other4")
	must(t, err)
	must(t, netlink.LinkSetName(taken, "card4"))
	err = GiveBack(t.Context(), guest.file, []sysctl.Card{d, a})
	if sysctl.KindOf(err) != sysctl.Conflict {
		t.Errorf("%v", err)
	}
	whole(t, a)
	must(t, netlink.LinkDel(taken))
	must(t, GiveBack(t.Context(), nil, []sysctl.Card{d}))
	whole(t, d)
}

// What the host cannot do without is told.
func TestParentOfTheDefaultRoute(t *testing.T) {
	isolate(t)
	must(t, addPair("lan0"))
	configure(t, "lan0", []string{"192.0.2.9/24"}, "192.0.2.1")
	must(t, addPair("other0"))
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	must(t, netlink.LinkAdd(br))
	other, err := netlink.LinkByName("other0")
	must(t, err)
	must(t, netlink.LinkSetMaster(other, br))
	if p, err := Parent(t.Context(), "lan0"); err != nil || !p.Default || p.Port != "" || p.Card.Kind != "veth" {
		t.Errorf("lan0 = %+v %v", p, err)
	}
	if p, err := Parent(t.Context(), "other0"); err != nil || p.Default || p.Port != "br0" {
		t.Errorf("other0 = %+v %v", p, err)
	}
}
