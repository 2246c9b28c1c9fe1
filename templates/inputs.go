package templates

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
)

// buildVersion is raised when a tree is made of the same inputs in another way than before.
const buildVersion = 1

// inputs is the SHA-256 over everything that a tree is made from: the recipe with its variables' values, as far as it
// says more than what things are called; the architecture; the source with the digest of its content; whether
// packages can be installed; the bootstrap tool; and the versions of our own work on trees. Equal inputs give equal trees,
// but for a bootstrap from an archive that nobody named: what that has today is the tool's to know.
func (b *build) inputs(s recipeSource, identity string) string {
	r := b.recipe
	r.Name, r.Aliases, r.Description, r.EOL, r.Tried, r.Vars, r.Source = "", nil, "", "", false, nil, nil
	program := ""
	if s.Type == "bootstrap" {
		s.Mirror = "" // it is in the identity
		if at, err := s.program(b.recipe); err == nil {
			program = path.Base(at)
		}
	}
	// Structs of strings, numbers, slices and maps always have a JSON form.
	text, _ := json.Marshal([]any{buildVersion, r, b.Arch, s, identity, program, b.Run != nil, preparation()})
	return sumOf(text)
}

// preparation names the versions of all steps of Prepare.
func preparation() []string {
	var all []string
	for _, s := range Steps() {
		all = append(all, s.Name+" "+strconv.Itoa(s.Version))
	}
	return all
}

// Edition is the SHA-256 over a template's recipe as it is written and our own work on trees, or "" where no
// template has the name in the catalogue of Load(userDirs...). An image that was built from another edition is stale. It
// reads one file and decodes nothing: every launch asks.
func Edition(name string, userDirs ...string) string {
	file := path.Base(name) + ".yaml"
	data, err := builtIn.ReadFile("catalogue/" + file)
	for _, dir := range slices.Backward(userDirs) {
		own, ownErr := os.ReadFile(filepath.Join(dir, file))
		if dir != "" && ownErr == nil {
			data, err = own, nil
			break
		}
	}
	if err != nil {
		return ""
	}
	text, _ := json.Marshal([]any{buildVersion, string(data), preparation()})
	return sumOf(text)
}
