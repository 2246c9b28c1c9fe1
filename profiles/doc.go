// Package profiles owns the table of config keys and device types: their names, types, defaults, meaning
// and validation. Everything that must agree on them comes from that one table: typed specs,
// error messages, completion and doc/config.md. It also owns what profiles are made of: the
// strict YAML they are written in, and how several of them and an instance's own keys are merged.
//
// Names and meanings are LXD's wherever LXD has them. An empty value means "as if not set", except for
// environment.* and user.*, where it is an empty text.
//
// The package does no I/O beyond a reader.
package profiles
