package lxc

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// The device filter of a run is what liblxc makes of allowedDevices and raw.lxc. Devices that the instance is given are added to it
// here, when the guest boots and while it runs.

// deviceRule says of which devices something may be done: all of a kind and numbers that fit.
type deviceRule struct {
	allow        bool
	kind         byte  // 'b', 'c', 'a' for both
	major, minor int64 // -1: any
	access       uint8 // of mayMake, mayRead, mayWrite
}

// The kernel's bits of what is done to a device (linux/bpf.h).
const (
	mayMake = 1 << iota
	mayRead
	mayWrite
)

// parseRule reads a rule as the device controller has it (devices.rst): "c 1:3 rwm", "b *:* m", "a".
func parseRule(text string, allow bool) (deviceRule, bool) {
	f := strings.Fields(text)
	if len(f) == 0 || len(f[0]) != 1 || !strings.Contains("abc", f[0]) {
		return deviceRule{}, false
	}
	r := deviceRule{allow: allow, kind: f[0][0], major: -1, minor: -1, access: mayMake | mayRead | mayWrite}
	if r.kind == 'a' { // the rest means nothing
		return r, true
	}
	if len(f) != 3 {
		return r, false
	}
	major, minor, ok := strings.Cut(f[1], ":")
	for _, n := range []struct {
		text string
		to   *int64
	}{{major, &r.major}, {minor, &r.minor}} {
		if n.text == "*" {
			continue
		}
		i, err := strconv.ParseUint(n.text, 10, 32)
		*n.to, ok = int64(i), ok && err == nil
	}
	r.access = 0
	for _, c := range f[2] {
		r.access |= map[rune]uint8{'m': mayMake, 'r': mayRead, 'w': mayWrite}[c]
	}
	return r, ok && r.access != 0
}

// covers reports whether all that o is about r is about too.
func (r deviceRule) covers(o deviceRule) bool {
	return (r.kind == 'a' || r.kind == o.kind) && (r.major < 0 || r.major == o.major) && (r.minor < 0 || r.minor == o.minor) && o.access&^r.access == 0
}

// nodeRule is the rule for one device.
func nodeRule(n sysctl.Node) deviceRule {
	r, _ := parseRule(n.Numbers()+" rwm", true)
	return r
}

// saveRules notes what raw.lxc says of devices, which is a part of the run's filter. A run of which it says nothing has no file.
func (rt *Runtime) saveRules(b sysctl.Boot) error {
	var lines []string
	for _, item := range b.Kernel.Raw {
		key := strings.TrimPrefix(strings.TrimPrefix(item.Key, "lxc.cgroup."), "lxc.cgroup2.")
		if verb, ok := strings.CutPrefix(key, "devices."); ok && key != item.Key {
			lines = append(lines, verb+" "+item.Value+"\n")
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return os.WriteFile(rt.paths.Rules(b.Instance), []byte(strings.Join(lines, "")), 0o600)
}

// rules is the filter of a run without the devices that it was given, in the order in which liblxc has them.
func (rt *Runtime) rules(id int64) ([]deviceRule, error) {
	var rules []deviceRule
	for _, text := range allowedDevices {
		r, ok := parseRule(text, true)
		if !ok {
			return nil, sysctl.E(sysctl.Internal, "device rule %q", text)
		}
		rules = append(rules, r)
	}
	text, err := os.ReadFile(rt.paths.Rules(id))
	if errors.Is(err, fs.ErrNotExist) {
		return rules, nil
	}
	for line := range strings.Lines(string(text)) {
		verb, rest, _ := strings.Cut(line, " ")
		r, ok := parseRule(rest, verb == "allow")
		switch {
		case !ok:
			// liblxc has refused it
		case r.kind == 'a':
			rules = []deviceRule{r} // all before it is void
		default:
			rules = append(rules, r)
		}
	}
	return rules, err
}

// AllowDevices makes the filter of a run let the guest have nodes, beside what every guest may have, and of those in was nothing more. On
// a host that has no device filter there is none to change. Idempotent. It holds until the guest reboots.
func (rt *Runtime) AllowDevices(ctx context.Context, id int64, was, nodes []sysctl.Node) error {
	rules, err := rt.rules(id)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	if v1 := rt.cgroups.v1["devices"]; v1 != "" && !rt.cgroups.pure() {
		err = allowOnV1(filepath.Join(v1, rt.paths.PayloadCgroup(id)), rules, was, nodes)
	} else if rt.cgroups.v2 != "" {
		for _, n := range nodes {
			rules = append(rules, nodeRule(n))
		}
		err = replaceFilter(filepath.Join(rt.cgroups.v2, rt.paths.PayloadCgroup(id)), rules)
	}
	return sysctl.Wrap(err, "device filter")
}

// allowOnV1 changes the rules of a cgroup v1 and of those below it that have the same. A guest's own narrower ones stay so.
func allowOnV1(dir string, rules []deviceRule, was, nodes []sysctl.Node) error {
	has := func(all []sysctl.Node, n sysctl.Node) bool {
		return slices.ContainsFunc(all, func(o sysctl.Node) bool { return o.Numbers() == n.Numbers() })
	}
	for _, n := range was {
		mayAnyway := slices.ContainsFunc(rules, func(r deviceRule) bool { return r.allow && r.covers(nodeRule(n)) })
		if has(nodes, n) || mayAnyway {
			continue
		}
		// What is taken from a cgroup is taken from all below it (devices.rst). Making a node is not opening it, and everybody's.
		if err := writeCgroup(filepath.Join(dir, "devices.deny"), n.Numbers()+" rw"); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := allowBelow(dir, n.Numbers()+" rw"); err != nil {
			return err
		}
	}
	return nil
}

// allowBelow adds a rule to a cgroup and, from the top down, to those below it that have had the same rules. The kernel lets no child
// have what its parent has not.
func allowBelow(dir, rule string) error {
	before, err := os.ReadFile(filepath.Join(dir, "devices.list"))
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // the guest makes and removes cgroups meanwhile
		}
		if path != dir {
			list, err := os.ReadFile(filepath.Join(path, "devices.list"))
			if err != nil || !slices.Equal(list, before) {
				return fs.SkipDir
			}
		}
		err = writeCgroup(filepath.Join(path, "devices.allow"), rule)
		if path != dir && errors.Is(err, fs.ErrNotExist) {
			return fs.SkipDir
		}
		return err
	})
}
