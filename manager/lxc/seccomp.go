package lxc

import "strings"

// refused are the system calls that no process of a guest may make (EPERM): what would reach the host's kernel or
// files past the namespaces. Everything else is allowed, as whole systems need it, but umount2 with
// MNT_FORCE (EACCES), which would end a filesystem that the host uses too.
var refused = [...]string{
	"kexec_load", "kexec_file_load", "open_by_handle_at", "init_module", "finit_module", "delete_module",
}

// seccompProfile is that as a liblxc policy (version 2), for what a guest's init starts. What we start
// ourselves has filter's program.
func seccompProfile() string {
	var b strings.Builder
	b.WriteString("2\ndenylist\nreject_force_umount\n[all]\n")
	for _, name := range refused {
		b.WriteString(name + " errno 1\n")
	}
	return b.String()
}
