package main

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// filterKeys are what a filter of list can ask for besides config keys.
func filterKeys() []string {
	return []string{"name", "status", "ipv4", "ipv6", "image", "template", "os", "profile", "network", "architecture", "ephemeral"}
}

// listFilter is one argument of list: KEY=VALUE, KEY=~REGEX, or a pattern of names. Values are separated by commas.
type listFilter struct {
	key      string
	values   []string // patterns as in a shell
	prefixes []netip.Prefix
	regex    *regexp.Regexp
	config   bool // key is a config key
}

// parseFilters reads list's arguments. Patterns of names come first: of several one must fit; of the others all.
func parseFilters(args []string, bad *sysctl.FieldErrors) (filters []listFilter, names []string) {
	for _, arg := range args {
		key, value, isFilter := strings.Cut(arg, "=")
		if !isFilter {
			if _, err := path.Match(arg, ""); err != nil {
				bad.Add(arg, "is not a pattern: a [ has no ]")
			}
			names = append(names, arg)
			continue
		}
		f := listFilter{key: key, config: strings.Contains(key, ".")}
		if !f.config && !slices.Contains(filterKeys(), key) {
			bad.Add(arg, "%q is no config key and none of %s", key, strings.Join(filterKeys(), ", "))
			continue
		}
		pattern, isRegex := strings.CutPrefix(value, "~")
		switch {
		case isRegex:
			var err error
			if f.regex, err = regexp.Compile(pattern); err != nil {
				bad.Add(arg, "%v", err)
			}
		case key == "ipv4" || key == "ipv6":
			for v := range strings.SplitSeq(value, ",") {
				p, err := prefix(v)
				if err != nil || p.Addr().Is4() != (key == "ipv4") {
					bad.Add(arg, "%q is no address or subnet of %s, such as %s", v, key, map[string]string{"ipv4": "10.0.0.0/8", "ipv6": "fd00::/8"}[key])
				}
				f.prefixes = append(f.prefixes, p)
			}
		default:
			f.values = strings.Split(value, ",")
			for _, v := range f.values {
				if _, err := path.Match(v, ""); err != nil {
					bad.Add(arg, "%q is not a pattern: a [ has no ]", v)
				}
				if key == "status" && !strings.ContainsAny(v, "*?[") && !slices.Contains(statuses(), strings.ToLower(v)) {
					bad.Add(arg, "%q is none of %s", v, strings.Join(statuses(), ", "))
				}
			}
		}
		filters = append(filters, f)
	}
	return filters, names
}

func statuses() []string {
	return []string{string(sysctl.Running), string(sysctl.Stopped), string(sysctl.Frozen), string(sysctl.Broken)}
}

// prefix reads a subnet, or an address as the smallest one.
func prefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// fits reports whether an instance is what a filter asks for. config is its configuration with its profiles'.
func (f listFilter) fits(i manager.Info, config map[string]string) bool {
	var have []string
	switch f.key {
	case "name":
		have = []string{i.Name}
	case "status":
		have = []string{string(i.State.Status)}
	case "ipv4", "ipv6":
		return f.fitsAddress(i)
	case "image":
		have = []string{i.Image, sysctl.ShortID(i.Image), i.Template}
	case "template":
		have = []string{i.Template}
	case "os":
		have = []string{i.Guest.ID, i.Guest.ID + i.Guest.Version, i.Guest.Family}
	case "profile":
		have = i.Profiles
	case "network":
		for _, n := range i.NICs {
			have = append(have, n.Network)
		}
	case "architecture":
		have = []string{i.Guest.Arch}
	case "ephemeral":
		have = []string{yesNo(i.Ephemeral), map[bool]string{true: "true", false: "false"}[i.Ephemeral]}
	default:
		have = []string{config[f.key]}
	}
	return slices.ContainsFunc(have, f.matches)
}

func (f listFilter) matches(s string) bool {
	if f.regex != nil {
		return f.regex.MatchString(s)
	}
	return slices.ContainsFunc(f.values, func(v string) bool {
		if f.key == "status" {
			v = strings.ToLower(v)
		}
		ok, _ := path.Match(v, s) // checked before
		return ok || v == s
	})
}

func (f listFilter) fitsAddress(i manager.Info) bool {
	for _, n := range i.NICs {
		a := n.IPv4
		if f.key == "ipv6" {
			a = n.IPv6
		}
		if !a.IsValid() {
			continue
		}
		if f.regex != nil && f.regex.MatchString(a.String()) || slices.ContainsFunc(f.prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return true
		}
	}
	return false
}
