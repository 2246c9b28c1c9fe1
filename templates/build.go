package templates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
)

// BuildOptions says how a template is built.
type BuildOptions struct {
	Arch     string // Debian's name; "" = this host's
	Mirror   string // URL of the package archive; "" = the bootstrap tool's default
	Progress sysctl.Progress
	Log      io.Writer // gets all the tool's output; nil: nobody does
}

// Build makes the base system of the template ref in dir, an existing empty directory, and says in one line what it
// was made with. The bootstrap tool runs as a child in process and mount namespaces of its own: when ctx ends,
// or this process dies, all its processes and mounts are gone. Identity and the tree's preparation for a container
// are left to Prepare.
//
// Errors: those of Find; Invalid (architecture, mirror), Conflict (dir not empty), Permission (no root), Unsupported
// (no bootstrap tool), Unavailable (the tool failed; its last lines are in the message), NoSpace, Canceled. After an
// error dir holds a part of the tree: removing it is the caller's, and so is making a whole one durable.
func (c *Catalogue) Build(ctx context.Context, ref, dir string, o BuildOptions) (source string, err error) {
	e, err := c.find(ref)
	if err != nil {
		return "", err
	}
	r := e.recipe
	if o.Arch == "" {
		o.Arch = hostArch()
	}
	if err := checkBuild(r, o); err != nil {
		return "", err
	}
	if err := checkEmpty(dir); err != nil {
		return "", sysctl.Wrap(err, "build %s", r.Name)
	}
	if os.Geteuid() != 0 {
		return "", sysctl.E(sysctl.Permission, "build %s: a bootstrap tool needs root", r.Name).WithHint("run the command with sudo")
	}
	s, program, err := pickSource(r)
	if err != nil {
		return "", err
	}
	run := toolRun{program: program, args: bootstrapArgs(path.Base(program), s, r, dir, o), progress: o.Progress, log: o.Log}
	if err := run.run(ctx); err != nil {
		return "", sysctl.Wrap(err, "build %s", r.Name)
	}
	if err := tidy(dir, r.Files); err != nil {
		return "", classify(ctx, err, "build "+r.Name, dir)
	}
	return fmt.Sprintf("%s %s (%s)", path.Base(program), s.Suite, o.Arch), nil
}

// checkBuild reports options that the template cannot be built with.
func checkBuild(r recipe, o BuildOptions) error {
	if !slices.Contains(r.OS.Arch, o.Arch) {
		return sysctl.E(sysctl.Invalid, "template %q is not made for %s: %s", r.Name, o.Arch, strings.Join(r.OS.Arch, ", "))
	}
	u, err := url.Parse(o.Mirror)
	if o.Mirror != "" && (err != nil || !slices.Contains([]string{"http", "https", "file"}, u.Scheme) || strings.ContainsAny(o.Mirror, " \t\n")) {
		return sysctl.E(sysctl.Invalid, "mirror %q is not an http, https or file URL", o.Mirror)
	}
	return nil
}

// hostArch is this host's architecture in Debian's names.
func hostArch() string {
	switch runtime.GOARCH {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	}
	return runtime.GOARCH
}

// pickSource returns the first source whose tool is installed, and the tool's path.
func pickSource(r recipe) (recipeSource, string, error) {
	for _, s := range r.Source {
		tools := bootstrapTools()
		if s.Tool != "" {
			tools = []string{s.Tool}
		}
		for _, t := range tools {
			if program, err := exec.LookPath(t); err == nil {
				return s, program, nil
			}
		}
	}
	return recipeSource{}, "", sysctl.E(sysctl.Unsupported, "build %s: no %s on this host", r.Name, strings.Join(bootstrapTools(), " or ")).
		WithHint("apt-get install mmdebstrap")
}

// bootstrapTools are the tools that make a Debian tree, the faster first.
func bootstrapTools() []string { return []string{"mmdebstrap", "debootstrap"} }

// bootstrapArgs are the tool's arguments.
func bootstrapArgs(tool string, s recipeSource, r recipe, dir string, o BuildOptions) []string {
	var args []string
	if s.Variant != "" {
		args = append(args, "--variant="+s.Variant)
	}
	if len(s.Components) > 0 {
		args = append(args, "--components="+strings.Join(s.Components, ","))
	}
	if len(r.Packages.Install) > 0 {
		args = append(args, "--include="+strings.Join(r.Packages.Install, ","))
	}
	if tool == "mmdebstrap" {
		args = append(args, "--mode=root", "--format=directory", "--architectures="+o.Arch)
	} else {
		args = append(args, "--arch="+o.Arch)
	}
	args = append(args, s.Suite, dir)
	if o.Mirror != "" {
		args = append(args, o.Mirror)
	}
	return args
}

// tidy takes out of a new tree what belongs to the moment or the host it was made on, and writes the recipe's files.
func tidy(dir string, files []recipeFile) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, full := range []string{"dev", "run", "tmp", "var/lib/apt/lists", "var/cache/apt", "var/log/apt"} {
		if err := empty(root, full); err != nil {
			return err
		}
	}
	for _, log := range []string{"dpkg.log", "bootstrap.log", "alternatives.log"} {
		if err := root.RemoveAll("var/log/" + log); err != nil {
			return err
		}
	}
	// The host's name, and how the host finds names.
	if err := root.RemoveAll("etc/hostname"); err != nil {
		return err
	}
	own := append([]recipeFile{{Path: "/etc/resolv.conf"}}, files...)
	for _, f := range own {
		if err := writeFile(root, f); err != nil {
			return sysctl.Wrap(err, "write %s", f.Path)
		}
	}
	return nil
}

// empty removes what is in a directory; absent is success.
func empty(root *os.Root, name string) error {
	d, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	for _, n := range names {
		if err := root.RemoveAll(path.Join(name, n)); err != nil {
			return err
		}
	}
	return err
}

// writeFile writes one of a recipe's files in place of whatever is there.
func writeFile(root *os.Root, f recipeFile) error {
	perm, err := f.perm()
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(f.Path, "/")
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.WriteFile(name, []byte(f.Content), perm); err != nil {
		return err
	}
	return root.Chmod(name, perm)
}
