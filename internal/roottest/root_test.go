package roottest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sysctl-os/sysctl/internal/needs"
	"golang.org/x/sys/unix"
)

// program is the real thing, built once: sysctl and what it starts in one directory.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sysctl-root-bin-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "../../cmd/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	if out, err := exec.Command("make", "-C", "../..", "boot", "bin="+dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("make boot: %w\n%s", err, out)
	}
	return dir, nil
})

// debian is a tarball of the image that the template debian12 builds, for all scripts that do not test the building itself.
var debian = sync.OnceValues(func() (string, error) { return madeTree("recipe", []string{"debian12"}) })

// environment is a SYSCTL_DIR and a SYSCTL_RUN_DIR of one script's own.
type environment struct{ bin, dir, run string }

func newEnvironment(bin string) environment {
	dir, err := os.MkdirTemp("/var/tmp", "sysctl-root-") // on a disk: overlay needs one
	if err != nil {
		panic(err)
	}
	if how := os.Getenv("SHIFT"); how != "" { // storage.shift
		if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("storage: {shift: "+how+"}\n"), 0o600); err != nil {
			panic(err)
		}
	}
	return environment{bin: bin, dir: dir, run: "/run/" + filepath.Base(dir)}
}

func (e environment) vars() []string {
	return []string{"SYSCTL_DIR=" + e.dir, "SYSCTL_RUN_DIR=" + e.run, "PATH=" + e.bin + ":" + os.Getenv("PATH"), "HOME=/root"}
}

func (e environment) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(e.bin, "sysctl"), args...)
	cmd.Env = e.vars()
	return cmd
}

// number is the environment's number, 0 where it has none.
func (e environment) number() int {
	b, _ := os.ReadFile(filepath.Join(e.dir, "environment"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// remove takes the whole environment down, the way a user would.
func (e environment) remove() error {
	out, err := e.command("environment", "remove", "--force").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("environment remove: %w\n%s", err, out)
	}
	os.RemoveAll(e.dir)
	os.RemoveAll(e.run)
	return err
}

func TestMain(m *testing.M) {
	status := m.Run()
	if bin, err := program(); err == nil {
		os.RemoveAll(bin)
	}
	os.Exit(status)
}

func TestScripts(t *testing.T) {
	needs.LXC(t)
	needs.Program(t, "mmdebstrap")
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	image, err := debian()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		// One after the other: the inventory is of the whole host.
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runScript(t, file, bin, image) })
	}
}

func runScript(t *testing.T, file, bin, image string) {
	environments := []environment{newEnvironment(bin), newEnvironment(bin)}
	work := t.TempDir()
	mine := traces{numbers: map[int]bool{}, dirs: []string{bin, work}}
	for _, e := range environments {
		mine.dirs = append(mine.dirs, e.dir, e.run)
	}
	before, err := takeInventory(mine)
	if err != nil {
		t.Fatal(err)
	}
	claim := func() { // the numbers the environments have now
		for _, e := range environments {
			mine.numbers[e.number()] = true
		}
	}
	for _, e := range environments { // its first command gives an environment its number
		if out, err := e.command("list", "-q").CombinedOutput(); err != nil {
			t.Fatalf("list: %v\n%s", err, out)
		}
	}
	claim()
	end := time.Now().Add(scriptDeadline)
	if of, ok := t.Deadline(); ok && of.Before(end) {
		end = of
	}
	t.Run("script", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Files:       []string{file},
			Deadline:    end,
			WorkdirRoot: work,
			Setup: func(env *testscript.Env) error {
				env.Vars = append(env.Vars, environments[0].vars()...)
				env.Setenv("DEBIAN", image)
				env.Setenv("BRIDGE", "sysbr"+strconv.Itoa(environments[0].number())) // its default network
				env.Setenv("DIR2", environments[1].dir)
				env.Setenv("RUN2", environments[1].run)
				repo, err := filepath.Abs("../..")
				if err != nil {
					return err
				}
				env.Setenv("REPO", repo)
				return nil
			},
			Condition: func(cond string) (bool, error) {
				if cond != "shared" {
					return false, fmt.Errorf("unknown condition %q", cond)
				}
				_, err := os.Stat(sharedDir)
				return err == nil, nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"until": until, "ended": ended, "shared": shared, "killat": killAt, "interruptat": interruptAt,
				"card": card, "loop": loop, "together": together, "disk": disk, "booted": booted,
				"trees": trees, "boots": boots, "halts": halts,
				"says": says, "serves": serves,
			},
		})
	})
	claim()
	for _, e := range environments {
		if err := e.remove(); err != nil {
			t.Error(err)
		}
	}
	after, err := takeInventory(mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range leaks(before, after, mine) {
		t.Error(line)
	}
}

// deadline is how long any one event may take before a script gives up on it. It is no measure of
// speed: the machine may be busy.
const deadline = 60 * time.Second

// scriptDeadline is how long a whole script may take, of which the longest take three minutes where nothing else runs: their loops of
// shell, which wait for an event too, have no other end.
const scriptDeadline = 20 * deadline

// until CMD ARG... runs a command again and again until it succeeds, at most until the deadline: for
// events that the guest makes and nobody can wait for from outside.
func until(ts *testscript.TestScript, neg bool, args []string) {
	end := time.Now().Add(deadline)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("until %s: still %v after %s", strings.Join(args, " "), err, deadline)
		}
		<-tick.C
	}
}

// ended NAME waits until the init that an instance has now is gone (pidfd), while it does the rest of the
// line: "ended NAME CMD ARG...".
func ended(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("sysctl", "info", args[0], "--format", "json"))
	var info struct {
		State struct {
			Init struct{ PID int }
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &info))
	if info.State.Init.PID == 0 {
		ts.Fatalf("%s does not run", args[0])
	}
	fd, err := unix.PidfdOpen(info.State.Init.PID, 0)
	ts.Check(err)
	defer unix.Close(fd)
	ts.Exec(args[1], args[2:]...) // a command that ends the guest is cut off with it: its status says nothing
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(deadline.Milliseconds()))
	for err == unix.EINTR {
		n, err = unix.Poll(fds, int(deadline.Milliseconds()))
	}
	if n == 0 || err != nil {
		ts.Fatalf("the init of %s has not ended: %v", args[0], err)
	}
}

// card NAME makes a network card whose other end, NAMEp, is connected to nothing, until the script's end.
func card(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("ip", "link", "add", "name", args[0], "type", "veth", "peer", "name", args[0]+"p"))
	ts.Defer(func() { exec.Command("ip", "link", "del", args[0]+"p").Run() }) // which no guest can have
	for _, end := range []string{args[0], args[0] + "p"} {
		// Without an address of its own, not even a link-local one.
		ts.Check(ts.Exec("ip", "link", "set", end, "addrgenmode", "none", "up"))
	}
}

// sharedDir is material beside the checkout that the repository does not carry.
const sharedDir = "../../../shared"

// shared VAR FILE sets VAR to the path of a file there. Scripts skip where [!shared].
func shared(ts *testscript.TestScript, neg bool, args []string) {
	path, err := filepath.Abs(filepath.Join(sharedDir, args[1]))
	ts.Check(err)
	ts.Setenv(args[0], path)
}

// booted NAME ID VERSION ARCH INIT RENDERER checks that an instance runs, and which guest it was found to be. The table of
// doc/guests.md is made of these lines.
func booted(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("sysctl", "info", args[0], "--format", "json"))
	var info struct {
		Guest struct{ ID, Version, Arch, Init, Renderer string }
		State struct{ Status string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &info))
	g := info.Guest
	if got := []string{g.ID, g.Version, g.Arch, g.Init, g.Renderer}; info.State.Status != "running" || !slices.Equal(got, args[1:]) {
		ts.Fatalf("%s is %s, %q", args[0], info.State.Status, got)
	}
}

// killAt N CMD ARG... -- AFTER... kills the command and all its children with SIGKILL, N times, each time later in
// its life: after i/N of what it takes when it is left alone. Before each it does AFTER to its end, which must succeed,
// as must the command itself when it is done again behind each.
func killAt(ts *testscript.TestScript, neg bool, args []string) {
	n, parts := times(ts, args)
	path, whole := alone(ts, parts[0])
	for i := range n {
		ts.Check(ts.Exec(parts[1][0], parts[1][1:]...))
		signalled(ts, path, parts[0], unix.SIGKILL, whole*time.Duration(i)/time.Duration(n)) // killed, or done before: both are what is tested
		out, err := inScript(ts, path, parts[0]).CombinedOutput()
		done := regexp.MustCompile("exists|it is running already|not found") // made, started or deleted
		finished := err != nil && done.Match(out)
		if err != nil && !finished {
			ts.Fatalf("after kill %d of %d, %v: %v\n%s", i+1, n, parts[0], err, out)
		}
	}
}

// interruptAt N CMD ARG... -- AFTER... -- NOTHING... types Ctrl-C N times into the command and all its children, each
// time at a random moment of another N-th of its life. The command must end well or, with status 130, say that it
// was interrupted; then NOTHING must succeed, and the command when it is done again. Before each comes AFTER.
func interruptAt(ts *testscript.TestScript, neg bool, args []string) {
	n, parts := times(ts, args)
	path, whole := alone(ts, parts[0])
	interrupted := 0
	for i := range n {
		ts.Check(ts.Exec(parts[1][0], parts[1][1:]...))
		moment := time.Duration((float64(i) + rand.Float64()) / float64(n) * float64(whole))
		status, out := signalled(ts, path, parts[0], unix.SIGINT, moment)
		switch lines := strings.Split(strings.TrimSpace(out), "\n"); {
		case status == 0:
			continue
		case status == 130 && strings.HasSuffix(lines[len(lines)-1], "interrupted"):
			interrupted++
		case status == -1 && out == "": // before the program has asked for signals: nothing was begun
		default:
			ts.Fatalf("interrupted after %v of %v: status %d\n%s", moment, whole, status, out)
		}
		if err := ts.Exec(parts[2][0], parts[2][1:]...); err != nil {
			ts.Fatalf("interrupted after %v of %v, something is left: %v\n%s", moment, whole, err, out)
		}
		if out, err := inScript(ts, path, parts[0]).CombinedOutput(); err != nil {
			ts.Fatalf("interrupted after %v of %v, and done again: %v\n%s", moment, whole, err, out)
		}
	}
	if interrupted == 0 {
		ts.Fatalf("none of %d commands was interrupted before its end", n)
	}
}

// times splits "N CMD... -- CMD... ..." into the number and the commands.
func times(ts *testscript.TestScript, args []string) (n int, parts [][]string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	parts = [][]string{nil}
	for _, a := range args[1:] {
		if a == "--" {
			parts = append(parts, nil)
			continue
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], a)
	}
	return n, parts
}

// inScript is a command in the script's environment, in a process group of its own.
func inScript(ts *testscript.TestScript, path string, argv []string) *exec.Cmd {
	c := exec.Command(path, argv[1:]...)
	for _, v := range []string{"SYSCTL_DIR", "SYSCTL_RUN_DIR", "PATH", "HOME"} {
		c.Env = append(c.Env, v+"="+ts.Getenv(v))
	}
	c.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	return c
}

// alone does a command to its end and returns its program and how long it took.
func alone(ts *testscript.TestScript, argv []string) (path string, whole time.Duration) {
	path, err := lookPath(ts, argv[0])
	ts.Check(err)
	start := time.Now()
	out, err := inScript(ts, path, argv).CombinedOutput()
	whole = time.Since(start)
	if err != nil {
		ts.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return path, whole
}

// signalled sends a signal to a command and all its children at a moment of its life, and returns its status, -1
// where a signal ended it, and what it said.
func signalled(ts *testscript.TestScript, path string, argv []string, sig unix.Signal, moment time.Duration) (status int, said string) {
	c := inScript(ts, path, argv)
	file, err := os.CreateTemp(ts.Getenv("WORK"), "said-*") // a pipe would be held open by the instance it starts
	ts.Check(err)
	defer file.Close()
	c.Stdout, c.Stderr = file, file
	ts.Check(c.Start())
	timer := time.AfterFunc(moment, func() { unix.Kill(-c.Process.Pid, sig) })
	c.Wait()
	timer.Stop()
	said = ts.ReadFile(file.Name())
	return c.ProcessState.ExitCode(), said
}

// together N PER CMD ARG... runs N processes at once that each run the command PER times, one after the
// other, with %d in its arguments replaced by a number of the run's own. All must succeed.
func together(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	per, err := strconv.Atoi(args[1])
	ts.Check(err)
	path, err := lookPath(ts, args[2])
	ts.Check(err)
	var wg sync.WaitGroup
	failures := make([]string, n*per)
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range per {
				k := i*per + j
				var argv []string
				for _, a := range args[3:] {
					argv = append(argv, strings.ReplaceAll(a, "%d", strconv.Itoa(k)))
				}
				c := exec.Command(path, argv...)
				for _, v := range []string{"SYSCTL_DIR", "SYSCTL_RUN_DIR", "PATH", "HOME"} {
					c.Env = append(c.Env, v+"="+ts.Getenv(v))
				}
				if out, err := c.CombinedOutput(); err != nil {
					failures[k] = fmt.Sprintf("%v: %v\n%s", argv, err, out)
				}
			}
		}()
	}
	wg.Wait()
	for _, f := range failures {
		if f != "" {
			ts.Fatalf("%s", f)
		}
	}
}

func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if p := filepath.Join(dir, name); unix.Access(p, unix.X_OK) == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: not on PATH", name)
}
