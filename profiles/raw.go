package profiles

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sysctl-os/sysctl"
)

// rawFields is the part of the table in other programs' languages.
func rawFields() []field[sysctl.Spec] {
	return []field[sysctl.Spec]{{
		Key: Key{Name: "raw.idmap", Type: "lines", Default: "none", Example: "both 1000 1000",
			Doc: "Ids of the guest that are other ids of the host than those of its range, as lines `uid|gid|both HOST GUEST`; each is a number or a range (`1000-1005`). Whoever has them in the guest has them on the host's disks that it is given."},
		set: func(s *sysctl.Spec, _, v string) error {
			s.IDs.Raw = v
			return sysctl.CheckRawIDs(v)
		},
	}, {
		Key: Key{Name: "raw.lxc", Type: "lines", Default: "none", Example: "lxc.proc.oom_score_adj = -500",
			Doc: "Lines for liblxc (lxc.container.conf(5)) after those made of all other keys. What would take the instance from under its other keys is refused."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Kernel.Raw, err = parseRaw(v)
			return err
		},
	}, {
		Key: Key{Name: "raw.seccomp", Type: "lines", Default: "none", Example: "2\ndenylist\n[all]\nkeyctl errno 38",
			Doc: "A whole system call policy in liblxc's language, in the place of security.syscalls.*: version 2, denylist or allowlist, `[all]`, and lines `NAME [allow, kill, trap or errno N]`."},
		set: func(s *sysctl.Spec, _, v string) (err error) {
			s.Kernel.Calls, err = parseSeccomp(v)
			return err
		},
	}}
}

// rawItems are the keys of liblxc's that raw.lxc may have; those that end with a dot are families.
func rawItems() []string {
	return []string{"lxc.apparmor.", "lxc.autodev.tmpfs.size", "lxc.cap.drop", "lxc.cap.keep", "lxc.cgroup.", "lxc.cgroup2.", "lxc.init.cmd", "lxc.init.cwd",
		"lxc.keyring.session", "lxc.mount.auto", "lxc.mount.entry", "lxc.no_new_privs", "lxc.proc.", "lxc.pty.max", "lxc.selinux.",
		"lxc.time.offset.", "lxc.tty.max"}
}

// elsewhere says what has to be written instead of a key of liblxc's.
func elsewhere(key string) string {
	for _, e := range []struct{ prefix, instead string }{
		{"lxc.idmap", "use security.idmap.base, security.idmap.size and raw.idmap"},
		{"lxc.hook", "hooks are this program's own"},
		{"lxc.net.", "use a device of type nic"},
		{"lxc.rootfs", "the root is the instance's own files"},
		{"lxc.seccomp", "use security.syscalls.deny or raw.seccomp"},
		{"lxc.environment", "use environment.NAME"},
		{"lxc.prlimit", "use limits.kernel.NAME"},
		{"lxc.sysctl", "use linux.sysctl.NAME"},
		{"lxc.uts.name", "use sysctl rename"},
		{"lxc.arch", "it is what the guest is"},
		{"lxc.cgroup.dir", "where its cgroups are is this program's to know"},
		{"lxc.cgroup.relative", "where its cgroups are is this program's to know"},
		{"lxc.console", "the console is sysctl console's"},
		{"lxc.log", "the log is sysctl logs'"},
		{"lxc.include", "write the lines themselves"},
		{"lxc.mount.fstab", "write lxc.mount.entry"},
		{"lxc.signal", "how a guest halts is found out"},
		{"lxc.start", "use boot.autostart"},
		{"lxc.group", "use boot.autostart"},
		{"lxc.namespace", "an instance has all namespaces for itself"},
		{"lxc.monitor", "the monitor is this program's"},
		{"lxc.ephemeral", "use sysctl launch --ephemeral"},
	} {
		if strings.HasPrefix(key, e.prefix) {
			return e.instead
		}
	}
	return ""
}

// parseRaw reads raw.lxc.
func parseRaw(text string) (items []sysctl.RawItem, err error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok || !strings.HasPrefix(key, "lxc."):
			return nil, bad("%q is no line of liblxc's: write lxc.KEY = VALUE", line)
		case strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
			return nil, bad("%q contains a control character", line)
		case elsewhere(key) != "":
			return nil, bad("%s is not to be set: %s", key, elsewhere(key))
		case !slices.ContainsFunc(rawItems(), func(known string) bool { return isRawItem(key, known) }):
			return nil, bad("%s is not one of those that may be set: %s", key, strings.Join(rawItems(), ", "))
		case value == "":
			return nil, bad("%s has no value: that would take back what is set of it already", key)
		case key == "lxc.mount.auto" && strings.Contains(value, "cgroup"):
			return nil, bad("lxc.mount.auto: which cgroups a guest sees is what it needs to boot (sysctl check): leave %q out", value)
		case key == "lxc.mount.entry" && !insideRoot(value):
			return nil, bad("lxc.mount.entry: %q mounts at no path inside the guest: write it without a leading slash and without ..", value)
		}
		items = append(items, sysctl.RawItem{Key: key, Value: value})
	}
	return items, nil
}

func isRawItem(key, known string) bool {
	if strings.HasSuffix(known, ".") {
		return strings.HasPrefix(key, known) && key != known
	}
	return key == known
}

// insideRoot reports whether the second word of a mount entry is a relative path that leads nowhere else by its words.
func insideRoot(entry string) bool {
	f := strings.Fields(entry)
	return len(f) >= 4 && f[1][0] != '/' && !slices.Contains(strings.Split(f[1], "/"), "..")
}

// parseSeccomp reads raw.seccomp: the part of liblxc's policy language (version 2) that can be told of a command that joins a
// guest too. What it cannot is refused, never dropped.
func parseSeccomp(text string) (s sysctl.Syscalls, err error) {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	const example = `write "2", a line "denylist" or "allowlist", a line "[all]", and a system call in each further line`
	if len(lines) < 2 || lines[0] != "2" {
		return s, bad("is no policy of version 2: %s", example)
	}
	s.Bare = true
	kind, action, _ := strings.Cut(lines[1], " ")
	usual := sysctl.Action{What: "allow"}
	switch kind {
	case "denylist", "blacklist":
		usual = sysctl.Action{What: "kill"}
	case "allowlist", "whitelist":
		s.Only, s.Default = true, sysctl.Action{What: "kill"}
	default:
		return s, bad("%q is neither denylist nor allowlist: %s", lines[1], example)
	}
	if action != "" {
		a, err := parseAction(action)
		if err != nil {
			return s, err
		}
		if s.Only {
			s.Default = a
		} else {
			usual = a
		}
	}
	for _, line := range lines[2:] {
		name, action, _ := strings.Cut(line, " ")
		switch {
		case line == "[all]":
			continue
		case line == "reject_force_umount":
			s.Forced = true
			continue
		case strings.HasPrefix(line, "["):
			return s, bad("%q: a policy here is for all architectures: write [all]", line)
		}
		if err := checkCall(name); err != nil {
			return s, err
		}
		r := sysctl.Rule{Call: name, Action: usual}
		if action != "" {
			if r.Action, err = parseAction(action); err != nil {
				return s, err
			}
		}
		s.Rules = append(s.Rules, r)
	}
	if s.Only {
		return s, checkEssential(s.Rules)
	}
	return s, nil
}

func parseAction(s string) (sysctl.Action, error) {
	f := strings.Fields(s)
	if len(f) == 1 && (f[0] == "allow" || f[0] == "kill" || f[0] == "trap") {
		return sysctl.Action{What: f[0]}, nil
	}
	if len(f) == 2 && f[0] == "errno" {
		if n, err := strconv.ParseUint(f[1], 10, 12); err == nil {
			return sysctl.Action{What: "errno", Errno: int(n)}, nil
		}
	}
	return sysctl.Action{}, bad(`%q is not what can be done with a system call: write "allow", "kill", "trap" or "errno N"; rules on arguments are not understood`, s)
}
