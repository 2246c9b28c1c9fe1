package manager

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// account is a user of a guest, out of its own passwd(5) and group(5).
type account struct {
	name, home, shell string
	uid, gid          int
	groups            []int
}

// lookup finds a user by name or uid ("" = root) and optionally another group by name or gid. A uid that
// nobody has is allowed, as with docker exec: it has no home and no groups.
func lookup(t sysctl.Tree, user, group string) (account, error) {
	if user == "" {
		user = "root"
	}
	passwd, err := records(t, "/etc/passwd", 7)
	if err != nil {
		return account{}, err
	}
	groups, err := records(t, "/etc/group", 4)
	if err != nil {
		return account{}, err
	}
	u, err := findUser(passwd, user)
	if err != nil {
		return account{}, err
	}
	for _, g := range groups {
		if gid, err := strconv.Atoi(g[2]); err == nil && gid != u.gid && slices.Contains(strings.Split(g[3], ","), u.name) {
			u.groups = append(u.groups, gid)
		}
	}
	if group != "" {
		if u.gid, err = findGroup(groups, group); err != nil {
			return account{}, err
		}
	}
	return u, nil
}

// rootShell is root's shell as passwd has it, or otherwise where that cannot be read.
func rootShell(t sysctl.Tree, otherwise string) string {
	passwd, err := records(t, "/etc/passwd", 7)
	if err != nil {
		return otherwise
	}
	u, err := findUser(passwd, "root")
	if err != nil {
		return otherwise
	}
	return u.shell
}

func findUser(passwd [][]string, user string) (account, error) {
	for _, f := range passwd {
		if f[0] != user && f[2] != user {
			continue
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if errors.Join(err1, err2) != nil {
			return account{}, sysctl.E(sysctl.Invalid, "the guest's /etc/passwd has no numbers for user %q", user)
		}
		u := account{name: f[0], uid: uid, gid: gid, home: f[5], shell: f[6]}
		if u.home == "" {
			u.home = "/"
		}
		if u.shell == "" {
			u.shell = "/bin/sh" // passwd(5)
		}
		return u, nil
	}
	if uid, err := strconv.Atoi(user); err == nil && uid >= 0 {
		return account{name: user, uid: uid, gid: uid, home: "/", shell: "/bin/sh"}, nil
	}
	if user == "root" {
		return account{name: "root", home: "/root", shell: "/bin/sh"}, nil
	}
	return account{}, sysctl.E(sysctl.NotFound, "the guest has no user %q", user)
}

func findGroup(groups [][]string, group string) (int, error) {
	for _, g := range groups {
		if g[0] == group || g[2] == group {
			return strconv.Atoi(g[2])
		}
	}
	if gid, err := strconv.Atoi(group); err == nil && gid >= 0 {
		return gid, nil
	}
	return 0, sysctl.E(sysctl.NotFound, "the guest has no group %q", group)
}

// records splits a colon-separated file into lines of at least n fields. An absent file has none.
func records(t sysctl.Tree, path string, n int) ([][]string, error) {
	b, err := t.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), ":"); len(f) >= n {
			all = append(all, f)
		}
	}
	return all, nil
}

// locale is the guest's own LANG: systemd's and the newer distributions' file, Debian's, Red Hat's. The
// host's is never used: the guest may not have it.
func locale(t sysctl.Tree) string {
	for _, path := range []string{"/etc/locale.conf", "/etc/default/locale", "/etc/sysconfig/i18n"} {
		b, err := t.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "LANG="); ok {
				return strings.Trim(v, `"'`)
			}
		}
	}
	return ""
}
