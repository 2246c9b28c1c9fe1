package manager

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/sysctl-os/sysctl"
)

// What stands in an archive of an instance, beside its layers: doc/archive.md.

const (
	archiveFormat  = "sysctl instance"
	archiveVersion = 1
)

// archive is the index.
type archive struct {
	Format    string             `json:"format"`
	Version   int                `json:"version"`
	Created   time.Time          `json:"created_at"`
	Instance  archivedInstance   `json:"instance"`
	Snapshots []archivedSnapshot `json:"snapshots"` // the oldest first
	Profiles  []sysctl.Profile   `json:"profiles"`  // that the instance and its snapshots use
	Layers    []archivedLayer    `json:"layers"`    // the first is number 1
}

// archivedState is what an instance is or was.
type archivedState struct {
	Layers   []int                    `json:"layers"` // numbers, the lowest first
	Guest    sysctl.Guest             `json:"guest"`
	Profiles []string                 `json:"profiles"`
	Config   map[string]string        `json:"config"`
	Devices  map[string]sysctl.Device `json:"devices"`
}

type archivedInstance struct {
	Name      string    `json:"name"`
	Template  string    `json:"template"`
	Image     string    `json:"image"`
	Ephemeral bool      `json:"ephemeral"`
	Created   time.Time `json:"created_at"`
	archivedState
}

type archivedSnapshot struct {
	Name      string    `json:"name"`
	Created   time.Time `json:"created_at"`
	Expires   time.Time `json:"expires_at,omitzero"`
	Scheduled bool      `json:"scheduled"`
	archivedState
}

type archivedLayer struct {
	Digest  string `json:"digest"`
	Size    int64  `json:"size"`    // bytes of its files
	Entries int64  `json:"entries"` // files, directories, …
	Absent  bool   `json:"absent"`  // it is not in the archive: who reads it has it already
}

// readArchive reads an index and reports all that cannot be right about it.
func readArchive(data []byte) (archive, error) {
	var a archive
	if err := json.Unmarshal(data, &a); err != nil {
		return a, sysctl.E(sysctl.Invalid, "its index is damaged: %w", err)
	}
	if a.Format != archiveFormat {
		return a, sysctl.E(sysctl.Invalid, "it is no archive of an instance but %q", a.Format)
	}
	if a.Version != archiveVersion {
		return a, sysctl.E(sysctl.Unsupported, "it has version %d of the form, of which version %d is known here", a.Version, archiveVersion).
			WithHint("import it with a newer sysctl")
	}
	var bad sysctl.FieldErrors
	if err := sysctl.CheckName(a.Instance.Name); err != nil {
		bad.Add("instance.name", "%v", err)
	}
	if a.Instance.Template != "" && sysctl.CheckRef("template", a.Instance.Template) != nil {
		bad.Add("instance.template", "%q is no name of a template", a.Instance.Template)
	}
	for i, l := range a.Layers {
		if !isDigest(l.Digest) || l.Size < 0 || l.Entries < 0 {
			bad.Add("layers", "layer %d: %q is no digest, or its size is none", i+1, l.Digest)
		}
	}
	a.checkState(&bad, "instance", a.Instance.archivedState)
	var names []string
	for _, s := range a.Snapshots {
		if err := sysctl.CheckSnapshotName(s.Name); err != nil {
			bad.Add("snapshots", "%v", err)
		} else if slices.Contains(names, s.Name) {
			bad.Add("snapshots", "there are two of the name %s", s.Name)
		}
		names = append(names, s.Name)
		a.checkState(&bad, "snapshots."+s.Name, s.archivedState)
	}
	return a, bad.Err()
}

// checkState checks what the rest of the index must know of.
func (a archive) checkState(bad *sysctl.FieldErrors, field string, s archivedState) {
	if len(s.Layers) == 0 {
		bad.Add(field+".layers", "there is none")
	}
	for _, n := range s.Layers {
		if n < 1 || n > len(a.Layers) {
			bad.Add(field+".layers", "there is no layer %d", n)
		}
	}
	for _, name := range s.Profiles {
		if !slices.ContainsFunc(a.Profiles, func(p sysctl.Profile) bool { return p.Name == name }) {
			bad.Add(field+".profiles", "there is no profile %q", name)
		}
	}
}

func isDigest(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

// stack is the list of layers by id. One that comes twice hides all it did the first time, and cannot be mounted twice.
func (a archive) stack(numbers []int) []string {
	var ids []string
	for _, n := range numbers {
		id := a.Layers[n-1].Digest
		ids = append(slices.DeleteFunc(ids, func(before string) bool { return before == id }), id)
	}
	return ids
}
