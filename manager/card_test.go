package manager_test

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// A card of the host goes to one instance, unless the host cannot do without it, and nobody makes up what it has.
func TestPhysicalNIC(t *testing.T) {
	h := newHouse(t)
	card := func(parent string, more ...string) map[string]sysctl.Device {
		d := sysctl.Device{"type": "nic", "nictype": "physical", "parent": parent}
		for i := 0; i < len(more); i += 2 {
			d[more[i]] = more[i+1]
		}
		return map[string]sysctl.Device{"eth0": d}
	}
	create := func(name string, start bool, devices map[string]sysctl.Device) error {
		_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: name, Devices: devices, Start: start})
		return err
	}
	refused := func(what, want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, wanted %q", what, err, want)
		}
	}
	for parent, want := range map[string]string{
		"nope": "there is no interface", "br9": `is a bridge, which cannot be given away: write nictype "bridged"`,
		"way9": `default route leads through way9, without which it would be cut off: write nictype "macvlan"`, "port9": "is part of br9: take it out first (ip link set port9 nomaster)",
	} {
		err := create("x", false, card(parent))
		kind(t, err, sysctl.Invalid)
		refused(parent, "devices.eth0.parent: ", err)
		refused(parent, want, err)
	}
	refused("no length", "write it as 192.168.7.5/LENGTH", create("x", false, card("card9", "ipv4.address", "192.168.7.5")))
	if err := create("a", true, card("card9", "ipv4.address", "192.168.7.5/24")); err != nil {
		t.Fatal(err)
	}
	if b := h.w.running[1].boot; len(b.NICs) != 0 || len(b.Wiring.Plugged) != 1 {
		t.Fatalf("boot %+v", b)
	}
	n := h.w.running[1].boot.Wiring.Plugged[0]
	if n.Type != "phys" || n.Link != "card9" || n.HostName != "" || n.MAC != "" || n.Card.Index != 9 {
		t.Errorf("boot NIC = %+v", n)
	}
	if g := h.w.network.NICs[0]; len(g.Addresses) != 1 || g.Gateway4.IsValid() || g.Method6 != sysctl.MethodSLAAC {
		t.Errorf("guest NIC = %+v", g)
	}
	refused("a second user", "card9 is in use by instance a", create("b", false, card("card9")))
	_, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "b", Network: "lan:card9"})
	refused("a macvlan on it", "card9 is in use by instance a", err)
	// It is away, which is no error of the one who has it.
	note := "1"
	if _, err := h.SetConfig(t.Context(), "a", map[string]*string{"user.note": &note}); err != nil {
		t.Error(err)
	}
	kind(t, h.Delete(t.Context(), "a", manager.DeleteOptions{Force: true}), "")
	if _, err := h.Create(t.Context(), manager.CreateOptions{Source: "debian12", Name: "m", Network: "lan:card9"}); err != nil {
		t.Fatal(err)
	}
	refused("one on which another hangs", "card9 is in use by instance m", create("b", false, card("card9")))
}
