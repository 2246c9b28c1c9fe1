package guest

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

const interfacesFile = "/etc/network/interfaces"

// statement is one logical line of interfaces(5): physical lines joined by backslashes.
type statement struct {
	lines []string
	words []string // none for blank lines and comments
}

func parseInterfaces(lines []string) []statement {
	var out []statement
	for i := 0; i < len(lines); i++ {
		s := statement{lines: lines[i : i+1]}
		if first := strings.TrimSpace(lines[i]); first == "" || first[0] == '#' {
			out = append(out, s)
			continue
		}
		joined := lines[i]
		for strings.HasSuffix(joined, "\\") && i+1 < len(lines) {
			i++
			joined = strings.TrimSuffix(joined, "\\") + " " + lines[i]
			s.lines = append(slices.Clip(s.lines), lines[i])
		}
		s.words = strings.Fields(strings.TrimSuffix(joined, "\\"))
		out = append(out, s)
	}
	return out
}

// opens reports whether a statement begins something new, rather than being an option of the
// stanza above it.
func (s statement) opens() bool {
	if len(s.words) == 0 {
		return false
	}
	w := s.words[0]
	return slices.Contains([]string{"iface", "mapping", "auto", "source", "source-directory", "source-dir",
		"no-auto-down", "no-scripts", "rename", "template"}, w) || strings.HasPrefix(w, "allow-")
}

// stripInterfaces removes the stanzas of interfaces that are ours, and their names from auto and
// allow lines. Everything else stays byte for byte; comments between stanzas stay too.
func stripInterfaces(lines []string, ours func(string) bool) []string {
	var out, pending []string
	dropping := false
	for _, s := range parseInterfaces(lines) {
		switch {
		case s.opens():
			out = append(out, pending...)
			pending = nil
			var keep []string
			keep, dropping = stripStatement(s, ours)
			out = append(out, keep...)
		case !dropping:
			out = append(out, s.lines...)
		case len(s.words) == 0:
			pending = append(pending, s.lines...) // perhaps the next stanza's
		default:
			pending = nil // inside the stanza
		}
	}
	return append(out, pending...)
}

// stripStatement returns what stays of a statement that opens something, and whether the options
// after it go.
func stripStatement(s statement, ours func(string) bool) (keep []string, dropping bool) {
	word, names := s.words[0], s.words[1:]
	switch {
	case word == "iface" && len(names) > 0 && ours(names[0]):
		return nil, true
	case word == "mapping" || word == "auto" || strings.HasPrefix(word, "allow-"):
		left := slices.DeleteFunc(slices.Clone(names), ours)
		if len(left) == len(names) {
			return s.lines, false
		}
		if len(left) == 0 {
			return nil, word == "mapping"
		}
		return []string{word + " " + strings.Join(left, " ")}, false
	}
	return s.lines, false
}

// interfacesOf returns the interfaces that have a stanza, and those brought up by auto lines.
func interfacesOf(lines []string) (stanzas, auto []string) {
	for _, s := range parseInterfaces(lines) {
		if len(s.words) < 2 {
			continue
		}
		switch s.words[0] {
		case "iface":
			stanzas = append(stanzas, s.words[1])
		case "auto", "allow-auto":
			auto = append(auto, s.words[1:]...)
		}
	}
	return stanzas, auto
}

// sourceDirName is what file names source-directory takes, as run-parts does.
var sourceDirName = lazily(`^[A-Za-z0-9_-]+$`)

// sourcedFiles returns the regular files the interfaces file includes. Only the last component of a
// pattern is matched: no more is seen in practice.
func sourcedFiles(t sysctl.Tree, lines []string) []string {
	var out []string
	for _, s := range parseInterfaces(lines) {
		if len(s.words) < 2 {
			continue
		}
		for _, pattern := range s.words[1:] {
			if !path.IsAbs(pattern) {
				pattern = path.Join(path.Dir(interfacesFile), pattern)
			}
			var match func(string) bool
			dir := path.Dir(pattern)
			switch s.words[0] {
			case "source":
				match = func(name string) bool {
					ok, err := path.Match(path.Base(pattern), name)
					return ok && err == nil && !strings.HasPrefix(name, ".")
				}
			case "source-directory", "source-dir":
				dir, match = pattern, sourceDirName().MatchString
			default:
				continue
			}
			out = append(out, regularFiles(t, dir, match)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func regularFiles(t sysctl.Tree, dir string, match func(string) bool) []string {
	entries, err := t.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if !match(e.Name()) {
			continue
		}
		if fi, err := t.Stat(name); err == nil && fi.Mode()&fs.ModeType == 0 {
			out = append(out, name)
		}
	}
	return out
}
