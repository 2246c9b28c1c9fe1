package profiles

import (
	"errors"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// problem is what is wrong in a line of a file, counted from 1.
type problem struct {
	line int
	msg  string
}

// parseYAML returns the root of the only document in text, or what is wrong with its syntax.
func parseYAML(text string) (*yaml.Node, *problem) {
	text = strings.TrimPrefix(text, "\ufeff")
	if !utf8.ValidString(text) {
		good := text[:len(text)-len(afterValid(text))]
		return nil, &problem{1 + strings.Count(good, "\n"), "is not text in UTF-8"}
	}
	root, second, err := documents(text)
	switch {
	case errors.Is(err, io.EOF), err == nil && isNull(root):
		return nil, &problem{1, "the file is empty: write config and devices"}
	case err != nil:
		return nil, &problem{errorLine(text, err.Error()), message(err)}
	case second != nil:
		return nil, &problem{second.Line, "a second document begins here: write one profile per file"}
	}
	return root, nil
}

// afterValid returns s from its first byte on that is not UTF-8.
func afterValid(s string) string {
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			return s
		}
		s = s[n:]
	}
	return s
}

// documents returns the root of the first document, and the second document where there is one.
// The error is io.EOF where there is none at all.
func documents(text string) (root, second *yaml.Node, err error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var first, next yaml.Node
	if err := d.Decode(&first); err != nil {
		return nil, nil, err
	}
	switch err := d.Decode(&next); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil, nil
	case err != nil:
		return nil, nil, err
	}
	return first.Content[0], &next, nil
}

// errorLine returns the line in which text becomes wrong in the way it is. The library's own line numbers
// are no help: some count from 0, some name the start of the mapping around the error, some are
// left out. The first lines of the text, as few as still fail alike, end with the line in question.
func errorLine(text, msg string) int {
	// Messages depend on whether the error begins in the very first line: a line before it makes them alike.
	if _, _, err := documents("\n" + text); err != nil {
		msg = err.Error()
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	n := sort.Search(len(lines)-1, func(i int) bool {
		_, _, err := documents("\n" + strings.Join(lines[:i+1], ""))
		return err != nil && err.Error() == msg
	})
	return n + 1
}

// message returns what the library says of an error, without its name and its line number.
func message(err error) string {
	return regexp.MustCompile(`^yaml: (line \d+: )?`).ReplaceAllString(err.Error(), "")
}
