package compat

// known is how many troubles of old systems as whole-OS containers are known, numbered from 1: each is answered by a
// measure, a remark, or what is done for every guest, elsewhere.
const known = 45

// Answer is what the program does about a trouble without a choice of the table: for every guest, or where a guest is
// prepared or its network written.
type Answer struct {
	rows    []int
	Trouble string // as people meet it
	Does    string // what is done, or why nothing can be
	Room    string // who does it; "": nobody, it is said only
	Test    string // which shows it: "FILE NAME", or a root script's FILE; "" where nobody does
}

// Elsewhere are the troubles that no measure answers, for people (doc/compat.md).
func Elsewhere() []Answer {
	return []Answer{{
		rows: []int{11}, Trouble: "uname -m says x86_64 to a 32-bit guest, and yum picks the wrong packages",
		Does: "its personality is that of its own architecture, which exec takes over",
		Room: "manager/lxc", Test: "internal/roottest/testdata/alpine.txtar",
	}, {
		rows: []int{12, 13}, Trouble: "stop waits for minutes, or reboot stops",
		Does: "each init gets the signal that it halts at, and old ones a job or line that answers it (power-fail)",
		Room: "manager, templates", Test: "manager/lxc/halt_test.go TestHaltSignal",
	}, {
		rows: []int{14}, Trouble: "getty respawns too fast on terminals that are not there",
		Does: "preparation console leaves one login, on the console, which is not hung up",
		Room: "templates", Test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{15}, Trouble: "boot waits for udev",
		Does: "preparation udev-off", Room: "templates", Test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{16}, Trouble: "boot waits for disks of fstab, or asks to repair them",
		Does: "preparations fstab-empty, fsck-off and disks-off", Room: "templates", Test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{17}, Trouble: "a guest sets the host's clock",
		Does: "preparation hwclock-off, and no instance has CAP_SYS_TIME, privileged or not",
		Room: "templates, manager/lxc", Test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{19}, Trouble: "klogd and imklog fail or spin on the kernel's log",
		Does: "preparation kernel-log-off", Room: "templates", Test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{22}, Trouble: `sshd of CentOS 5 and 6 in a privileged instance ends with "linux_audit_write_entry failed"`,
		Does: "CAP_AUDIT_WRITE and CAP_AUDIT_CONTROL are kept: only what no namespace holds is dropped",
		Room: "manager/lxc", Test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{21}, Trouble: "pam_loginuid ends sessions where the login id cannot be taken away",
		Does: "preparation pam-loginuid makes it optional in PAM's configuration of that time", Room: "templates", Test: "templates/prepare_test.go TestPrepare",
	}, {
		rows: []int{26}, Trouble: "programs lose their file capabilities (ping, arping)",
		Does: "layers are not shifted but mounted with mapped ids: capabilities are honoured as they are written",
		Room: "storage", Test: "internal/roottest/testdata/oldguest.txtar",
	}, {
		rows: []int{27}, Trouble: "files of users above 65535 (Active Directory, LDAP) cannot be made",
		Does: "nothing: an instance has 65536 ids of its own; security.privileged=true has the host's", Room: "", Test: "",
	}, {
		rows: []int{33, 34}, Trouble: `"Invalid cross-device link" when a directory of the image is renamed, and hard links that come apart`,
		Does: "every root is mounted with redirect_dir=on and index=on, whatever the kernel's defaults",
		Room: "storage", Test: "internal/roottest/testdata/oldguest.txtar",
	}, {
		rows: []int{37}, Trouble: `ifup says "some other host already uses address"`,
		Does: "ARPCHECK=no in the files of network-scripts", Room: "netconfig/guest", Test: "netconfig/guest/golden_test.go TestGolden",
	}, {
		rows: []int{38}, Trouble: "an interface is ignored since its hardware address is another one (HWADDR=)",
		Does: "the network's files are written anew without it", Room: "netconfig/guest", Test: "netconfig/guest/every_test.go TestForeignFilesComeBack",
	}, {
		rows: []int{39}, Trouble: "bonds, VLANs and bridges of a server that became a guest",
		Does: "the interface that the guest knew is made on the host, and its configuration put aside: NICs are named and addressed as the instance says",
		Room: "netconfig/guest", Test: "netconfig/guest/every_test.go TestForeignFilesComeBack",
	}, {
		rows: []int{40}, Trouble: "no network, or two minutes of waiting for it (allow-hotplug, Upstart without udev)",
		Does: "interfaces are auto, and preparation udev-off has Upstart's networking not wait", Room: "netconfig/guest, templates",
		Test: "netconfig/guest/golden_test.go TestGolden",
	}, {
		rows: []int{41}, Trouble: "dhclient before 4.3 gets no lease from a server on the same host (UDP checksums)",
		Does: "managed networks need no DHCP: addresses are written; for a server of your own on a bridge of the host: ethtool -K LINK tx off", Room: "netconfig/guest",
		Test: "netconfig/guest/golden_test.go TestGolden",
	}, {
		rows: []int{42}, Trouble: "boot scripts load modules, and fail",
		Does: "preparation modules-off; packages of kernels do no harm but take time: exclude=kernel* in /etc/yum.conf",
		Room: "templates", Test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{43}, Trouble: "systemd 219 ends where it cannot mount devtmpfs",
		Does: "/dev is there before init: a tmpfs with the nodes that a container has (lxc.autodev)", Room: "manager/lxc",
		Test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{44}, Trouble: "AppArmor denies the guest's systemd its cgroup mount",
		Does: "each instance has a profile of its own, generated by liblxc, which allows it", Room: "manager/lxc",
		Test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{45}, Trouble: "a program must believe that it is another date",
		Does: "nothing: no namespace has a date of its own; libfaketime in the guest does it for single programs", Room: "", Test: "",
	}}
}
