package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
)

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("whatever"), 1},
		{sysctl.E(sysctl.Internal, "x"), 1},
		{sysctl.FieldErrors{{Field: "a", Msg: "b"}}, 2},
		{sysctl.Wrap(sysctl.E(sysctl.NotFound, "x"), "launch web1"), 3},
		{sysctl.E(sysctl.Exists, "x"), 4},
		{sysctl.E(sysctl.Conflict, "x"), 5},
		{sysctl.E(sysctl.Busy, "x"), 6},
		{fmt.Errorf("open: %w", fs.ErrPermission), 1},
		{fmt.Errorf("open: %w", syscall.EPERM), 7},
		{sysctl.E(sysctl.Unsupported, "x"), 8},
		{outputError{syscall.ENOSPC}, 9},
		{sysctl.E(sysctl.Unavailable, "x"), 10},
		{context.Canceled, 130},
		{sysctl.E("no-such-kind", "x"), 1},
		{failures{sysctl.E(sysctl.Busy, "x"), sysctl.E(sysctl.NotFound, "y")}, 6},
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("codeOf(%v) is %d, want %d", c.err, got, c.want)
		}
	}
}

func TestErrorLines(t *testing.T) {
	var bad sysctl.FieldErrors
	bad.Add("name", "is taken")
	bad.Add("--ip", "is no address")
	for _, c := range []struct {
		err  error
		want []string
	}{
		{errors.New("x: y"), []string{"x: y"}},
		{bad, []string{"name: is taken", "--ip: is no address"}},
		{sysctl.Wrap(bad, "launch web1"), []string{"launch web1: name: is taken", "launch web1: --ip: is no address"}},
		{fmt.Errorf("%w (in the file)", bad), []string{"name: is taken; --ip: is no address (in the file)", "name: is taken", "--ip: is no address"}},
	} {
		if got := errorLines(c.err); !slices.Equal(got, c.want) {
			t.Errorf("errorLines(%v) is %q, want %q", c.err, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ünï 12 \"quoted\" it's \\": "plain ünï 12 \"quoted\" it's \\",
		"two\nlines\r\t":                  `two\nlines\r\t`,
		"\x1b[2Jgone":                     `\x1b[2Jgone`,
		"bad\xff\xfeutf8":                 `bad\xff\xfeutf8`,
		"\u202eevil\u200b":                `\u202eevil\u200b`,
		"\x00\x7f":                        `\x00\x7f`,
		"\U000e0001":                      `\U000e0001`,
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestDebugPrintsTheChain(t *testing.T) {
	f := seeded(sysctl.Running, "web1")
	got := runCLI(t, f, "start", "web1", "--debug")
	for _, line := range []string{
		"web1: boot\n",
		"sysctl: start web1: it is running\n",
		"hint: sysctl info web1\n",
		"debug: kind conflict\n",
		"debug: *fmt.wrapError: start web1: it is running\n",
		"debug: *sysctl.Error: it is running\n",
	} {
		if !strings.Contains(got.stderr, line) {
			t.Errorf("no %q in %q", line, got.stderr)
		}
	}
	if got.status != 5 || got.stdout != "" {
		t.Errorf("%+v", got)
	}
}

func TestNotRoot(t *testing.T) {
	noRoot := func(a *app) {
		a.euid = 1000
		a.env = func(key string) (string, bool) { return "/srv/my env", key == "SYSCTL_DIR" }
	}
	f := seeded(sysctl.Running, "web1")
	got := runWith(t, f, "", noRoot, "launch", "debian12", "-c", "user.note=it's")
	want := result{stderr: "sysctl: launch: needs root\nhint: sudo env 'SYSCTL_DIR=/srv/my env' sysctl launch debian12 -c 'user.note=it'\\''s'\n", status: 7}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := runWith(t, f, "", noRoot, "exec", "web1", "--", "true"); got.status != 125 {
		t.Errorf("exec: %+v", got)
	}
	if f.opened > 0 {
		t.Error("the backend was opened without root")
	}
	for _, line := range []string{"version", "help", "help exit-codes", "completion bash", "template list", "template show debian12",
		"template validate", "template validate my.yaml", "image", "--help", "list --help", ""} {
		if got := runWith(t, f, "", noRoot, strings.Fields(line)...); got.status != 0 || got.stderr != "" {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestOutputErrors(t *testing.T) {
	f := seeded(sysctl.Running, "web1")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs /dev/full: %v", err)
	}
	defer full.Close()
	for _, line := range []string{"list", "version", "logs web1", "image export debian12 -", "launch debian12 web9", "help exit-codes"} {
		got := runWith(t, f, "", func(a *app) { a.stdout = full }, strings.Fields(line)...)
		if got.status != 9 || !strings.Contains(got.stderr, "write output: write /dev/full: no space left on device\n") {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// Every line of every broken recipe is told, each with what it belongs to.
func TestSeveralBrokenRecipes(t *testing.T) {
	f := seeded(sysctl.Running)
	f.broken = true
	r := runCLI(t, f, "template", "validate", "--all")
	want := "sysctl: one.yaml: a: x\nsysctl: one.yaml: b: y\nsysctl: two.yaml:1: z\n"
	if r.status != 2 || r.stderr != want {
		t.Errorf("exit status %d\n%s", r.status, r.stderr)
	}
}
