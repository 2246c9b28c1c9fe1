package templates

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

const (
	// parallel is how many layers are downloaded at once.
	parallel = 3
	// maxLayers is the most layers an image may have.
	maxLayers = 1000
	// maxIndexes is how many indexes of images may lie in each other.
	maxIndexes = 3
	// maxStack is how many layers of an image become layers of ours: a kernel before 6.7 can mount no more than about 80
	// on each other, and there are others on top.
	maxStack = 60
	// unpackVersion is raised when the same archives give other layers than before.
	unpackVersion = 1
)

// openOCI asks a registry which image a reference means.
func (b *build) openOCI(ctx context.Context, s recipeSource) (opened, error) {
	ref, err := b.reference(s)
	if err != nil {
		return opened{}, err
	}
	reg := &registry{build: b, ref: ref}
	text, err := reg.manifest(ctx, s)
	if err != nil {
		return opened{}, err
	}
	m, err := checkManifest(text)
	if err != nil {
		return opened{}, err
	}
	return opened{sumOf(text), func(ctx context.Context) (string, error) {
		if err := reg.tree(ctx, m); err != nil {
			return "", err
		}
		return fmt.Sprintf("oci %s sha256:%s (%s)", s.Ref, sumOf(text), b.Arch), nil
	}}, nil
}

// tree makes the tree of an image of its layers.
func (r *registry) tree(ctx context.Context, m *v1.Manifest) error {
	if err := r.checkPlatform(ctx, m.Config); err != nil {
		return err
	}
	i := &image{registry: r, layers: m.Layers, meter: newMeter(r.MaxSize, 0)}
	defer func() { closeAll(i.files) }()
	if r.Stack == nil {
		for _, l := range i.parts() {
			if err := l.Fill(ctx, r.dir); err != nil {
				return err
			}
		}
	} else {
		dir, err := r.Stack(ctx, i.parts())
		if err != nil {
			return err
		}
		r.dir = dir
	}
	root, err := openRoot(r.dir)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	return checkRoot(root)
}

// image is one image being made a tree.
type image struct {
	*registry
	layers []v1.Descriptor
	meter  *meter
	files  map[string]*os.File // layers, by digest; nil until one is needed
}

// parts are the image's layers, each known by the digests of all archives up to its own: what whiteouts and links in an
// archive mean depends on what is below. Where there are more than can be mounted on each other, the lowest are one.
func (i *image) parts() []sysctl.TreeLayer {
	var all []sysctl.TreeLayer
	key, first := "", 0
	for n, l := range i.layers {
		key = sumOf([]byte(fmt.Sprintf("layer %d\n%s\n%s\n", unpackVersion, key, l.Digest)))
		if len(i.layers)-n > maxStack {
			continue
		}
		from := first
		all = append(all, sysctl.TreeLayer{Key: key, Fill: func(ctx context.Context, dir string) error { return i.fill(ctx, dir, from, n) }})
		first = n + 1
	}
	return all
}

// fill puts the archives from one to another into dir, over those before. The first to be needed are got with all that
// come after them.
func (i *image) fill(ctx context.Context, dir string, from, to int) (err error) {
	if i.files == nil {
		if i.files, err = i.download(ctx, i.layers[from:]); err != nil {
			return err
		}
	}
	for n := from; n <= to; n++ {
		d := i.layers[n].Digest
		l := layer{d.String(), &rewound{f: i.files[d.Hex]}}
		if err := unpackLayer(ctx, l, dir, n == 0, i.meter, i.Progress); err != nil {
			return err
		}
	}
	return nil
}

// reference is where the image is, on its registry or the one that stands for it.
func (b *build) reference(s recipeSource) (name.Reference, error) {
	ref, err := name.ParseReference(s.Ref)
	if err != nil {
		return nil, sysctl.E(sysctl.Invalid, "%v", err)
	}
	repo := ref.Context()
	host := strings.TrimPrefix(repo.RegistryStr(), "index.")
	if mirror := b.Mirrors[host]; mirror != "" {
		u, err := url.Parse(mirror)
		if err != nil || u.Host == "" {
			return nil, sysctl.E(sysctl.Invalid, "mirror of %s: %q is no registry", host, mirror)
		}
		var o []name.Option
		if u.Scheme == "http" {
			o = append(o, name.Insecure)
		}
		at := u.Host + "/" + strings.TrimPrefix(strings.Trim(u.Path, "/")+"/", "/") + repo.RepositoryStr()
		if repo, err = name.NewRepository(at, o...); err != nil {
			return nil, sysctl.E(sysctl.Invalid, "mirror of %s: %v", host, err)
		}
	}
	if s.Digest != "" {
		return repo.Digest(s.Digest), nil
	}
	return repo.Tag(ref.Identifier()), nil
}

// registry is where one image comes from.
type registry struct {
	*build
	ref name.Reference

	mu  sync.Mutex
	way *http.Client // with the login; nil until it is needed
}

// client returns the way to talk to the registry, logged in as the Docker configuration says.
func (r *registry) client(ctx context.Context) (*http.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.way != nil {
		return r.way, nil
	}
	repo := r.ref.Context()
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, repo)
	if err != nil {
		return nil, sysctl.E(sysctl.Unavailable, "login to %s: %w", repo.RegistryStr(), err)
	}
	ctx, cancel := patience(ctx, r.quiet)
	defer cancel()
	rt, err := transport.NewWithContext(ctx, repo.Registry, auth, registryTransport{r.build.client.Transport}, []string{repo.Scope(transport.PullScope)})
	if cause := context.Cause(ctx); cause != nil { // the library does not look whether it has read all of an answer
		err = cause
	}
	if err != nil {
		return nil, sysctl.Wrap(unreachable(said(err)), "registry %s", repo.RegistryStr())
	}
	r.way = newClient(rt)
	return r.way, nil
}

// said is what the library complains of, in one line. A registry that may be spoken to without encryption is asked with it
// too, and both complaints come as one: what says only that there is none is left out.
func said(err error) error {
	var all []string
	for part := range strings.SplitSeq(strings.Join(strings.Fields(err.Error()), " "), "; ") {
		part = regexp.MustCompile(`^Get "[^"]*": `).ReplaceAllString(part, "")
		if !slices.Contains(all, part) {
			all = append(all, part)
		}
	}
	telling := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == plainHTTP })
	if len(telling) > 0 {
		all = telling
	}
	return errors.New(strings.Join(all, "; "))
}

// plainHTTP is what net/http says of a server without encryption.
const plainHTTP = "http: server gave HTTP response to HTTPS client"

// url is where something of the repository is.
func (r *registry) url(kind, id string) string {
	repo := r.ref.Context()
	return fmt.Sprintf("%s://%s/v2/%s/%s/%s", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr(), kind, id)
}

// manifest returns the manifest of the image for our architecture. What a digest names does not change: it is taken
// from the cache, where it is. What a tag names is asked for, unless there is no network.
func (r *registry) manifest(ctx context.Context, s recipeSource) ([]byte, error) {
	cached := "manifest " + s.Ref + " " + s.Digest + " " + r.Arch
	if s.Digest != "" || r.Offline {
		if text, err := r.cache.get(ctx, cached); err == nil {
			return text, nil
		}
	}
	id := r.ref.Identifier()
	for range maxIndexes {
		text, index, err := r.getManifest(ctx, id)
		if err != nil {
			return nil, err
		}
		if !index {
			return text, r.cache.put(cached, text)
		}
		if id, err = choose(text, platform(r.Arch)); err != nil {
			return nil, sysctl.Wrap(err, "image %s", s.Ref)
		}
	}
	return nil, sysctl.E(sysctl.Unavailable, "image %s: more than %d indexes in each other", s.Ref, maxIndexes)
}

// getManifest gets the manifest or index that the tag or digest id names.
func (r *registry) getManifest(ctx context.Context, id string) (text []byte, index bool, err error) {
	client, err := r.client(ctx)
	if err != nil {
		return nil, false, err
	}
	at := r.url("manifests", id)
	text, header, err := getSmall(ctx, client, at, r.quiet, string(types.OCIImageIndex), string(types.DockerManifestList),
		string(types.OCIManifestSchema1), string(types.DockerManifestSchema2))
	if err != nil {
		return nil, false, err
	}
	if got := "sha256:" + sumOf(text); strings.HasPrefix(id, "sha256:") && got != id {
		return nil, false, sysctl.E(sysctl.Unavailable, "get %s: wrong content: its digest is %s", at, got)
	}
	var is struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(text, &is); err != nil {
		return nil, false, sysctl.E(sysctl.Unavailable, "get %s: not a manifest: %v", at, err)
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	if is.SchemaVersion == 1 || types.MediaType(kind) == types.DockerManifestSchema1Signed {
		return nil, false, sysctl.E(sysctl.Unsupported, "get %s: an image of the format before 2016", at)
	}
	return text, is.MediaType.IsIndex() || is.MediaType == "" && is.Manifests != nil, nil
}

// platform is an architecture as registries name it.
func platform(arch string) v1.Platform {
	p := v1.Platform{OS: "linux", Architecture: arch}
	switch arch {
	case "i386":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "ppc64el":
		p.Architecture = "ppc64le"
	}
	return p
}

// choose returns the digest of the index's first image for a platform.
func choose(index []byte, want v1.Platform) (string, error) {
	x, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return "", sysctl.E(sysctl.Unavailable, "index: %v", err)
	}
	var has []string
	for _, m := range x.Manifests {
		if m.Platform == nil {
			continue
		}
		if m.Platform.Satisfies(want) && m.Digest.Algorithm == "sha256" {
			return m.Digest.String(), nil
		}
		has = append(has, m.Platform.String())
	}
	return "", sysctl.E(sysctl.Unsupported, "there is none for %s: %s", want, strings.Join(has, ", "))
}

// checkManifest reads the manifest of an image whose layers we can get.
func checkManifest(text []byte) (*v1.Manifest, error) {
	m, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, sysctl.E(sysctl.Unavailable, "manifest: %v", err)
	}
	if len(m.Layers) == 0 || len(m.Layers) > maxLayers {
		return nil, sysctl.E(sysctl.Unsupported, "an image of %d layers", len(m.Layers))
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if d.Digest.Algorithm != "sha256" || d.Size < 0 {
			return nil, sysctl.E(sysctl.Unsupported, "digest %s of %d bytes", d.Digest, d.Size)
		}
	}
	for _, l := range m.Layers {
		if !l.MediaType.IsLayer() || !l.MediaType.IsDistributable() {
			return nil, sysctl.E(sysctl.Unsupported, "layer %s is %s, no archive that the registry has", sysctl.ShortID(l.Digest.String()), l.MediaType)
		}
	}
	return m, nil
}

// checkPlatform reports an image that is for another machine than it was taken for.
func (r *registry) checkPlatform(ctx context.Context, config v1.Descriptor) error {
	f, err := r.get(ctx, config, maxIndex, &tally{})
	if err != nil {
		return err
	}
	defer f.Close()
	var is struct{ Architecture, OS string }
	if err := json.NewDecoder(f).Decode(&is); err != nil {
		return sysctl.E(sysctl.Unavailable, "configuration of the image: %v", err)
	}
	if want := platform(r.Arch); is.OS != want.OS || is.Architecture != want.Architecture {
		return sysctl.E(sysctl.Unsupported, "the image is for %s/%s, wanted is %s", is.OS, is.Architecture, want)
	}
	return nil
}

// get returns a piece of the image, from the cache or the registry.
func (r *registry) get(ctx context.Context, d v1.Descriptor, max int64, t *tally) (*os.File, error) {
	from := remote{url: r.url("blobs", d.Digest.String()), sum: d.Digest.Hex, size: d.Size, quiet: r.quiet}
	from.client = newClient(lazy(func(req *http.Request) (*http.Response, error) {
		c, err := r.client(ctx)
		if err != nil {
			return nil, err
		}
		return c.Transport.RoundTrip(req)
	}))
	return r.cache.fetch(ctx, from, max, t)
}

// lazy is a way to talk to a server that is made when it is needed.
type lazy func(req *http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (l lazy) RoundTrip(req *http.Request) (*http.Response, error) { return l(req) }

// download gets layers, several at once. The files are by digest and the caller's to close, with an error too.
func (r *registry) download(ctx context.Context, layers []v1.Descriptor) (map[string]*os.File, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &tally{progress: r.Progress, step: "download"}
	files, todo := map[string]*os.File{}, make(chan v1.Descriptor, len(layers))
	for _, l := range layers {
		if _, twice := files[l.Digest.Hex]; twice {
			continue
		}
		files[l.Digest.Hex] = nil
		t.total += l.Size
		todo <- l
	}
	close(todo)
	if t.total > r.maxDownload() {
		return nil, sysctl.E(sysctl.Invalid, "the image has %s: more than %s, the size limit", bytesFor(t.total), bytesFor(r.maxDownload()))
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for l := range todo {
				f, err := r.get(ctx, l, r.maxDownload(), t)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				files[l.Digest.Hex] = f
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return files, context.Cause(ctx)
}

func closeAll(files map[string]*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// rewound reads a file from its beginning: a layer may be in an image twice.
type rewound struct {
	f       *os.File
	started bool
}

// Read implements io.Reader.
func (r *rewound) Read(p []byte) (int, error) {
	if !r.started {
		if _, err := r.f.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		r.started = true
	}
	return r.f.Read(p)
}

// Stat is what progress knows the whole from.
func (r *rewound) Stat() (os.FileInfo, error) { return r.f.Stat() }
