package templates

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// valid checks v against as much of JSON schema as Schema uses and says the first thing that is wrong.
func valid(schema map[string]any, v any, at string) string {
	if one, ok := schema["oneOf"].([]any); ok {
		fits, why := 0, ""
		for _, s := range one {
			w := valid(s.(map[string]any), v, at)
			if w == "" {
				fits++
			}
			why += w + "; "
		}
		if fits != 1 {
			return why
		}
		return ""
	}
	switch schema["type"] {
	case "object":
		m, ok := v.(map[string]any)
		if !ok {
			return at + ": no object"
		}
		for _, name := range list(schema["required"]) {
			if _, ok := m[name]; !ok {
				return at + "." + name + ": is missing"
			}
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, value := range m {
			p, ok := properties[name].(map[string]any)
			if p2, isMap := schema["additionalProperties"].(map[string]any); !ok && isMap {
				p, ok = p2, true
			}
			if !ok {
				return at + "." + name + ": is unknown"
			}
			if why := valid(p, value, at+"."+name); why != "" {
				return why
			}
		}
	case "array":
		a, ok := v.([]any)
		if !ok {
			return at + ": no array"
		}
		for _, value := range a {
			if why := valid(schema["items"].(map[string]any), value, at); why != "" {
				return why
			}
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return at + ": no boolean"
		}
	case "string":
		s, ok := v.(string)
		if !ok {
			return at + ": no string"
		}
		if words := list(schema["enum"]); len(words) > 0 && !slices.Contains(words, s) {
			return at + ": no such word"
		}
		anyOf, _ := schema["anyOf"].([]any)
		if len(anyOf) > 0 && !slices.ContainsFunc(anyOf, func(p any) bool {
			return regexp.MustCompile(p.(map[string]any)["pattern"].(string)).MatchString(s)
		}) {
			return at + ": wrong form"
		}
	default:
		return at + ": the schema has no type"
	}
	return ""
}

func list(v any) (out []string) {
	a, _ := v.([]any)
	for _, x := range a {
		out = append(out, x.(string))
	}
	return out
}

// Every built-in template fits the schema, and what the decoder refuses for its form does not.
func TestSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	check := func(text string) string {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return valid(schema, v, "")
	}
	c, _ := load(t, map[string]string{"mine.yaml": good})
	for _, tm := range c.List() {
		_, text, err := c.Find(tm.Name)
		if err != nil {
			t.Fatal(err)
		}
		if why := check(string(text)); why != "" {
			t.Errorf("%s: %s", tm.Name, why)
		}
	}
	for _, x := range [][2]string{
		{"packages:", "package:"}, {"suite: bookworm", "sweet: bookworm"}, {"aliases: [my/os, bookworm]", "aliases: {a: b}"}, {"template/v1", "template/v9"},
		{"my/os", "my os"}, {"[systemd-sysv]", "[--hook-dir=/tmp]"}, {"type: bootstrap", "type: oci"}, {"type: bootstrap", "type: ostree"}, {"os: {family: debian", "os: {family: beos"},
		{"  - {type: bootstrap, suite: bookworm, variant: minbase}\n", "  - {type: tar, url: /x}\n"}, {good, "{}"},
		{"packages:", "renderer: [ifupdown]\npackages:"}, {"packages:", "renderer: ifupdown\npackages:"}, {"packages:", "halt: 9\npackages:"}, {"packages:", "halt: SIGKILL\npackages:"},
	} {
		if why := check(strings.Replace(good, x[0], x[1], 1)); why == "" {
			t.Errorf("%s in place of %s fits", x[1], x[0])
		}
	}
}

// Every field has a line for people, and every tag a meaning.
func TestFieldsAreDescribed(t *testing.T) {
	var look func(ty reflect.Type)
	look = func(ty reflect.Type) {
		for f := range fieldsOf(ty) {
			if f.Tag.Get("yaml") == "" || f.Tag.Get("doc") == "" {
				t.Errorf("%s.%s has no name or no description", ty, f.Name)
			}
			if is := f.Tag.Get("is"); is != "" && forms()[is].pattern == "" {
				t.Errorf("%s.%s: there is no form %q", ty, f.Name, is)
			}
			for kind := range strings.FieldsSeq(f.Tag.Get("in")) {
				if !slices.Contains(sourceTypes(), kind) {
					t.Errorf("%s.%s: there is no source of type %q", ty, f.Name, kind)
				}
			}
			e := f.Type
			for e.Kind() == reflect.Slice {
				e = e.Elem()
			}
			if e.Kind() == reflect.Struct {
				look(e)
			}
		}
	}
	look(reflect.TypeFor[recipe]())
}

func fieldsOf(ty reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range ty.NumField() {
			if !yield(ty.Field(i)) {
				return
			}
		}
	}
}
