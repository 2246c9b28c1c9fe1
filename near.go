package sysctl

import "strings"

// Nearest returns the candidate that fewest typing errors separate from name, or "" where none is so near that
// it was probably meant: one error in up to 4 letters, two in more. Case does not count. Of equals, the
// first wins.
func Nearest(name string, candidates []string) string {
	best, found := 2, ""
	if len(name) > 4 {
		best = 3
	}
	for _, c := range candidates {
		if n := Typos(name, c); n < best && n < len(name) {
			best, found = n, c
		}
	}
	return found
}

// Typos counts the insertions, deletions, replacements and swaps of neighbours that turn a into b. Case does
// not count. Its cost is the product of the lengths.
func Typos(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
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
