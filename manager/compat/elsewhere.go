package compat

// known is how many troubles of old systems as whole-OS containers are known, numbered from 1: each is answered by a
// measure, a remark, or what is done for every guest, elsewhere.
const known = 45

// answer is what the program does about a trouble without a choice of the table: for every guest, or where a guest is
// prepared or its network written.
type answer struct {
	rows    []int
	trouble string
	does    string // what is done, or why nothing can be
	room    string // who does it; "": nobody, it is said only
	test    string // which shows it: "FILE NAME", or a root script's FILE; "" where nobody does
}

// elsewhere are the troubles that no measure answers.
func elsewhere() []answer {
	return []answer{{
		rows: []int{11}, trouble: "uname -m says x86_64 to a 32-bit guest, and yum picks the wrong packages",
		does: "its personality is that of its own architecture, which exec takes over",
		room: "manager/lxc", test: "internal/roottest/testdata/alpine.txtar",
	}, {
		rows: []int{12, 13}, trouble: "stop waits for minutes, or reboot stops",
		does: "each init gets the signal that it halts at, and old ones a job or line that answers it (power-fail)",
		room: "manager, templates", test: "manager/lxc/halt_test.go TestHaltSignal",
	}, {
		rows: []int{14}, trouble: "getty respawns too fast on terminals that are not there",
		does: "preparation console leaves one login, on the console, which is not hung up",
		room: "templates", test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{15}, trouble: "boot waits for udev",
		does: "preparation udev-off", room: "templates", test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{16}, trouble: "boot waits for disks of fstab, or asks to repair them",
		does: "preparations fstab-empty, fsck-off and disks-off", room: "templates", test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{17}, trouble: "a guest sets the host's clock",
		does: "preparation hwclock-off, and no instance has CAP_SYS_TIME, privileged or not",
		room: "templates, manager/lxc", test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{19}, trouble: "klogd and imklog fail or spin on the kernel's log",
		does: "preparation kernel-log-off", room: "templates", test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{22}, trouble: `sshd of CentOS 5 and 6 in a privileged instance ends with "linux_audit_write_entry failed"`,
		does: "CAP_AUDIT_WRITE and CAP_AUDIT_CONTROL are kept: only what no namespace holds is dropped",
		room: "manager/lxc", test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{21}, trouble: "pam_loginuid ends sessions where the login id cannot be taken away",
		does: "preparation pam-loginuid makes it optional in PAM's configuration of that time", room: "templates", test: "templates/prepare_test.go TestPrepare",
	}, {
		rows: []int{26}, trouble: "programs lose their file capabilities (ping, arping)",
		does: "layers are not shifted but mounted with mapped ids: capabilities are honoured as they are written",
		room: "storage", test: "internal/roottest/testdata/oldguest.txtar",
	}, {
		rows: []int{27}, trouble: "files of users above 65535 (Active Directory, LDAP) cannot be made",
		does: "nothing: an instance has 65536 ids of its own; security.privileged=true has the host's", room: "", test: "",
	}, {
		rows: []int{33, 34}, trouble: `"Invalid cross-device link" when a directory of the image is renamed, and hard links that come apart`,
		does: "every root is mounted with redirect_dir=on and index=on, whatever the kernel's defaults",
		room: "storage", test: "internal/roottest/testdata/oldguest.txtar",
	}, {
		rows: []int{37}, trouble: `ifup says "some other host already uses address"`,
		does: "ARPCHECK=no in the files of network-scripts", room: "netconfig/guest", test: "netconfig/guest/golden_test.go TestGolden",
	}, {
		rows: []int{38}, trouble: "an interface is ignored since its hardware address is another one (HWADDR=)",
		does: "the network's files are written anew without it", room: "netconfig/guest", test: "netconfig/guest/every_test.go TestForeignFilesComeBack",
	}, {
		rows: []int{39}, trouble: "bonds, VLANs and bridges of a server that became a guest",
		does: "the interface that the guest knew is made on the host, and its configuration put aside: NICs are named and addressed as the instance says",
		room: "netconfig/guest", test: "netconfig/guest/every_test.go TestForeignFilesComeBack",
	}, {
		rows: []int{40}, trouble: "no network, or two minutes of waiting for it (allow-hotplug, Upstart without udev)",
		does: "interfaces are auto, and preparation udev-off has Upstart's networking not wait", room: "netconfig/guest, templates",
		test: "netconfig/guest/golden_test.go TestGolden",
	}, {
		rows: []int{41}, trouble: "dhclient before 4.3 gets no lease from a server on the same host (UDP checksums)",
		does: "managed networks need no DHCP: addresses are written; for a server of your own on a bridge of the host: ethtool -K LINK tx off", room: "netconfig/guest",
		test: "netconfig/guest/golden_test.go TestGolden",
	}, {
		rows: []int{42}, trouble: "boot scripts load modules, and fail",
		does: "preparation modules-off; packages of kernels do no harm but take time: exclude=kernel* in /etc/yum.conf",
		room: "templates", test: "templates/prepare_eras_test.go TestPreparedEras",
	}, {
		rows: []int{43}, trouble: "systemd 219 ends where it cannot mount devtmpfs",
		does: "/dev is there before init: a tmpfs with the nodes that a container has (lxc.autodev)", room: "manager/lxc",
		test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{44}, trouble: "AppArmor denies the guest's systemd its cgroup mount",
		does: "each instance has a profile of its own, generated by liblxc, which allows it", room: "manager/lxc",
		test: "manager/lxc/render_test.go TestRenderGolden",
	}, {
		rows: []int{45}, trouble: "a program must believe that it is another date",
		does: "nothing: no namespace has a date of its own; libfaketime in the guest does it for single programs", room: "", test: "",
	}}
}
