package templates

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Schema returns the JSON schema (draft 2020-12) of a recipe, for editors. It says what the tags of recipe say; what
// hangs together in other ways is for Validate.
func Schema() []byte {
	s := object("", reflect.TypeOf(recipe{}))
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "template of sysctl"
	// A map of strings, slices and maps always has a JSON form.
	out, _ := json.MarshalIndent(s, "", "  ")
	return append(out, '\n')
}

// object is the schema of a struct. kind is the type of source it is for, or "".
func object(kind string, t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, need, in := f.Tag.Get("yaml"), strings.Fields(f.Tag.Get("need")), strings.Fields(f.Tag.Get("in"))
		if kind != "" && len(in) > 0 && !slices.Contains(in, kind) {
			continue
		}
		if slices.Contains(need, "yes") || slices.Contains(need, kind) || f.Type.Kind() == reflect.Struct && hasNeeds(f.Type) {
			required = append(required, name)
		}
		p := property(f.Type, f.Tag)
		if kind != "" && name == "type" {
			p["enum"] = []string{kind}
		}
		p["description"] = f.Tag.Get("doc")
		properties[name] = p
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// hasNeeds reports whether a struct has a field that must be there.
func hasNeeds(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("need") == "yes" {
			return true
		}
	}
	return false
}

// property is the schema of one field.
func property(t reflect.Type, tag reflect.StructTag) map[string]any {
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Struct:
		return object("", t)
	case reflect.Slice:
		p := map[string]any{"type": "array", "items": property(t.Elem(), tag)}
		if tag.Get("need") == "yes" {
			p["minItems"] = 1
		}
		if t.Elem() == reflect.TypeOf(recipeSource{}) {
			p["items"] = sources(t.Elem())
		}
		return p
	case reflect.Map:
		return map[string]any{
			"type": "object", "additionalProperties": map[string]any{"type": "string"},
			"propertyNames": map[string]any{"pattern": forms()[tag.Get("is")].pattern},
		}
	}
	p := map[string]any{"type": "string"}
	if words := strings.Fields(tag.Get("one")); len(words) > 0 {
		p["enum"] = words
	} else if f, ok := forms()[tag.Get("is")]; ok {
		// A variable may stand for all of it or a part.
		p["anyOf"] = []any{map[string]any{"pattern": f.pattern}, map[string]any{"pattern": variables().String()}}
	}
	return p
}

// sources is the schema of a source: one form for each type.
func sources(t reflect.Type) map[string]any {
	var each []any
	for _, kind := range sourceTypes() {
		each = append(each, object(kind, t))
	}
	return map[string]any{"oneOf": each}
}
