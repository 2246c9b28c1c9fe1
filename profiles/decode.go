package profiles

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest profile file that Decode reads, in bytes.
const MaxFile = 1 << 20

// Decode reads a profile from YAML: name, description, config and devices, all optional. It is strict, and
// checks config and devices too. Everything wrong is reported at once as sysctl.FieldErrors (kind Invalid)
// whose fields are "file:LINE"; file is only a name for them. An error of r is passed on. Scalars are taken
// as the text that was written: on, 1 and 0x10 stay as they are. The maps of the profile are never nil.
func Decode(r io.Reader, file string) (sysctl.Profile, error) {
	d := decoder{lines: map[string]int{}}
	err := d.read(r, "profile", file, func(root *yaml.Node) {
		d.profile(root)
		d.check(Check(d.p.Config, d.p.Devices))
	})
	if err != nil {
		return sysctl.Profile{}, err
	}
	return d.p, nil
}

// read reads a file of YAML and has its root understood. What was wrong is its error.
func (d *decoder) read(r io.Reader, noun, file string, understand func(root *yaml.Node)) error {
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return sysctl.Wrap(err, "read %s %s", noun, file)
	}
	if len(data) > MaxFile {
		return sysctl.E(sysctl.Invalid, "read %s %s: it is larger than %s", noun, file, FormatSize(MaxFile))
	}
	root, wrong := parseYAML(string(data))
	if wrong != nil {
		d.problems = append(d.problems, *wrong)
	} else {
		understand(root)
	}
	if len(d.problems) > 0 {
		return d.errors(file)
	}
	return nil
}

// decoder collects a profile and what is wrong with it.
type decoder struct {
	p        sysctl.Profile
	lines    map[string]int // field, as Check names it, to its line
	problems []problem
}

func (d *decoder) add(n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, problem{n.Line, fmt.Sprintf(format, args...)})
}

// errors returns the problems in the order of their lines.
func (d *decoder) errors(file string) error {
	slices.SortStableFunc(d.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var errs sysctl.FieldErrors
	for _, p := range d.problems {
		errs.Add(fmt.Sprintf("%s:%d", file, p.line), "%s", p.msg)
	}
	return errs
}

func (d *decoder) profile(root *yaml.Node) {
	d.p = sysctl.Profile{Config: map[string]string{}, Devices: map[string]sysctl.Device{}}
	known := []Key{{Name: "name"}, {Name: "description"}, {Name: "config"}, {Name: "devices"}}
	d.mapping(root, "a profile", func(key, value *yaml.Node) {
		switch key.Value {
		case "name":
			d.p.Name, _ = d.text(value, "name")
			if d.p.Name != "" {
				if err := sysctl.CheckRef("profile", d.p.Name); err != nil {
					d.add(value, "%s", err)
				}
			}
		case "description":
			if !isNull(value) {
				d.p.Description, _ = d.text(value, "description")
			}
		case "config":
			d.entries(value, "config", "", d.p.Config)
		case "devices":
			d.devices(value)
		default:
			d.add(key, "%s: %s", key.Value, unknown("field of a profile", key.Value, known))
		}
	})
}

func (d *decoder) devices(n *yaml.Node) {
	if isNull(n) {
		return
	}
	d.mapping(n, "devices", func(key, value *yaml.Node) {
		field := "devices." + key.Value
		d.lines[field] = key.Line
		device := sysctl.Device{}
		// A device with a hole in it is not checked: what is missing has just been reported.
		if d.entries(value, field, field+".", device) {
			d.p.Devices[key.Value] = device
		}
	})
}

// entries reads a mapping of texts, and reports whether nothing was wrong with it.
func (d *decoder) entries(n *yaml.Node, what, prefix string, into map[string]string) bool {
	if isNull(n) {
		return true
	}
	before := len(d.problems)
	d.mapping(n, what, func(key, value *yaml.Node) {
		field := prefix + key.Value
		if text, ok := d.text(value, field); ok {
			into[key.Value] = text
			d.lines[field] = key.Line
		}
	})
	return len(d.problems) == before
}

// mapping calls each with the keys, which are texts and differ, and their values.
func (d *decoder) mapping(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind == yaml.AliasNode {
		d.add(n, "%s is a reference (*%s): write it out", what, n.Value)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.add(n, "%s must be a mapping, lines of KEY: VALUE, not %s", what, describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || isNull(key) {
			d.add(key, "a key of %s must be text, not %s", what, describe(key))
			continue
		}
		if line, ok := seen[key.Value]; ok {
			d.add(key, "%s: is in line %d already", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, value)
	}
}

// text returns a scalar as it was written.
func (d *decoder) text(n *yaml.Node, field string) (string, bool) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.add(n, "%s: is a reference (*%s): write the value out", field, n.Value)
	case isNull(n):
		d.add(n, `%s: has no value: write one, or leave the line out`, field)
	case n.Kind != yaml.ScalarNode:
		d.add(n, "%s: must be text, not %s", field, describe(n))
	case !slices.Contains([]string{"!!str", "!!bool", "!!int", "!!float", "!!timestamp", "!!merge"}, n.ShortTag()):
		d.add(n, "%s: must be text, not of type %s", field, n.ShortTag())
	default:
		return n.Value, true
	}
	return "", false
}

// check adds what a check has found, each with the line of its field, or of the device around it.
func (d *decoder) check(found error) {
	var errs sysctl.FieldErrors
	if !errors.As(found, &errs) {
		return
	}
	for _, e := range errs {
		line := 1
		for field := e.Field; field != ""; field = field[:max(0, strings.LastIndexByte(field, '.'))] {
			if n, ok := d.lines[field]; ok {
				line = n
				break
			}
		}
		d.problems = append(d.problems, problem{line, e.Field + ": " + e.Msg})
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe names what a node is, for people.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "a reference"
	case isNull(n):
		return "nothing"
	}
	return fmt.Sprintf("the text %q", n.Value)
}
