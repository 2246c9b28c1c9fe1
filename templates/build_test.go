package templates

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// fakeTool puts a bootstrap tool on PATH that is a shell script; $dir is the directory to fill.
func fakeTool(t *testing.T, name, script string) {
	t.Helper()
	bin := t.TempDir()
	text := "#!/bin/sh\nfor dir; do case $dir in /*) break;; esac; done\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	// The script's own programs, and no real bootstrap tool.
	for _, p := range []string{"mkdir", "ln", "mount", "sleep", "setsid", "cat", "tr"} {
		if err := os.Symlink(needs.Program(t, p), filepath.Join(bin, p)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
}

const makeSystem = `mkdir -p $dir/etc $dir/bin $dir/dev/pts $dir/run/lock $dir/var/lib/apt/lists/partial $dir/var/cache/apt/archives $dir/usr/share
echo host > $dir/etc/hostname; echo nameserver 192.0.2.1 > $dir/etc/resolv.conf; echo "$*" > $dir/etc/args; echo x > $dir/dev/node
echo big > $dir/var/lib/apt/lists/some_Packages; ln -s /etc/shadow $dir/etc/default
echo "$TMPDIR" > $dir/etc/tmpdir`

func TestBuild(t *testing.T) {
	needs.Root(t)
	files := "files:\n  - {path: /etc/motd, mode: \"0600\", content: hello}\n"
	for tool, want := range map[string]string{
		"mmdebstrap":  "--variant=minbase --include=systemd-sysv --aptopt=Acquire::http::Timeout \"60\" --aptopt=Acquire::https::Timeout \"60\" --aptopt=Acquire::Retries \"1\" --mode=root --format=directory --architectures=ARCH bookworm DIR http://127.0.0.1:1/debian\n",
		"debootstrap": "--variant=minbase --include=systemd-sysv --arch=ARCH bookworm DIR http://127.0.0.1:1/debian\n",
	} {
		t.Run(tool, func(t *testing.T) {
			c, _ := load(t, map[string]string{"mine.yaml": good + files})
			fakeTool(t, tool, makeSystem+"\ncat $WGETRC > $dir/etc/wgetrc\necho 'I: extracting archives...' >&2; echo other")
			dir, above := emptyDir(t)
			var log bytes.Buffer
			var steps []string
			built, err := c.Build(t.Context(), "my/os", dir, BuildOptions{Mirror: "http://127.0.0.1:1/debian", Log: &log, Progress: func(s string, _, _ int64) { steps = append(steps, s) }})
			if err != nil {
				t.Fatal(err)
			}
			untouched(t, above)
			if want := fmt.Sprintf("%s bookworm (%s)", tool, hostArch()); built.Source != want {
				t.Errorf("source %q", built.Source)
			}
			if log.String() != "I: extracting archives...\nother\n" || strings.Join(steps, ";") != "ask bootstrap bookworm;extracting archives" {
				t.Errorf("log %q, steps %q", log.String(), steps)
			}
			args, err := os.ReadFile(dir + "/etc/args")
			want := strings.NewReplacer("DIR", dir, "ARCH", hostArch()).Replace(want)
			if err != nil || string(args) != want {
				t.Errorf("arguments %s (%v)\nwant %s", args, err, want)
			}
			if conf, err := os.ReadFile(dir + "/etc/wgetrc"); err != nil || !strings.HasSuffix(string(conf), "\ntimeout = 60\ntries = 2\n") {
				t.Errorf("wgetrc %s (%v)", conf, err)
			}
			temp, err := os.ReadFile(dir + "/etc/tmpdir")
			if err != nil || len(temp) < 3 {
				t.Fatal(err)
			}
			if _, err := os.Stat(strings.TrimSpace(string(temp))); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("temporary directory %s: %v", temp, err)
			}
			got := listing(t, dir)
			for _, line := range []string{"d 0755 .\n", "d 0755 dev\n", "d 0755 run\n", "d 0755 var/lib/apt/lists\n", "- 0644 etc/resolv.conf = \n", "- 0600 etc/motd = hello\n"} {
				if !strings.Contains(got, strings.ReplaceAll(line, " = \n", " =\n")) && !strings.Contains(got, line) {
					t.Errorf("no line %q", line)
				}
			}
			for _, gone := range []string{"etc/hostname", "dev/", "run/lock", "Packages"} {
				if strings.Contains(got, gone) {
					t.Errorf("%s is there", gone)
				}
			}
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}

// A processor for amd64 runs i386 itself.
func TestBuildForOtherArchitectures(t *testing.T) {
	for arch, want := range map[string]bool{"i386": hostArch() == "amd64", "amd64": false, "arm64": false} {
		b := &build{BuildOptions: BuildOptions{Arch: arch}}
		if got := slices.Contains(b.debianArgs("mmdebstrap", recipeSource{Suite: "bookworm"}, ""), "--skip=check/qemu"); got != want {
			t.Errorf("%s: without an emulator is %v, want %v", arch, got, want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	c, _ := load(t, map[string]string{"mine.yaml": good, "broken.yaml": "x: y"})
	dir, above := emptyDir(t)
	for _, x := range []struct {
		name, ref, dir string
		o              BuildOptions
		kind           sysctl.Kind
		want           string
	}{
		{"unknown template", "mime", dir, BuildOptions{}, sysctl.NotFound, "did you mean mine?"},
		{"broken template", "broken", dir, BuildOptions{}, sysctl.Invalid, "x: unknown field"},
		{"foreign architecture", "mine", dir, BuildOptions{Arch: "vax"}, sysctl.Invalid, `"mine" is not made for vax: amd64, arm64`},
		{"mirror that is an option", "mine", dir, BuildOptions{Mirror: "--setup-hook=x"}, sysctl.Invalid, "is not an http, https or file URL"},
		{"full directory", "mine", above, BuildOptions{}, sysctl.Conflict, "is not empty"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := c.Build(t.Context(), x.ref, x.dir, x.o)
			if sysctl.KindOf(err) != x.kind || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s: %v", sysctl.KindOf(err), err)
			}
		})
	}
	t.Run("no tool", func(t *testing.T) {
		needs.Root(t)
		t.Setenv("PATH", t.TempDir())
		_, err := c.Build(t.Context(), "mine", dir, BuildOptions{})
		if sysctl.KindOf(err) != sysctl.Unsupported || sysctl.HintOf(err) != "apt-get install mmdebstrap" {
			t.Errorf("%v (%s)", err, sysctl.HintOf(err))
		}
	})
}

func TestBuildFails(t *testing.T) {
	needs.Root(t)
	c, _ := load(t, map[string]string{"mine.yaml": good})
	for _, x := range []struct {
		name, script string
		kind         sysctl.Kind
		want         string
	}{
		{"with errors among noise", "echo noise; echo 'E: Failed to fetch InRelease' >&2; for i in 1 2 3; do echo more; done; exit 25", sysctl.Unavailable, "build mine: bootstrap bookworm: mmdebstrap: exit status 25: E: Failed to fetch InRelease"},
		{"with plain lines", "echo one; echo two; exit 1", sysctl.Unavailable, "exit status 1: one; two"},
		{"in silence", "exit 3", sysctl.Unavailable, "it said nothing"},
		{"for want of space", "echo 'E: write: No space left on device'; exit 1", sysctl.NoSpace, "No space left"},
	} {
		t.Run(x.name, func(t *testing.T) {
			fakeTool(t, "mmdebstrap", x.script)
			dir, _ := emptyDir(t)
			_, err := c.Build(t.Context(), "mine", dir, BuildOptions{})
			if sysctl.KindOf(err) != x.kind || !strings.Contains(err.Error(), x.want) || sysctl.HintOf(err) == "" {
				t.Errorf("%s: %v", sysctl.KindOf(err), err)
			}
		})
	}
}

// A build that is broken off leaves no process, even one that made itself a session of its own, and no mount.
func TestBuildCanceled(t *testing.T) {
	needs.Root(t)
	c, _ := load(t, map[string]string{"mine.yaml": good})
	marker := fmt.Sprintf("86399.%d", os.Getpid()) // how long the processes would sleep tells them from others
	fakeTool(t, "mmdebstrap", `mkdir -p $dir/proc; mount -t tmpfs none $dir/proc || exit 1
setsid sleep `+marker+` & sleep `+marker+` &
echo "I: asleep"; sleep `+marker)
	dir, above := emptyDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := c.Build(ctx, "mine", dir, BuildOptions{Progress: func(step string, _, _ int64) {
		if step == "asleep" {
			cancel()
		}
	}})
	if sysctl.KindOf(err) != sysctl.Canceled {
		t.Fatalf("%s: %v", sysctl.KindOf(err), err)
	}
	if left := processesWith(t, marker); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(mounts, []byte(above)) {
		t.Errorf("mounts left: %v", err)
	}
}

// A kill -9 of the program itself ends the tool as well.
func TestBuildKilled(t *testing.T) {
	needs.Root(t)
	const at = "SYSCTL_TEST_BUILD_DIR"
	if dir := os.Getenv(at); dir != "" { // the process that is going to be killed
		c, err := Load(filepath.Join(filepath.Dir(dir), "templates"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Build(t.Context(), "mine", dir, BuildOptions{Log: os.Stdout})
		t.Fatal(err)
	}
	fakeTool(t, "mmdebstrap", "setsid sleep 86398.$$ & echo started; sleep 86398."+strconv.Itoa(os.Getpid()))
	dir, above := emptyDir(t)
	if err := os.Mkdir(filepath.Join(above, "templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(above, "templates", "mine.yaml"), []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestBuildKilled$")
	cmd.Env = append(os.Environ(), at+"="+dir, "TMPDIR="+above)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "started" {
	}
	if lines.Text() != "started" {
		t.Fatalf("the tool did not start: %q", lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	// The kernel ends the tool in its own time: wait for each by its descriptor.
	for _, pid := range processesWith(t, "86398.") {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone already
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if n != 1 {
			t.Errorf("process %d lives on: %v", pid, err)
			unix.Kill(pid, unix.SIGKILL)
		}
		unix.Close(fd)
	}
}

// processesWith returns the pids whose command line contains text.
func processesWith(t *testing.T, text string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte(text)) {
			pids = append(pids, pid)
		}
	}
	return pids
}
