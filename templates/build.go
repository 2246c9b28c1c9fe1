package templates

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

// BuildOptions says how a template is built.
type BuildOptions struct {
	Arch   string // Debian's name; "" = this host's
	Mirror string // URL of the package archive for bootstrap tools; "" = the one in Mirrors, the recipe's, the tool's default

	// Mirrors is where to get things instead: by a template's name or a distribution's id ("debian12", "debian") the URL
	// of the package archive for bootstrap tools, by a host's name ("docker.io", "images.example:8443") the URL
	// that stands for everything on that registry or server.
	Mirrors map[string]string

	Set     map[string]string // values of the recipe's variables
	Offline bool              // use no network: what is in Cache, and file URLs
	Silence time.Duration     // how long a server may say next to nothing; 0 = a minute
	Cache   string            // directory for downloads, made where it is missing; "" = a temporary one
	MaxSize int64             // bytes of the tree and of each download; 0 = DefaultMaxSize

	// Run runs script, for /bin/sh, as root with a network in an instance of its own whose root filesystem is dir:
	// so packages are installed by the guest's own tools. nil: nothing is installed into what a source gives, and a
	// source without an init is none.
	Run func(ctx context.Context, dir, script string) error

	// Stack makes layers, the lowest first, of a tree that comes in several, and returns the directory that shows
	// them and takes what is written later: then that is where the tree is. nil: all layers go into the same directory.
	Stack func(ctx context.Context, layers []sysctl.TreeLayer) (dir string, err error)

	// Have reports whether what Built.Inputs names is there already: then nothing is made. nil: never.
	Have func(inputs string) bool

	Progress sysctl.Progress
	Note     func(line string) // told why a source did not work and which is tried next; nil: nobody is
	Log      io.Writer         // gets all the tools' output and the notes; nil: nobody does
}

// Built is what Build did.
type Built struct {
	Source string   // one line: what the tree was made with
	Inputs string   // SHA-256 of everything that went in, see inputs
	Cached bool     // Have knew the inputs: dir is as it was, Source is empty
	Skip   []string // PrepareOptions.Skip, as the recipe wants it
	Chosen sysctl.GuestChoice
	Dir    string // where the tree is: in dir, or where BuildOptions.Stack said
}

// Build makes the base system of the template ref in dir, an existing empty directory. The recipe's sources are tried in
// order; the first that works is used. Tools run as children in process and mount namespaces of their own: when ctx
// ends, or this process dies, all their processes and mounts are gone. Identity and the tree's preparation for a container
// are left to Prepare, times to Normalize.
//
// Errors: those of Find; Invalid (architecture, mirror, variables), Conflict (dir not empty), Permission (no root), NoSpace,
// Canceled, and where no source works why each did not: its own kind where that is the same for all, else Unavailable.
// Among them are Unsupported (no bootstrap tool) and Unavailable (a tool failed, no answer, wrong content). After an
// error dir holds a part of the tree: removing it is the caller's, and so is making a whole one durable.
func (c *Catalogue) Build(ctx context.Context, ref, dir string, o BuildOptions) (Built, error) {
	e, r, err := c.find(ref)
	if err != nil {
		return Built{}, err
	}
	if r, err = r.set(o.Set, e.data); err != nil {
		return Built{}, sysctl.Wrap(err, "build %s", e.name)
	}
	o.Arch = cmp.Or(o.Arch, hostArch())
	if err := checkBuild(r, o); err != nil {
		return Built{}, err
	}
	built, err := buildRecipe(ctx, r, dir, o)
	return built, sysctl.Wrap(err, "build %s", r.Name)
}

// buildRecipe does what Build does; the options fit the recipe.
func buildRecipe(ctx context.Context, r recipe, dir string, o BuildOptions) (Built, error) {
	if err := checkEmpty(dir); err != nil {
		return Built{}, err
	}
	if os.Geteuid() != 0 {
		return Built{}, sysctl.E(sysctl.Permission, "a root filesystem has files of many owners: that needs root").WithHint("run the command with sudo")
	}
	cache, done, err := openCache(o.Cache)
	if err != nil {
		return Built{}, err
	}
	defer done()
	quiet := cmp.Or(o.Silence, silence)
	b := &build{BuildOptions: o, recipe: r, dir: dir, cache: cache, client: newClient(newTransport(quiet, o.Offline)), quiet: quiet}
	defer b.client.CloseIdleConnections()
	return b.firstThatWorks(ctx)
}

// build is one template being built.
type build struct {
	BuildOptions
	recipe recipe // with its variables' values
	dir    string
	cache  *cache
	client *http.Client
	quiet  time.Duration // how long a server may say nothing
}

// checkBuild reports options that the template cannot be built with.
func checkBuild(r recipe, o BuildOptions) error {
	if !slices.Contains(r.OS.Arch, o.Arch) {
		return sysctl.E(sysctl.Invalid, "template %q is not made for %s: %s", r.Name, o.Arch, strings.Join(r.OS.Arch, ", "))
	}
	if err := checkMirror("mirror", o.Mirror); o.Mirror != "" && err != nil {
		return err
	}
	isBootstrap := func(s recipeSource) bool { return s.Type == "bootstrap" }
	if o.Mirror != "" && !slices.ContainsFunc(r.Source, isBootstrap) {
		err := sysctl.E(sysctl.Invalid, "template %q takes no mirror: none of its sources is a bootstrap", r.Name)
		if _, ok := r.Vars["mirror"]; ok {
			err = err.WithHint("sysctl template build %s --set mirror=%s", r.Name, o.Mirror)
		}
		return err
	}
	for _, of := range slices.Sorted(maps.Keys(o.Mirrors)) {
		if err := checkMirror("mirror of "+of, o.Mirrors[of]); err != nil {
			return err
		}
	}
	return nil
}

func checkMirror(what, mirror string) error {
	return sysctl.Wrap(CheckURL(mirror), "%s", what)
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

// firstThatWorks tries the sources that are for this architecture.
func (b *build) firstThatWorks(ctx context.Context) (Built, error) {
	var tried []failure
	dir := b.dir
	for _, s := range b.recipe.Source {
		if len(s.Arch) > 0 && !slices.Contains(s.Arch, b.Arch) {
			continue
		}
		if len(tried) > 0 {
			last := tried[len(tried)-1]
			b.say("%s does not work, trying %s: %s", last.source, s.name(), strings.TrimPrefix(last.err.Error(), last.source+": "))
			b.dir = dir
			if err := clearDir(b.dir); err != nil {
				return Built{}, err
			}
		}
		built, err := b.try(ctx, s)
		if err == nil {
			return built, nil
		}
		err = classify(ctx, err, s.name(), b.dir)
		if kind := sysctl.KindOf(err); kind == sysctl.Canceled || kind == sysctl.NoSpace {
			return Built{}, err
		}
		tried = append(tried, failure{s.name(), err})
	}
	return Built{}, failed(tried, b.Arch)
}

// failure is why a source did not work.
type failure struct {
	source string
	err    error
}

// failed is the error of all that was tried.
func failed(tried []failure, arch string) error {
	switch len(tried) {
	case 0:
		return sysctl.E(sysctl.Unsupported, "no source is for %s", arch)
	case 1:
		return tried[0].err
	}
	kind, hint, lines := sysctl.KindOf(tried[0].err), "", []string{}
	for _, f := range tried {
		if sysctl.KindOf(f.err) != kind {
			kind = sysctl.Unavailable
		}
		hint = cmp.Or(hint, sysctl.HintOf(f.err))
		lines = append(lines, f.err.Error())
	}
	return sysctl.E(kind, "none of %d sources works: %s", len(tried), strings.Join(lines, "; ")).WithHint("%s", hint)
}

// say tells what is going on.
func (b *build) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	b.Progress.Report(line, 0, 0)
	if b.Note != nil {
		b.Note(line)
	}
	if b.Log != nil {
		_, _ = io.WriteString(b.Log, line+"\n") // a log that fails stops nothing
	}
}

// clearDir removes what is in the directory at the host path dir.
func clearDir(dir string) error {
	root, err := openRoot(dir)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	return empty(root, ".")
}

// try makes the tree from one source and puts into it what the recipe wants.
func (b *build) try(ctx context.Context, s recipeSource) (Built, error) {
	b.Progress.Report("ask "+s.name(), 0, 0)
	o, err := b.open(ctx, s)
	if err != nil {
		return Built{}, err
	}
	skip, err := ParsePrep(b.recipe.Prep)
	if err != nil {
		return Built{}, err
	}
	built := Built{Inputs: b.inputs(s, o.identity), Skip: skip, Chosen: b.recipe.chosen()}
	if b.Have != nil && b.Have(built.Inputs) {
		built.Cached = true
		return built, nil
	}
	if built.Source, err = o.fill(ctx); err != nil {
		return Built{}, err
	}
	note, err := b.install(ctx, s)
	if err != nil {
		return Built{}, err
	}
	built.Source += note
	built.Dir = b.dir
	return built, tidy(ctx, b.dir, b.recipe.Files)
}

// opened is a source that answers: what it has is known, and not fetched.
type opened struct {
	// identity names its content: a digest, with what it is of. It is "" where nothing but making the tree tells.
	identity string
	fill     func(ctx context.Context) (what string, err error)
}

// open asks a source what it has.
func (b *build) open(ctx context.Context, s recipeSource) (opened, error) {
	switch s.Type {
	case "bootstrap":
		return b.openBootstrap(ctx, s)
	case "tar":
		return opened{s.SHA256, func(ctx context.Context) (string, error) { return b.tar(ctx, s) }}, nil
	case "disk":
		return opened{s.SHA256, func(ctx context.Context) (string, error) { return b.disk(ctx, s) }}, nil
	case "dir":
		return b.openDirectory(ctx, s)
	case "oci":
		return b.openOCI(ctx, s)
	case "simplestreams":
		return b.openStreams(ctx, s)
	}
	return opened{}, sysctl.E(sysctl.Internal, "a source of type %q", s.Type)
}

// unpackOptions are the options for what a source gives.
func (b *build) unpackOptions() UnpackOptions {
	return UnpackOptions{MaxSize: b.MaxSize, Progress: b.Progress}
}

// maxDownload is how many bytes one download may have.
func (b *build) maxDownload() int64 {
	if b.MaxSize > 0 {
		return b.MaxSize
	}
	return DefaultMaxSize
}

// name is the source for people.
func (s recipeSource) name() string {
	of := cmp.Or(s.Suite, s.Release, s.Path, s.Ref, s.Image, redacted(s.URL))
	return s.Type + " " + of
}

// hasInit reports whether the tree at dir has something to be process 1.
func hasInit(dir string) (bool, error) {
	root, err := openRoot(dir)
	if err != nil {
		return false, err
	}
	defer unix.Close(root)
	var errs error
	for _, name := range []string{"sbin/init", "usr/sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd", "bin/init"} {
		fd, err := openat(root, name, unix.O_PATH, inRoot)
		if err == nil {
			return true, unix.Close(fd)
		}
		if unlessAbsent(err) != nil {
			errs = errors.Join(errs, err)
		}
	}
	return false, errs
}
