package main

import (
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/profiles"
)

// A profile is edited as it was written, unless it is something else by now.
func TestProfileTextKeepsComments(t *testing.T) {
	const written = "# for the web\nconfig:\n  limits.memory: 1GiB # enough\n"
	p, err := readProfile(strings.NewReader(written), "a file", "web")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := profileText(p); err != nil || string(text) != written {
		t.Errorf("text is %q, %v", text, err)
	}
	p.Config["limits.memory"] = "2GiB"
	text, err := profileText(p)
	if err != nil || strings.Contains(string(text), "#") {
		t.Errorf("text of something else is %q, %v", text, err)
	}
	changed, err := profiles.Decode(strings.NewReader(string(text)), "text")
	if err != nil || changed.Config["limits.memory"] != "2GiB" {
		t.Errorf("it says %v, %v", changed.Config, err)
	}
}
