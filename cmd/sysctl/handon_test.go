package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl/internal/needs"

	"github.com/sysctl-os/sysctl"
)

// theOther finds the system's own sysctl.
func theOther(t *testing.T) string {
	t.Helper()
	for _, file := range []string{"/usr/sbin/sysctl", "/sbin/sysctl"} {
		out, err := exec.Command(file, "--version").Output()
		if err == nil && strings.Contains(string(out), "procps") {
			return file
		}
	}
	needs.Skip(t, "procps", "needs the sysctl of procps in /usr/sbin or /sbin")
	return ""
}

// call runs a sysctl by the name "sysctl", in namespaces of its own where the caller is root, so that
// nothing it writes reaches the host.
func call(t *testing.T, file, dir, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(file)
	cmd.Args = append([]string{"sysctl"}, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &out, &errs
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(realBinary)+":/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func TestHandedOnIsTheSame(t *testing.T) {
	other := theOther(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.conf":   "# a comment\nnet.ipv4.ip_forward = 1\n; another\nnet.ipv4.conf.all.rp_filter=2\n",
		"broken.conf": "no equals sign here\nnet.ipv4.ip_forward = 1\n",
		"ignore.conf": "-no.such.key = 1\nnet.ipv4.ip_forward = 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		// reads
		"kernel.ostype",
		"kernel/ostype",
		"-n kernel.ostype",
		"--values kernel.ostype",
		"-b kernel.ostype",
		"-N kernel.ostype",
		"-e kernel.ostype no.such.key",
		"kernel.ostype kernel.osrelease",
		"kernel.ostype no.such.key kernel.osrelease",
		"kernel.ostype -n",
		"net.ipv4.conf.*.rp_filter",
		"-a -N",
		"-a --pattern ^kernel\\.os",
		"-A --pattern ^kernel\\.os",
		"-X --pattern ^kernel\\.os",
		"-ar ^kernel\\.os -N",
		"-a --pattern matches-nothing",
		"-N kernel",
		"-N net/ipv4",
		"kernel.seccomp",
		"fs.file-max",
		// writes
		"-w net.ipv4.ip_forward=1",
		"net.ipv4.ip_forward=1",
		"net/ipv4/ip_forward=1",
		"-q -w net.ipv4.ip_forward=1",
		"-n -w net.ipv4.ip_forward=1",
		"-w net.ipv4.ip_forward=1 net.ipv4.ip_default_ttl=65",
		"-w net.ipv4.ip_forward=1 kernel.ostype",
		"-w net.ipv4.ip_forward = 1",
		"-w net.ipv4.ip_forward=nonsense",
		"-w kernel.ostype=Plan9",
		"-w no.such.key=1",
		"-e -w no.such.key=1",
		"-w",
		"-w net.ipv4.ip_forward",
		"-w =1",
		"--dry-run -w net.ipv4.ip_forward=1",
		"--write net.ipv4.ip_forward=1 --quiet",
		// files
		"-p good.conf",
		"--load=good.conf",
		"-f good.conf",
		"-p broken.conf",
		"-p ignore.conf",
		"-e -p broken.conf",
		"-p absent.conf",
		"-p -",
		"-p good.conf absent.conf",
		"--system --dry-run",
		"--dry-run --system --pattern ^kernel",
		// itself and mistakes
		"-V",
		"--version",
		"-d",
		"-o",
		"--no-such-option",
		"-Z",
		"no.such.key",
		"no_such_key",
		"lanch debian12 web1",
		"Launch",
		"launch=1",
		"list.all",
		"./list",
		"=",
		".",
		"/",
		"-",
		"-- kernel.ostype",
		"-q",
		"-v",
		"--debug list",
		"--format json list",
	} {
		t.Run(line, func(t *testing.T) {
			const stdin = "net.ipv4.ip_forward = 1\n"
			args := strings.Fields(line)
			want := call(t, other, dir, stdin, args...)
			if got := call(t, realBinary, dir, stdin, args...); got != want {
				t.Errorf("ours: %+v\nthe other: %+v", got, want)
			}
		})
	}
	t.Run("empty word", func(t *testing.T) {
		want := call(t, other, dir, "", "")
		if got := call(t, realBinary, dir, "", ""); got != want {
			t.Errorf("ours: %+v\nthe other: %+v", got, want)
		}
	})
}

func TestOurs(t *testing.T) {
	for line, want := range map[string]bool{
		"": true, "-h": true, "--help": true, "help": true, "--help kernel.ostype": true,
		"launch": true, "launch -a": true, "list kernel.ostype": true, "__complete li": true,
		"-a": false, "-V": false, "--version": false, "-q list": false, "kernel.ostype": false, "launc": false,
		"list=1": false, "net": false, "-- list": false, "kernel.ostype list": false,
	} {
		if got := ours(strings.Fields(line)); got != want {
			t.Errorf("ours(%q) is %v", line, got)
		}
	}
	if ours([]string{""}) {
		t.Error("an empty word is not ours")
	}
}

func TestVerbsAreTheTree(t *testing.T) {
	names := []string{"__complete", "__completeNoDesc"} // which cobra adds when they are called
	for _, cmd := range (&app{}).rootCmd().Commands() {
		names = append(names, cmd.Name())
	}
	slices.Sort(names)
	want := verbs()
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the tree has %q, verbs are %q", names, want)
	}
}

func TestNoVerbIsAKernelParameter(t *testing.T) {
	known := []string{"abi", "crypto", "debug", "dev", "fs", "kernel", "net", "sunrpc", "user", "vm"}
	entries, err := os.ReadDir("/proc/sys")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		known = append(known, e.Name())
	}
	for _, verb := range verbs() {
		if strings.ContainsAny(verb, "./=") || slices.Contains(known, verb) {
			t.Errorf("%s is a kernel parameter's name", verb)
		}
	}
}

// executable writes a program.
func executable(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestCandidates(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	executable(t, at("self/sysctl"), "")
	executable(t, at("one/sysctl"), "")
	executable(t, at("two/sysctl"), "")
	link(t, at("self/sysctl"), at("alias/sysctl"))
	link(t, "/nowhere", at("dangling/sysctl"))
	if err := os.MkdirAll(at("directory/sysctl"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("plain"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("plain/sysctl"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Stat(at("self/sysctl"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"self one two":                    "one two",
		"one self two":                    "two",
		"one two":                         "one two",
		"self one alias two":              "two",
		"alias two":                       "two",
		"dangling directory plain absent": "",
		"self":                            "",
		"one self":                        "",
		"":                                "",
	} {
		var dirs []string
		for _, name := range strings.Fields(path) {
			dirs = append(dirs, at(name))
		}
		var got []string
		for _, file := range candidates(strings.Join(append(dirs, "", "one", "."), ":"), self) {
			if inside, ok := strings.CutPrefix(file, dir+"/"); ok {
				got = append(got, filepath.Dir(inside))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("PATH %q: %q, want %q", path, got, want)
		}
	}
}

// runPath runs a program with nothing but PATH and a mark in its environment.
func runPath(t *testing.T, file string, path []string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(file, args...)
	cmd.Env = []string{"PATH=" + strings.Join(path, ":"), "MARK=kept"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	executable(t, to, string(b))
}

func TestHandOnPassesEverythingOn(t *testing.T) {
	dir := t.TempDir()
	executable(t, filepath.Join(dir, "other", "sysctl"), "#!/bin/sh\nprintf '<%s>' \"$MARK\" \"$@\"\nexit 42\n")
	// Two copies of ours and an alias before it must neither loop nor be handed to.
	copyFile(t, realBinary, filepath.Join(dir, "a", "sysctl"))
	copyFile(t, realBinary, filepath.Join(dir, "b", "sysctl"))
	link(t, filepath.Join(dir, "a", "sysctl"), filepath.Join(dir, "c", "sysctl"))
	path := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c"), filepath.Join(dir, "other")}
	for _, from := range []string{"a", "b", "c"} {
		got := runPath(t, filepath.Join(dir, from, "sysctl"), path, "-w", "a b", "", "c=d")
		want := result{stdout: "<kept><-w><a b><><c=d>", status: 42}
		if got != want {
			t.Errorf("from %s: %+v, want %+v", from, got, want)
		}
	}
}

func TestHandOnSkipsWhatCannotBeExecuted(t *testing.T) {
	dir := t.TempDir()
	executable(t, filepath.Join(dir, "garbage", "sysctl"), "\x7fELF and then nothing")
	executable(t, filepath.Join(dir, "other", "sysctl"), "#!/bin/sh\necho other\n")
	got := runPath(t, realBinary, []string{filepath.Join(dir, "garbage"), filepath.Join(dir, "other")}, "-a")
	if want := (result{stdout: "other\n"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestNobodyToHandOnTo(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"lanch", "debian12", "my box"}, 2, "sysctl: lanch: no such verb: did you mean launch?\nhint: sysctl launch debian12 'my box'\n"},
		{[]string{"kernel.hostname"}, 8, "sysctl: kernel.hostname: not a verb of ours, and there is no other sysctl on PATH to hand it on to\nhint: sysctl help\n"},
		{[]string{"-a"}, 8, "sysctl: -a: not a verb of ours, and there is no other sysctl on PATH to hand it on to\nhint: sysctl help\n"},
	} {
		var b bytes.Buffer
		if got := reportNobody(&b, c.args); got != c.status || b.String() != c.stderr {
			t.Errorf("%q: %d %q, want %d %q", c.args, got, b.String(), c.status, c.stderr)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"lanch": "launch", "strat": "start", "lst": "list", "isnfo": "info", "zzz": "", "x": "", "": "", "complete": ""} {
		if got := sysctl.Nearest(word, shown(verbs())); got != want {
			t.Errorf("nearest(%q) is %q, want %q", word, got, want)
		}
	}
}

func TestQuoteArgs(t *testing.T) {
	args := []string{"plain-1.2/x:y=z,@%+", "", "a b", "it's", "$HOME", "*", "~", "ü"}
	out, err := exec.Command("sh", "-c", "printf '%s\\n' "+quoteArgs(args)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(got, args) {
		t.Errorf("a shell reads %q, want %q", got, args)
	}
}
