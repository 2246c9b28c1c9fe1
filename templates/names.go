package templates

import (
	"cmp"
	"slices"
	"strings"
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
			n := typos(ref, strings.ToLower(name))
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

// typos counts the insertions, deletions and replacements that turn a into b.
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
