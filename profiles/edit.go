package profiles

import (
	"maps"
	"reflect"
	"strings"

	"github.com/sysctl-os/sysctl"
	"go.yaml.in/yaml/v3"
)

// Edit makes of a profile's YAML, as somebody wrote it, that of the profile p: comments, order and the way of writing what
// stays are kept; empty lines and the depth of indentation are not. "" is what nobody has written; it stays so.
// Text that YAML cannot hold is of kind Invalid.
func Edit(text string, p sysctl.Profile) (string, error) {
	if text == "" {
		return "", nil
	}
	if err := checkTexts(p); err != nil {
		return "", err
	}
	root, wrong := parseYAML(text)
	if wrong == nil && root.Kind == yaml.MappingNode {
		if p.Description != "" || entry(root, "description") != nil {
			setText(root, "description", p.Description)
		}
		keepTexts(child(root, "config"), p.Config)
		devices := child(root, "devices")
		keep(devices, func(name string) bool { return p.Devices[name] != nil })
		for _, name := range sortedKeys(p.Devices) {
			keepTexts(child(devices, name), p.Devices[name])
		}
		edited, err := encode(root, "profile "+p.Name)
		if err == nil && isProfile(string(edited), p) {
			return string(edited), nil
		}
	}
	whole, err := Encode(p) // it was not a profile's, or YAML says it in a way that is lost here
	return string(whole), err
}

// isProfile reports whether YAML says what a profile is.
func isProfile(text string, p sysctl.Profile) bool {
	q, err := Decode(strings.NewReader(text), p.Name)
	return err == nil && (q.Name == "" || q.Name == p.Name) && q.Description == p.Description && maps.Equal(q.Config, p.Config) &&
		(len(q.Devices)+len(p.Devices) == 0 || reflect.DeepEqual(q.Devices, p.Devices))
}

// entry is the value of a key, or nil.
func entry(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// child is the mapping under a key, which is made where there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	v := entry(n, key)
	if v == nil {
		v = mapping()
		n.Content = append(n.Content, scalar(key), v)
	} else if v.Kind != yaml.MappingNode { // null
		v.Kind, v.Tag, v.Value, v.Style = yaml.MappingNode, "!!map", "", 0
	}
	return v
}

// keepTexts makes a mapping hold some texts and no others.
func keepTexts(n *yaml.Node, want map[string]string) {
	keep(n, func(key string) bool { _, ok := want[key]; return ok })
	for _, key := range sortedKeys(want) {
		setText(n, key, want[key])
	}
}

// keep takes away what is not to stay. A comment at the end of a mapping that belongs to its last key goes with that.
func keep(n *yaml.Node, stays func(key string) bool) {
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if stays(n.Content[i].Value) {
			kept = append(kept, n.Content[i], n.Content[i+1])
		}
	}
	n.Content = kept
}

// setText sets a key to a text, and leaves one that is so as it was written.
func setText(n *yaml.Node, key, value string) {
	v := entry(n, key)
	if v == nil {
		n.Content = append(n.Content, scalar(key), scalar(value))
		return
	}
	if v.Kind == yaml.ScalarNode && v.Value == value && !isNull(v) {
		return
	}
	s := scalar(value)
	s.HeadComment, s.LineComment, s.FootComment = v.HeadComment, v.LineComment, v.FootComment
	*v = *s
}
