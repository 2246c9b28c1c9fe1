package sysctl

// Side is one of two trees that are compared: layers, lowest first, and on top of them what an instance has written.
type Side struct {
	Layers   []string // Layer.ID
	Instance int64    // whose upper lies on top; 0: nobody's
}

// Difference is a file that is not the same in two trees.
type Difference struct {
	Path   string   `json:"path"`
	Change string   `json:"change"` // added, changed, deleted; what was in a deleted directory is not listed
	Type   string   `json:"type"`   // file, directory, symlink, fifo, socket, block, char
	What   []string `json:"what"`   // of a changed one: type, content, mode, owner, xattr
	Size   int64    `json:"size"`   // bytes of a file that is there now
}

// The values of Difference.Change and PackageDifference.Change.
const (
	Added   = "added"
	Changed = "changed"
	Deleted = "deleted"
)

// PackageDifference is a package that is not the same in two trees, or has configuration files that are not as
// it brought them.
type PackageDifference struct {
	Name   string   `json:"name"`
	Arch   string   `json:"architecture"`
	Change string   `json:"change"` // added, changed, deleted; configured: only its configuration files changed
	Before string   `json:"before"` // version; "": it was not installed
	After  string   `json:"after"`
	Config []string `json:"config"` // its configuration files that changed and are not as it brought them
}

// Configured is the Change of a package of the same version whose configuration files changed.
const Configured = "configured"

// Package is one that a guest's own database says is installed.
type Package struct {
	Name    string
	Arch    string
	Version string            // as its own tools write it
	Config  map[string]string // configuration files, absolute, to the digest that they were brought with: "md5:…"; "": unknown
}
