package host

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/manager/lxc"
	"github.com/sysctl-os/sysctl/netconfig/guest"
	"github.com/sysctl-os/sysctl/templates"
)

var update = flag.Bool("update", false, "write doc/guests.md anew")

// oracles are the kinds of files that programs read in the tests of this package and, for none, in roottest's.
func oracles() []string {
	return []string{"ifupdown 0.8", "ifupdown busybox", "ifupdown ng", "netplan", "networkd", "networkmanager", "none"}
}

// The table of what is read by its program has no more than the tests do.
func TestOraclesAreTested(t *testing.T) {
	var said []string
	for _, u := range guest.AllUnderstood() {
		if u.Oracle != guest.ReadBack {
			said = append(said, strings.TrimSpace(u.Renderer+" "+u.Dialect))
		}
	}
	if slices.Sort(said); !slices.Equal(said, oracles()) {
		t.Errorf("%q are said to be read by their programs, %q are", said, oracles())
	}
}

// doc/guests.md is what the tests do: boots are lines of the root scripts, the rest are tables of the code.
func TestGuestsDocument(t *testing.T) {
	const file = "../../doc/guests.md"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := replaceTable(t, string(old), "booted", bootedTable(t))
	text = replaceTable(t, text, "files", filesTable())
	text = replaceTable(t, text, "templates", templatesTable(t))
	text = replaceTable(t, text, "halt", haltTable())
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(old) {
		t.Errorf("%s is out of date: go test ./manager/host -run Document -update", file)
	}
}

// replaceTable puts a table between the marks of its name.
func replaceTable(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
	head, rest, ok := strings.Cut(text, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("no marks of the table %s", name)
	}
	return head + begin + table + end + tail
}

func bootedTable(t *testing.T) string {
	files, err := filepath.Glob("../../internal/roottest/testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	scripts := map[string][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 7 && f[0] == "booted" {
				row := fmt.Sprintf("| %s %s | %s | %s | %s |", f[2], f[3], f[4], f[5], f[6])
				if name := strings.TrimSuffix(filepath.Base(file), ".txtar"); !slices.Contains(scripts[row], name) {
					scripts[row] = append(scripts[row], name)
				}
			}
		}
	}
	out := "| guest | architecture | init | network files | root script |\n|---|---|---|---|---|\n"
	var rows []string
	for row, names := range scripts {
		rows = append(rows, row+" "+strings.Join(names, ", ")+" |\n")
	}
	slices.Sort(rows)
	return out + strings.Join(rows, "")
}

func filesTable() string {
	out := "| network files | found in | read in the tests by |\n|---|---|---|\n"
	for _, u := range guest.AllUnderstood() {
		out += fmt.Sprintf("| %s | %s | %s |\n", strings.TrimSpace(u.Renderer+" "+u.Dialect), u.Guests, u.Oracle)
	}
	return out
}

// templatesTable lists the built-in recipes, by what they say of themselves.
func templatesTable(t *testing.T) string {
	c, err := templates.Load(t.TempDir()) // none of the user's
	if err != nil {
		t.Fatal(err)
	}
	var tried, written []string
	for _, r := range c.List() {
		if r.Tried {
			tried = append(tried, r.Name)
		} else {
			written = append(written, r.Name)
		}
	}
	return fmt.Sprintf("| recipes | which |\n|---|---|\n| built and booted | %s |\n| written, not tried | %s |\n", strings.Join(tried, ", "), strings.Join(written, ", "))
}

// haltTable says by what each init is halted.
func haltTable() string {
	out := "| init | signal | then, inside |\n|---|---|---|\n"
	for _, init := range []string{"systemd", "sysvinit", "bsd", "upstart", "openrc", "busybox", "runit", "finit", ""} {
		var commands []string
		for _, argv := range (&lxc.Runtime{}).HaltCommands(init) {
			commands = append(commands, "`"+strings.Join(argv, " ")+"`")
		}
		out += fmt.Sprintf("| %s | %s | %s |\n", cmp.Or(init, "not known"), manager.SignalName((&lxc.Runtime{}).HaltSignal(init)), strings.Join(commands, ", "))
	}
	return out
}
