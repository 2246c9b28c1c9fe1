package netconfig

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestPicker(t *testing.T) {
	for _, c := range []struct {
		name, net, prefer string
		taken             []string
		want              string
		kind              sysctl.Kind
	}{
		{"first", "10.1.2.1/24", "", nil, "10.1.2.2", ""},
		{"hole", "10.1.2.1/24", "", []string{"10.1.2.2", "10.1.2.4"}, "10.1.2.3", ""},
		{"bridge elsewhere", "10.1.2.254/24", "", nil, "10.1.2.1", ""},
		{"small", "10.1.2.1/30", "", []string{"10.1.2.2"}, "", sysctl.NoSpace},
		{"end of all addresses", "255.255.255.253/30", "", []string{"255.255.255.254"}, "", sysctl.NoSpace},
		{"IPv6", "fd00::1/64", "", []string{"fd00::2"}, "fd00::3", ""},
		{"IPv6 end of all addresses", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd/126", "", []string{
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, "", sysctl.NoSpace},
		{"preferred", "10.1.2.1/24", "10.1.2.77", []string{"10.1.2.2"}, "10.1.2.77", ""},
		{"preferred taken", "10.1.2.1/24", "10.1.2.77", []string{"10.1.2.77"}, "", sysctl.Exists},
		{"preferred outside", "10.1.2.1/24", "10.1.3.1", nil, "", sysctl.Invalid},
		{"preferred broadcast", "10.1.2.1/24", "10.1.2.255", nil, "", sysctl.Invalid},
		{"no subnet", "", "", nil, "", sysctl.Invalid},
		{"no subnet, preferred", "", "10.1.2.3", nil, "", sysctl.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			taken := map[netip.Addr]bool{}
			for _, a := range c.taken {
				taken[netip.MustParseAddr(a)] = true
			}
			var prefer netip.Addr
			if c.prefer != "" {
				prefer = netip.MustParseAddr(c.prefer)
			}
			got, err := Picker(prefix(c.net), prefer)(func(a netip.Addr) bool { return taken[a] })
			if sysctl.KindOf(err) != c.kind {
				t.Fatalf("error = %v, want kind %q", err, c.kind)
			}
			if err == nil && got.String() != c.want {
				t.Errorf("picked %s, want %s", got, c.want)
			}
		})
	}
}

// Every address the picker gives is one CheckAddress allows, and all of a subnet are given.
func TestPickerFillsTheSubnet(t *testing.T) {
	n := testNetwork("br0", "t", "10.1.2.1/24", "")
	taken := map[netip.Addr]bool{}
	pick := Picker(n.IPv4, netip.Addr{})
	for range 253 {
		a, err := pick(func(a netip.Addr) bool { return taken[a] })
		must(t, err)
		must(t, CheckAddress(n, a))
		taken[a] = true
	}
	if _, err := pick(func(a netip.Addr) bool { return taken[a] }); sysctl.KindOf(err) != sysctl.NoSpace {
		t.Errorf("254th address: %v", err)
	}
}

func TestCheckAddress(t *testing.T) {
	n := testNetwork("br0", "t", "10.1.2.1/24", "fd00::1/64")
	for address, want := range map[string]string{
		"10.1.2.2": "", "10.1.2.254": "", "fd00::2": "", "fd00::ffff:ffff:ffff:ffff": "",
		"10.1.3.2":        "outside the network: 10.1.2.1 to 10.1.2.254",
		"10.1.2.0":        "10.1.2.1 to 10.1.2.254",
		"10.1.2.255":      "10.1.2.1 to 10.1.2.254",
		"10.1.2.1":        "bridge's own",
		"fd00::1":         "bridge's own",
		"fd00::":          "fd00::1 to",
		"fd01::2":         "outside the network: fd00::1 to fd00::ffff:ffff:ffff:ffff",
		"fd00::2%eth0":    "not a plain address",
		"::ffff:10.1.2.3": "not a plain address",
	} {
		err := CheckAddress(n, netip.MustParseAddr(address))
		if want == "" && err != nil || want != "" && (sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	if err := CheckAddress(n, netip.Addr{}); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("no address: %v", err)
	}
	n.IPv6 = netip.Prefix{}
	if err := CheckAddress(n, netip.MustParseAddr("fd00::2")); err == nil || !strings.Contains(err.Error(), "has no IPv6") {
		t.Errorf("no IPv6: %v", err)
	}
}

func TestMAC(t *testing.T) {
	seen := map[string]bool{}
	for id := range int64(100000) {
		mac := MAC("env", id, "eth0")
		if seen[mac] {
			t.Fatalf("id %d has the address of another: %s", id, mac)
		}
		seen[mac] = true
	}
	mac := MAC("env", 1, "eth0")
	if hw, err := net.ParseMAC(mac); err != nil || !strings.HasPrefix(mac, "00:16:3e:") || hw[0]&1 != 0 {
		t.Errorf("MAC = %s, %v", mac, err)
	}
	if mac != MAC("env", 1, "eth0") || mac == MAC("env", 1, "eth1") || mac == MAC("other", 1, "eth0") {
		t.Error("MAC does not follow from environment, instance and device alone")
	}
}
