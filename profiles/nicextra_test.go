package profiles

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func resolveNIC(options string) (sysctl.Spec, error) {
	d := sysctl.Device{"type": "nic"}
	for _, o := range strings.Fields(options) {
		name, value, _ := strings.Cut(o, "=")
		d[name] = value
	}
	return Resolve(nil, map[string]sysctl.Device{"eth0": d})
}

func TestNICExtra(t *testing.T) {
	for options, want := range map[string]sysctl.Link{
		"network=br limits.max=1Mbit":                                               {Ingress: 1e6, Egress: 1e6},
		"network=br limits.ingress=1Mibit security.ipv4_filtering=1":                {Ingress: 1 << 20, FilterIPv4: true, FilterMAC: true},
		"nictype=bridged parent=br0 vlan=none vlan.tagged=7,5-6,5":                  {VLAN: -1, Tagged: []int{5, 6, 7}},
		"network=br security.port_isolation=yes queue.tx.length=9 host_name=vethx0": {Isolated: true, TxQueue: 9},
	} {
		spec, err := resolveNIC(options)
		if err != nil || !reflect.DeepEqual(spec.NICs[0].Link, want) {
			t.Errorf("%s: %+v, %v, want %+v", options, spec, err, want)
		}
	}
	for options, want := range map[string]string{
		"network=br limits.max=1Mbit limits.egress=2Mbit": "devices.eth0.limits.egress: cannot stand beside limits.max",
		"network=br vlan=5": "devices.eth0.vlan: needs an existing bridge",
		"nictype=bridged parent=br0 vlan=5 vlan.tagged=4-6":                   "devices.eth0.vlan.tagged: 5 is the VLAN without a tag already",
		"nictype=macvlan parent=eth1 limits.ingress=1Mbit":                    "devices.eth0.limits.ingress: is for a nic on a bridge",
		"nictype=physical parent=eth1 host_name=x":                            "devices.eth0.host_name: is for a nic on a bridge",
		"nictype=bridged parent=br0 security.ipv4_filtering=true":             "devices.eth0.security.ipv4_filtering: needs a fixed ipv4.address",
		"nictype=bridged parent=br0 security.ipv6_filtering=true vlan=nought": "devices.eth0.security.ipv6_filtering: needs a fixed ipv6.address",
	} {
		if _, err := resolveNIC(options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
}
