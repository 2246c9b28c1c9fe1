package lxc

import "golang.org/x/sys/unix"

// abi is one way to call the kernel: an architecture as seccomp names it, and its numbers of system calls.
type abi struct {
	arch    uint32
	numbers map[string]uint32
}

// x32 is the bit that tells this ABI's numbers from x86_64's, whose architecture it shares (asm/unistd.h).
const x32 = 0x40000000

// abis lists those of a kernel for goarch; nil where they are not known. The numbers are the kernel's
// (arch/*/entry/syscalls/*.tbl, arch/arm/tools/syscall.tbl, asm-generic/unistd.h).
func abis(goarch string) []abi {
	switch goarch {
	case "amd64":
		return []abi{
			{unix.AUDIT_ARCH_X86_64, map[string]uint32{"kexec_load": 246, "kexec_file_load": 320, "open_by_handle_at": 304,
				"init_module": 175, "finit_module": 313, "delete_module": 176, "umount2": 166}},
			{unix.AUDIT_ARCH_X86_64, map[string]uint32{"kexec_load": x32 | 528, "kexec_file_load": x32 | 320,
				"open_by_handle_at": x32 | 304, "init_module": x32 | 175, "finit_module": x32 | 313,
				"delete_module": x32 | 176, "umount2": x32 | 166}},
			{unix.AUDIT_ARCH_I386, map[string]uint32{"kexec_load": 283, "open_by_handle_at": 342, "init_module": 128,
				"finit_module": 350, "delete_module": 129, "umount2": 52}}, // kexec_file_load has no number here
		}
	case "arm64":
		return []abi{
			{unix.AUDIT_ARCH_AARCH64, map[string]uint32{"kexec_load": 104, "kexec_file_load": 294, "open_by_handle_at": 265,
				"init_module": 105, "finit_module": 273, "delete_module": 106, "umount2": 39}},
			{unix.AUDIT_ARCH_ARM, map[string]uint32{"kexec_load": 347, "kexec_file_load": 401, "open_by_handle_at": 371,
				"init_module": 128, "finit_module": 379, "delete_module": 129, "umount2": 52}},
		}
	}
	return nil
}

// Offsets in struct seccomp_data (seccomp(2)). Both architectures are little-endian: the low half of an
// argument comes first.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg1   = 16 + 8
)

// filter is what seccompProfile says as a classic BPF program (seccomp(2)); nil where goarch is not known.
func filter(goarch string) []unix.SockFilter {
	known := abis(goarch)
	if known == nil {
		return nil
	}
	var program, tail []unix.SockFilter
	for _, a := range known {
		rules := a.rules()
		program = append(program, load(dataArch), jump(unix.BPF_JEQ, a.arch, len(rules)))
		program = append(program, rules...)
		tail = append(tail, jump(unix.BPF_JEQ, a.arch, 1), result(unix.SECCOMP_RET_ALLOW))
	}
	program = append(program, load(dataArch))
	program = append(program, tail...)
	return append(program, result(unix.SECCOMP_RET_KILL_THREAD)) // no other can be on this kernel
}

// rules go on after themselves with a system call that they allow.
func (a abi) rules() []unix.SockFilter {
	rules := []unix.SockFilter{load(dataNumber)}
	for _, name := range refused {
		if n, ok := a.numbers[name]; ok {
			rules = append(rules, jump(unix.BPF_JEQ, n, 1), result(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM)))
		}
	}
	return append(rules, jump(unix.BPF_JEQ, a.numbers["umount2"], 3),
		load(dataArg1), jump(unix.BPF_JSET, unix.MNT_FORCE, 1), result(unix.SECCOMP_RET_ERRNO|uint32(unix.EACCES)))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump skips the next instructions when the comparison is false.
func jump(op uint16, k uint32, skip int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jf: uint8(skip), K: k}
}

func result(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}
