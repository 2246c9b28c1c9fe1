// Package compat decides which measures a guest needs on a host: a pure table over what was found out about both. It
// does no I/O; who probes is manager/lxc (the host) and templates (the guest), who carries out is named in each
// measure's effect (sysctl.Compat).
package compat
