package profiles

import (
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// compatField is compat.<measure>.
func compatField() field[sysctl.Spec] {
	choices := []string{string(sysctl.Auto), string(sysctl.On), string(sysctl.Off)}
	return field[sysctl.Spec]{
		Key: Key{Name: "compat.*", Type: "auto, on or off", Default: "auto", Example: "off", Values: choices, Names: sysctl.Measures(),
			Doc: "Whether a measure that helps a guest to boot is taken: as the guest and the host need it, always, or never (`sysctl check NAME`). Measures: " +
				strings.Join(sysctl.Measures(), ", ") + "."},
		set: func(s *sysctl.Spec, name, v string) error {
			if !slices.Contains(sysctl.Measures(), name) {
				return bad("%s", unknownWord("measure", name, sysctl.Measures()))
			}
			if !slices.Contains(choices, v) {
				return bad(`%q is none of "auto", "on" and "off"`, v)
			}
			if s.Compat == nil {
				s.Compat = map[string]sysctl.Choice{}
			}
			s.Compat[name] = sysctl.Choice(v)
			return nil
		},
	}
}
