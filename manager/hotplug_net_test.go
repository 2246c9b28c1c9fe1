package manager_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// Proxies come and go while the instance runs, and whatever fails under way leaves what there was.
func TestProxiesArePluggedLive(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "a", Start: true, IPs: []string{"10.99.0.2"}}); err != nil {
		t.Fatal(err)
	}
	set := func(words ...string) ([]string, error) { return h.SetConfig(t.Context(), "a", sets(words...)) }
	web := []string{"devices.web.type=proxy", "devices.web.listen=tcp:0.0.0.0:80", "devices.web.connect=tcp:127.0.0.1:80"}
	if live, err := set(web...); err != nil || len(live) != 3 || len(h.w.forwards) != 1 || len(h.w.running[1].boot.Wiring.Proxies) != 1 {
		t.Fatalf("plug: %v, %v, %+v", live, err, h.w.forwards)
	}
	// It becomes packets that are sent on, and a process again.
	if _, err := set("devices.web.listen=tcp:192.0.2.1:80", "devices.web.connect=tcp:10.99.0.2:80"); err != nil || len(h.w.forwards) != 0 || len(h.w.ports) != 1 ||
		!h.w.set[len(h.w.set)-1].Hairpin || h.w.set[len(h.w.set)-1].Name != h.w.running[1].boot.NICs[0].HostName {
		t.Errorf("by NAT: %v, %v, %v, %v", err, h.w.forwards, h.w.ports, h.w.set)
	}
	if _, err := set("devices.web.nat=false"); err != nil || len(h.w.forwards) != 1 || len(h.w.ports) != 0 {
		t.Errorf("as a process: %v, %v, %v", err, h.w.forwards, h.w.ports)
	}
	if live, err := set("devices.web"); err != nil || !slices.Equal(live, []string{"devices.web"}) || len(h.w.forwards) != 0 || len(h.w.running[1].boot.Wiring.Proxies) != 0 {
		t.Errorf("unplug: %v, %v, %v", live, err, h.w.forwards)
	}
	h.untilNoFault(func() error { _, err := set(web...); return err }, func(step int, err error) {
		if !errors.Is(err, errInjected) || len(h.w.forwards) != 0 || len(h.w.running[1].boot.Wiring.Proxies) != 0 {
			t.Errorf("fault %d: %v: %v, %+v", step, err, h.w.forwards, h.w.running[1].boot.Wiring)
		}
		if inst, err := h.Info(t.Context(), "a"); err != nil || inst.Devices["web"] != nil {
			t.Errorf("fault %d: %v is configured", step, inst.Devices)
		}
	})
}

// What is set on a link is set at once; what a link is waits.
func TestLinksAreSetLive(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "a", Start: true, IPs: []string{"10.99.0.2"}}); err != nil {
		t.Fatal(err)
	}
	live, err := h.SetConfig(t.Context(), "a", sets("devices.eth0.limits.max=1Mbit", "devices.eth0.security.ipv4_filtering=true"))
	if err != nil || len(live) != 2 || len(h.w.set) != 1 {
		t.Fatalf("%v, %v, %+v", live, err, h.w.set)
	}
	if l := h.w.set[0]; l.Ingress != 1e6 || l.Egress != 1e6 || !l.FilterMAC || l.MAC == "" || len(l.Addresses) != 2 || l.Name != h.w.running[1].boot.NICs[0].HostName {
		t.Errorf("%+v", l)
	}
	if links := h.w.running[1].boot.Wiring.Links; len(links) != 1 {
		t.Errorf("noted: %+v", links)
	}
	live, err = h.SetConfig(t.Context(), "a", sets("devices.eth0.limits.max", "devices.eth0.security.ipv4_filtering"))
	if l := h.w.set[len(h.w.set)-1]; err != nil || len(live) != 2 || l.Ingress != 0 || l.FilterMAC {
		t.Errorf("%v, %v, %+v", live, err, l)
	}
	// Another interface takes its place.
	was := h.w.running[1].boot.NICs[0].HostName
	live, err = h.SetConfig(t.Context(), "a", sets("devices.eth0.host_name=vethx"))
	if w := h.w.running[1].boot.Wiring; err != nil || len(live) != 1 || h.w.links[was] || !h.w.links["vethx"] || !slices.Equal(w.Removed, []string{was}) || len(w.Plugged) != 1 {
		t.Errorf("host_name: %v, %v, %v, %+v", live, err, h.w.links, w)
	}
}

// Other VLANs are set on the link that is there, but not the bridge's own again: which those are is not known.
func TestVLANsAreSetLive(t *testing.T) {
	h := newHouse(t)
	nic := sysctl.Device{"type": "nic", "nictype": "bridged", "parent": "br9", "ipv4.address": "192.168.9.2", "ipv6.address": "none", "vlan": "7"}
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "a", Start: true, Devices: map[string]sysctl.Device{"eth0": nic}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set    string
		vlan   int
		tagged []int
	}{{"vlan=8", 8, nil}, {"vlan.tagged=9-10", 8, []int{9, 10}}, {"vlan=none", -1, []int{9, 10}}, {"vlan", 0, []int{9, 10}}} {
		live, err := h.SetConfig(t.Context(), "a", sets("devices.eth0."+c.set))
		if l := h.w.set[len(h.w.set)-1]; err != nil || len(live) != 1 || l.VLAN != c.vlan || !slices.Equal(l.Tagged, c.tagged) {
			t.Errorf("%s: %v, %v, %+v", c.set, live, err, l)
		}
		if w := h.w.running[1].boot.Wiring; len(w.Plugged) != 0 || len(w.Links) != 1 || w.Links[0].VLAN != c.vlan || !slices.Equal(w.Links[0].Tagged, c.tagged) {
			t.Errorf("%s: noted %+v", c.set, w)
		}
	}
	live, err := h.SetConfig(t.Context(), "a", sets("devices.eth0.vlan.tagged"))
	if w := h.w.running[1].boot.Wiring; err != nil || len(live) != 1 || len(w.Plugged) != 1 || w.Links[0].HasVLANs() {
		t.Errorf("without: %v, %v, %+v", live, err, w)
	}
}

// Interfaces come and go while the instance runs, and whatever fails under way leaves what there was.
func TestNICsArePluggedLive(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "a", Start: true}); err != nil {
		t.Fatal(err)
	}
	h.w.none = false
	set := func(words ...string) ([]string, error) { return h.SetConfig(t.Context(), "a", sets(words...)) }
	lan := []string{"devices.lan.type=nic", "devices.lan.network=sysbr0", "devices.lan.name=eth1", "devices.lan.limits.max=1Mbit"}
	h.untilNoFault(func() error { _, err := set(lan...); return err }, func(step int, err error) {
		if w := h.w.running[1].boot.Wiring; !errors.Is(err, errInjected) || len(h.w.links) != 1 || len(w.Plugged) != 0 || len(w.Links) != 0 {
			t.Errorf("fault %d: %v: %v, %+v", step, err, h.w.links, w)
		}
		if inst, err := h.Info(t.Context(), "a"); err != nil || inst.Devices["lan"] != nil || len(inst.NICs) != 1 {
			t.Errorf("fault %d: %v is configured, %v", step, inst.Devices, inst.NICs)
		}
	})
	w := h.w.running[1].boot.Wiring
	if len(h.w.links) != 2 || len(w.Plugged) != 1 || len(w.Links) != 1 || w.Plugged[0].Name != "eth1" || w.Plugged[0].MAC == "" || w.Links[0].Name != w.Plugged[0].HostName {
		t.Fatalf("plugged: %v, %+v", h.w.links, w)
	}
	if len(h.w.network.NICs) != 2 {
		t.Errorf("the guest is told of %+v", h.w.network.NICs)
	}
	// A reboot of the guest makes it again.
	h.w.links = map[string]bool{}
	if err := h.Wire(t.Context(), 1, 1001); err != nil || !h.w.links[w.Plugged[0].HostName] {
		t.Errorf("reboot: %v, %v", err, h.w.links)
	}
	live, err := set("devices.lan")
	if w := h.w.running[1].boot.Wiring; err != nil || len(live) != 1 || len(h.w.links) != 0 || !w.Empty() {
		t.Errorf("unplug: %v, %v, %v, %+v", live, err, h.w.links, w)
	}
	if want := [][]string{{"guest-up", "eth1"}, {"guest-down", "eth1"}}; !slices.EqualFunc(h.w.asked[len(h.w.asked)-2:], want, slices.Equal) || len(h.w.byHost) != 0 {
		t.Errorf("the guest was asked %v, from outside %v", h.w.asked, h.w.byHost)
	}
	// One that does not do it by itself has it done.
	h.w.lazy = true
	if _, err := set(lan...); err != nil || len(h.w.byHost) != 1 || len(h.w.byHost[0].Addresses) != 2 || len(h.w.running[1].boot.Wiring.Plugged[0].Addresses) != 0 {
		t.Errorf("lazy: %v, %+v", err, h.w.byHost)
	}
}

// A macvlan and an interface of the host's too, whether the instance was started with them or not; the host's are noted before they go and after
// they have come back.
func TestNICsOnParentsArePluggedLive(t *testing.T) {
	for _, c := range []struct{ nictype, kind string }{{"macvlan", "macvlan"}, {"physical", "phys"}} {
		h := newHouse(t)
		set := func(words ...string) ([]string, error) { return h.SetConfig(t.Context(), "a", sets(words...)) }
		lan := []string{"devices.lan.type=nic", "devices.lan.nictype=" + c.nictype, "devices.lan.parent=card9", "devices.lan.name=eth1", "devices.lan.ipv4.address=192.168.7.5/24"}
		h.launch(t, "a")
		cards := func(want int) bool { return c.kind != "phys" || len(h.w.cards[1]) == want }
		h.untilNoFault(func() error { _, err := set(lan...); return err }, func(step int, err error) {
			if len(h.w.network.NICs) != 1 {
				t.Errorf("%s: fault %d: the guest is told of %+v", c.nictype, step, h.w.network.NICs)
			}
			if w := h.w.running[1].boot.Wiring; !errors.Is(err, errInjected) || len(h.w.plugged) != 0 || len(w.Plugged) != 0 || !cards(0) {
				t.Errorf("%s: fault %d: %v: %v, %+v, %v", c.nictype, step, err, h.w.plugged, w, h.w.cards)
			}
		})
		if n := h.w.plugged["lan"]; n.Type != c.kind || n.Link != "card9" || n.Name != "eth1" || n.HostName != "" || len(n.Addresses) != 0 || !cards(1) {
			t.Errorf("%s: plugged %+v, cards %v", c.nictype, n, h.w.cards)
		}
		clear(h.w.plugged)
		if err := errors.Join(h.Unwire(t.Context(), 1, "/dev/null"), h.Wire(t.Context(), 1, 1001)); err != nil || len(h.w.plugged) != 1 || c.kind == "phys" && len(h.w.back) != 1 {
			t.Errorf("%s: reboot: %v, %v, given back %v", c.nictype, err, h.w.plugged, h.w.back)
		}
		var live []string
		h.untilNoFault(func() (err error) { live, err = set("devices.lan"); return err }, func(step int, err error) {
			if !errors.Is(err, errInjected) || len(h.w.plugged) != 1 || len(h.w.running[1].boot.Wiring.Plugged) != 1 || !cards(1) {
				t.Errorf("%s: unplug, fault %d: %v: %v, %v", c.nictype, step, err, h.w.plugged, h.w.cards)
			}
		})
		if w := h.w.running[1].boot.Wiring; len(live) != 1 || len(h.w.plugged) != 0 || !w.Empty() || !cards(0) {
			t.Errorf("%s: unplug: %v, %v, %+v, %v", c.nictype, live, h.w.plugged, w, h.w.cards)
		}

		// One with which the instance is started.
		if _, err := set(lan...); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.Restart(t.Context(), "a", manager.StopOptions{Force: true}), h.Wire(t.Context(), 1, 1001)); err != nil || len(h.w.plugged) != 1 {
			t.Fatalf("%s: restart: %v, %v", c.nictype, err, h.w.plugged)
		}
		if live, err := set("devices.lan"); err != nil || len(live) != 1 || len(h.w.plugged) != 0 {
			t.Errorf("%s: unplug what was there: %v, %v, %v", c.nictype, live, err, h.w.plugged)
		}
	}
}
