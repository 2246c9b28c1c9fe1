package profiles

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/sysctl-os/sysctl"
	"go.yaml.in/yaml/v3"
)

// Encode writes a profile as YAML: name (where it has one), description, config and devices in this
// order, keys sorted. Decode gives the profile back, provided Check finds nothing wrong with it. Text that YAML
// cannot hold is of kind Invalid.
func Encode(p sysctl.Profile) ([]byte, error) {
	if err := checkTexts(p); err != nil {
		return nil, err
	}
	devices := mapping()
	for _, name := range sortedKeys(p.Devices) {
		devices.Content = append(devices.Content, scalar(name), texts(p.Devices[name]))
	}
	root := head(p.Name, p.Description, p.Config)
	root.Content = append(root.Content, scalar("devices"), devices)
	return encode(root, "profile "+p.Name)
}

// head is what the files of profiles and of networks begin with.
func head(name, description string, config map[string]string) *yaml.Node {
	root := mapping()
	if name != "" {
		root.Content = append(root.Content, scalar("name"), scalar(name))
	}
	root.Content = append(root.Content,
		scalar("description"), scalar(description),
		scalar("config"), texts(config))
	return root
}

func encode(root *yaml.Node, what string) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, sysctl.Wrap(err, "encode %s", what)
	}
	if err := e.Close(); err != nil {
		return nil, sysctl.Wrap(err, "encode %s", what)
	}
	return b.Bytes(), nil
}

// checkTexts reports every text that is not UTF-8 or has a NUL byte.
func checkTexts(p sysctl.Profile) error {
	var errs sysctl.FieldErrors
	check := func(field string, all ...string) {
		for _, s := range all {
			if err := checkText(s); err != nil {
				errs.Add(field, "%s", err)
			}
		}
	}
	check("name", p.Name)
	check("description", p.Description)
	for _, key := range sortedKeys(p.Config) {
		check(key, key, p.Config[key])
	}
	for _, name := range sortedKeys(p.Devices) {
		check("devices."+name, name)
		for _, option := range sortedKeys(p.Devices[name]) {
			check("devices."+name+"."+option, option, p.Devices[name][option])
		}
	}
	return errs.Err()
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func texts(m map[string]string) *yaml.Node {
	n := mapping()
	for _, key := range sortedKeys(m) {
		n.Content = append(n.Content, scalar(key), scalar(m[key]))
	}
	return n
}

// scalar is a text. The library quotes what would read as something else, and writes text of several lines
// as a block; where a block would change it (blanks at the edges of lines, odd
// characters), it is quoted.
func scalar(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.Contains(s, "\n") && !isBlock(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// isBlock reports whether s can be written as a literal block without change.
func isBlock(s string) bool {
	return !strings.ContainsAny(s[:1], " \t\n") && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r)
	})
}
