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
	"golang.org/x/sys/unix"
)

// A recipe that says "tried: true" has been built and booted. The others are written from what their distributions
// publish, and nothing is promised of them.
//
//go:embed catalogue/*.yaml
var builtIn embed.FS

// Origin of the templates that come with the program.
const builtInOrigin = "built-in"

// Catalogue is the templates of one environment: the built-in ones and the user's, which win by name.
// It is read once and does not change.
type Catalogue struct {
	entries []entry // sorted by name
}

// entry is one template, or a file that should have been one. It is decoded when it is asked for: most verbs ask for one.
type entry struct {
	name   string
	origin string // "built-in" or the file's path
	data   []byte
	err    error // why it could not be read
}

// decode reads the recipe, or says why it cannot be used.
func (e entry) decode(by *rules) (recipe, error) {
	if e.err != nil {
		return recipe{}, e.err
	}
	file := e.origin
	if file == builtInOrigin {
		file = e.name + ".yaml"
	}
	return decode(file, e.name, e.data, by)
}

// Load reads the built-in templates and the files NAME.yaml in the user's directories, of which later ones win by name
// ("" or absent: none in it). A user's template that is wrong stands in List and is reported by Validate and Find; the
// others work. It fails where a directory cannot be read.
func Load(userDirs ...string) (*Catalogue, error) {
	all, err := builtInEntries()
	if err != nil {
		return nil, err
	}
	for _, dir := range userDirs {
		users, err := userEntries(dir)
		if err != nil {
			return nil, sysctl.Wrap(err, "read templates")
		}
		all = append(all, users...)
	}
	c := &Catalogue{}
	seen := map[string]bool{}
	for _, e := range slices.Backward(all) {
		if !seen[e.name] {
			c.entries = append(c.entries, e)
		}
		seen[e.name] = true
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
		out = append(out, newEntry(f.Name(), builtInOrigin, data))
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

// newEntry is one file.
func newEntry(file, origin string, data []byte) entry {
	return entry{name: strings.TrimSuffix(filepath.Base(file), ".yaml"), origin: origin, data: data}
}

// List returns the templates, sorted by name. One that cannot be used says so in its description.
func (c *Catalogue) List() []sysctl.Template {
	out := make([]sysctl.Template, 0, len(c.entries))
	by := newRules()
	for _, e := range c.entries {
		r, err := e.decode(by)
		if err != nil {
			out = append(out, sysctl.Template{Name: e.name, Origin: e.origin, Description: "broken: " + err.Error()})
			continue
		}
		out = append(out, r.template(e.origin))
	}
	return out
}

// Find returns the template called ref, by name or alias, and its YAML. Names win over aliases, and the user's
// aliases over the built-in ones. Errors: NotFound with the names that are close, and what is wrong with a
// broken template.
func (c *Catalogue) Find(ref string) (sysctl.Template, []byte, error) {
	e, r, err := c.find(ref)
	if err != nil {
		return sysctl.Template{}, nil, err
	}
	return r.template(e.origin), slices.Clone(e.data), nil
}

// Steps returns the preparation steps that a template's guest may get, with the init that the recipe says it has; where it says
// none, with any.
func (c *Catalogue) Steps(ref string) ([]sysctl.PrepStep, error) {
	_, r, err := c.find(ref)
	if err != nil {
		return nil, err
	}
	return StepsFor(r.guest()), nil
}

func (c *Catalogue) find(ref string) (entry, recipe, error) {
	by := newRules()
	if at := slices.IndexFunc(c.entries, func(e entry) bool { return e.name == ref }); at >= 0 {
		r, err := c.entries[at].decode(by)
		return c.entries[at], r, sysctl.Wrap(err, "template %q", ref)
	}
	var found entry
	var recipeOf recipe
	for _, e := range c.entries {
		if found.name != "" && (e.origin == builtInOrigin || found.origin != builtInOrigin) {
			continue
		}
		if r, err := e.decode(by); err == nil && slices.Contains(r.Aliases, ref) {
			found, recipeOf = e, r
		}
	}
	if found.name == "" {
		return entry{}, recipe{}, c.notFound(ref)
	}
	return found, recipeOf, nil
}

func (c *Catalogue) notFound(ref string) error {
	var all [][]string
	by := newRules()
	for _, e := range c.entries {
		r, _ := e.decode(by) // a broken one has a name still
		all = append(all, append([]string{e.name}, r.Aliases...))
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
		by := newRules()
		for _, e := range c.entries {
			_, err := e.decode(by)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err := sysctl.E(sysctl.NotFound, "template file %s does not exist", path)
		if at := slices.IndexFunc(c.entries, func(e entry) bool { return e.name == path && e.origin != builtInOrigin }); at >= 0 {
			return err.WithHint("sysctl template validate %s", c.entries[at].origin)
		}
		return err
	case errors.Is(err, unix.EISDIR):
		return sysctl.E(sysctl.Invalid, "%s is a directory: name a recipe's file", path)
	case err != nil:
		return sysctl.Wrap(err, "read template")
	}
	_, err = newEntry(path, path, data).decode(newRules())
	return err
}
