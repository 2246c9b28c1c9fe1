package sysctl

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultPattern names snapshots for which there is no other.
const DefaultPattern = "snap%d"

// plainDate is how a pattern's date is written that has no layout of its own.
const plainDate = "2006-01-02_15-04-05"

// creationDate is the one variable of a pattern, with a layout as package time has them or without.
func creationDate() *regexp.Regexp {
	return regexp.MustCompile(`\{\{\s*creation_date\s*(?:\|\s*date\s*:\s*(?:"([^"{}]*)"|'([^'{}]*)')\s*)?\}\}`)
}

// CheckPattern reports why text cannot name snapshots, or nil. The error is of kind Invalid.
func CheckPattern(text string) error {
	if strings.Count(text, "%d") > 1 {
		return E(Invalid, "%q has %%d more than once", text)
	}
	left := creationDate().ReplaceAllString(text, "")
	if strings.Contains(left, "{{") || strings.Contains(left, "}}") {
		return E(Invalid, `%q has a variable that is not known: there is {{creation_date}}, or with a form {{creation_date|date:'2006-01-02'}}`, text)
	}
	name := SnapshotName(text, nil, time.Date(2026, 10, 22, 23, 24, 25, 0, time.UTC))
	if err := CheckSnapshotName(name); err != nil {
		return E(Invalid, "%q makes a name that no snapshot can have: %w", text, err)
	}
	return nil
}

// SnapshotName makes a name of a pattern, or of the default one where it is "", that none of the taken ones is. %d becomes the
// lowest number above all there are; a name without one that is taken gets one behind it.
func SnapshotName(pattern string, taken []string, now time.Time) string {
	if pattern == "" {
		pattern = DefaultPattern
	}
	form := creationDate()
	name := form.ReplaceAllStringFunc(pattern, func(variable string) string {
		m := form.FindStringSubmatch(variable)
		layout := m[1] + m[2]
		if layout == "" {
			layout = plainDate
		}
		return now.Format(layout)
	})
	if !strings.Contains(name, "%d") {
		if !slices.Contains(taken, name) {
			return name
		}
		name += "-%d"
	}
	before, after, _ := strings.Cut(name, "%d")
	next := 0
	for _, t := range taken {
		rest, ok := strings.CutPrefix(t, before)
		number, ok2 := strings.CutSuffix(rest, after)
		if n, err := strconv.Atoi(number); ok && ok2 && err == nil && n >= next {
			next = n + 1
		}
	}
	return before + strconv.Itoa(next) + after
}
