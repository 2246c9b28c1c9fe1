package templates

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// closeNames returns at most three names that ref was probably meant to be: that contain it, or that few
// typing errors separate from it. Each group is the names of one thing, of which the closest is given. Case
// does not count.
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
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Compare(a.typos, b.typos) })
	var out []string
	for _, s := range near[:min(3, len(near))] {
		out = append(out, s.name)
	}
	return out
}
