package guest

// Understood is a kind of network files that Render writes.
type Understood struct {
	Renderer string
	Dialect  string
	Guests   string // where it is found
	Oracle   string // the programs that read it in the tests, and set what was meant
}

// ReadBack is in the place of a program where there is none.
const ReadBack = "no program: the test alone"

// AllUnderstood lists them. What is in it is what doc/guests.md says: tests hold it against what they do.
func AllUnderstood() []Understood {
	return []Understood{
		{Ifupdown, "0.6", "Debian 6 and older, Ubuntu 10.04 and older", ReadBack},
		{Ifupdown, "0.7", "Debian 7, Ubuntu 12.04 and 14.04", ReadBack},
		{Ifupdown, "0.8", "Debian 8 and newer, Devuan, Ubuntu 16.04", "ifupdown of Debian 12"},
		{Ifupdown, "ng", "newer Alpine", "ifupdown-ng of Debian 12"},
		{Ifupdown, "busybox", "Alpine", "busybox of Alpine 2.6, 3.6 and 3.20"},
		{Networkd, "", "Arch, Debian and Fedora by choice, Amazon Linux 2023", "systemd-networkd of Debian 12"},
		{NetworkManager, "", "Red Hat and its kin from 8 on, Fedora", "NetworkManager of Debian 12"},
		{Netplan, "", "Ubuntu 18.04 and newer", "netplan and systemd-networkd of Debian 12"},
		{IfcfgRedHat, "el5", "Red Hat and its kin, 5", ReadBack},
		{IfcfgRedHat, "el6", "Red Hat and its kin, 6; Amazon Linux 1", ReadBack},
		{IfcfgRedHat, "el7", "Red Hat and its kin, 7; Amazon Linux 2", ReadBack},
		{IfcfgRedHat, "el8", "Red Hat and its kin, 8, with the old scripts", ReadBack},
		{IfcfgSUSE, "ifup", "SLES 11 and older", ReadBack},
		{IfcfgSUSE, "wicked", "SLES 12 and 15, openSUSE", ReadBack},
		{Netifrc, "baselayout1", "Gentoo before 2011", ReadBack},
		{Netifrc, "openrc", "Gentoo", ReadBack},
		{RcInet1, "14", "Slackware 14 and older", ReadBack},
		{RcInet1, "15", "Slackware 15", ReadBack},
		{Runit, "", "Void", ReadBack},
		{Netctl, "", "older Arch", ReadBack},
		{None, "", "anybody else: the host sets the addresses", "liblxc, in Alpine 3.20"},
	}
}
