package templates

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sysctl-os/sysctl"
)

// Remote is where images are pulled from.
type Remote struct {
	Type string `yaml:"type"` // simplestreams, oci
	URL  string `yaml:"url"`  // of the image server or registry
}

// schemes are what stands for "a registry that the reference itself names".
func schemes() []string { return []string{"oci", "docker"} }

// Check reports why the remote cannot be used under the name.
func (r Remote) Check(name string) error {
	switch {
	case !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`).MatchString(name):
		return sysctl.E(sysctl.Invalid, "a remote is called by letters, digits and . _ -")
	case slices.Contains(schemes(), name):
		return sysctl.E(sysctl.Invalid, "%q stands for every registry and can be no remote's name", name)
	case r.Type != "simplestreams" && r.Type != "oci":
		return sysctl.E(sysctl.Invalid, "type %q is not known: simplestreams, oci", r.Type)
	}
	return CheckURL(r.URL)
}

// CheckURL reports whether text is the URL of a server or directory.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"http", "https", "file"}, u.Scheme) || strings.ContainsAny(text, " \t\n") {
		return sysctl.E(sysctl.Invalid, "%q is not an http, https or file URL", text)
	}
	return nil
}

// remotes are the ones in use: the user's and, where the user has none of the name, the public image server.
func remotes(user map[string]Remote) map[string]Remote {
	all := map[string]Remote{"images": {Type: "simplestreams", URL: "https://images.linuxcontainers.org"}}
	maps.Copy(all, user)
	return all
}

// RemoteNames lists what may stand before the colon of an image to pull, sorted.
func RemoteNames(user map[string]Remote) []string {
	return slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(remotes(user))), schemes())))
}

// Pull makes the tree of a published image in dir, an existing empty directory. ref is REMOTE:ALIAS (images:debian/12) for a
// remote of the user's or the built-in one, or oci:REFERENCE or docker://REFERENCE for an image in any registry. An image
// server's alias names its latest build for our architecture. All content is checked by its digest, and what was got before
// a pull broke off is not got again. An image without an init is Unsupported. Errors are those of Build.
func Pull(ctx context.Context, ref string, user map[string]Remote, dir string, o BuildOptions) (Built, error) {
	s, mirror, err := pullSource(ref, remotes(user))
	if err != nil {
		return Built{}, err
	}
	maps.Copy(mirror, o.Mirrors)
	o.Mirrors = mirror
	o.Arch = cmp.Or(o.Arch, hostArch())
	o.Run = nil
	return buildRecipe(ctx, recipe{Name: ref, Source: []recipeSource{s}}, dir, o)
}

// pullSource says where the image is, and by which URL to reach a registry of the user's.
func pullSource(ref string, remotes map[string]Remote) (s recipeSource, mirror map[string]string, err error) {
	mirror = map[string]string{}
	prefix, image, ok := strings.Cut(ref, ":")
	if !ok || prefix == "" || image == "" {
		return s, mirror, sysctl.E(sysctl.Invalid, "it must be REMOTE:ALIAS, oci:REFERENCE or docker://REFERENCE").
			WithHint("sysctl image pull images:debian/12")
	}
	if slices.Contains(schemes(), prefix) {
		s, err = ociSource(strings.TrimPrefix(image, "//"))
		return s, mirror, err
	}
	r, ok := remotes[prefix]
	if !ok {
		known := slices.Sorted(maps.Keys(remotes))
		err := sysctl.E(sysctl.NotFound, "there is no remote %q: known are %s", prefix, strings.Join(known, ", "))
		if near := sysctl.Nearest(prefix, known); near != "" {
			err = err.WithHint("did you mean %s:%s?", near, image)
		}
		return s, mirror, err
	}
	if r.Type == "oci" {
		u, err := url.Parse(r.URL)
		if err != nil {
			return s, mirror, sysctl.E(sysctl.Invalid, "%v", err)
		}
		mirror[u.Host] = r.URL
		s, err = ociSource(u.Host + "/" + image)
		return s, mirror, err
	}
	if !newRules().match("word", image) {
		return s, mirror, sysctl.E(sysctl.Invalid, "%q is not an alias on an image server, such as debian/12", image)
	}
	return recipeSource{Type: "simplestreams", Server: r.URL, Image: image, Complete: true}, mirror, nil
}

// ociSource is the image in a registry that a reference means, as docker reads references.
func ociSource(text string) (recipeSource, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		return recipeSource{}, sysctl.E(sysctl.Invalid, "%v", said(err))
	}
	s := recipeSource{Type: "oci", Complete: true}
	repo := strings.TrimPrefix(ref.Context().RegistryStr(), "index.") + "/" + ref.Context().RepositoryStr()
	if d, ok := ref.(name.Digest); ok {
		s.Ref, s.Digest = repo, d.DigestStr()
	} else {
		s.Ref = repo + ":" + ref.Identifier()
	}
	if !newRules().match("image", s.Ref) {
		return s, sysctl.E(sysctl.Invalid, "%q is not REGISTRY/REPOSITORY:TAG", text)
	}
	return s, nil
}
