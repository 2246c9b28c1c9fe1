package templates

// Watched returns the paths by which a change of what Detect finds can be told (sysctl.Fingerprint): files it reads in
// /etc, and the directories of the programs and libraries it reads elsewhere, which change when a package does.
// Package databases are left out: a package that matters brings a file that is watched.
func Watched() []string {
	names := []string{
		"/etc/os-release", "/usr/lib/os-release", "/etc/lsb-release", "/etc/debian_version",
		"/sbin/init", "/sbin", "/usr/sbin", "/bin", "/usr/bin", "/lib", "/lib64", "/usr/lib", "/usr/lib64",
		"/lib/x86_64-linux-gnu", "/lib/i386-linux-gnu", "/lib/aarch64-linux-gnu",
		"/etc/inittab", "/etc/rc.d/rc.S", "/etc/event.d", "/etc/runit/1", "/etc/alternatives/iptables",
	}
	for _, m := range marks() {
		names = append(names, m.path)
	}
	return names
}
