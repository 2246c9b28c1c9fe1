package profiles_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// networkValues has, for every key of networks, values that are right and values that are wrong with a part of the message.
var networkValues = map[string]struct {
	good []string
	bad  map[string]string
}{
	"bridge.mtu":         {[]string{"", "1400", "9000"}, map[string]string{"67": "whole number", "x": "whole number", "65536": "whole number"}},
	"dns.domain":         {[]string{"", "lab", "a-b.example"}, map[string]string{"a..b": "domain", "-a": "domain", "a b": "domain", "ü": "domain", "a.": "domain"}},
	"dns.host":           {[]string{"", "true"}, map[string]string{"x": "neither"}},
	"dns.mode":           {[]string{"", "managed", "dynamic", "none"}, map[string]string{"some": `"dynamic"`}},
	"dns.nameservers":    {[]string{"", "9.9.9.9", "9.9.9.9, 2620:fe::fe"}, map[string]string{"dns.example": "not an address", "0.0.0.0": "not an address"}},
	"dns.search":         {[]string{"", "a.example,b"}, map[string]string{"a_ b": "domain"}},
	"ipv4.address":       {[]string{"", "auto", "none", "10.1.2.1/24", "10.1.2.129/25"}, map[string]string{"10.1.2.0/24": `"10.1.2.1/24"`, "10.1.2.1": "subnet's length", "10.1.2.1/31": "from 8 to 30", "10.0.0.1/7": "from 8", "fd42::1/64": "IPv4", "10.1.2.255/24": "cannot be", "127.0.0.1/8": "cannot be"}},
	"ipv6.address":       {[]string{"", "auto", "none", "fd42::1/64"}, map[string]string{"10.1.2.1/24": "IPv6", "fd42::/64": `"fd42::1/64"`, "fe80::1/64": "cannot be", "fd42::1/127": "to 126"}},
	"ipv4.nat":           {[]string{"", "true"}, map[string]string{"x": "neither"}},
	"ipv6.nat":           {[]string{"", "true"}, map[string]string{"x": "neither"}},
	"ipv4.nat.address":   {[]string{""}, map[string]string{"x": "IPv4 address", "fd42::1": "IPv4 address", "10.0.0.9": "without ipv4.nat"}},
	"ipv6.nat.address":   {[]string{""}, map[string]string{"10.0.0.1": "IPv6 address"}},
	"ipv4.firewall":      {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv6.firewall":      {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv4.routing":       {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv6.routing":       {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv4.routes":        {[]string{"", "192.0.2.0/24, 198.51.100.0/24"}, map[string]string{"x": "IPv4 subnet", "0.0.0.0/0": "IPv4 subnet", "2001:db8::/32": "IPv4 subnet", "10.1.2.128/25": "own subnet"}},
	"ipv6.routes":        {[]string{"", "2001:db8::/32"}, map[string]string{"192.0.2.0/24": "IPv6 subnet"}},
	"ipv4.dhcp":          {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv6.dhcp":          {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv6.dhcp.stateful": {[]string{"", "true"}, map[string]string{"x": "neither"}},
	"ipv6.ra":            {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"ipv4.dhcp.expiry":   {[]string{"", "2m", "12h", "3d", "infinite"}, map[string]string{"1m": "at least", "12": "not a time", "h": "not a time", "-5h": "not a time"}},
	"ipv6.dhcp.expiry":   {[]string{"", "1w"}, map[string]string{"119s": "at least"}},
	"ipv4.dhcp.gateway":  {[]string{"", "10.1.2.9"}, map[string]string{"10.1.3.9": "outside", "x": "IPv4 address"}},
	"ipv4.dhcp.ranges":   {[]string{"", "10.1.2.9-10.1.2.20", "10.1.2.9-10.1.2.9,10.1.2.30-10.1.2.40"}, map[string]string{"10.1.2.9": "FIRST-LAST", "10.1.2.9-10.1.2.8": "FIRST-LAST", "10.1.3.9-10.1.3.10": "outside", "fd42::1-fd42::2": "FIRST-LAST"}},
	"ipv6.dhcp.ranges":   {[]string{"", "fd42::9-fd42::20"}, map[string]string{"10.1.2.9-10.1.2.10": "FIRST-LAST"}},
	"raw.dnsmasq":        {[]string{"", "address=/a/10.0.0.1\nlog-queries"}, map[string]string{"a\x00": "NUL"}},
	"security.isolation": {[]string{"", "false"}, map[string]string{"x": "neither"}},
	"user.note":          {[]string{"", "anything: at all\n"}, map[string]string{"\xff": "UTF-8"}},
}

func TestNetworkKeys(t *testing.T) {
	base := map[string]string{"ipv4.address": "10.1.2.1/24", "ipv6.address": "fd42::1/64"}
	with := func(key, value string) sysctl.Network {
		n := sysctl.Network{Name: "lab", Config: maps.Clone(base)}
		n.Config[key] = value
		return n
	}
	for _, k := range profiles.NetworkKeys() {
		name := strings.Replace(k.Name, "*", "note", 1)
		v, ok := networkValues[name]
		if !ok {
			t.Errorf("no values of %s are tried", k.Name)
		}
		if err := k.Check(k.Example); err != nil {
			t.Errorf("the example of %s: %v", k.Name, err)
		}
		for _, good := range v.good {
			if _, err := profiles.ResolveNetwork(with(name, good)); err != nil {
				t.Errorf("%s=%q: %v", name, good, err)
			}
		}
		for bad, part := range v.bad {
			_, err := profiles.ResolveNetwork(with(name, bad))
			if sysctl.KindOf(err) != sysctl.Invalid || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), part) {
				t.Errorf("%s=%q: %v, want %q", name, bad, err, part)
			}
		}
	}
	if len(networkValues) != len(profiles.NetworkKeys()) {
		t.Errorf("values of %d keys are tried, there are %d", len(networkValues), len(profiles.NetworkKeys()))
	}
}

// Nothing said is the safe default; keys that are true by default are kept as their opposites.
func TestResolveNetworkDefaults(t *testing.T) {
	n, err := profiles.ResolveNetwork(sysctl.Network{Name: "lab"})
	if err != nil || n.Open || n.NAT || n.NAT6 || n.V4.NoDHCP || n.V6.Router || n.Domain != "sysctl" || n.DNS.Mode != "managed" {
		t.Errorf("%+v, %v", n, err)
	}
	n, err = profiles.ResolveNetwork(sysctl.Network{Name: "lab", Config: map[string]string{"security.isolation": "false", "ipv4.dhcp": "no", "ipv6.ra": "on", "ipv4.nat": "1", "ipv4.address": "10.1.2.1/24"}})
	if err != nil || !n.Open || !n.V4.NoDHCP || !n.V6.Router || !n.NAT || n.IPv4.String() != "10.1.2.1/24" {
		t.Errorf("%+v, %v", n, err)
	}
	_, err = profiles.ResolveNetwork(sysctl.Network{Name: "lab", Config: map[string]string{"ipv4.address": "none", "ipv4.nat": "true"}})
	if err == nil || !strings.HasPrefix(err.Error(), "ipv4.nat: ") {
		t.Errorf("NAT of nothing: %v", err)
	}
}

func TestNetworkFile(t *testing.T) {
	n := sysctl.Network{Name: "lab", Description: "yes", Config: map[string]string{"ipv4.address": "none", "raw.dnsmasq": "a=1\nb=2\n", "user.n": "on"}}
	text, err := profiles.EncodeNetwork(n)
	if err != nil {
		t.Fatal(err)
	}
	back, err := profiles.DecodeNetwork(bytes.NewReader(text), "f")
	if err != nil || back.Name != n.Name || back.Description != n.Description || !maps.Equal(back.Config, n.Config) {
		t.Errorf("%+v, %v\n%s", back, err, text)
	}
}
