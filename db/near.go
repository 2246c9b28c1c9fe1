package db

import (
	"context"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// notFound is the error for a name that a query for all names does not have. It suggests the nearest name
// where one is so near that it was probably meant. hint is a command that lists the names.
func notFound(ctx context.Context, q querier, noun, name, names, hint string) error {
	all, err := texts(ctx, q, names)
	if err != nil {
		return err
	}
	suggestion := ""
	if near := nearest(name, all); near != "" {
		suggestion = ": did you mean " + near + "?"
	}
	return sysctl.E(sysctl.NotFound, "%s %q not found%s", noun, name, suggestion).WithHint("%s", hint)
}

// nearest returns the candidate that fewest typing errors separate from name, or "" where none is near:
// one error in up to 4 letters, two in more. Case does not count. Of equals, the first wins.
func nearest(name string, candidates []string) string {
	best, found := 2, ""
	if len(name) > 4 {
		best = 3
	}
	for _, c := range candidates {
		if n := typos(strings.ToLower(name), strings.ToLower(c)); n < best && n < len(name) {
			best, found = n, c
		}
	}
	return found
}

// typos counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func typos(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
