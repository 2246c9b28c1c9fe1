package templates

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	inprocess "github.com/google/go-containerregistry/pkg/registry"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// testRegistry is a registry in this process.
type testRegistry struct {
	*httptest.Server
	t      *testing.T
	before func(w http.ResponseWriter, r *http.Request) bool // may answer a request itself

	mu    sync.Mutex
	asked []string // what was got, without the manifests' tags
}

func newRegistry(t *testing.T) *testRegistry {
	t.Helper()
	// Nobody's login.
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(t.TempDir(), "none"))
	r := &testRegistry{t: t}
	h := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			r.mu.Lock()
			r.asked = append(r.asked, req.URL.Path)
			r.mu.Unlock()
			if r.before != nil && r.before(w, req) {
				return
			}
		}
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *testRegistry) host() string { return strings.TrimPrefix(r.URL, "http://") }

// blobs is how often pieces of images were asked for.
func (r *testRegistry) blobs() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.asked {
		if strings.Contains(p, "/blobs/") {
			n++
		}
	}
	return n
}

func (r *testRegistry) send(method, path, kind string, data []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.URL+path, bytes.NewReader(data))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(resp.Body)
		r.t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
}

// descriptor is a reference to data, as manifests have it.
func descriptor(kind string, data []byte) map[string]any {
	return map[string]any{"mediaType": kind, "size": len(data), "digest": "sha256:" + sumOf(data)}
}

func (r *testRegistry) blob(data []byte) {
	r.t.Helper()
	r.send(http.MethodPost, "/v2/library/os/blobs/uploads/?digest=sha256:"+sumOf(data), "application/octet-stream", data)
}

// push puts an image of layers for an architecture into the repository library/os and returns its manifest.
func (r *testRegistry) push(tag, arch string, kind string, layers ...[]byte) []byte {
	r.t.Helper()
	config := fmt.Appendf(nil, `{"architecture":%q,"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`, arch)
	r.blob(config)
	var all []any
	for _, l := range layers {
		r.blob(l)
		all = append(all, descriptor(kind, l))
	}
	return r.manifest(tag, dockerManifest, map[string]any{
		"schemaVersion": 2, "mediaType": dockerManifest, "config": descriptor("application/vnd.docker.container.image.v1+json", config), "layers": all,
	})
}

func (r *testRegistry) manifest(tag, kind string, m map[string]any) []byte {
	r.t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		r.t.Fatal(err)
	}
	r.send(http.MethodPut, "/v2/library/os/manifests/"+tag, kind, text)
	return text
}

// index puts an index of manifests by architecture into the repository.
func (r *testRegistry) index(tag string, images map[string][]byte) []byte {
	r.t.Helper()
	var all []any
	for arch, m := range images {
		d := descriptor(dockerManifest, m)
		d["platform"] = map[string]any{"os": "linux", "architecture": arch}
		all = append(all, d)
	}
	return r.manifest(tag, dockerList, map[string]any{"schemaVersion": 2, "mediaType": dockerList, "manifests": all})
}

// packed is a layer.
func packed(t *testing.T, items ...*tar.Header) []byte {
	t.Helper()
	return gz(t, bytes.NewReader(archive(t, items...)))
}

func (r *testRegistry) source(tag string) string {
	return "type: oci, ref: " + r.host() + "/library/os:" + tag
}

func ociArch() string { return platform(hostArch()).Architecture }

func TestBuildOCI(t *testing.T) {
	r := newRegistry(t)
	low := packed(t, bootable(item(tar.TypeReg, "etc/old"), item(tar.TypeReg, "etc/kept"))...)
	high := packed(t, item(tar.TypeReg, "etc/.wh.old"), item(tar.TypeReg, "etc/new"), item(tar.TypeLink, "etc/link", to("etc/kept")))
	m := r.push("one", ociArch(), dockerLayer, low, high, high)
	r.push("zstd", ociArch(), "application/vnd.oci.image.layer.v1.tar+zstd", zst(t, archive(t, bootable(item(tar.TypeReg, "etc/kept"), item(tar.TypeReg, "etc/new"))...)))
	r.index("many", map[string][]byte{"vax": m, ociArch(): m})
	r.send(http.MethodPut, "/v2/prefix/library/os/manifests/one", dockerManifest, m)
	for _, d := range [][]byte{low, high} {
		r.send(http.MethodPost, "/v2/prefix/library/os/blobs/uploads/?digest=sha256:"+sumOf(d), "application/octet-stream", d)
	}
	for name, x := range map[string]struct {
		source string
		o      BuildOptions
	}{
		"by tag":          {r.source("one"), BuildOptions{}},
		"by digest":       {r.source("none") + ", digest: \"sha256:" + sumOf(m) + "\"", BuildOptions{}},
		"zstd":            {r.source("zstd"), BuildOptions{}},
		"by index":        {r.source("many"), BuildOptions{}},
		"through mirrors": {"type: oci, ref: docker.io/library/os:one", BuildOptions{Mirrors: map[string]string{"docker.io": r.URL + "/"}}},
		"below a mirror":  {"type: oci, ref: docker.io/library/os:one", BuildOptions{Mirrors: map[string]string{"docker.io": r.URL + "/prefix"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, above := emptyDir(t)
			var steps []string
			x.o.Progress = func(step string, done, total int64) {
				if done > total {
					t.Errorf("%s: %d of %d", step, done, total)
				}
				if !slices.Contains(steps, step) {
					steps = append(steps, step)
				}
			}
			got, err := buildOf(t, recipeOf("", x.source), dir, x.o)
			wantTree(t, dir, err, "etc/kept", "etc/new")
			untouched(t, above)
			if text := listing(t, dir); strings.Contains(text, "old") || strings.Contains(text, ".wh.") {
				t.Error(text)
			}
			if !strings.HasPrefix(got, "oci ") || name != "zstd" && !strings.HasSuffix(got, " sha256:"+sumOf(m)+" ("+hostArch()+")") {
				t.Errorf("source %s", got)
			}
			if !slices.Contains(steps, "download") || !slices.Contains(steps, "unpack") {
				t.Errorf("steps %v", steps)
			}
		})
	}
}

// A source that comes in layers asks for each with a key, and gets only the archives that are needed.
func TestOCIStack(t *testing.T) {
	needs.Root(t)
	r := newRegistry(t)
	base := packed(t, bootable()...)
	high := func(name string) []byte { return packed(t, item(tar.TypeReg, name)) }
	long := [][]byte{base}
	for i := range maxStack + 4 {
		long = append(long, high(fmt.Sprintf("etc/n%d", i)))
	}
	r.push("one", ociArch(), dockerLayer, base, high("etc/one"))
	r.push("two", ociArch(), dockerLayer, base, high("etc/two"))
	r.push("turned", ociArch(), dockerLayer, base, high("etc/two"), high("etc/one"))
	r.push("long", ociArch(), dockerLayer, long...)
	keys := map[string][]string{}
	build := func(tag string, there ...string) {
		t.Helper()
		dir, _ := emptyDir(t)
		top, _ := emptyDir(t)
		o := BuildOptions{Cache: t.TempDir(), Stack: func(ctx context.Context, layers []sysctl.TreeLayer) (string, error) {
			for _, l := range layers {
				keys[tag] = append(keys[tag], l.Key)
				if slices.Contains(there, l.Key) {
					continue
				}
				if err := l.Fill(ctx, dir); err != nil {
					return "", err
				}
			}
			if len(there) == 0 {
				return dir, nil
			}
			_, err := Unpack(ctx, bytes.NewReader(archive(t, bootable()...)), top, UnpackOptions{})
			return top, err
		}}
		c, _ := load(t, map[string]string{"mine.yaml": recipeOf("", r.source(tag))})
		built, err := c.Build(t.Context(), "mine", t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: dir, false: top}[len(there) == 0]; built.Dir != want {
			t.Errorf("%s: the tree is at %s, wanted %s", tag, built.Dir, want)
		}
	}
	build("one")
	before := r.blobs()
	build("two", keys["one"]...)
	if n := r.blobs() - before; n != 2 { // its configuration and what is new
		t.Errorf("%d blobs were got", n)
	}
	build("turned")
	if keys["one"][0] != keys["two"][0] || keys["one"][1] == keys["two"][1] || keys["turned"][1] != keys["two"][1] || keys["turned"][2] == keys["one"][1] {
		t.Errorf("keys %q", keys)
	}
	build("long")
	if len(keys["long"]) != maxStack || slices.Contains(keys["long"], keys["one"][0]) {
		t.Errorf("%d layers", len(keys["long"]))
	}
}

// What was got once is not got again, and without a network it is enough.
func TestOCICache(t *testing.T) {
	r := newRegistry(t)
	layer := packed(t, bootable()...)
	m := r.push("one", ociArch(), dockerLayer, layer)
	cache := t.TempDir()
	for i, x := range []struct {
		more  string
		o     BuildOptions
		blobs int // asked for until now
	}{
		{"", BuildOptions{}, 2},
		{"", BuildOptions{}, 2},
		{", digest: \"sha256:" + sumOf(m) + "\"", BuildOptions{}, 2},
		{"", BuildOptions{Offline: true}, 2},
	} {
		x.o.Cache = cache
		dir, _ := emptyDir(t)
		_, err := buildOf(t, recipeOf("", r.source("one")+x.more), dir, x.o)
		wantTree(t, dir, err)
		if n := r.blobs(); n != x.blobs {
			t.Errorf("%d: %d blobs were asked for", i, n)
		}
	}
	r.Close()
	dir, _ := emptyDir(t)
	_, err := buildOf(t, recipeOf("", r.source("one")+", digest: \"sha256:"+sumOf(m)+"\""), dir, BuildOptions{Cache: cache})
	wantTree(t, dir, err) // what a digest names cannot change
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf("", r.source("one")), dir, BuildOptions{Cache: cache})
	wantError(t, err, sysctl.Unavailable, "connection refused")
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf("", r.source("two")), dir, BuildOptions{Cache: cache, Offline: true})
	wantError(t, err, sysctl.Unavailable, "the network is not to be used")
}

// A pull that breaks off goes on where it stopped, at once or in the next run.
func TestOCIResumes(t *testing.T) {
	r := newRegistry(t)
	big := item(tar.TypeReg, "etc/noise", func(h *tar.Header) { h.Size = 500_000 })
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(big); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(500_000)); err != nil {
		t.Fatal(err)
	}
	layer := gz(t, bytes.NewReader(append(buf.Bytes()[:buf.Len()], pad(buf.Len(), archive(t, bootable()...))...)))
	r.push("one", ociArch(), dockerLayer, layer)
	var ranges []string
	fail := true
	r.before = func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, sumOf(layer)) {
			return false
		}
		r.mu.Lock()
		ranges = append(ranges, req.Header.Get("Range"))
		n := len(ranges)
		r.mu.Unlock()
		if n == 1 {
			breakOff(w, layer, 200_000)
		}
		if fail {
			http.Error(w, "tired", http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	cache := t.TempDir()
	dir, _ := emptyDir(t)
	_, err := buildOf(t, recipeOf("", r.source("one")), dir, BuildOptions{Cache: cache})
	wantError(t, err, sysctl.Unavailable, "503 Service Unavailable")
	fail = false
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf("", r.source("one")), dir, BuildOptions{Cache: cache})
	wantTree(t, dir, err, "etc/noise")
	rest := fmt.Sprintf("bytes=200000-%d", len(layer)-1)
	if want := []string{"", rest, rest}; !slices.Equal(ranges, want) {
		t.Errorf("asked for %q", ranges)
	}
}

// Several layers are got at once: each of the first is answered only when all of them are asked for.
func TestOCIParallel(t *testing.T) {
	r := newRegistry(t)
	layers := [][]byte{packed(t, bootable()...)}
	for i := range parallel + 1 {
		layers = append(layers, packed(t, item(tar.TypeReg, fmt.Sprintf("etc/n%d", i))))
	}
	r.push("one", ociArch(), dockerLayer, layers...)
	isLayer := func(path string) bool {
		return slices.ContainsFunc(layers, func(l []byte) bool { return strings.HasSuffix(path, sumOf(l)) })
	}
	var asked int
	all := make(chan struct{})
	r.before = func(w http.ResponseWriter, req *http.Request) bool {
		if !isLayer(req.URL.Path) {
			return false
		}
		r.mu.Lock()
		if asked++; asked == parallel {
			close(all)
		}
		r.mu.Unlock()
		select {
		case <-all:
			return false
		case <-req.Context().Done(): // its patience is over
			return true
		}
	}
	dir, _ := emptyDir(t)
	_, err := buildOf(t, recipeOf("", r.source("one")), dir, BuildOptions{Silence: 10 * time.Second})
	wantTree(t, dir, err, "etc/n0", fmt.Sprintf("etc/n%d", parallel))
	if parallel < 2 || asked != len(layers) {
		t.Errorf("%d layers were asked for, %d at once", asked, parallel)
	}
}

// pad puts zeros before data up to a multiple of tar's blocks of what n bytes came before.
func pad(n int, data []byte) []byte {
	return append(make([]byte, (blockSize-n%blockSize)%blockSize), data...)
}

func TestOCIFails(t *testing.T) {
	r := newRegistry(t)
	layer := packed(t, bootable()...)
	m := r.push("one", ociArch(), dockerLayer, layer)
	foreign := r.push("foreign", "vax", dockerLayer, layer)
	r.index("others", map[string][]byte{"vax": foreign})
	r.index("lying", map[string][]byte{ociArch(): foreign})
	r.push("hostile", ociArch(), dockerLayer, layer, packed(t, item(tar.TypeReg, "../victim")))
	r.push("damaged", ociArch(), dockerLayer, layer[:len(layer)/2])
	r.push("url", ociArch(), "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", layer)
	r.push("empty", ociArch(), dockerLayer)
	r.push("noinit", ociArch(), dockerLayer, packed(t, system()...))
	loop := r.index("loop", map[string][]byte{ociArch(): m})
	answer := func(part string, f func(w http.ResponseWriter)) func(w http.ResponseWriter, req *http.Request) bool {
		return func(w http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, part) {
				f(w)
				return true
			}
			return false
		}
	}
	text := func(s string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = io.WriteString(w, s) }
	}
	digest := ", digest: \"sha256:" + sumOf(m) + "\""
	for _, x := range []struct {
		name, source string
		before       func(w http.ResponseWriter, req *http.Request) bool
		kind         sysctl.Kind
		want         string
	}{
		{"no such tag", r.source("none"), nil, sysctl.Unavailable, "/v2/library/os/manifests/none: the server says 404"},
		{"lie about a manifest", r.source("one") + digest, answer("/manifests/", text(`{"schemaVersion":2}`)), sysctl.Unavailable, "wrong content: its digest is sha256:"},
		{"lie about a layer", r.source("one"), answer(sumOf(layer), text(strings.Repeat("x", len(layer)))), sysctl.Unavailable, "wrong content"},
		{"layer without end", r.source("one"), answer(sumOf(layer), text(strings.Repeat("x", len(layer)+1))), sysctl.Unavailable, "more than"},
		{"layer that is not there", r.source("one"), answer(sumOf(layer), func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }), sysctl.Unavailable, "404"},
		{"no login", r.source("one"), answer("/v2/", func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }), sysctl.Unavailable, "401 Unauthorized"},
		{"no manifest", r.source("one"), answer("/manifests/", text("<html>")), sysctl.Unavailable, "not a manifest"},
		{"old manifest", r.source("one"), answer("/manifests/", text(`{"schemaVersion":1}`)), sysctl.Unsupported, "before 2016"},
		{"manifest with a bad digest", r.source("one"), answer("/manifests/", text(`{"schemaVersion":2,"layers":[{"digest":"sha256:../../x"}]}`)), sysctl.Unavailable, "manifest: "},
		{"manifest without end", r.source("one"), answer("/manifests/", func(w http.ResponseWriter) { _, _ = io.Copy(w, zeros(maxIndex+1)) }), sysctl.Unavailable, "it has more than 64 MiB"},
		{"indexes without end", r.source("loop"), answer("/manifests/", func(w http.ResponseWriter) { _, _ = w.Write(loop) }), sysctl.Unavailable, "wrong content"},
		{"not for us", r.source("others"), nil, sysctl.Unsupported, "there is none for linux/" + ociArch() + ": linux/vax"},
		{"image for others", r.source("foreign"), nil, sysctl.Unsupported, "the image is for linux/vax"},
		{"index that lies", r.source("lying"), nil, sysctl.Unsupported, "the image is for linux/vax"},
		{"sent on to a file", r.source("one"), answer("/v2/", sendTo("file:///dev/zero")), sysctl.Unavailable, "sent on to file:///dev/zero, which is no server"},
		{"login at a file", r.source("one"), answer("/v2/", login("file:///dev/zero")), sysctl.Unavailable, "sent on to file:///dev/zero"},
		{"sent on for ever", r.source("one"), answer("/v2/", sendTo("/v2/")), sysctl.Unavailable, "redirects"},
		{"login without end", r.source("one"), func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == "/token" {
				_, _ = io.Copy(w, endless{req.Context()})
			} else {
				login(r.URL + "/token")(w)
			}
			return true
		}, sysctl.Unavailable, "registry "},
		{"slow hello", r.source("one"), func(w http.ResponseWriter, req *http.Request) bool { trickle(w, req, make([]byte, 1<<20)); return true }, sysctl.Unavailable, "it took more than 1s"},
		{"slow to say anything", r.source("one"), func(_ http.ResponseWriter, req *http.Request) bool { <-req.Context().Done(); return true }, sysctl.Unavailable, "timeout awaiting response headers"},
		{"slow manifest", r.source("one"), func(w http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, "/manifests/") {
				trickle(w, req, make([]byte, 1<<20))
			}
			return strings.Contains(req.URL.Path, "/manifests/")
		}, sysctl.Unavailable, "it took more than 1s"},
		{"hostile layer", r.source("hostile"), nil, sysctl.Invalid, "leads out of the tree"},
		{"damaged layer", r.source("damaged"), nil, sysctl.Invalid, "the tar.gz archive is truncated"},
		{"layer elsewhere", r.source("url"), nil, sysctl.Unsupported, "no archive that the registry has"},
		{"no layers", r.source("empty"), nil, sysctl.Unsupported, "an image of 0 layers"},
		{"no init", r.source("noinit"), nil, sysctl.Unsupported, "there is no init in it"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r.before = x.before
			o := BuildOptions{}
			if strings.HasPrefix(x.name, "slow") {
				o.Silence = 200 * time.Millisecond
			}
			dir, above := emptyDir(t)
			_, err := buildOf(t, recipeOf("", x.source), dir, o)
			wantError(t, err, x.kind, "build mine: oci "+r.host()+"/library/os:", x.want)
			untouched(t, above)
		})
	}
}

func sendTo(place string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Location", place)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// login sends whoever asks to place for a token.
func login(place string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+place+`",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// endless reads zeros until the context ends.
type endless struct{ ctx context.Context }

func (e endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), e.ctx.Err()
}

// The login of the Docker configuration is used, and is not sent to whom the registry sends us on.
func TestOCILogin(t *testing.T) {
	r := newRegistry(t)
	layer := packed(t, bootable()...)
	r.push("one", ociArch(), dockerLayer, layer)
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, r.host(), base64.StdEncoding.EncodeToString([]byte("me:secret")))
	home := t.TempDir()
	t.Setenv("DOCKER_CONFIG", home)
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := ""
	store := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		elsewhere += req.Header.Get("Authorization")
		_, _ = w.Write(layer)
	}))
	store.Listener.Close()
	var err error
	if store.Listener, err = net.Listen("tcp", "127.0.0.2:0"); err != nil { // another host than the registry's 127.0.0.1
		t.Fatal(err)
	}
	store.Start()
	defer store.Close()
	r.before = func(w http.ResponseWriter, req *http.Request) bool {
		if user, password, _ := req.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if strings.HasSuffix(req.URL.Path, sumOf(layer)) {
			http.Redirect(w, req, store.URL+"/x?ticket=1", http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	dir, _ := emptyDir(t)
	_, err = buildOf(t, recipeOf("", r.source("one")), dir, BuildOptions{})
	wantTree(t, dir, err)
	if elsewhere != "" {
		t.Errorf("the login was given to another host: %s", elsewhere)
	}
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf("", r.source("one")), dir, BuildOptions{})
	wantError(t, err, sysctl.Unavailable, "401 Unauthorized")
	if sysctl.HintOf(err) == "" {
		t.Error("no hint")
	}
}

func TestPlatforms(t *testing.T) {
	for arch, want := range map[string]string{"amd64": "linux/amd64", "i386": "linux/386", "arm64": "linux/arm64", "armhf": "linux/arm/v7", "ppc64el": "linux/ppc64le"} {
		if got := platform(arch).String(); got != want {
			t.Errorf("%s: %s", arch, got)
		}
	}
	r := newRegistry(t)
	r.index("many", map[string][]byte{"386": r.push("32", "386", dockerLayer, packed(t, bootable(item(tar.TypeReg, "etc/bits32"))...)), "amd64": r.push("64", "amd64", dockerLayer, packed(t, bootable(item(tar.TypeReg, "etc/bits64"))...))})
	for arch, file := range map[string]string{"i386": "etc/bits32", "amd64": "etc/bits64"} {
		dir, _ := emptyDir(t)
		_, err := buildOf(t, recipeOf("", r.source("many")), dir, BuildOptions{Arch: arch})
		wantTree(t, dir, err, file)
	}
}
