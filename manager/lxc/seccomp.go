package lxc

// seccompProfile is a liblxc policy (version 2): what would reach the host's kernel or files past the
// namespaces is refused; everything else is allowed, as whole systems need it.
const seccompProfile = `2
denylist
reject_force_umount
[all]
kexec_load errno 1
kexec_file_load errno 1
open_by_handle_at errno 1
init_module errno 1
finit_module errno 1
delete_module errno 1
`
