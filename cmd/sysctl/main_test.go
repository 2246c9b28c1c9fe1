package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// update writes golden files and generated pages anew.
var update = flag.Bool("update", false, "write what is generated anew")

// realBinary is the command as it is shipped, built once.
var realBinary string

func TestMain(m *testing.M) {
	testscript.Main(withBinary{m}, map[string]func(){
		// The command of scripts is the real one but for the backend and the user id.
		"sysctl": func() {
			euid := 0
			if s, ok := os.LookupEnv("FAKE_EUID"); ok {
				euid, _ = strconv.Atoi(s)
			}
			os.Exit(start(os.Args[1:], euid, openFakeFile(os.Getenv("FAKE_STATE"))))
		},
	})
}

type withBinary struct{ *testing.M }

func (w withBinary) Run() int {
	dir, err := os.MkdirTemp("", "sysctl-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	realBinary = filepath.Join(dir, "sysctl")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", realBinary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return w.M.Run()
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("FAKE_STATE", filepath.Join(e.WorkDir, ".state.json"))
			e.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// status N COMMAND… runs a command that must end with the given status.
func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// result is what a command line did.
type result struct {
	stdout, stderr string
	status         int
}

// runWith runs a command line in this process, without a terminal, as root unless change says otherwise.
func runWith(t *testing.T, f *fake, stdin string, change func(*app), args ...string) result {
	t.Helper()
	dir := t.TempDir()
	files := map[string]*os.File{}
	for _, name := range []string{"in", "out", "err"} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files[name] = file
	}
	if _, err := files["in"].WriteString(stdin); err != nil {
		t.Fatal(err)
	}
	if _, err := files["in"].Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	a := &app{open: f.open, args: args, stdin: files["in"], stdout: files["out"], stderr: files["err"],
		env: func(string) (string, bool) { return "", false }, now: time.Now}
	if change != nil {
		change(a)
	}
	status := a.run(context.Background())
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(bytes.ToValidUTF8(b, []byte("?")))
	}
	return result{read("out"), read("err"), status}
}

func runCLI(t *testing.T, f *fake, args ...string) result {
	t.Helper()
	return runWith(t, f, "", nil, args...)
}
