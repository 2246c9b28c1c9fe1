package templates

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write doc/templates.md")

func TestDocument(t *testing.T) {
	const file = "../doc/templates.md"
	want := Document()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("doc/templates.md is stale (%v): run: go test ./templates -run Document -update", err)
	}
	for _, row := range []string{"| `sha256` | sha256 | yes | of the archive or image |", "| `install` | list of word |  |", "| `tried` | true, false |", "### source of type simplestreams"} {
		if !strings.Contains(string(want), row) {
			t.Errorf("no row %s", row)
		}
	}
}
