package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Lines of doc/performance.md between which the report is written.
const (
	beginMark = "<!-- make bench writes from here -->"
	endMark   = "<!-- to here -->"
)

// table renders the results as Markdown, columns aligned so that it reads well on a terminal too.
func table(peers []string, r *results) string {
	rows := [][]string{append(append([]string{"median"}, peers...), "sysctl ÷ lxc", "goal", "")}
	for _, o := range ops {
		row := []string{string(o) + ", " + o.unit()}
		measured := false
		for _, p := range peers {
			m, ok := r.median(o, p)
			measured = measured || ok
			row = append(row, number(m, ok))
		}
		if m, ok := r.median(o, realName); ok {
			measured = true
			row[1] = number(m, ok)
		}
		if !measured {
			continue
		}
		text, mark := goalFor(o, r)
		rows = append(rows, append(row, ratio(o, r), text, mark))
	}
	return align(rows)
}

func ratio(o op, r *results) string {
	have, ok := r.median(o, oursName)
	ref, refOK := r.median(o, lxcName)
	if !ok || !refOK || ref == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", have/ref)
}

func number(v float64, ok bool) string {
	switch {
	case !ok:
		return "–"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 || i >= len(row)-2 {
				b.WriteString("| " + cell + pad + " ")
			} else {
				b.WriteString("| " + pad + cell + " ")
			}
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, w := range widths {
			if i == 0 || i >= len(row)-2 {
				b.WriteString("|" + strings.Repeat("-", w+2))
			} else {
				b.WriteString("|" + strings.Repeat("-", w+1) + ":")
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// machine describes what was measured on, without naming it.
func machine(dir string) string {
	var u syscall.Utsname
	_ = syscall.Uname(&u)
	var st syscall.Statfs_t
	_ = syscall.Statfs(dir, &st)
	filesystem, ok := filesystems[int64(st.Type)]
	if !ok {
		filesystem = fmt.Sprintf("filesystem type %#x", st.Type)
	}
	cgroups := "cgroup v1 or hybrid"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		cgroups = "cgroup v2"
	}
	return fmt.Sprintf("%d CPUs (%s), Linux %s, %s, %s", runtime.NumCPU(), runtime.GOARCH, cstring(u.Release[:]), filesystem, cgroups)
}

// Magic numbers of statfs(2).
var filesystems = map[int64]string{0xEF53: "ext4", 0x9123683E: "btrfs", 0x58465342: "xfs", 0x01021994: "tmpfs", 0x2FC12FC1: "zfs", 0x794C7630: "overlay"}

func cstring(chars []int8) string {
	var b []byte
	for _, c := range chars {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

// report is everything that goes between the marks.
func (b *bench) report(day time.Time, absent []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %s. %d rounds.\n\n", day.Format(time.DateOnly), machine(b.env.dir), b.rounds)
	var names []string
	for _, p := range b.peers {
		names = append(names, p.Name())
		fmt.Fprintf(&out, "- %s: %s\n", p.Name(), p.About())
		if b.failed[p] != nil {
			fmt.Fprintf(&out, "  (left out after a failure in: %.200s)\n", firstLine(b.failed[p].Error()))
		}
	}
	for _, a := range absent {
		fmt.Fprintf(&out, "- not measured: %s\n", a)
	}
	return out.String() + "\n" + table(names, b.res)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// between puts text between the marks of a document.
func between(doc []byte, text string) ([]byte, error) {
	head, rest, ok := bytes.Cut(doc, []byte(beginMark))
	_, foot, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok || !ok2 {
		return nil, fmt.Errorf("the lines %q and %q are not there", beginMark, endMark)
	}
	return bytes.Join([][]byte{head, []byte(beginMark + "\n" + text), append([]byte(endMark), foot...)}, nil), nil
}

// write puts the report into the document at path.
func write(path, text string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	doc, err = between(doc, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, doc, 0o644)
}
