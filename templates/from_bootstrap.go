package templates

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
)

// openBootstrap asks the package archive, where we know it, which packages it has. An archive that does not tell is
// the tool's to judge.
func (b *build) openBootstrap(ctx context.Context, s recipeSource) (opened, error) {
	fill := func(ctx context.Context) (string, error) { return b.bootstrap(ctx, s) }
	mirror := strings.TrimSuffix(b.archive(s), "/")
	if mirror == "" {
		return opened{"", fill}, nil
	}
	identity := []string{mirror}
	for _, at := range b.indexes(s, mirror) {
		if text, _, err := getSmall(ctx, b.client, at, b.quiet); err == nil {
			identity = append(identity, sumOf(text))
		} else if ctx.Err() != nil {
			return opened{}, err
		}
	}
	return opened{strings.Join(identity, " "), fill}, nil
}

// indexes are the URLs of what an archive says of all its packages.
func (b *build) indexes(s recipeSource, mirror string) []string {
	if !s.isRPM(b.recipe) {
		return []string{mirror + "/dists/" + s.Suite + "/Release"}
	}
	var all []string
	arch, _ := rpmArch(b.Arch)
	for _, r := range s.Repos {
		below := strings.NewReplacer("$basearch", arch, "$releasever", s.Release).Replace(r.Path)
		all = append(all, mirror+"/"+strings.TrimSuffix(below, "/")+"/repodata/repomd.xml")
	}
	return all
}

// rpmArch is an architecture as RPM names it.
func rpmArch(arch string) (string, bool) {
	name, ok := map[string]string{"amd64": "x86_64", "i386": "i686", "arm64": "aarch64", "ppc64el": "ppc64le", "s390x": "s390x", "armhf": "armv7hl", "riscv64": "riscv64"}[arch]
	return name, ok
}

// bootstrap makes the tree by a tool that installs packages into a directory.
func (b *build) bootstrap(ctx context.Context, s recipeSource) (string, error) {
	program, err := s.program(b.recipe)
	if err != nil {
		return "", err
	}
	mirror := b.archive(s)
	if b.Offline && !strings.HasPrefix(mirror, "file:") {
		return "", sysctl.E(sysctl.Unavailable, "%s needs the network for its packages", path.Base(program)).WithHint("name a mirror by a file URL")
	}
	if _, err := os.Stat(s.Keyring); s.Keyring != "" && err != nil {
		return "", sysctl.E(sysctl.Unsupported, "keyring %s: %w", s.Keyring, err)
	}
	run := toolRun{program: program, progress: b.Progress, log: b.Log}
	temp, err := os.MkdirTemp("", "sysctl-bootstrap-")
	if err != nil {
		return "", sysctl.Wrap(err, "temporary directory")
	}
	defer os.RemoveAll(temp)
	what := s.Suite
	if s.isRPM(b.recipe) {
		what = b.recipe.OS.ID + " " + s.Release
		run.args, err = b.rpmArgs(path.Base(program), s, mirror, temp)
	} else {
		run.args = b.debianArgs(path.Base(program), s, mirror)
		run.env, err = b.wgetEnv(temp)
	}
	if err != nil {
		return "", err
	}
	if err := run.run(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s (%s)", path.Base(program), what, b.Arch), nil
}

// archive is the URL of the package archive, or "".
func (b *build) archive(s recipeSource) string {
	return cmp.Or(b.Mirror, b.Mirrors[b.recipe.Name], b.Mirrors[b.recipe.OS.ID], s.Mirror)
}

// program returns the path of the tool that is installed.
func (s recipeSource) program(r recipe) (string, error) {
	tools, pkg := []string{"mmdebstrap", "debootstrap"}, "mmdebstrap"
	if s.isRPM(r) {
		tools, pkg = []string{"dnf", "yum"}, "dnf"
	}
	if s.Tool != "" {
		tools, pkg = []string{s.Tool}, s.Tool
	}
	for _, t := range tools {
		if program, err := exec.LookPath(t); err == nil {
			return program, nil
		}
	}
	return "", sysctl.E(sysctl.Unsupported, "no %s on this host", strings.Join(tools, " or ")).WithHint("apt-get install %s", pkg)
}

// isRPM reports whether the source is for a tool that installs RPM packages.
func (s recipeSource) isRPM(r recipe) bool {
	if s.Tool != "" {
		return s.Tool == "dnf" || s.Tool == "yum"
	}
	return s.Release != "" || r.OS.Family == "rhel"
}

// debianArgs are the arguments of a tool for Debian archives.
func (b *build) debianArgs(tool string, s recipeSource, mirror string) []string {
	var args []string
	if s.Variant != "" {
		args = append(args, "--variant="+s.Variant)
	}
	if len(s.Components) > 0 {
		args = append(args, "--components="+strings.Join(s.Components, ","))
	}
	if len(b.recipe.Packages.Install) > 0 {
		args = append(args, "--include="+strings.Join(b.recipe.Packages.Install, ","))
	}
	if s.Keyring != "" {
		args = append(args, "--keyring="+s.Keyring)
	}
	if tool == "mmdebstrap" {
		for _, scheme := range []string{"http", "https"} {
			args = append(args, fmt.Sprintf("--aptopt=Acquire::%s::Timeout \"%d\"", scheme, b.patience()))
		}
		args = append(args, `--aptopt=Acquire::Retries "1"`)
		args = append(args, "--mode=root", "--format=directory", "--architectures="+b.Arch)
		if b.Arch == "i386" && hostArch() == "amd64" {
			args = append(args, "--skip=check/qemu") // the processor runs it; mmdebstrap would want an emulator
		}
	} else {
		args = append(args, "--arch="+b.Arch)
	}
	args = append(args, s.Suite, b.dir)
	if mirror != "" {
		args = append(args, mirror)
	}
	return args
}

// patience is how many seconds a tool may wait for a server that says nothing.
func (b *build) patience() int { return max(1, int(b.quiet/time.Second)) }

// wgetEnv gives wget, by which debootstrap downloads, the user's configuration with an end to its patience, in temp: it would
// wait a quarter of an hour, twenty times.
func (b *build) wgetEnv(temp string) ([]string, error) {
	// What cannot be read does not count for wget either.
	conf, _ := os.ReadFile(cmp.Or(os.Getenv("WGETRC"), "/root/.wgetrc"))
	at := filepath.Join(temp, "wgetrc")
	conf = fmt.Appendf(conf, "\ntimeout = %d\ntries = 2\n", b.patience())
	return []string{"WGETRC=" + at}, os.WriteFile(at, conf, 0o600)
}

// rpmArgs are the arguments of a tool for RPM repositories. Its configuration lies in temp: nothing of the host's counts.
func (b *build) rpmArgs(tool string, s recipeSource, mirror, temp string) ([]string, error) {
	arch, ok := rpmArch(b.Arch)
	if !ok {
		return nil, sysctl.E(sysctl.Unsupported, "RPM has no architecture %s", b.Arch)
	}
	if tool == "yum" && b.Arch != hostArch() {
		return nil, sysctl.E(sysctl.Unsupported, "yum makes no tree for %s on %s", b.Arch, hostArch()).WithHint("apt-get install dnf")
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "[main]\ncachedir=%s/cache\nreposdir=%s/none\npersistdir=%s/state\nlogdir=%s\nplugins=0\ninstall_weak_deps=0\nassumeyes=1\ntimeout=%d\nretries=2\n",
		temp, temp, temp, temp, b.patience())
	for _, r := range s.Repos {
		fmt.Fprintf(&conf, "[%s]\nname=%s\nbaseurl=%s/%s\nenabled=1\n", r.Name, r.Name, strings.TrimSuffix(mirror, "/"), r.Path)
		switch {
		case r.GPGKey != "":
			fmt.Fprintf(&conf, "gpgcheck=1\ngpgkey=%s\n", keyURL(r.GPGKey))
		case strings.HasPrefix(mirror, "http:"):
			return nil, sysctl.E(sysctl.Invalid, "nobody vouches for packages that come from %s by http without a key", redacted(mirror))
		default:
			conf.WriteString("gpgcheck=0\n")
		}
	}
	at := filepath.Join(temp, tool+".conf")
	if err := os.WriteFile(at, []byte(conf.String()), 0o600); err != nil {
		return nil, err
	}
	args := []string{"--config=" + at, "--installroot=" + b.dir, "--releasever=" + s.Release, "-y"}
	if tool == "dnf" {
		platform := "el"
		if b.recipe.OS.ID == "fedora" {
			platform = "f"
		}
		args = append(args, "--forcearch="+arch, "--setopt=module_platform_id=platform:"+platform+s.Release)
	}
	return append(append(args, "install"), b.recipe.Packages.Install...), nil
}

// keyURL is a place as a URL.
func keyURL(place string) string {
	if path.IsAbs(place) {
		return "file://" + place
	}
	return place
}
