package templates

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// identitySteps take away what must not be the same in two instances.
func identitySteps() []Step {
	return []Step{{
		Name: "machine-id", Version: 1,
		Why:     "two instances must not share a machine id",
		Touches: []string{"/etc/machine-id", "/var/lib/dbus/machine-id"},
		applies: anyGuest, plan: machineID,
	}, {
		Name: "ssh-hostkeys", Version: 1,
		Why:     "two instances must not share ssh host keys: each makes its own at its first start",
		Touches: []string{"/etc/ssh/ssh_host_*", keysUnit, keysWanted, keysScript, "/etc/rc[2-5].d/S01sysctl-ssh-keys"},
		applies: makesHostKeys, plan: sshHostKeys,
	}, {
		Name: "random-seed", Version: 1,
		Why:     "two instances must not start from the same random seed",
		Touches: []string{"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed"},
		applies: anyGuest, plan: randomSeed,
	}}
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

func randomSeed(p *plan) {
	for _, name := range []string{"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed"} {
		p.remove(name)
	}
}

const (
	keysUnit   = "/etc/systemd/system/sysctl-ssh-keys.service"
	keysWanted = "/etc/systemd/system/multi-user.target.wants/sysctl-ssh-keys.service"
	keysScript = "/etc/init.d/sysctl-ssh-keys"
)

// makesHostKeys reports whether the guest makes missing host keys when sshd starts, by itself or by
// what sshHostKeys adds.
func makesHostKeys(g sysctl.Guest) bool {
	own := slices.Contains([]string{"rhel", "alpine", "suse", "arch"}, g.Family)
	return own || g.Family == "debian" && (g.Init == "systemd" || g.Init == "sysvinit")
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
	for _, level := range strings.Split("2345", "") {
		p.link("/etc/rc"+level+".d/S01sysctl-ssh-keys", "../init.d/sysctl-ssh-keys")
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
for kind in rsa dsa ecdsa; do
	key=/etc/ssh/ssh_host_${kind}_key
	[ -e "$key" ] || /usr/bin/ssh-keygen -q -t "$kind" -N "" -f "$key" 2>/dev/null
done
exit 0
`
