package profiles

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sysctl-os/sysctl"
)

// rlimits are the limits of a process that the kernel knows, as liblxc names them (getrlimit(2) without RLIMIT_).
func rlimits() []string {
	return []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
		"rtprio", "rttime", "sigpending", "stack"}
}

// kernelFields is the part of the table that is the kernel's to do, beside limits.
func kernelFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "limits.kernel.*", Type: "rlimit", Default: "the host's", Example: "4096:65536", Names: rlimits(),
			Doc: "A limit of each process of the guest (getrlimit(2)), SOFT:HARD, or one number for both; `unlimited` is one too: " + strings.Join(rlimits(), ", ") + ". In bytes, seconds or as the kernel counts it. `nofile` wins over the measure of that name."},
		set: func(s *sysctl.Spec, name, v string) error {
			if !slices.Contains(rlimits(), name) {
				return bad("%s", unknownWord("limit", name, rlimits()))
			}
			r, err := parseRlimit(v)
			if err != nil {
				return err
			}
			if s.Kernel.Rlimits == nil {
				s.Kernel.Rlimits = map[string]sysctl.Rlimit{}
			}
			s.Kernel.Rlimits[name] = r
			return nil
		},
	}, {
		Key: Key{Name: "linux.kernel_modules", Type: "list", Default: "none", Example: "nfs,ip_vs",
			Doc: "Modules of the host's kernel that a start of the instance loads first, separated by commas."},
		set: func(s *sysctl.Spec, _, v string) error {
			for name := range strings.SplitSeq(v, ",") {
				name = strings.TrimSpace(name)
				if name == "" || len(name) > 64 || name[0] == '-' || strings.TrimFunc(name, func(r rune) bool { return isWord(r) || r == '-' }) != "" {
					return bad(`%q cannot be the name of a module: write names such as "nfs,ip_vs"`, name)
				}
				s.Kernel.Modules = append(s.Kernel.Modules, name)
			}
			return nil
		},
	}, {
		Key: Key{Name: "linux.sysctl.*", Type: "text", Example: "1", Names: []string{"net.ipv4.ip_forward", "net.ipv4.ip_unprivileged_port_start", "kernel.shmmax", "kernel.msgmax"},
			Doc: "A setting below the guest's /proc/sys, set before its init runs, such as `linux.sysctl.net.ipv4.ip_forward`. Only what each guest has for itself: net.*, fs.mqueue.*, and of kernel.* what System V IPC has."},
		set: func(s *sysctl.Spec, name, v string) error {
			if err := checkSysctl(name); err != nil {
				return err
			}
			if strings.ContainsFunc(v, unicode.IsControl) && strings.Trim(v, "0123456789 \t-") != "" {
				return bad("%q contains a control character", v)
			}
			return put(&s.Kernel.Sysctls, name, v)
		},
	}}
}

// parseRlimit reads SOFT:HARD, or one number for both.
func parseRlimit(s string) (r sysctl.Rlimit, err error) {
	soft, hard, two := strings.Cut(s, ":")
	if !two {
		hard = soft
	}
	for _, n := range []struct {
		text string
		to   *uint64
	}{{soft, &r.Soft}, {hard, &r.Hard}} {
		if n.text == "unlimited" {
			*n.to = sysctl.Unlimited
			continue
		}
		if *n.to, err = strconv.ParseUint(n.text, 10, 63); err != nil {
			return r, bad(`%q is no limit: write SOFT:HARD, each a whole number or "unlimited", such as "4096:65536"`, s)
		}
	}
	if r.Soft > r.Hard {
		return r, bad("%q has a soft limit above the hard one: write %q", s, hard+":"+soft)
	}
	return r, nil
}

// checkSysctl reports why a setting is not a guest's own: the others are the whole host's, and with security.privileged a guest
// would change them there.
func checkSysctl(name string) error {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.TrimFunc(part, func(r rune) bool { return isWord(r) || r == '-' }) != "" {
			return bad("%q cannot be the name of a setting: write it as sysctl(8) does, such as net.ipv4.ip_forward", name)
		}
	}
	ipc := []string{"kernel.shmmax", "kernel.shmall", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.shm_next_id", "kernel.msgmax", "kernel.msgmnb",
		"kernel.msgmni", "kernel.msg_next_id", "kernel.sem", "kernel.sem_next_id", "kernel.auto_msgmni"}
	switch {
	case strings.HasPrefix(name, "net."), strings.HasPrefix(name, "fs.mqueue."), slices.Contains(ipc, name):
		return nil
	case name == "kernel.hostname" || name == "kernel.domainname":
		return bad("%s is the instance's name: sysctl rename", name)
	}
	return bad("%s is the whole host's: no guest has one of its own. Of a guest are net.*, fs.mqueue.* and %s", name, strings.Join(ipc, ", "))
}
