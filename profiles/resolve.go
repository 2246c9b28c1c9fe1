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
	addDevices(&spec, devices, &errs)
	if err := errs.Err(); err != nil {
		return sysctl.Spec{}, err
	}
	return spec, nil
}
