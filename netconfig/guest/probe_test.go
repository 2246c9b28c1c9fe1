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
	const (
		functions = "/etc/sysconfig/network-scripts/network-functions"
		nmUnit    = "/usr/lib/systemd/system/NetworkManager.service"
		wicked    = "/usr/lib/systemd/system/wicked.service"
		alias     = "/etc/systemd/system/network.service"
		netctl    = "/usr/lib/systemd/system/netctl@.service"
	)
	redhat := map[string]string{functions: "expand_config", "/etc/rc.d/init.d/network": ""}
	redhat8 := map[string]string{functions: "ipaddr[$i]=", "/etc/sysconfig/network-scripts/ifup": "which are now deprecated.", "/usr/lib/systemd/systemd": ""}
	nm := map[string]string{nmOn: "-> x", nmUnit: ""}
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
		{"NetworkManager beside networkd", []map[string]string{networkd, {nmOn: "-> x", "/lib/systemd/system/NetworkManager.service": ""}}, guest.NetworkManager, "", "NetworkManager.service is enabled"},
		{"netplan", []map[string]string{networkd, {networkdOn: "-> x", "/usr/sbin/netplan": "", "/etc/netplan/50-cloud-init.yaml": ""}}, guest.Netplan, "", "50-cloud-init.yaml"},
		{"netplan without files", []map[string]string{networkd, {networkdOn: "-> x", "/usr/sbin/netplan": "", "/etc/netplan/": ""}}, guest.Networkd, "", "enabled"},
		{"Red Hat's ifup", []map[string]string{{"/sbin/ifup": "#!/bin/bash\n", "/etc/sysconfig/network-scripts/network-functions": ""}}, guest.IfcfgRedHat, "el5", "network-functions"},
		{"EL5", []map[string]string{redhat}, guest.IfcfgRedHat, "el5", "before EL6"},
		{"EL6", []map[string]string{redhat, {functions: "ipaddr[$i]="}}, guest.IfcfgRedHat, "el6", "since EL6"},
		{"EL7, NetworkManager enabled too", []map[string]string{redhat, nm, {"/usr/lib/systemd/systemd": ""}}, guest.IfcfgRedHat, "el7", "beside systemd"},
		{"EL8 with scripts left over", []map[string]string{redhat8, nm}, guest.NetworkManager, "", "is enabled"},
		{"EL8 with scripts enabled", []map[string]string{redhat8, nm, {"/etc/rc.d/rc3.d/S10network": "-> ../init.d/network"}}, guest.IfcfgRedHat, "el8", "deprecated"},
		{"EL8 with scripts only", []map[string]string{redhat8}, guest.IfcfgRedHat, "el8", "deprecated"},
		{"EL9", []map[string]string{nm, {"/etc/sysconfig/network-scripts/readme-ifcfg-rh.txt": ""}}, guest.NetworkManager, "", "is enabled"},
		{"NetworkManager installed only", []map[string]string{{nmUnit: ""}}, guest.NetworkManager, "", "nobody else"},
		{"NetworkManager masked", []map[string]string{nm, {"/etc/systemd/system/NetworkManager.service": "-> /dev/null"}}, guest.None, "", "no program"},
		{"NetworkManager and networkd enabled", []map[string]string{nm, networkd, {networkdOn: "-> x"}}, guest.NetworkManager, "", "is enabled"},
		{"NetworkManager of OpenRC", []map[string]string{{"/etc/runlevels/default/NetworkManager": "-> /etc/init.d/NetworkManager", "/etc/init.d/net.lo": ""}}, guest.NetworkManager, "", "/etc/runlevels/default"},
		{"NetworkManager of runit", []map[string]string{{"/etc/runit/runsvdir/default/NetworkManager": "-> /etc/sv/NetworkManager", "/etc/sv/NetworkManager/run": ""}}, guest.NetworkManager, "", "/etc/runit"},
		{"SLES 11", []map[string]string{{"/etc/sysconfig/network/config": "", "/etc/init.d/network": ""}}, guest.IfcfgSUSE, "ifup", "network scripts"},
		{"SLES 15", []map[string]string{{"/etc/sysconfig/network/config": "", wicked: "", alias: "-> " + wicked}}, guest.IfcfgSUSE, "wicked", "leads to wicked.service"},
		{"SLES 15, nothing enabled", []map[string]string{{"/etc/sysconfig/network/config": "", wicked: ""}}, guest.IfcfgSUSE, "wicked", "wicked reads"},
		{"SUSE with NetworkManager", []map[string]string{nm, {"/etc/sysconfig/network/config": "", wicked: "", alias: "-> " + nmUnit}}, guest.NetworkManager, "", "is enabled"},
		{"SUSE image with networkd", []map[string]string{networkd, {"/etc/sysconfig/network/config": "", networkdOn: "-> x"}}, guest.Networkd, "", "enabled"},
		{"Gentoo", []map[string]string{{"/etc/init.d/net.lo": "", "/sbin/openrc": "", "/sbin/functions.sh": ""}}, guest.Netifrc, "openrc", "net.lo"},
		{"Gentoo, baselayout 1", []map[string]string{{"/etc/init.d/net.lo": "", "/sbin/functions.sh": ""}}, guest.Netifrc, "baselayout1", "functions.sh"},
		{"Gentoo with systemd", []map[string]string{networkd, {"/etc/init.d/net.lo": "", networkdOn: "-> x"}}, guest.Networkd, "", "enabled"},
		{"Slackware 14", []map[string]string{{"/etc/rc.d/rc.inet1": "IPADDR[0]"}}, guest.RcInet1, "14", "before Slackware 15"},
		{"Slackware 15", []map[string]string{{"/etc/rc.d/rc.inet1": "IP6ADDRS[0]"}}, guest.RcInet1, "15", "since Slackware 15"},
		{"Void", []map[string]string{{"/etc/runit/runsvdir/default/": "", "/etc/sv/": ""}}, guest.Runit, "", "runit"},
		{"Debian with runit and ifupdown", []map[string]string{ifup, {"/etc/runit/runsvdir/default/": "", "/etc/sv/": ""}}, guest.Ifupdown, "0.8", "0.8.41"},
		{"netctl", []map[string]string{networkd, {netctl: "", "/etc/systemd/system/multi-user.target.wants/netctl@a.service": "-> x"}}, guest.Netctl, "", "a profile"},
		{"netctl beside networkd", []map[string]string{networkd, {netctl: "", networkdOn: "-> x"}}, guest.Networkd, "", "enabled"},
		{"netctl installed only", []map[string]string{{netctl: ""}}, guest.Netctl, "", "nobody else"},
		{"connman", []map[string]string{networkd, {"/etc/systemd/system/multi-user.target.wants/connman.service": "-> x"}}, guest.None, "", "connman.service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for _, f := range c.files {
				maps.Copy(files, f)
			}
			tree := treetest.New(files)
			renderer, dialect, evidence := guest.Probe(tree)
			if renderer != c.renderer || dialect != c.dialect || !strings.Contains(strings.Join(evidence, "\n"), c.evidence) {
				t.Errorf("%s %q %q, want %s %q with %q", renderer, dialect, evidence, c.renderer, c.dialect, c.evidence)
			}
		})
	}
}
