package guest_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/netconfig/guest"
)

func TestProbe(t *testing.T) {
	const (
		networkdOn = "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
		nmOn       = "/etc/systemd/system/multi-user.target.wants/NetworkManager.service"
	)
	ifup := map[string]string{"/sbin/ifup": "elf", "/etc/init.d/networking": "", "/etc/network/if-up.d/x": "", "/var/lib/dpkg/status": dpkg("0.8.41")}
	networkd := map[string]string{"/lib/systemd/system/systemd-networkd.service": ""}
	for _, c := range []struct {
		name              string
		files             []map[string]string
		renderer, dialect string
		evidence          string
	}{
		{"empty tree", nil, guest.None, "", "no program"},
		{"ifupdown", []map[string]string{ifup}, guest.Ifupdown, "0.8", "ifupdown 0.8.41"},
		{"old", []map[string]string{ifup, {"/var/lib/dpkg/status": dpkg("0.6.8+nmu3")}}, guest.Ifupdown, "0.6", "0.6.8"},
		{"beta", []map[string]string{ifup, {"/var/lib/dpkg/status": dpkg("0.7~beta2ubuntu11")}}, guest.Ifupdown, "0.7", "0.7~beta2"},
		{"removed package", []map[string]string{ifup, {"/sbin/ifup": "a version 0.7.53 b",
			"/var/lib/dpkg/status": strings.ReplaceAll(dpkg("0.8.41"), "ok installed", "ok config-files")}}, guest.Ifupdown, "0.7", "0.7.53"},
		{"unknown version", []map[string]string{ifup, {"/var/lib/dpkg/status": ""}}, guest.Ifupdown, "0.7", "unknown version"},
		{"newer than we know", []map[string]string{ifup, {"/var/lib/dpkg/status": dpkg("1:1.2.3")}}, guest.Ifupdown, "0.8", "1:1.2.3"},
		{"ifup without a service", []map[string]string{{"/sbin/ifup": "-> /bin/busybox", "/bin/busybox": "", "/etc/network/": ""}}, guest.None, "", "no service"},
		{"ifup masked", []map[string]string{{"/sbin/ifup": "", "/etc/network/": "", "/lib/systemd/system/networking.service": "",
			"/etc/systemd/system/networking.service": "-> /dev/null"}, networkd}, guest.Networkd, "", "nobody else"},
		{"ifup that leads out of sight", []map[string]string{{"/sbin/ifup": "-> /nowhere", "/etc/network/": "", "/etc/init.d/networking": ""}}, guest.None, "", "no program"},
		{"networkd enabled", []map[string]string{networkd, {networkdOn: "-> x"}}, guest.Networkd, "", "enabled"},
		{"networkd enabled, not there", []map[string]string{{networkdOn: "-> x"}}, guest.None, "", "no program"},
		{"networkd installed only", []map[string]string{networkd}, guest.Networkd, "", "nobody else"},
		{"networkd beside idle ifupdown", []map[string]string{ifup, networkd, {networkdOn: "-> x", "/etc/network/interfaces": "auto lo\niface lo inet loopback\n"}}, guest.Networkd, "", "names no interface"},
		{"networkd beside busy ifupdown", []map[string]string{ifup, networkd, {networkdOn: "-> x", "/etc/network/interfaces": "source interfaces.d/*\n",
			"/etc/network/interfaces.d/eth0": "iface eth0 inet dhcp\n"}}, guest.Ifupdown, "0.8", "0.8.41"},
		{"NetworkManager beside ifupdown", []map[string]string{ifup, {nmOn: "-> x"}}, guest.Ifupdown, "0.8", "0.8.41"},
		{"NetworkManager beside networkd", []map[string]string{networkd, {nmOn: "-> x"}}, guest.None, "", "NetworkManager.service"},
		{"netplan", []map[string]string{networkd, {networkdOn: "-> x", "/usr/sbin/netplan": "", "/etc/netplan/50-cloud-init.yaml": ""}}, guest.None, "", "50-cloud-init.yaml"},
		{"netplan without files", []map[string]string{networkd, {networkdOn: "-> x", "/usr/sbin/netplan": "", "/etc/netplan/": ""}}, guest.Networkd, "", "enabled"},
		{"Red Hat's ifup", []map[string]string{{"/sbin/ifup": "#!/bin/bash\n", "/etc/sysconfig/network-scripts/network-functions": ""}}, guest.None, "", "network-functions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for _, f := range c.files {
				maps.Copy(files, f)
			}
			renderer, dialect, evidence := guest.Probe(treetest.New(files))
			if renderer != c.renderer || dialect != c.dialect || !strings.Contains(strings.Join(evidence, "\n"), c.evidence) {
				t.Errorf("%s %q %q, want %s %q with %q", renderer, dialect, evidence, c.renderer, c.dialect, c.evidence)
			}
		})
	}
}
