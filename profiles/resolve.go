package profiles

import "github.com/sysctl-os/sysctl"

// Check reports everything that is wrong with config and devices at once, as sysctl.FieldErrors, or
// nil. Fields are named as a user sets them: "limits.memory", "devices.eth0.ipv4.address".
func Check(config map[string]string, devices map[string]sysctl.Device) error {
	_, err := Resolve(config, devices)
	return err
}

// Resolve turns merged configuration into its typed form. Equal input gives an equal Spec: disks and NICs
// are sorted by device name, spellings are normalised (addresses, paths, CPU sets). The maps
// of the Spec are never nil. Its error is that of Check; the Spec is then empty.
func Resolve(config map[string]string, devices map[string]sysctl.Device) (sysctl.Spec, error) {
	spec := sysctl.Spec{Environment: map[string]string{}, User: map[string]string{}}
	var errs sysctl.FieldErrors
	fill(&spec, configFields(), "config key", "", config, &errs)
	checkTogether(config, &errs)
	addDevices(&spec, devices, &errs)
	if err := errs.Err(); err != nil {
		return sysctl.Spec{}, err
	}
	return spec, nil
}

// checkTogether reports what is wrong with keys that are right each for itself.
func checkTogether(config map[string]string, errs *sysctl.FieldErrors) {
	const prefix = "security.syscalls."
	for _, k := range []struct{ key, other string }{
		{prefix + "deny", prefix + "allow"}, {prefix + "deny_default", prefix + "allow"},
		{prefix + "allow", "raw.seccomp"}, {prefix + "deny", "raw.seccomp"}, {prefix + "deny_default", "raw.seccomp"},
	} {
		if config[k.key] != "" && config[k.other] != "" {
			errs.Add(k.key, "cannot stand beside %s, which is a whole policy", k.other)
		}
	}
	if on, _ := parseBool(config["security.privileged"]); on {
		for _, key := range []string{"raw.idmap", "security.idmap.base", "security.idmap.size"} {
			if config[key] != "" {
				errs.Add(key, "means nothing with security.privileged: a privileged instance has the host's ids")
			}
		}
	}
}
