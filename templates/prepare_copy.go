package templates

import "github.com/sysctl-os/sysctl"

// Identify returns what has to change in a copy of a guest that has run, so that it is not taken for the one it was copied
// from: what the steps take away that nothing keeps (machine id, ssh host keys, random seed, leases). Everything else
// and the record of the preparation stay: they are the user's by then. skip is as in PrepareOptions; a guest that is not
// known is left alone.
func Identify(t sysctl.Tree, g sysctl.Guest, skip []string) ([]sysctl.Change, error) {
	if err := CheckSteps(skip); err != nil {
		return nil, err
	}
	var others []string
	for _, s := range Steps() {
		if !s.Final {
			others = append(others, s.Name)
		}
	}
	changes, _, err := Prepare(t, g, PrepareOptions{Skip: append(others, skip...)})
	kept := changes[:0]
	for _, c := range changes {
		if c.Path != RecordFile {
			kept = append(kept, c)
		}
	}
	return kept, err
}
