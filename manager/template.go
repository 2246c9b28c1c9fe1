package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// Templates lists the catalogue, by name.
func (m *Manager) Templates(ctx context.Context) ([]sysctl.Template, error) {
	return m.Catalogue.List()
}

// Template returns a template, by name or alias, and its recipe's YAML.
func (m *Manager) Template(ctx context.Context, name string) (sysctl.Template, []byte, error) {
	return m.Catalogue.Find(name)
}

// ValidateTemplate checks a recipe file, or every known recipe where path is "".
func (m *Manager) ValidateTemplate(ctx context.Context, path string) error {
	return m.Catalogue.Validate(path)
}

// TemplateSchema returns the JSON schema of recipes, for editors.
func (m *Manager) TemplateSchema() []byte { return m.Catalogue.Schema() }
