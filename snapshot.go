package sysctl

import "time"

// Snapshot is what an instance was at one moment: its files and its configuration. It belongs to the instance and
// goes with it.
type Snapshot struct {
	Name     string            `json:"name"`
	Layers   []string          `json:"layers"` // Layer.ID, lowest first
	Guest    Guest             `json:"guest"`
	Profiles []string          `json:"profiles"`
	Config   map[string]string `json:"config"`
	Devices  map[string]Device `json:"devices"`
	Created  time.Time         `json:"created_at"`
	// Expires is when it is to be deleted; zero: never.
	Expires   time.Time `json:"expires_at,omitzero"`
	Scheduled bool      `json:"scheduled"` // made by snapshots.schedule
}

// CheckSnapshotName reports why s cannot be the name of a snapshot, or nil: that of CheckRef, without '/' and ':'. The
// error is of kind Invalid.
func CheckSnapshotName(s string) error {
	if err := CheckRef("snapshot", s); err != nil {
		return err
	}
	for _, r := range s {
		if r == '/' || r == ':' {
			return E(Invalid, "snapshot name %q must not contain %q: letters, digits and . _ - after the first", s, r)
		}
	}
	return nil
}
