package guest

import (
	"slices"
	"strings"
)

// mark is how a file that is all ours begins.
const mark = "# Written by sysctl at every start"

// The lines between which a file of somebody else's is ours. Everything that begins like the
// first opens a block, so its wording can change.
const (
	blockOpens = "# sysctl: begin"
	blockBegin = blockOpens + " (rewritten at every start, changes here are lost)"
	blockEnd   = "# sysctl: end"
)

// cutBlock removes our blocks and returns where the first one was, -1 where there was none. With one
// at the end goes the blank line before it, which putBlock adds. Of a block that is not closed
// before the next opens, only the opening line is removed: what follows may be somebody's.
func cutBlock(lines []string) (rest []string, at int) {
	at = -1
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], blockOpens) {
			rest = append(rest, lines[i])
			continue
		}
		if at < 0 {
			at = len(rest)
		}
		n := slices.IndexFunc(lines[i+1:], func(l string) bool { return l == blockEnd || strings.HasPrefix(l, blockOpens) })
		if n >= 0 && lines[i+1+n] == blockEnd {
			i += 1 + n
			if last := len(rest) - 1; i == len(lines)-1 && last >= 0 && rest[last] == "" {
				rest = rest[:last]
				at = min(at, last)
			}
		}
	}
	return rest, at
}

// putBlock inserts a block at a line, or appends it where at is negative or the end.
func putBlock(lines []string, at int, block []string) []string {
	block = slices.Concat([]string{blockBegin}, block, []string{blockEnd})
	if at < 0 || at == len(lines) {
		at = len(lines)
		if at > 0 {
			block = append([]string{""}, block...)
		}
	}
	return slices.Insert(slices.Clone(lines), at, block...)
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
