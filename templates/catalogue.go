package templates

import (
	"cmp"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

//go:embed catalogue/*.yaml
var builtIn embed.FS

// Origin of the templates that come with the program.
const builtInOrigin = "built-in"

// Catalogue is the templates of one environment: the built-in ones and the user's, which win by name.
// It is read once and does not change.
type Catalogue struct {
	entries []entry // sorted by name
}

// entry is one template, or a file that should have been one.
type entry struct {
	name   string
	origin string // "built-in" or the file's path
	data   []byte
	recipe recipe
	err    error // why it cannot be used
}

// Load reads the built-in templates and the files NAME.yaml in userDir ("" or absent: none). A user's
// template that is wrong stands in List and is reported by Validate and Find; the others work. It fails where
// userDir cannot be read.
func Load(userDir string) (*Catalogue, error) {
	own, err := builtInEntries()
	if err != nil {
		return nil, err
	}
	users, err := userEntries(userDir)
	if err != nil {
		return nil, sysctl.Wrap(err, "read templates")
	}
	c := &Catalogue{entries: users}
	for _, e := range own {
		if !slices.ContainsFunc(users, func(u entry) bool { return u.name == e.name }) {
			c.entries = append(c.entries, e)
		}
	}
	slices.SortFunc(c.entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return c, nil
}

func builtInEntries() ([]entry, error) {
	files, err := builtIn.ReadDir("catalogue")
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, f := range files {
		data, err := builtIn.ReadFile("catalogue/" + f.Name())
		if err != nil {
			return nil, err
		}
		e := newEntry(f.Name(), builtInOrigin, data)
		if e.err != nil {
			return nil, e.err
		}
		out = append(out, e)
	}
	return out, nil
}

func userEntries(dir string) ([]entry, error) {
	files, err := os.ReadDir(dir)
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".yaml" || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		at := filepath.Join(dir, f.Name())
		data, err := os.ReadFile(at)
		e := newEntry(at, at, data)
		if err != nil {
			e.err = err
		}
		out = append(out, e)
	}
	return out, nil
}

// newEntry decodes one file.
func newEntry(file, origin string, data []byte) entry {
	e := entry{name: strings.TrimSuffix(filepath.Base(file), ".yaml"), origin: origin, data: data}
	e.recipe, e.err = decode(file, e.name, data)
	return e
}

// List returns the templates, sorted by name. One that cannot be used says so in its description.
func (c *Catalogue) List() []sysctl.Template {
	out := make([]sysctl.Template, 0, len(c.entries))
	for _, e := range c.entries {
		if e.err != nil {
			out = append(out, sysctl.Template{Name: e.name, Origin: e.origin, Description: "broken: " + e.err.Error()})
			continue
		}
		out = append(out, e.recipe.template(e.origin))
	}
	return out
}

// Find returns the template called ref, by name or alias, and its YAML. Names win over aliases, and the user's
// aliases over the built-in ones. Errors: NotFound with the names that are close, and what is wrong with a
// broken template.
func (c *Catalogue) Find(ref string) (sysctl.Template, []byte, error) {
	e, err := c.find(ref)
	if err != nil {
		return sysctl.Template{}, nil, err
	}
	return e.recipe.template(e.origin), slices.Clone(e.data), nil
}

func (c *Catalogue) find(ref string) (entry, error) {
	at := slices.IndexFunc(c.entries, func(e entry) bool { return e.name == ref })
	alias := func(e entry) bool { return e.err == nil && slices.Contains(e.recipe.Aliases, ref) }
	if at < 0 {
		at = slices.IndexFunc(c.entries, func(e entry) bool { return e.origin != builtInOrigin && alias(e) })
	}
	if at < 0 {
		at = slices.IndexFunc(c.entries, alias)
	}
	if at < 0 {
		return entry{}, c.notFound(ref)
	}
	if err := c.entries[at].err; err != nil {
		return entry{}, sysctl.Wrap(err, "template %q", ref)
	}
	return c.entries[at], nil
}

func (c *Catalogue) notFound(ref string) error {
	var all [][]string
	for _, e := range c.entries {
		all = append(all, append([]string{e.name}, e.recipe.Aliases...))
	}
	suggestion := ""
	if near := closeNames(ref, all); len(near) > 0 {
		suggestion = ": did you mean " + strings.Join(near, ", ") + "?"
	}
	return sysctl.E(sysctl.NotFound, "template %q not found%s", ref, suggestion).WithHint("sysctl template list")
}

// Validate checks the recipe in the file at path, or every template of the catalogue where path is "". It
// reports everything that is wrong: FieldErrors with lines, or FILE:LINE for what is not even a recipe.
func (c *Catalogue) Validate(path string) error {
	if path == "" {
		var errs []error
		for _, e := range c.entries {
			errs = append(errs, e.err)
		}
		return errors.Join(errs...)
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sysctl.E(sysctl.NotFound, "template file %s does not exist", path)
	case err != nil:
		return sysctl.Wrap(err, "read template")
	}
	return newEntry(path, path, data).err
}
