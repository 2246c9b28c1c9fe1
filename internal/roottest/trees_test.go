package roottest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// treeCache keeps trees for the next run of the tests: what they are made by is in the file's name. Remove it for
// trees of today's packages.
const treeCache = "/var/cache/sysctl-test/trees"

// trees FILE makes a tarball for each line of a file, two at a time, and sets a variable of the line's name to its path:
//
//	NAME recipe TEMPLATE [FILE...]    what the template builds; without one of the files the variable is empty
//	NAME mmdebstrap ARGUMENT...       essential packages and what the arguments say, of a package archive
//	NAME shared PATH                  material beside the checkout; without it the variable is empty
func trees(ts *testscript.TestScript, neg bool, args []string) {
	slots := make(chan struct{}, 2)
	var wg sync.WaitGroup
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	paths, errs := make([]string, len(lines)), make([]error, len(lines))
	for i, line := range lines {
		f := strings.Fields(line)
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			paths[i], errs[i] = madeTree(f[1], f[2:])
		})
	}
	wg.Wait()
	for i, line := range lines {
		if errs[i] != nil {
			ts.Fatalf("%s: %v", line, errs[i])
		}
		ts.Setenv(strings.Fields(line)[0], paths[i])
	}
}

// madeTree returns the path of one tarball, made or kept.
func madeTree(by string, args []string) (string, error) {
	if by == "shared" {
		path, err := filepath.Abs(filepath.Join(sharedDir, args[0]))
		if _, missing := os.Stat(path); missing != nil {
			return "", nil
		}
		return path, err
	}
	if by == "recipe" {
		for _, wanted := range args[1:] {
			if _, missing := os.Stat(wanted); missing != nil {
				return "", nil
			}
		}
		args = args[:1]
	}
	identity := by + "\n" + strings.Join(args, "\n")
	if by == "recipe" {
		text, err := os.ReadFile("../../templates/catalogue/" + args[0] + ".yaml")
		if err != nil {
			return "", err
		}
		rules, err := programOf("../../templates", "../../netconfig/guest")
		if err != nil {
			return "", err
		}
		identity += "\n" + string(text) + rules
	}
	file := filepath.Join(treeCache, fmt.Sprintf("%x.tar", sha256.Sum256([]byte(identity))))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(treeCache, 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(treeCache, "making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	made := filepath.Join(temp, "tree.tar")
	if by == "recipe" {
		err = buildTree(args[0], made)
	} else {
		// A mirror may be older than its signature lasts: only unstable's ends so early. The releases alone are enough.
		options := []string{"--mode=root", "--variant=essential", `--aptopt=Acquire::Check-Valid-Until "false"`,
			`--setup-hook=sed -i /security/d "$1"/etc/apt/sources.list`}
		err = said(exec.Command("mmdebstrap", append(append(options, args...), made)...))
	}
	if err != nil {
		return "", err
	}
	return file, os.Rename(made, file)
}

// programOf is the source of rooms without its tests: what a tree is made by.
func programOf(dirs ...string) (string, error) {
	var text strings.Builder
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			text.Write(b)
		}
	}
	return text.String(), nil
}

// buildTree has an environment of its own build a template, and exports it.
func buildTree(template, file string) error {
	bin, err := program()
	if err != nil {
		return err
	}
	e := newEnvironment(bin)
	defer e.remove()
	if err := said(e.command("template", "build", "-q", template)); err != nil {
		return err
	}
	return said(e.command("image", "export", template, file))
}

// said runs a command; the error has what it said.
func said(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}
