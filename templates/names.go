package templates

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// closeNames returns at most three names that ref was probably meant to be: that contain it, or that few
// typing errors separate from it. Each group is the names of one thing, of which the closest is given. Case
// does not count. Of those that are as close, the newest releases come first.
func closeNames(ref string, groups [][]string) []string {
	type scored struct {
		name  string
		typos int
	}
	const far = 3
	ref = strings.ToLower(ref)
	var near []scored
	for _, g := range groups {
		best := scored{typos: min(far, len(ref))}
		for _, name := range g {
			n := sysctl.Typos(ref, name)
			if len(ref) >= 3 && strings.Contains(strings.ToLower(name), ref) {
				n = 0
			}
			if n < best.typos {
				best = scored{name, n}
			}
		}
		if best.name != "" {
			near = append(near, best)
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Or(cmp.Compare(a.typos, b.typos), newestFirst(a.name, b.name)) })
	var out []string
	for _, s := range near[:min(3, len(near))] {
		out = append(out, s.name)
	}
	return out
}

// newestFirst orders names of templates: letters as in the alphabet, and numbers from the greatest down. A name that goes on where the
// other has a number is after it (alpineedge, debiansid).
func newestFirst(a, b string) int {
	for a != "" && b != "" {
		m, n := digits(a), digits(b)
		if m == "" || n == "" {
			if a[0] != b[0] {
				return cmp.Or(cmp.Compare(len(n), len(m)), cmp.Compare(a[0], b[0])) // the one with a number first
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(m, "0"), strings.TrimLeft(n, "0")
		if x != y {
			return cmp.Or(cmp.Compare(len(y), len(x)), cmp.Compare(y, x))
		}
		a, b = a[len(m):], b[len(n):]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is the number that a name begins with, "" where it begins with none.
func digits(s string) string { return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))] }
