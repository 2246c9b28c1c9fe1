package templates

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sysctl-os/sysctl"
)

// formErrors are the decoder's complaints in our words, with what else is wrong as far as the recipe could be read. Of a
// field that could not be read nothing else is said.
func (r recipe) formErrors(complaints []string, name string, data []byte, by *rules) error {
	var root yaml.Node
	_ = yaml.Unmarshal(data, &root) // it was parsed once already
	found := map[int]sysctl.FieldErrors{}
	unread, halfRead := map[int]bool{}, false
	for _, text := range complaints {
		at, what := 1, text
		if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
			at, _ = strconv.Atoi(m[1])
			what = text[len(m[0]):]
		}
		field, msg := complaint(what)
		field = cmp.Or(field, keyAt(&root, at), "line "+strconv.Itoa(at))
		found[at] = append(found[at], sysctl.FieldError{Field: field, Msg: fmt.Sprintf("%s (line %d)", msg, at)})
		unread[at] = unread[at] || !strings.HasPrefix(msg, unknownField)
		halfRead = halfRead || strings.HasPrefix(msg, twice)
	}
	var more sysctl.FieldErrors
	if !halfRead { // of what has a field twice the decoder reads nothing
		errors.As(r.expand(nil).check(name, data, by), &more)
	}
	for _, e := range more {
		if at := line(&root, e.Field); !unread[at] {
			found[at] = append(found[at], e)
		}
	}
	var all sysctl.FieldErrors
	for _, at := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[at]...)
	}
	return all.Err()
}

// How complaints begin that more is to be known of.
const (
	unknownField = "unknown field"
	twice        = "is there twice"
)

// complaint is one complaint of the decoder, without its line, in our words. field is "" where it does not say which.
func complaint(text string) (field, msg string) {
	if m := regexp.MustCompile(`^field (\S+) not found in type templates\.(\w+)$`).FindStringSubmatch(text); m != nil {
		msg := unknownField
		if near := sysctl.Nearest(m[1], fieldNames(reflect.TypeFor[recipe](), m[2])); near != "" {
			msg += ": did you mean " + near + "?"
		}
		return m[1], msg
	}
	if m := regexp.MustCompile(`^mapping key "(.*)" already defined at line (\d+)`).FindStringSubmatch(text); m != nil {
		return m[1], twice + ": it is in line " + m[2] + " already"
	}
	if m := regexp.MustCompile(`^cannot unmarshal !!(\S+)(?s:.*) into (\S+)$`).FindStringSubmatch(text); m != nil {
		is, ok := map[string]string{"map": "fields", "seq": "a list"}[m[1]]
		if !ok {
			is = "one value"
		}
		return "", "must be " + wantedFor(m[2]) + ", and is " + is
	}
	return "", text
}

// fieldNames are the fields of the struct called name that is t or in t.
func fieldNames(t reflect.Type, name string) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		of := f.Type
		if of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		switch {
		case t.Name() == name:
			all = append(all, f.Tag.Get("yaml"))
		case of.Kind() == reflect.Struct && all == nil:
			all = fieldNames(of, name)
		}
	}
	return all
}

// wantedFor is what a recipe has to say for a Go type.
func wantedFor(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["):
		return "names and values"
	case goType == "string":
		return "one text"
	case goType == "bool":
		return "true or false"
	}
	return "fields"
}

// keyAt is the first field that is written in a line, or "".
func keyAt(n *yaml.Node, at int) string {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Line == at {
			return c.Value
		}
		if key := keyAt(c, at); key != "" {
			return key
		}
	}
	return ""
}
