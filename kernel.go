package sysctl

// Kernel is what the kernel is told for a guest, beside its limits.
type Kernel struct {
	Rlimits map[string]Rlimit // limits.kernel.*: by name, as liblxc has it: "nofile"
	Sysctls map[string]string // linux.sysctl.*: by name, as "net.ipv4.ip_forward"
	Modules []string          // linux.kernel_modules: loaded on the host before the guest starts
	Nesting bool              // security.nesting: the guest may run containers of its own
	Calls   Syscalls
	Raw     []RawItem // raw.lxc
}

// Rlimit is a limit of each process (getrlimit(2)).
type Rlimit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Unlimited is RLIM_INFINITY.
const Unlimited = ^uint64(0)

// RawItem is one line of raw.lxc.
type RawItem struct{ Key, Value string }

// Syscalls says which system calls a guest's processes may make. The zero value is what holds for everybody: a few that would
// reach past the namespaces are refused.
type Syscalls struct {
	Only    bool   // those that a rule allows, and no others
	Rules   []Rule // of two for the same call the later one counts
	Bare    bool   // what is refused for everybody is not refused here
	Forced  bool   // of Bare: umount2 with MNT_FORCE is refused nevertheless
	Default Action // of Only: what the others get; zero: EPERM
}

// Rule is what happens when a system call is made.
type Rule struct {
	Call   string // by its name
	Action Action
}

// Action is what the kernel does instead of a system call.
type Action struct {
	What  string // allow, errno, kill, trap
	Errno int    // of errno
}

// Usual reports whether these are everybody's.
func (s Syscalls) Usual() bool { return !s.Only && !s.Bare && len(s.Rules) == 0 }
