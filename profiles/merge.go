package profiles

import (
	"maps"

	"github.com/sysctl-os/sysctl"
)

// Merge lays profiles over each other in their order, and an instance's own config and devices over them:
// later wins. A device replaces an earlier one of its name as a whole; one of type none removes it.
// An empty value removes an inherited one, so that the key's default holds again (for environment.* and
// user.* it is an empty text). The results are never nil and share nothing with the arguments.
func Merge(ps []sysctl.Profile, config map[string]string, devices map[string]sysctl.Device) (map[string]string, map[string]sysctl.Device) {
	outConfig, outDevices := map[string]string{}, map[string]sysctl.Device{}
	overlay := func(config map[string]string, devices map[string]sysctl.Device) {
		for name, value := range config {
			if value == "" && !isFreeText(name) {
				delete(outConfig, name)
				continue
			}
			outConfig[name] = value
		}
		for name, d := range devices {
			if d["type"] == typeNone {
				delete(outDevices, name)
				continue
			}
			outDevices[name] = maps.Clone(d)
		}
	}
	for _, p := range ps {
		overlay(p.Config, p.Devices)
	}
	overlay(config, devices)
	return outConfig, outDevices
}

// isFreeText reports whether an empty value of the key is a value like any other.
func isFreeText(name string) bool {
	key, known := Lookup(name)
	return known && key.free
}
