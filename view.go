package sysctl

// View is a tree that is mounted in the host.
type View struct {
	Instance int64
	Layer    string // beginning of the uppermost layer of a snapshot; "": what the instance is
	Dir      string // of the host
}
