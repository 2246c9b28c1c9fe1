package profiles

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// minIDs is how many ids a whole operating system needs: nobody is 65534.
const minIDs = 1 << 16

// securityFields is the part of the table that says what a guest may do, and what may be done to it.
func securityFields() []field[sysctl.Spec] {
	return append([]field[sysctl.Spec]{{
		Key: Key{Name: "security.idmap.base", Type: "id", Default: "a free range", Example: "2000000", // clear of what is usually given out
			Doc: "The first of the host's ids that the instance has. No other instance may have one of them, but where both have security.idmap.isolated=false and the same range."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := strconv.ParseUint(v, 10, 32)
			if err != nil || n < minIDs || n > 1<<32-2-minIDs {
				return bad("%q cannot be the first of %d ids: write a number from %d, below which are the host's own users, to %d", v, minIDs, minIDs, uint64(1<<32-2-minIDs))
			}
			s.IDs.Base = uint32(n)
			return nil
		},
	}, {
		Key: Key{Name: "security.idmap.isolated", Type: "bool", Default: "true", Example: "false", Values: bools(),
			Doc: "Whether the instance has a range of ids of its own. Those with false share one. So they share copies of layers where the kernel cannot shift ids (storage.shift); but what the kernel limits for a user counts for all of them, and who breaks out of one has the files of the others."},
		set: func(s *sysctl.Spec, _, v string) error {
			on, err := parseBool(v)
			s.IDs.Shared = !on
			return err
		},
	}, {
		Key: Key{Name: "security.idmap.size", Type: "integer", Default: strconv.Itoa(minIDs), Example: "131072",
			Doc: "How many of the host's ids the instance has."},
		set: func(s *sysctl.Spec, _, v string) error {
			n, err := strconv.ParseUint(v, 10, 32)
			if err != nil || n < minIDs || n > 1<<31 {
				return bad("%q is not a number of ids: write one from %d to %d", v, minIDs, 1<<31)
			}
			s.IDs.Size = uint32(n)
			return nil
		},
	}, {
		Key: Key{Name: "security.nesting", Type: "bool", Default: "false", Example: "true", Values: bools(),
			Doc: "Whether the guest may run containers of its own: it may mount /proc and /sys anew in namespaces that it makes."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Kernel.Nesting, err = parseBool(v)
			return err
		},
	}, {
		Key: Key{Name: "security.privileged", Type: "bool", Default: "false", Example: "true", Values: bools(),
			Doc: "Run without a user namespace: the guest's root is the host's root."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Privileged, err = parseBool(v)
			return err
		},
	}, {
		Key: Key{Name: "security.protection.delete", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
			Doc: "Refuse to delete the instance, by force too. An ephemeral one stays when it stops."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Protection.Delete, err = parseBool(v)
			return err
		},
	}, {
		Key: Key{Name: "security.protection.start", Type: "bool", Default: "false", Example: "true", Values: bools(), Live: true,
			Doc: "Refuse to start the instance. One that runs is not touched, but not restarted either."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Protection.Start, err = parseBool(v)
			return err
		},
	}}, syscallFields()...)
}

func syscallFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "security.syscalls.allow", Type: "list", Default: "all others", Example: strings.Join(essential(), ","),
			Doc: "The only system calls that processes of the guest may make, separated by commas, spaces or lines; all others fail with EPERM. A whole system needs hundreds."},
		set: func(s *sysctl.Spec, _, v string) error {
			rules, err := parseCalls(v, sysctl.Action{What: "allow"})
			s.Kernel.Calls.Only, s.Kernel.Calls.Rules = true, append(s.Kernel.Calls.Rules, rules...)
			if err != nil {
				return err
			}
			return checkEssential(rules)
		},
	}, {
		Key: Key{Name: "security.syscalls.deny", Type: "list", Default: "none but deny_default's", Example: "keyctl,bpf",
			Doc: "System calls that fail with EPERM in the guest, separated by commas, spaces or lines."},
		set: func(s *sysctl.Spec, _, v string) error {
			rules, err := parseCalls(v, sysctl.Action{What: "errno", Errno: 1})
			s.Kernel.Calls.Rules = append(s.Kernel.Calls.Rules, rules...)
			return err
		},
	}, {
		Key: Key{Name: "security.syscalls.deny_default", Type: "bool", Default: "true", Example: "false", Values: bools(),
			Doc: "Whether the system calls fail that would reach the host past the namespaces: loading modules, kexec, open_by_handle_at, forced unmounting."},
		set: func(s *sysctl.Spec, _, v string) error {
			on, err := parseBool(v)
			s.Kernel.Calls.Bare = !on
			return err
		},
	}}
}

// parseCalls reads a list of system calls, for all of which the same is done. Whether there are such is for the runtime to say.
func parseCalls(v string, a sysctl.Action) (rules []sysctl.Rule, err error) {
	for _, name := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		if err := checkCall(name); err != nil {
			return nil, err
		}
		rules = append(rules, sysctl.Rule{Call: name, Action: a})
	}
	if len(rules) == 0 {
		return nil, bad(`%q names no system call: write names such as "keyctl,bpf"`, v)
	}
	return rules, nil
}

// essential are system calls without which no program can start, be told apart from one that hangs, or end: the runtime would wait
// for ever for a guest that cannot even say that it has failed.
func essential() []string {
	return []string{"brk", "close", "execve", "exit", "exit_group", "fcntl", "fstat", "futex", "getpid", "gettid", "kill", "mmap", "mprotect",
		"munmap", "openat", "prctl", "read", "recvmsg", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sendmsg", "tgkill", "wait4", "write"}
}

// checkEssential refuses an allow list that lacks some of them.
func checkEssential(rules []sysctl.Rule) error {
	var missing []string
	for _, name := range essential() {
		if !slices.ContainsFunc(rules, func(r sysctl.Rule) bool { return r.Call == name && r.Action.What == "allow" }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return bad("lacks system calls without which nothing can start or end: %s", strings.Join(missing, ","))
	}
	return nil
}

// checkCall reports why a word cannot be the name of a system call: it goes into a file of liblxc's.
func checkCall(name string) error {
	if name == "" || len(name) > 64 || strings.TrimFunc(name, func(r rune) bool { return r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }) != "" {
		return bad(`%q cannot be the name of a system call: write names such as "keyctl,bpf"; rules with arguments belong to raw.seccomp's language, which is not spoken here`, name)
	}
	return nil
}
