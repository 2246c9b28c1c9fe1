package templates

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// documentHead is what doc/templates.md says before the table of fields.
const documentHead = `<!-- Generated from the table in templates: go test ./templates -run Document -update -->

# Templates

A template is a recipe, one YAML file, by which the image of an OS is built when it is first needed:

` + "```" + `sh
sysctl template list                      # what there is; TRIED: built and booted, not only written
cd /etc/sysctl/templates
sysctl template show centos7 --recipe | sed 's/^name: .*/name: mycentos/; /^aliases/d' > mycentos.yaml
sysctl template validate mycentos.yaml    # everything that is wrong, with lines
sysctl template build mycentos --set mirror=http://mirror.example/centos
sysctl launch mycentos web1
` + "```" + `

A file in ` + "`/etc/sysctl/templates`" + `, or in ` + "`SYSCTL_DIR/templates`" + ` for one environment, stands before the built-in template of its name.
` + "`sysctl template schema`" + ` prints the JSON schema, for editors.

## How an image is built

1. The sources are tried in order; the first that works is used, and why another does not is said in one line.
2. What a source gives is unpacked. Everything that is downloaded is checked by its digest and kept in ` + "`SYSCTL_DIR/cache`" + `;
   a download that broke off is continued. ` + "`--offline`" + ` uses what is there.
3. A source that is no whole system gets the recipe's packages by the guest's own package manager, which runs as root of an
   unprivileged instance over the new tree, with an address on the default network. That instance is called
   ` + "`sysctl-build-NAME`" + ` and ends with the command that builds, however that ends. Services of the recipe are switched there too.
4. What belongs to the moment or the machine is taken out (logs, caches, keys, machine id; what was written meanwhile gets the
   time of the newest file that was not), the tree is prepared for life in a container, and becomes a layer named by its
   content. The same recipe and the same content of its source give the same layer.

An image is built once for the same inputs: the recipe with ` + "`--set`" + `, the digest of what its source has today, the architecture,
the host's bootstrap tool and the versions of our own work on trees. ` + "`launch`" + ` takes the image that was built last, until the recipe
or our own work changes; it asks no source for that.

` + "`--platform`" + ` of ` + "`template build`" + ` and ` + "`image pull`" + ` is for another architecture that this machine can run, such as linux/386 on a 64-bit PC;
what it cannot run is refused before anything is got. Such an image has the architecture in its name (debian12/i386).

An OCI image's layers become layers of ours (of more than 60 the lowest become one), and what is done to them in steps 3 and 4 is in
one more on top. Images that begin with the same layers share these: only what is new is got and stored.

## Mirrors and remotes

` + "`/etc/sysctl/config.yaml`" + ` says where things come from on this machine; ` + "`SYSCTL_DIR/config.yaml`" + ` does for one environment, and wins by
name:

` + "```" + `yaml
mirrors:
  debian: http://mirror.example/debian          # the package archive of a distribution, by its os.id
  centos7: file:///srv/vault                    # or of one template
  docker.io: https://hub.example                # what stands for everything on a registry or image server
silence: 90s                                    # how long a server may say next to nothing, to us and to bootstrap tools; a minute
remotes:                                        # for sysctl image pull
  near: {type: simplestreams, url: https://images.example}   # near:debian/12
  hub: {type: oci, url: https://hub.example/team}            # hub:server:7
` + "```" + `

` + "`images`" + ` is the public image server unless a remote of yours is called so; ` + "`oci:REFERENCE`" + ` and ` + "`docker://REFERENCE`" + ` name an image in
any registry. Logins are those of docker login.

## Fields
`

// Document returns doc/templates.md: the format of recipes, from its table.
func Document() []byte {
	var b strings.Builder
	b.WriteString(documentHead)
	section(&b, "", "", reflect.TypeFor[recipe]())
	section(&b, "os", "", reflect.TypeFor[recipeOS]())
	section(&b, "guest", "", reflect.TypeFor[recipeGuest]())
	for _, kind := range sourceTypes() {
		section(&b, "source of type "+kind, kind, reflect.TypeFor[recipeSource]())
	}
	section(&b, "source.repos", "", reflect.TypeFor[recipeRepo]())
	section(&b, "packages", "", reflect.TypeFor[recipePackages]())
	section(&b, "services", "", reflect.TypeFor[recipeServices]())
	section(&b, "files, packages.files", "", reflect.TypeFor[recipeFile]())
	section(&b, "test", "", reflect.TypeFor[recipeTest]())
	b.WriteString("\n## Forms\n\n| form | what it is |\n|---|---|\n")
	all := forms()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, all[name].what)
	}
	return []byte(b.String())
}

// section is the table of one struct's fields. kind is the type of source it is for, or "".
func section(b *strings.Builder, title, kind string, t reflect.Type) {
	if title != "" {
		fmt.Fprintf(b, "\n### %s\n", title)
	}
	b.WriteString("\n| field | form | needed | |\n|---|---|---|---|\n")
	for i := range t.NumField() {
		f := t.Field(i)
		in, need := strings.Fields(f.Tag.Get("in")), strings.Fields(f.Tag.Get("need"))
		if kind != "" && len(in) > 0 && !slices.Contains(in, kind) {
			continue
		}
		needed := ""
		if slices.Contains(need, "yes") || slices.Contains(need, kind) && kind != "" {
			needed = "yes"
		}
		form := formOf(f)
		if kind != "" && f.Tag.Get("yaml") == "type" {
			form = kind
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.Tag.Get("yaml"), form, needed, f.Tag.Get("doc"))
	}
}

// formOf is what a field looks like, for people.
func formOf(f reflect.StructField) string {
	form := f.Tag.Get("is")
	if words := f.Tag.Get("one"); words != "" {
		form = strings.Join(strings.Fields(words), ", ")
	}
	switch f.Type.Kind() {
	case reflect.Bool:
		return "true, false"
	case reflect.Struct:
		return "fields"
	case reflect.Slice:
		if f.Type.Elem().Kind() == reflect.Struct {
			return "list of fields"
		}
		return "list of " + form
	case reflect.Map:
		return "names (" + form + ") and values"
	}
	if form == "" {
		return "text"
	}
	return form
}
