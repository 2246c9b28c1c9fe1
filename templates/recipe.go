package templates

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sysctl-os/sysctl"
)

// schemaV1 is what the field schema of a recipe must say.
const schemaV1 = "sysctl.template/v1"

// recipe is a template as it is written. Every field is used: decoding refuses others. The tags are the one table
// of fields that decoding, checking and the JSON schema share:
//
//	yaml  the field's name
//	doc   a line for people
//	need  "yes": must be there; else the types of source that must have it
//	in    the types of source that may have it
//	one   the words it may be
//	is    the form (forms) that it, each of its elements or, of a map, each key has
type recipe struct {
	Schema      string            `yaml:"schema" need:"yes" one:"sysctl.template/v1" doc:"version of this format"`
	Name        string            `yaml:"name" need:"yes" is:"ref" doc:"the file's name without .yaml"`
	Aliases     []string          `yaml:"aliases" is:"ref" doc:"other names: centos/7, el7"`
	Description string            `yaml:"description" doc:"one line for people"`
	OS          recipeOS          `yaml:"os" doc:"what is made"`
	Guest       recipeGuest       `yaml:"guest" doc:"what is known of the guest before it is built, for sysctl check; what was built is looked at itself"`
	EOL         string            `yaml:"eol" is:"date" doc:"the day after which its makers mend nothing more, YYYY-MM-DD"`
	Tried       bool              `yaml:"tried" doc:"it has been built and booted, not only written"`
	Vars        map[string]string `yaml:"vars" is:"variable" doc:"values that --set changes, put in place of ${name}; one that is empty must be set"`
	Source      []recipeSource    `yaml:"source" need:"yes" doc:"ways to make the tree: the first that works is used"`
	Packages    recipePackages    `yaml:"packages" doc:"what a source that is no whole system gets installed"`
	Services    recipeServices    `yaml:"services" doc:"what the guest's init is told"`
	Files       []recipeFile      `yaml:"files" doc:"written over what the source gave"`
	Renderer    string            `yaml:"renderer" is:"renderer" doc:"whose files configure the network, with the dialect (doc/guests.md), in place of what is found"`
	Halt        string            `yaml:"halt" is:"signal" doc:"the signal by which its init halts, in place of the one that its kind is known to"`
	Prep        []string          `yaml:"prep" is:"prep" doc:"steps of preparation to leave out, each with a minus before its name (sysctl template show NAME --steps)"`
	Test        recipeTest        `yaml:"test" json:"-" doc:"what sysctl template test expects of the guest, beside what it expects of every one"`
}

// recipeOS is the OS that a recipe makes.
type recipeOS struct {
	Family  string   `yaml:"family" need:"yes" one:"debian rhel suse alpine arch gentoo slackware void" doc:"how it is managed"`
	ID      string   `yaml:"id" need:"yes" is:"word" doc:"the distribution, as os-release has it"`
	Version string   `yaml:"version" need:"yes" is:"word" doc:"of the distribution"`
	Arch    []string `yaml:"arch" need:"yes" is:"word" doc:"architectures in Debian's names: amd64, i386, arm64"`
}

// recipeGuest is what the compat table wants to know of a guest, as detection finds it in what is built. Of a rolling
// release it is what it had when the recipe was written.
type recipeGuest struct {
	Init        string `yaml:"init" one:"systemd sysvinit upstart busybox openrc runit finit bsd" doc:"the program that is process 1"`
	InitVersion string `yaml:"init_version" is:"version" doc:"of init: 219; none: not known"`
	Libc        string `yaml:"libc" one:"glibc musl uclibc" doc:"the C library"`
	LibcVersion string `yaml:"libc_version" is:"version" doc:"of the C library: 2.17; none: not known"`
}

// recipeSource is one way to make the base system. Which fields it may have depends on its type.
type recipeSource struct {
	Type     string   `yaml:"type" need:"yes" one:"bootstrap tar dir disk oci simplestreams" doc:"the way"`
	Arch     []string `yaml:"arch" is:"word" doc:"architectures it is for; none: all of the recipe's"`
	Complete bool     `yaml:"complete" in:"tar dir disk oci simplestreams" doc:"this is a whole system: packages are not installed"`

	Tool       string       `yaml:"tool" in:"bootstrap" one:"mmdebstrap debootstrap dnf yum" doc:"none: whichever is installed and fits"`
	Suite      string       `yaml:"suite" in:"bootstrap" is:"word" doc:"of a Debian archive: bookworm"`
	Variant    string       `yaml:"variant" in:"bootstrap" one:"minbase" doc:"of the tool"`
	Components []string     `yaml:"components" in:"bootstrap" is:"word" doc:"of a Debian archive; none: the tool's default"`
	Keyring    string       `yaml:"keyring" in:"bootstrap" is:"path" doc:"file on the host with the keys of a Debian archive; none: the tool's default"`
	Release    string       `yaml:"release" in:"bootstrap" is:"word" doc:"$releasever of an RPM distribution: 9"`
	Mirror     string       `yaml:"mirror" in:"bootstrap" is:"url" doc:"the archive, where no other is given; none: the tool's default"`
	Repos      []recipeRepo `yaml:"repos" in:"bootstrap" doc:"of an RPM distribution, below the mirror"`

	URL    string `yaml:"url" need:"tar disk" in:"tar disk" is:"place" doc:"http, https or file URL, or absolute path, of a tar archive or disk image"`
	SHA256 string `yaml:"sha256" need:"tar disk" in:"tar disk" is:"sha256" doc:"of the archive or image"`

	Partition string `yaml:"partition" in:"disk" is:"word" doc:"what has the root filesystem: a partition's number, GROUP/VOLUME of LVM, or disk; none: the only one"`

	Path string `yaml:"path" need:"dir" in:"dir" is:"path" doc:"directory on the host with a root filesystem"`

	Ref    string `yaml:"ref" need:"oci" in:"oci" is:"image" doc:"image in a registry: docker.io/library/centos:7"`
	Digest string `yaml:"digest" in:"oci" is:"digest" doc:"of the image or index that ref must be"`

	Server string `yaml:"server" need:"simplestreams" in:"simplestreams" is:"url" doc:"image server"`
	Image  string `yaml:"image" need:"simplestreams" in:"simplestreams" is:"word" doc:"alias on the server: debian/12"`
}

// sourceTypes are the types that a source may have.
func sourceTypes() []string {
	f, _ := reflect.TypeFor[recipeSource]().FieldByName("Type")
	return strings.Fields(f.Tag.Get("one"))
}

// recipeRepo is a repository of RPM packages.
type recipeRepo struct {
	Name   string `yaml:"name" need:"yes" is:"word" doc:"of the repository: baseos"`
	Path   string `yaml:"path" need:"yes" is:"below" doc:"below the mirror; $basearch and $releasever are replaced"`
	GPGKey string `yaml:"gpgkey" is:"place" doc:"key that signs the packages; none: https vouches for them"`
}

// recipePackages is what is installed.
type recipePackages struct {
	Manager  string       `yaml:"manager" one:"apt yum dnf apk zypper pacman xbps" doc:"the guest's own, for sources that are not made by a bootstrap tool"`
	Install  []string     `yaml:"install" is:"word" doc:"names of packages"`
	Unsigned bool         `yaml:"unsigned" doc:"install although the keys that signed the packages have expired"`
	Files    []recipeFile `yaml:"files" doc:"written before packages are installed: where to get them from"`
}

// recipeServices is what runs in the guest from boot on, beyond what its packages want.
type recipeServices struct {
	Enable  []string `yaml:"enable" is:"word" doc:"start at boot"`
	Disable []string `yaml:"disable" is:"word" doc:"do not start at boot"`
}

// recipeFile is one file written literally.
type recipeFile struct {
	Path    string `yaml:"path" need:"yes" is:"path" doc:"absolute"`
	Mode    string `yaml:"mode" is:"mode" doc:"octal in quotes; none: \"0644\""`
	Content string `yaml:"content" doc:"of the file"`
}

// recipeTest is what is expected of the guest once it has booted. It is no part of what is built.
type recipeTest struct {
	Timeout   string   `yaml:"timeout" is:"duration" doc:"how long it may take to boot; none: 2m"`
	MayFail   []string `yaml:"may_fail" doc:"regular expressions: units, services and lines on the console that may fail"`
	Running   []string `yaml:"running" is:"process" doc:"processes that run, by their names in ps -e"`
	Listening []string `yaml:"listening" is:"port" doc:"TCP ports on which something listens"`
	Commands  []string `yaml:"commands" doc:"for /bin/sh, as root: each must succeed"`
}

func (f recipeFile) perm() fs.FileMode {
	if n, err := strconv.ParseUint(f.Mode, 8, 12); err == nil {
		return fs.FileMode(n)
	}
	return 0o644
}

// template is the recipe as listed to people.
func (r recipe) template(origin string) sysctl.Template {
	return sysctl.Template{
		Name: r.Name, Aliases: r.Aliases, Description: r.Description, Family: r.OS.Family, Version: r.OS.Version,
		Arch: r.OS.Arch, EOL: r.EOL, Tried: r.Tried, Origin: origin, Variables: r.Vars, Guest: r.guest(),
		Test: r.Test.bootTest(),
	}
}

// guest is what is known of the guest that a build on this host would make.
func (r recipe) guest() sysctl.Guest {
	g := sysctl.Guest{
		Family: r.OS.Family, ID: r.OS.ID, Version: r.OS.Version, Name: r.Description,
		Init: r.Guest.Init, InitVersion: r.Guest.InitVersion, Libc: r.Guest.Libc, LibcVersion: r.Guest.LibcVersion,
		Packages: packagesOf(r.OS.Family), Evidence: []string{"recipe " + r.Name},
	}
	if g.Arch = hostArch(); !slices.Contains(r.OS.Arch, g.Arch) {
		g.Arch = r.OS.Arch[0]
	}
	g.Bits = bitsOf(g.Arch)
	g.Choose(r.chosen())
	return g
}

// chosen is what the recipe says in place of what would be found.
func (r recipe) chosen() sysctl.GuestChoice {
	return sysctl.GuestChoice{Renderer: r.Renderer, Halt: r.Halt}
}

// packagesOf is the package database that the guests of a family have, as detection names it.
func packagesOf(family string) string {
	switch family {
	case "debian":
		return "dpkg"
	case "rhel", "suse":
		return "rpm"
	case "alpine":
		return "apk"
	case "arch":
		return "pacman"
	case "gentoo":
		return "portage"
	case "slackware":
		return "pkgtool"
	case "void":
		return "xbps"
	}
	return ""
}

// bitsOf is the size of a pointer on an architecture.
func bitsOf(arch string) int {
	switch arch {
	case "i386", "armhf", "armel", "mipsel":
		return 32
	}
	return 64
}

// decode reads a recipe. What is no YAML is Invalid and says FILE:LINE; everything else that is wrong is FieldErrors that say
// the line, all at once. name is what the recipe must be called.
func decode(file, name string, data []byte, by *rules) (recipe, error) {
	var r recipe
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(&r)
	var form *yaml.TypeError
	switch {
	case err == io.EOF:
		return r, sysctl.E(sysctl.Invalid, "%s: the file is empty", file)
	case errors.As(err, &form):
		return r, sysctl.Wrap(r.formErrors(form.Errors, name, data, by), "%s", file)
	case err != nil:
		return r, sysctl.E(sysctl.Invalid, "%s", syntaxError(file, err))
	case dec.Decode(new(yaml.Node)) != io.EOF:
		return r, sysctl.E(sysctl.Invalid, "%s: more than one YAML document", file)
	}
	return r, sysctl.Wrap(r.expand(nil).check(name, data, by), "%s", file)
}

// syntaxError says FILE:LINE: what.
func syntaxError(file string, err error) string {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(what); m != nil {
		return file + ":" + m[1] + ": " + what[len(m[0]):]
	}
	return file + ": " + what
}

// line finds the line of a field, or of the nearest thing above that is there. path is "os.arch" or "source[0].suite".
func line(n *yaml.Node, path string) int {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	at := max(1, n.Line)
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		var next *yaml.Node
		if i, err := strconv.Atoi(part); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
			next = n.Content[i]
			at = next.Line
		}
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				next = n.Content[i+1]
				at = n.Content[i].Line
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return at
}

// at names an element of a list.
func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
