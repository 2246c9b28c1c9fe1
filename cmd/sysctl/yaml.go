package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode"
)

// writeYAML writes v as YAML with the names and the order its JSON has.
func writeYAML(b *bytes.Buffer, v any) {
	var text bytes.Buffer
	writeJSON(&text, v)
	dec := json.NewDecoder(&text)
	dec.UseNumber()
	node, err := yamlNode(dec)
	if err != nil {
		panic(err) // our own JSON
	}
	b.WriteString(yamlBlock(node, ""))
}

// yamlMap is a mapping in its order; the other nodes are []any and scalars.
type yamlMap []yamlPair

type yamlPair struct {
	key   string
	value any
}

// yamlNode reads one value off a stream of JSON tokens.
func yamlNode(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		m := yamlMap{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			value, err := yamlNode(dec)
			if err != nil {
				return nil, err
			}
			m = append(m, yamlPair{key.(string), value})
		}
		return m, closing(dec)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			value, err := yamlNode(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, closing(dec)
	}
	return tok, nil
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// yamlBlock renders a node as whole lines behind indent.
func yamlBlock(node any, indent string) string {
	var b strings.Builder
	switch n := node.(type) {
	case yamlMap:
		for _, p := range n {
			b.WriteString(indent + yamlString(p.key, "") + ":" + yamlInline(p.value, indent))
		}
		if len(n) == 0 {
			b.WriteString(indent + "{}\n")
		}
	case []any:
		for _, item := range n {
			// An item's first line takes the dash in place of its indentation.
			b.WriteString(indent + "- " + strings.TrimPrefix(yamlBlock(item, indent+"  "), indent+"  "))
		}
		if len(n) == 0 {
			b.WriteString(indent + "[]\n")
		}
	default:
		b.WriteString(indent + yamlScalar(n, indent) + "\n")
	}
	return b.String()
}

// yamlInline renders what stands after "key:".
func yamlInline(node any, indent string) string {
	switch n := node.(type) {
	case yamlMap:
		if len(n) > 0 {
			return "\n" + yamlBlock(n, indent+"  ")
		}
		return " {}\n"
	case []any:
		if len(n) > 0 {
			return "\n" + yamlBlock(n, indent+"  ")
		}
		return " []\n"
	}
	return " " + yamlScalar(node, indent+"  ") + "\n"
}

func yamlScalar(v any, indent string) string {
	switch s := v.(type) {
	case nil:
		return "null"
	case bool:
		return map[bool]string{true: "true", false: "false"}[s]
	case json.Number:
		return s.String()
	case string:
		return yamlString(s, indent)
	}
	panic("not a JSON scalar")
}

// yamlString writes a string plain where no YAML parser could take it for something else, several lines as
// a literal block (where indent says how deep it stands), and everything else quoted as in JSON,
// which YAML reads the same.
func yamlString(s, indent string) string {
	if plainYAML(s) {
		return s
	}
	if indent != "" && literalYAML(s) {
		body := strings.TrimSuffix(s, "\n")
		head := "|-\n"
		if body != s {
			head = "|\n"
		}
		lines := strings.Split(body, "\n")
		for i, line := range lines {
			if line != "" {
				lines[i] = indent + line
			}
		}
		return head + strings.Join(lines, "\n")
	}
	var b bytes.Buffer
	writeJSON(&b, s)
	return strings.TrimSuffix(b.String(), "\n")
}

// plainYAML reports whether s may stand unquoted: it begins with a letter or a slash, holds nothing
// that means something to YAML and is not a word that YAML 1.1 reads as a boolean or null.
func plainYAML(s string) bool {
	if s == "" || s != strings.TrimSpace(s) || strings.HasSuffix(s, ":") || strings.Contains(s, ": ") {
		return false
	}
	if c := s[0] | 0x20; (c < 'a' || c > 'z') && s[0] != '/' {
		return false
	}
	for _, r := range s {
		ok := r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" _./-+@()=,:", r))
		if !ok {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	return true
}

// literalYAML reports whether s reads back unchanged from a literal block.
func literalYAML(s string) bool {
	if !strings.Contains(s, "\n") || strings.HasSuffix(s, "\n\n") || s[0] == ' ' || s[0] == '\n' {
		return false
	}
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) || r == unicode.ReplacementChar || r == '\uFEFF' {
			return false
		}
	}
	return true
}
