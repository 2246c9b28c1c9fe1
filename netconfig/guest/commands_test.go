package guest

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
)

// Whoever is asked about one interface is told its name, in the words that the program of the time understands.
func TestNICCommands(t *testing.T) {
	for guest, want := range map[[2]string]string{
		{Ifupdown, "0.8"}:        "ifup --force eth1; ifdown --force eth1",
		{Ifupdown, "busybox"}:    "ifup -f eth1; ifdown -f eth1",
		{Networkd, ""}:           "networkctl reload, networkctl reconfigure eth1; ",
		{Netplan, ""}:            "netplan generate, networkctl reload, networkctl reconfigure eth1; ",
		{NetworkManager, ""}:     "nmcli connection reload, nmcli device connect eth1; nmcli device disconnect eth1",
		{IfcfgRedHat, "el6"}:     "ifup eth1; ifdown eth1",
		{IfcfgSUSE, "wicked"}:    "wicked ifup eth1; wicked ifdown eth1",
		{Netifrc, "baselayout1"}: "/etc/init.d/net.eth1 restart; /etc/init.d/net.eth1 stop",
		{Netifrc, "openrc"}:      "rc-service net.eth1 restart; rc-service net.eth1 stop",
		{RcInet1, "15"}:          "; ", {None, ""}: "; ",
	} {
		up, down := NICCommands(sysctl.Guest{Renderer: guest[0], Dialect: guest[1]}, "eth1")
		say := func(all [][]string) string {
			var lines []string
			for _, argv := range all {
				lines = append(lines, strings.Join(argv, " "))
			}
			return strings.Join(lines, ", ")
		}
		if got := say(up) + "; " + say(down); got != want {
			t.Errorf("%v: %q, want %q", guest, got, want)
		}
	}
}
