package roottest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// disk TYPE SIZE gives the script's environment a small disk of its own, without blocks that are root's alone, until
// the script ends.
func disk(ts *testscript.TestScript, neg bool, args []string) {
	dir, image := ts.Getenv("SYSCTL_DIR"), filepath.Join(ts.Getenv("WORK"), "disk")
	run := func(name string, args ...string) {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			ts.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("truncate", "-s", args[1], image)
	options := map[string][]string{"ext4": {"-m", "0", "-N", "1024"}}[args[0]]
	run("mkfs."+args[0], append(append([]string{"-q"}, options...), image)...)
	run("mount", "-o", "loop", image, dir)
	ts.Defer(func() {
		e := environment{bin: filepath.Dir(mustLookPath(ts, "sysctl")), dir: dir, run: ts.Getenv("SYSCTL_RUN_DIR")}
		out, err := e.command("environment", "remove", "--force").CombinedOutput()
		if err != nil {
			ts.Logf("environment remove: %v\n%s", err, out)
		}
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			ts.Logf("umount: %v\n%s", err, out)
		}
		os.Remove(image)
	})
}

func mustLookPath(ts *testscript.TestScript, name string) string {
	path, err := lookPath(ts, name)
	ts.Check(err)
	return path
}

// loop VAR FILE makes a block device of a file, until the script ends, and sets VAR to its path.
func loop(ts *testscript.TestScript, neg bool, args []string) {
	out, err := exec.Command("losetup", "-f", "--show", ts.MkAbs(args[1])).Output()
	ts.Check(err)
	device := strings.TrimSpace(string(out))
	ts.Defer(func() {
		if out, err := exec.Command("losetup", "-d", device).CombinedOutput(); err != nil {
			ts.Logf("losetup -d: %v\n%s", err, out)
		}
	})
	ts.Setenv(args[0], device)
}
