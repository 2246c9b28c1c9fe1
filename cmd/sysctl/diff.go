package main

import (
	"fmt"
	"strings"

	"github.com/sysctl-os/sysctl/manager"
)

// patch writes changes as one patch in git's form, which "patch -p1" and "git apply" take too.
func patch(changes []manager.FileChange) string {
	var b strings.Builder
	for _, c := range changes {
		patchFile(&b, c)
	}
	return b.String()
}

func patchFile(b *strings.Builder, c manager.FileChange) {
	before, after := c.Before, c.After
	// A file that becomes a link, or the other way round, goes and comes: no patch can say that at once.
	if before != nil && after != nil && (before.Link == "") != (after.Link == "") {
		patchFile(b, manager.FileChange{Path: c.Path, Before: before})
		before = nil
	}
	fmt.Fprintf(b, "diff --git a%s b%s\n", c.Path, c.Path)
	from, to := "a"+c.Path, "b"+c.Path
	switch {
	case before == nil:
		fmt.Fprintf(b, "new file mode %s\n", gitMode(after))
		from = "/dev/null"
	case after == nil:
		fmt.Fprintf(b, "deleted file mode %s\n", gitMode(before))
		to = "/dev/null"
	case before.Mode != after.Mode:
		fmt.Fprintf(b, "old mode %s\nnew mode %s\n", gitMode(before), gitMode(after))
	}
	if hunks := unified(lines(before), lines(after)); hunks != "" {
		fmt.Fprintf(b, "--- %s\n+++ %s\n%s", from, to, hunks)
	}
}

func gitMode(s *manager.FileState) string {
	if s.Link != "" {
		return "120000"
	}
	return "10" + s.Mode
}

// lines splits a file's content into lines with their newlines. A link's content is its target.
func lines(s *manager.FileState) []string {
	if s == nil {
		return nil
	}
	text := s.Content + s.Link
	list := strings.SplitAfter(text, "\n")
	if list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list
}

// edit is a line that stays (' '), goes ('-') or comes ('+').
type edit struct {
	op   byte
	line string
}

// around is how many lines that stay are shown around a change.
const around = 3

// unified writes the hunks that turn a into b; "" where they are the same.
func unified(a, b []string) string {
	var out strings.Builder
	edits := compare(a, b)
	line1, line2 := 1, 1
	for i := 0; i < len(edits); {
		if edits[i].op == ' ' {
			line1, line2, i = line1+1, line2+1, i+1
			continue
		}
		start := max(0, i-around)
		end, quiet := i, 0
		for end < len(edits) && quiet <= 2*around {
			if quiet++; edits[end].op != ' ' {
				quiet = 0
			}
			end++
		}
		end -= max(0, quiet-around) // quiet lines are at the end: some of them are shown
		hunk := edits[start:end]
		var n1, n2 int
		for _, e := range hunk {
			if e.op != '+' {
				n1++
			}
			if e.op != '-' {
				n2++
			}
		}
		back := i - start
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(line1-back, n1), span(line2-back, n2))
		for _, e := range hunk {
			out.WriteString(string(e.op) + e.line)
			if !strings.HasSuffix(e.line, "\n") {
				out.WriteString("\n\\ No newline at end of file\n")
			}
		}
		line1, line2, i = line1-back+n1, line2-back+n2, end
	}
	return out.String()
}

// span is a hunk's place: where there are no lines, that of the line before.
func span(at, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", at-1)
	case 1:
		return fmt.Sprint(at)
	}
	return fmt.Sprintf("%d,%d", at, n)
}

// maxTable bounds the memory of a comparison; beyond it what lies between the equal ends is replaced as a whole.
const maxTable = 16 << 20

// compare returns a shortest way to turn a into b. What goes stands before what comes in its place.
func compare(a, b []string) []edit {
	var head, tail []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	for _, line := range a[len(a)-n:] {
		tail = append(tail, edit{' ', line})
	}
	a, b = a[:len(a)-n], b[:len(b)-n]
	return append(append(head, middle(a, b)...), tail...)
}

// middle compares by the lengths of the longest common subsequences of all ends of a and b.
func middle(a, b []string) (out []edit) {
	width := len(b) + 1
	table := make([]int32, 0)
	if (len(a)+1)*width <= maxTable {
		table = make([]int32, (len(a)+1)*width)
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					table[i*width+j] = table[(i+1)*width+j+1] + 1
				} else {
					table[i*width+j] = max(table[(i+1)*width+j], table[i*width+j+1])
				}
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case len(table) > 0 && i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || len(table) == 0 || table[(i+1)*width+j] >= table[i*width+j+1]):
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}
