package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// everyCommand calls f for every command below root.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		f(sub)
		everyCommand(sub, f)
	}
}

func TestHelpEndsWithExampleAndExitStatus(t *testing.T) {
	a := &app{}
	everyCommand(a.rootCmd(), func(cmd *cobra.Command) {
		t.Run(verbPath(cmd), func(t *testing.T) {
			args := append(strings.Fields(verbPath(cmd)), "--help")
			if cmd.DisableFlagParsing {
				args = append([]string{"help"}, strings.Fields(verbPath(cmd))...)
			}
			f := seeded(sysctl.Running)
			got := runWith(t, f, "", func(a *app) { a.euid = 1000 }, args...)
			if got.status != 0 || got.stderr != "" || f.opened > 0 {
				t.Fatalf("%+v, opened %d times", got, f.opened)
			}
			_, end, _ := strings.Cut(got.stdout, "\nExamples:\n")
			example, statuses, _ := strings.Cut(end, "\nExit status:\n")
			for line := range strings.Lines(example) {
				if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "sysctl ") {
					t.Errorf("example %q does not call sysctl", line)
				}
			}
			if example == "" || !strings.HasPrefix(statuses, "  0    done") {
				t.Errorf("help ends in %q", end)
			}
			if cmd.Short == "" || strings.ToLower(cmd.Short[:1]) != cmd.Short[:1] || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("short help %q is not a clause", cmd.Short)
			}
			if !strings.HasSuffix(strings.TrimSpace(cmd.Long), ".") {
				t.Errorf("long help is no sentence: %q", cmd.Long)
			}
			for line := range strings.Lines(cmd.Long) {
				if len([]rune(line)) > 121 {
					t.Errorf("a line of the help is longer than 120: %s", line)
				}
			}
		})
	})
}

// TestExamplesWork runs every line of every example in a shell, against instances in the state that it is about.
func TestExamplesWork(t *testing.T) {
	everyCommand((&app{}).rootCmd(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			t.Run(line, func(t *testing.T) {
				dir := t.TempDir()
				for name, text := range map[string]string{"shared.yaml": "description: for all\n", "rootfs.tar.gz": "", "mydebian.yaml": "", "backup.tar.zst": "archive web1 false\n", "lab.yaml": "description: of the lab\n", "web1.yaml": "config: {user.note: edited}\n"} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				f := seededFor(cmd.Name())
				if noun := cmd.Parent().Name(); noun == "device" || noun == "profile" && cmd.Name() == "remove" {
					f = seededFor("device")
				}
				if parent := cmd.Parent(); parent.Name() == "network" && cmd.Name() != "create" || parent.Name() == "forward" || parent.Name() == "port" {
					f.addLab()
				}
				state := filepath.Join(dir, ".state")
				f.store(state)
				// bash, because one line is for its users; what would write elsewhere is kept here.
				sh := exec.Command("bash", "-ec", strings.ReplaceAll(line, "/root/", dir+"/"))
				sh.Dir = dir
				sh.Env = append(os.Environ(), "FAKE_STATE="+state, "EDITOR=true")
				sh.Stdin = strings.NewReader("description: edited\n")
				if cmd.Name() == "edit" && cmd.Parent().Name() == "config" {
					sh.Stdin = strings.NewReader("config: {user.note: edited}\n")
				}
				if cmd.Name() == "console" {
					sh.Stdin = newTerminal(t).slave
				}
				out, err := sh.CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
}

// seededFor is a fake in which a verb's examples make sense.
func seededFor(verb string) *fake {
	switch verb {
	case "launch", "create":
		f := seeded(sysctl.Running)
		delete(f.Pieces, "shared")
		return f
	case "umount":
		f := seeded(sysctl.Running, "web1")
		f.Mounts = []manager.View{{Name: "web1", Dir: "/mnt"}}
		return f
	case "remove":
		return seeded(sysctl.Running)
	case "start":
		return seeded(sysctl.Stopped, "web1", "web2")
	case "unfreeze":
		return seeded(sysctl.Frozen, "web1")
	}
	f := seeded(sysctl.Running, "web1", "web2")
	f.add("old1", sysctl.Stopped)
	return f
}

// generated returns every generated page under doc/, by path.
func generated() map[string]string {
	a := &app{}
	return a.markdownPages(a.rootCmd())
}

func TestGeneratedPagesAreFresh(t *testing.T) {
	const doc = "../../doc"
	pages := generated()
	if *update {
		if err := os.RemoveAll(filepath.Join(doc, "cli")); err != nil {
			t.Fatal(err)
		}
		if err := writePages(doc, pages); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		b, err := os.ReadFile(filepath.Join(doc, name))
		if err != nil || string(b) != pages[name] {
			t.Errorf("doc/%s is not what the commands say (go test ./cmd/sysctl -run Fresh -update): %v", name, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(doc, "cli"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages["cli/"+e.Name()]; !ok {
			t.Errorf("doc/cli/%s belongs to no command", e.Name())
		}
	}
}

func TestExitTablesAgree(t *testing.T) {
	page, table := generated()["errors.md"], exitTable()
	seen := map[int]bool{}
	for _, c := range exitCodes() {
		if seen[c.code] {
			t.Errorf("status %d is there twice", c.code)
		}
		seen[c.code] = true
		if !strings.Contains(page, "| "+strconv.Itoa(c.code)+" | "+string(c.kind)+" | "+c.meaning+" |") {
			t.Errorf("doc/errors.md lacks status %d", c.code)
		}
		if !strings.Contains(table, "\n  "+strconv.Itoa(c.code)+" ") || !strings.Contains(table, c.meaning) {
			t.Errorf("help exit-codes lacks status %d", c.code)
		}
	}
	for _, kind := range []sysctl.Kind{sysctl.Internal, sysctl.Invalid, sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy,
		sysctl.Permission, sysctl.Unsupported, sysctl.NoSpace, sysctl.Unavailable, sysctl.Canceled} {
		if n := slices.IndexFunc(exitCodes(), func(c exitCode) bool { return c.kind == kind }); n < 0 {
			t.Errorf("kind %s has no status", kind)
		}
	}
}

func TestManPagesFormat(t *testing.T) {
	man, err := exec.LookPath("groff")
	a := &app{}
	pages := a.manPages(a.rootCmd())
	for name, text := range pages {
		for _, section := range []string{".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH OPTIONS\n", ".SH EXIT STATUS\n", ".SH SEE ALSO\n"} {
			if !strings.Contains(text, section) {
				t.Errorf("%s has no %q", name, section)
			}
		}
		if err != nil {
			continue // the sections are what can be said without it
		}
		cmd := exec.Command(man, "-man", "-ww", "-z", "-K", "utf8")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%s: groff: %v\n%s", name, err, out)
		}
	}
	if len(pages) < 20 || pages["sysctl.1"] == "" || pages["sysctl-launch.1"] == "" {
		t.Errorf("%d pages", len(pages))
	}
}

func TestRoff(t *testing.T) {
	for in, want := range map[string]string{"a-b": `a\-b`, `\n`: `\en`, ".TH": `\&.TH`, "'x": `\&'x`, "a.b": "a.b"} {
		if got := roff(in); got != want {
			t.Errorf("roff(%q) is %q, want %q", in, got, want)
		}
	}
}
