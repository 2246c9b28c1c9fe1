package templates

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sysctl-os/sysctl"
)

// schemaV1 is what the field schema of a recipe must say.
const schemaV1 = "sysctl.template/v1"

// recipe is a template as it is written. Every field is used: decoding refuses others.
type recipe struct {
	Schema      string   `yaml:"schema"`
	Name        string   `yaml:"name"` // must be the file's name without .yaml
	Aliases     []string `yaml:"aliases"`
	Description string   `yaml:"description"`
	OS          struct {
		Family  string   `yaml:"family"`
		ID      string   `yaml:"id"`
		Version string   `yaml:"version"`
		Arch    []string `yaml:"arch"` // Debian's names: amd64, i386, arm64
	} `yaml:"os"`
	EOL      string         `yaml:"eol"`    // YYYY-MM-DD
	Source   []recipeSource `yaml:"source"` // the first whose tool this host has is used
	Packages struct {
		Install []string `yaml:"install"`
	} `yaml:"packages"`
	Files []recipeFile `yaml:"files"` // written over what the source gave
}

// recipeSource is one way to make the base system.
type recipeSource struct {
	Type       string   `yaml:"type"`  // bootstrap
	Tool       string   `yaml:"tool"`  // mmdebstrap, debootstrap, or "" for whichever is installed
	Suite      string   `yaml:"suite"` // bookworm
	Variant    string   `yaml:"variant"`
	Components []string `yaml:"components"` // of the archive; none: the tool's default
}

// recipeFile is one file written literally.
type recipeFile struct {
	Path    string `yaml:"path"`
	Mode    string `yaml:"mode"` // octal; "" = 0644
	Content string `yaml:"content"`
}

func (f recipeFile) perm() (fs.FileMode, error) {
	if f.Mode == "" {
		return 0o644, nil
	}
	n, err := strconv.ParseUint(f.Mode, 8, 12)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%q is not an octal mode such as \"0644\"", f.Mode)
	}
	return fs.FileMode(n), nil
}

// template is the recipe as listed to people.
func (r recipe) template(origin string) sysctl.Template {
	return sysctl.Template{
		Name: r.Name, Aliases: r.Aliases, Description: r.Description, Family: r.OS.Family, Version: r.OS.Version,
		Arch: r.OS.Arch, EOL: r.EOL, Origin: origin,
	}
}

// decode reads a recipe. Errors of form are Invalid and say file:LINE; errors of meaning are FieldErrors that
// say the line, all at once. name is what the recipe must be called.
func decode(file, name string, data []byte) (recipe, error) {
	var r recipe
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(&r)
	if err == io.EOF {
		return r, sysctl.E(sysctl.Invalid, "%s: the file is empty", file)
	}
	if err == nil && dec.Decode(new(yaml.Node)) != io.EOF {
		return r, sysctl.E(sysctl.Invalid, "%s: more than one YAML document", file)
	}
	if err != nil {
		return r, sysctl.E(sysctl.Invalid, "%s", yamlError(file, err))
	}
	return r, sysctl.Wrap(r.check(name, data), "%s", file)
}

// yamlError says FILE:LINE: what for everything the decoder complains of.
func yamlError(file string, err error) string {
	var te *yaml.TypeError
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if errors.As(err, &te) {
		lines = te.Errors
	}
	unknown := regexp.MustCompile(`field (\S+) not found in type \S+`)
	at := regexp.MustCompile(`^line (\d+): `)
	for i, l := range lines {
		l = unknown.ReplaceAllString(l, "unknown field $1")
		l = regexp.MustCompile(` into templates\.\w+`).ReplaceAllString(l, "")
		if m := at.FindStringSubmatch(l); m != nil {
			l = file + ":" + m[1] + ": " + l[len(m[0]):]
		} else {
			l = file + ": " + l
		}
		lines[i] = l
	}
	return strings.Join(lines, "; ")
}

// checker collects the bad fields of a recipe with their lines.
type checker struct {
	errs sysctl.FieldErrors
	root yaml.Node
}

// bad notes a bad field. path is "os.arch" or "source[0].suite".
func (c *checker) bad(path, format string, args ...any) {
	c.errs.Add(path, "%s (line %d)", fmt.Sprintf(format, args...), line(&c.root, path))
}

// line finds the line of a field, or of the nearest thing above that is there.
func line(n *yaml.Node, path string) int {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	at := max(1, n.Line)
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var next *yaml.Node
		if i, err := strconv.Atoi(part); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
			next = n.Content[i]
			at = next.Line
		}
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				next = n.Content[i+1]
				at = n.Content[i].Line
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return at
}

// word is what goes into a tool's arguments: never an option, never a list.
const word = `^[a-zA-Z0-9][a-zA-Z0-9.+_:~/-]*$`

// check returns every bad field as sysctl.FieldErrors.
func (r recipe) check(name string, data []byte) error {
	c := &checker{}
	_ = yaml.Unmarshal(data, &c.root) // it was decoded once already
	if r.Schema != schemaV1 {
		c.bad("schema", "must be %s", schemaV1)
	}
	if r.Name != name {
		c.bad("name", "must be %q, as the file is called", name)
	}
	for i, ref := range append([]string{r.Name}, r.Aliases...) {
		if err := sysctl.CheckRef("template", ref); err != nil {
			field := "name"
			if i > 0 {
				field = fmt.Sprintf("aliases[%d]", i-1)
			}
			c.bad(field, "%v", err)
		}
	}
	for field, value := range map[string]string{"os.family": r.OS.Family, "os.id": r.OS.ID, "os.version": r.OS.Version} {
		if value == "" {
			c.bad(field, "is missing")
		}
	}
	if len(r.OS.Arch) == 0 {
		c.bad("os.arch", "is missing: a list such as [amd64, arm64]")
	}
	c.words("os.arch", r.OS.Arch)
	if _, err := time.Parse(time.DateOnly, r.EOL); r.EOL != "" && err != nil {
		c.bad("eol", "%q is not a date YYYY-MM-DD", r.EOL)
	}
	c.sources(r.Source)
	c.words("packages.install", r.Packages.Install)
	c.files(r.Files)
	slices.SortStableFunc(c.errs, func(a, b sysctl.FieldError) int { return line(&c.root, a.Field) - line(&c.root, b.Field) })
	return c.errs.Err()
}

func (c *checker) sources(sources []recipeSource) {
	if len(sources) == 0 {
		c.bad("source", "is missing: at least one is needed")
	}
	for i, s := range sources {
		field := fmt.Sprintf("source[%d].", i)
		if s.Type != "bootstrap" {
			c.bad(field+"type", "%q is not known: bootstrap", s.Type)
		}
		if s.Tool != "" && !slices.Contains(bootstrapTools(), s.Tool) {
			c.bad(field+"tool", "%q is not known: %s", s.Tool, strings.Join(bootstrapTools(), ", "))
		}
		if s.Suite == "" {
			c.bad(field+"suite", "is missing")
		} else {
			c.word(field+"suite", s.Suite)
		}
		if s.Variant != "" && s.Variant != "minbase" {
			c.bad(field+"variant", "%q is not known: minbase", s.Variant)
		}
		c.words(field+"components", s.Components)
	}
}

// words reports what must not reach a tool's command line.
func (c *checker) words(field string, values []string) {
	for i, v := range values {
		c.word(fmt.Sprintf("%s[%d]", field, i), v)
	}
}

func (c *checker) word(field, value string) {
	if !regexp.MustCompile(word).MatchString(value) {
		c.bad(field, "%q is not a plain word", value)
	}
}

func (c *checker) files(files []recipeFile) {
	for i, f := range files {
		field := fmt.Sprintf("files[%d].", i)
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			c.bad(field+"path", "%q is not a clean absolute path", f.Path)
		}
		if _, err := f.perm(); err != nil {
			c.bad(field+"mode", "%v", err)
		}
	}
}
