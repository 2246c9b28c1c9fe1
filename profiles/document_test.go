package profiles_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/profiles"
)

var update = flag.Bool("update", false, "write doc/config.md")

func TestDocument(t *testing.T) {
	const file = "../doc/config.md"
	want := profiles.Document()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("doc/config.md is stale (%v): run: go test ./profiles -run Document -update", err)
	}
}

func TestDocumentIsWhole(t *testing.T) {
	doc := string(profiles.Document())
	rows := strings.Count(doc, "\n| `")
	want := len(profiles.Keys()) + len(profiles.NetworkKeys())
	for _, d := range profiles.DeviceTypes() {
		want += len(d.Options)
		if !strings.Contains(doc, "\n### "+d.Type+"\n") {
			t.Errorf("no section on %s", d.Type)
		}
	}
	if rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
	sample := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(doc)
	if sample == nil {
		t.Fatal("no sample of a profile")
	}
	if _, err := profiles.Decode(strings.NewReader(sample[1]), "sample"); err != nil {
		t.Errorf("the sample is wrong: %v", err)
	}
}
