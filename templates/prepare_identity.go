package templates

import (
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// identitySteps take away what must not be the same in two instances.
func identitySteps() []Step {
	return []Step{{
		Name: "machine-id", Version: 1, Final: true,
		Why:     "two instances must not share a machine id",
		Touches: []string{"/etc/machine-id", "/var/lib/dbus/machine-id"},
		applies: anyGuest, plan: machineID,
	}, {
		Name: "ssh-hostkeys", Version: 2, Final: true,
		Why: "two instances must not share ssh host keys: each makes its own at its first start",
		Touches: []string{"/etc/ssh/ssh_host_*", keysUnit, keysWanted, keysScript, keysJob, keysFinit,
			"/etc/rc[2-5].d/S01sysctl-ssh-keys", "/etc/runlevels/default/sysctl-ssh-keys"},
		applies: makesHostKeys, plan: sshHostKeys,
	}, {
		Name: "random-seed", Version: 1, Final: true,
		Why:     "two instances must not start from the same random seed",
		Touches: randomSeeds(),
		applies: anyGuest, plan: func(p *plan) {
			for _, name := range randomSeeds() {
				p.remove(name)
			}
		},
	}, {
		Name: "persistent-names", Version: 1,
		Why:     "the rules name the interfaces and drives of the machine on which the tree was made",
		Touches: persistentNames(),
		applies: anyGuest, plan: func(p *plan) {
			for _, name := range persistentNames() {
				p.remove(name)
			}
		},
	}, {
		Name: "dhcp-leases", Version: 1, Final: true,
		Why:     "two instances must not ask for the same address",
		Touches: leases(),
		applies: anyGuest, plan: func(p *plan) {
			for _, name := range leases() {
				for _, at := range p.list(path.Dir(name), path.Base(name)) {
					p.remove(at)
				}
			}
		},
	}}
}

func randomSeeds() []string {
	return []string{"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed", "/var/lib/seedrng/seed.credit"}
}

func persistentNames() []string {
	var out []string
	for _, name := range []string{"70-persistent-net.rules", "70-persistent-cd.rules", "z25_persistent-net.rules", "z25_persistent-cd.rules",
		"30-net_persistent_names.rules"} {
		out = append(out, "/etc/udev/rules.d/"+name)
	}
	return out
}

func leases() []string {
	return []string{"/var/lib/dhcp/*.leases", "/var/lib/dhcp3/*.leases", "/var/lib/dhclient/*.leases",
		"/var/lib/dhclient/*.lease", "/var/lib/dhcpcd/*.lease", "/var/lib/dhcpcd/*.info", "/var/lib/NetworkManager/*.lease"}
}

// machineID empties the id. Empty and not "uninitialized", which systemd >= 247 takes for a first boot: it would
// then enable every service its presets name, networkd and resolved among them, next to the network the
// tree has. An empty file gets an id at boot in all versions.
func machineID(p *plan) {
	const dbus = "/var/lib/dbus/machine-id"
	if p.g.Init == "systemd" {
		p.write("/etc/machine-id", "", 0o444)
		if fi, err := p.t.Lstat(dbus); err == nil && fi.Mode().IsRegular() {
			p.link(dbus, "/etc/machine-id")
		}
		return
	}
	p.remove("/etc/machine-id")
	p.remove(dbus) // D-Bus makes one at its start
}

const (
	keysUnit   = "/etc/systemd/system/sysctl-ssh-keys.service"
	keysWanted = "/etc/systemd/system/multi-user.target.wants/sysctl-ssh-keys.service"
	keysScript = "/etc/init.d/sysctl-ssh-keys"
	keysJob    = "/etc/init/sysctl-ssh-keys.conf"
	keysFinit  = "/etc/finit.d/sysctl-ssh-keys.conf"
)

// makesHostKeys reports whether the guest makes missing host keys when sshd starts, by itself or by
// what sshHostKeys adds. Every family but Debian's does it in what starts sshd.
func makesHostKeys(g sysctl.Guest) bool {
	own := []string{"rhel", "alpine", "suse", "arch", "gentoo", "slackware", "void"}
	added := []string{"systemd", "sysvinit", "upstart", "runit", "openrc", "finit"}
	return slices.Contains(own, g.Family) || g.Family == "debian" && slices.Contains(added, g.Init)
}

// sshHostKeys removes the keys. Debian's packages make them when they are installed and never again, so
// there something has to make them at boot.
func sshHostKeys(p *plan) {
	for _, pattern := range []string{"ssh_host_*key", "ssh_host_*key.pub"} {
		for _, name := range p.list("/etc/ssh", pattern) {
			p.remove(name)
		}
	}
	if p.g.Family != "debian" || !has(p.t, "/usr/sbin/sshd") {
		return
	}
	if p.g.Init == "systemd" {
		p.write(keysUnit, sshKeysUnit, 0o644)
		p.link(keysWanted, keysUnit)
		return
	}
	p.write(keysScript, sshKeysScript, 0o755)
	switch {
	case p.g.Init == "upstart" && has(p.t, "/etc/init/ssh.conf"):
		p.write(keysJob, sshKeysJob, 0o644)
	case p.g.Init == "finit":
		p.write(keysFinit, "run [S] name:sysctl-ssh-keys "+keysScript+" start -- Making missing ssh host keys\n", 0o644)
	case has(p.t, "/etc/runlevels/default"):
		p.link("/etc/runlevels/default/sysctl-ssh-keys", keysScript)
	default:
		for _, level := range strings.Split("2345", "") {
			p.link("/etc/rc"+level+".d/S01sysctl-ssh-keys", "../init.d/sysctl-ssh-keys")
		}
	}
}

const sshKeysUnit = `[Unit]
Description=Make missing ssh host keys
Before=ssh.service sshd.service
ConditionPathExists=/usr/bin/ssh-keygen
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
`

// Releases before Debian 7 have no ssh-keygen -A. A kind of key that the guest's does not know is not made.
const sshKeysScript = `#!/bin/sh
### BEGIN INIT INFO
# Provides:          sysctl-ssh-keys
# Required-Start:    $remote_fs
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:
# X-Start-Before:    ssh
# Short-Description: Make missing ssh host keys
### END INIT INFO
[ "$1" = start ] || exit 0
[ -x /usr/bin/ssh-keygen ] || exit 0
for kind in rsa dsa ecdsa ed25519; do
	key=/etc/ssh/ssh_host_${kind}_key
	[ -e "$key" ] || /usr/bin/ssh-keygen -q -t "$kind" -N "" -f "$key" 2>/dev/null
done
exit 0
`

// The job ssh waits until a task that starts with it has ended.
const sshKeysJob = `description "make missing ssh host keys"
start on starting ssh
task
exec ` + keysScript + ` start
`
