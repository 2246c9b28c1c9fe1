package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/netconfig/guest"
	"github.com/sysctl-os/sysctl/templates"
)

// A recipe may choose every kind of network files that there is, by the words of doc/guests.md.
func TestRecipesMayChooseEveryRenderer(t *testing.T) {
	_, text, err := catalogueOf(t, t.TempDir()).Find("debian12")
	if err != nil {
		t.Fatal(err)
	}
	mine := strings.NewReplacer("name: debian12\n", "name: mine\n", "aliases: ", "#").Replace(string(text))
	for _, u := range guest.AllUnderstood() {
		words := strings.TrimSpace(u.Renderer + " " + u.Dialect)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte(mine+"renderer: "+words+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		found, _, err := catalogueOf(t, dir).Find("mine")
		if err != nil || found.Guest.Renderer != u.Renderer || found.Guest.Dialect != u.Dialect {
			t.Errorf("%s: %+v, %v", words, found.Guest, err)
		}
	}
}

func catalogueOf(t *testing.T, dir string) *templates.Catalogue {
	t.Helper()
	c, err := templates.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
