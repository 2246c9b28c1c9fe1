package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func TestWriteYAML(t *testing.T) {
	var b bytes.Buffer
	writeYAML(&b, struct {
		Name   string         `json:"name"`
		Empty  []string       `json:"empty"`
		None   map[string]int `json:"none"`
		Nil    *int           `json:"nil"`
		Number float64        `json:"number"`
		Big    int64          `json:"big"`
		Yes    bool           `json:"yes"`
		Text   string         `json:"text"`
		List   []any          `json:"list"`
	}{
		"web1", []string{}, map[string]int{}, nil, -2.5, 1 << 60, true, "two\n\n  lines\n",
		[]any{"a", []any{"b", []any{}}, map[string]any{"k": map[string]any{"deep": "x: y"}, "l": []string{"m"}}, map[string]any{}, "one\ntwo"},
	})
	want := `name: web1
empty: []
none: {}
nil: null
number: -2.5
big: 1152921504606846976
"yes": true
text: |
  two

    lines
list:
  - a
  - - b
    - []
  - k:
      deep: "x: y"
    l:
      - m
  - {}
  - |-
    one
    two
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}

// TestYAMLQuotes lists what a YAML parser would take for something else than the text it is, and what not.
func TestYAMLQuotes(t *testing.T) {
	for _, s := range []string{"", " ", " a", "a ", "true", "Yes", "no", "NULL", "null", "~", "1", "1.5", "0x10", "1e3", "12:30:00", "2026-01-02", "-",
		"- a", "?", ": a", "a: b", "a:", "a #b", "#", "@x", "%", "&a", "*a", "!t", "|", ">", "[a]", "{a}", "'", "\"", ".inf", "=", "<<", "a\tb",
		"a\x00b", "\u2028", "on", "y", "N", "---", "...", "two\n\n", "\nlead", " lead\nspace", "\x1b[2J\nx", "tab\n\tx"} {
		if got := yamlString(s, "  "); !strings.HasPrefix(got, `"`) || strings.Contains(got, "\n") {
			t.Errorf("%q is written %s", s, got)
		}
	}
	for _, s := range []string{"plain", "two words", "a:b", "/path/to-it", "fd42::1", "nano", "a,b", "Debian GNU/Linux 12 (bookworm)"} {
		if got := yamlString(s, "  "); got != s {
			t.Errorf("%q is written %s", s, got)
		}
	}
}

// TestYAMLReadsBack sends texts through the strict reader of profiles.
func TestYAMLReadsBack(t *testing.T) {
	config := map[string]string{}
	for i, s := range []string{"a: b", "\"quoted\"", `back\slash`, "ü 🙂", "two\nlines", "two\nlines\n", "trail \nspace", "a\n\nb", "a\n  b\n", "# c\nk: v\n",
		"--- a\n", "...\nx", "\u2028", "tab\t", "<a&b>"} {
		config["user.t"+strconv.Itoa(i)] = s
	}
	var b bytes.Buffer
	writeYAML(&b, sysctl.Profile{Name: "p", Config: config, Devices: map[string]sysctl.Device{}})
	p, err := profiles.Decode(&b, "x")
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(p.Config, config) {
		t.Errorf("%q reads back as %q", config, p.Config)
	}
}

// TestEveryFormat checks that what each verb prints can be read, and that a table is a table.
func TestEveryFormat(t *testing.T) {
	for _, line := range []string{"list", "list nothing*", "info web1", "image list", "image info debian12", "template list", "template show debian12",
		"profile list", "profile show default", "config show web1", "config show web1 --expanded", "network list", "network show sysbr0",
		"check", "version", "autostart", "launch debian12 web9", "launch debian12 web9 --dry-run", "create debian12 web9",
		"image import x.tar --alias x"} {
		run := func(format string) string {
			t.Helper()
			got := runCLI(t, seeded(sysctl.Running, "web1", "web2"), append(strings.Fields(line), "--format", format)...)
			if got.status != 0 || got.stderr != "" || got.stdout == "" {
				t.Errorf("%s --format %s: %+v", line, format, got)
			}
			return got.stdout
		}
		var fromJSON any
		if err := json.Unmarshal([]byte(run("json")), &fromJSON); err != nil || fromJSON == nil {
			t.Errorf("%s: JSON: %v", line, err)
		}
		if _, list := fromJSON.([]any); list != strings.ContainsAny(run("yaml")[:1], "-[") {
			t.Errorf("%s: YAML is another thing than the JSON", line)
		}
		r := csv.NewReader(strings.NewReader(run("csv")))
		if records, err := r.ReadAll(); err != nil || len(records) == 0 || records[0][0] != strings.ToLower(records[0][0]) {
			t.Errorf("%s: CSV: %v %v", line, err, records)
		}
		run("table")
	}
}

func TestNothingIsAnEmptyList(t *testing.T) {
	f := seeded(sysctl.Running)
	f.Pictures, f.Pieces, f.Facts = nil, nil, nil
	for _, line := range []string{"list", "image list", "profile list", "check", "autostart"} {
		if got := runCLI(t, f, append(strings.Fields(line), "--format", "json")...); got.stdout != "[]\n" {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestTableCellsAreClean(t *testing.T) {
	f := seeded(sysctl.Running, "web1")
	f.Instances["web1"].Template = "evil\x1b[2J\nx"
	got := runCLI(t, f, "list")
	if !strings.Contains(got.stdout, `evil\x1b[2J\nx`) || strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("%q", got.stdout)
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{-1: "", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 232 << 20: "232.0 MiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) is %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-1: "", 0: "0.0s", 1500 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s", 47 * time.Hour: "47h0m0s", 50 * time.Hour: "2d2h"} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%v) is %q, want %q", d, got, want)
		}
	}
}

func TestCopyPlain(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for in, want := range map[string]string{
		"":                        "",
		"a\r\nb\tc\nno end":       "a\nb\tc\nno end",
		"\x1b]0;title\x07\nü\xff": "\\x1b]0;title\\a\nü\\xff",
		long + "\n":               long + "\n",
	} {
		var b strings.Builder
		if err := copyPlain(&b, byteByByte{strings.NewReader(in)}); err != nil || b.String() != want {
			t.Errorf("copyPlain(%.40q) is %.40q, %v", in, b.String(), err)
		}
	}
}

// byteByByte gives a byte at a time, as a slow log does.
type byteByByte struct{ r io.Reader }

func (o byteByByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }
