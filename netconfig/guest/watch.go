package guest

import (
	"path"

	"github.com/sysctl-os/sysctl"
)

// Watched returns the paths by which a change of what Probe finds can be told (sysctl.Fingerprint): the files it reads,
// and the directories whose entries it looks for.
func Watched(t sysctl.Tree) []string {
	names := []string{
		"/sbin", "/usr/sbin", "/lib", "/lib32", "/lib64", "/libexec", "/usr/lib/systemd", "/usr/libexec", "/usr/libexec/netplan", "/lib/netplan", "/etc/netplan",
		"/etc/network", interfacesFile, "/etc/network/interfaces.d", "/etc/init.d", "/etc/init", "/lib/systemd",
		redhatDir, redhatScripts, redhatDir + "/ifup", suseConfig, slackRC,
		runitServices, runitAll, runlevels + "/default", runlevels + "/boot",
	}
	names = append(names, "/etc/rc.d")
	for _, level := range []string{"2", "3", "4", "5"} {
		names = append(names, "/etc/rc.d/rc"+level+".d")
	}
	for _, units := range []string{systemUnits, "/lib/systemd/system", "/usr/lib/systemd/system"} {
		names = append(names, units)
		if units != systemUnits {
			continue // what packages enable comes with an entry in the directory itself, or a newer program
		}
		entries, err := t.ReadDir(units)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if ext := path.Ext(e.Name()); ext == ".wants" || ext == ".requires" {
				names = append(names, path.Join(units, e.Name()))
			}
		}
	}
	return names
}
