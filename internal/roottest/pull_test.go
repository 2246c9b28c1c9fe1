package roottest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl/internal/needs"
)

// published is a server of files: a registry and an image server at once.
type published struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	lies  map[string]http.HandlerFunc // what some paths answer instead
	asked []string                    // PATH RANGE of every request for a file
}

func publish(t *testing.T) *published {
	t.Helper()
	p := &published{files: map[string][]byte{"/v2/": nil}, lies: map[string]http.HandlerFunc{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
		lie, data, there := p.lies[r.URL.Path], p.files[r.URL.Path], false
		_, there = p.files[r.URL.Path]
		p.mu.Unlock()
		switch {
		case lie != nil:
			lie(w, r)
		case there:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// took returns what was asked for since the last call, of paths that contain part.
func (p *published) took(part string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := slices.DeleteFunc(p.asked, func(s string) bool { return !strings.Contains(s, part) })
	p.asked = nil
	return asked
}

func (p *published) lie(path string, how http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies[path] = how
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// blob stores a piece of the image team/app and describes it.
func (p *published) blob(kind string, data []byte) map[string]any {
	p.files["/v2/team/app/blobs/sha256:"+sum(data)] = data
	return map[string]any{"mediaType": kind, "size": len(data), "digest": "sha256:" + sum(data)}
}

// image publishes team/app with a tag, for this machine's architecture.
func (p *published) image(t *testing.T, tag string, layers ...[]byte) {
	t.Helper()
	p.imageFor(t, runtime.GOARCH, tag, layers...)
}

// imageFor publishes team/app with a tag for an architecture, and describes its manifest.
func (p *published) imageFor(t *testing.T, arch, tag string, layers ...[]byte) map[string]any {
	t.Helper()
	const manifest, list = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
	config := p.blob("application/vnd.oci.image.config.v1+json", fmt.Appendf(nil, `{"architecture":%q,"os":"linux"}`, arch))
	var all []any
	for _, l := range layers {
		all = append(all, p.blob(list, l))
	}
	text := encode(t, map[string]any{"schemaVersion": 2, "mediaType": manifest, "config": config, "layers": all})
	p.files["/v2/team/app/manifests/"+tag], p.files["/v2/team/app/manifests/sha256:"+sum(text)] = text, text
	return map[string]any{"mediaType": manifest, "size": len(text), "digest": "sha256:" + sum(text), "platform": map[string]any{"os": "linux", "architecture": arch}}
}

// stream publishes an archive as the only image of an image server at /images.
func (p *published) stream(t *testing.T, alias string, data []byte) {
	t.Helper()
	item := map[string]any{"ftype": "root.tar.xz", "path": "images/root.tar", "sha256": sum(data), "size": len(data)}
	arch := map[string]string{"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	p.files["/images/images/root.tar"] = data
	p.files["/images/streams/v1/index.json"] = encode(t, map[string]any{"index": map[string]any{"images": map[string]any{"datatype": "image-downloads", "path": "streams/v1/images.json"}}})
	p.files["/images/streams/v1/images.json"] = encode(t, map[string]any{"products": map[string]any{"x": map[string]any{
		"aliases": alias, "arch": arch, "versions": map[string]any{"20260101": map[string]any{"items": map[string]any{"root.tar.xz": item}}},
	}}})
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// tree is an archive of entries: directories end in a slash, "a -> b" is a symbolic link, "a = b" a hard link.
func tree(t *testing.T, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		name, content, _ := strings.Cut(e, ": ")
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(1e9, 0)}
		if from, to, ok := strings.Cut(name, " -> "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeSymlink, from, to
		} else if from, to, ok := strings.Cut(name, " = "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeLink, from, to
		} else if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// whole is a system with an init, and more.
func whole(t *testing.T, more ...string) []byte {
	return tree(t, append([]string{"etc/", "bin/", "sbin/", "bin/sh: sh", "sbin/init: init", "etc/os-release: ID=testos\n"}, more...)...)
}

// noise is data that no compression makes smaller.
func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

// ours is an environment with settings, gone at the end.
func ours(t *testing.T, settings string) environment {
	t.Helper()
	needs.Root(t)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	e := newEnvironment(bin)
	t.Cleanup(func() {
		if err := e.remove(); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(e.dir, "config.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs sysctl and returns its exit status, its output and its errors.
func (e environment) sysctl(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := e.command(args...)
	cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+e.dir) // nobody's login
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// must is sysctl where nothing may fail.
func (e environment) must(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errs := e.sysctl(t, args...)
	if status != 0 {
		t.Fatalf("sysctl %s: exit status %d\n%s", strings.Join(args, " "), status, errs)
	}
	return out
}

// listing is the names in an image.
func (e environment) listing(t *testing.T, image string) map[string]*tar.Header {
	t.Helper()
	all := map[string]*tar.Header{}
	r := tar.NewReader(strings.NewReader(e.must(t, "image", "export", image, "-")))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(h.Name, "/")] = h
	}
}

// A registry's image becomes one of ours, with what its layers say of each other, and is not got twice.
func TestPullFromRegistry(t *testing.T) {
	p := publish(t)
	e := ours(t, "remotes: {corp: {type: oci, url: '"+p.URL+"/'}}\n")
	p.image(t, "1", whole(t, "etc/gone: x", "opt/", "opt/hidden: x"), tree(t, "etc/.wh.gone", "opt/.wh..wh..opq", "opt/new: x", "opt/again = opt/new", "opt/link -> new"))
	host := strings.TrimPrefix(p.URL, "http://")
	id := e.must(t, "image", "pull", "oci:"+host+"/team/app:1")
	all := e.listing(t, "team/app:1")
	for _, name := range []string{"sbin/init", "opt/new", "opt/link"} {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range []string{"etc/gone", "opt/hidden", "etc/.wh.gone", "opt/.wh..wh..opq"} {
		if all[name] != nil {
			t.Errorf("%s is there", name)
		}
	}
	if h := all["opt/new"]; h == nil || h.Typeflag != tar.TypeLink && (all["opt/again"] == nil || all["opt/again"].Typeflag != tar.TypeLink) {
		t.Error("a hard link became a copy")
	}
	p.took("")
	status, again, errs := e.sysctl(t, "image", "pull", "docker://"+host+"/team/app:1", "--alias", "app")
	if status != 0 || again != id || !strings.Contains(errs, "nothing has changed") {
		t.Errorf("again: %d %s %s", status, again, errs)
	}
	if blobs := p.took("/blobs/"); len(blobs) != 0 {
		t.Errorf("got again: %q", blobs)
	}
	e.must(t, "image", "pull", "corp:team/app:1", "--alias", "corp")
	if blobs := p.took("/blobs/"); len(blobs) != 0 {
		t.Errorf("got again by another name: %q", blobs)
	}
	p.Close()
	e.must(t, "image", "pull", "corp:team/app:1", "--offline")
	if status, _, errs := e.sysctl(t, "image", "pull", "corp:team/app:2", "--offline"); status != 10 || strings.Count(errs, "\n") != 2 {
		t.Errorf("offline and not there: %d %s", status, errs)
	}
}

// A pull that was killed goes on where it was.
func TestPullResumes(t *testing.T) {
	p := publish(t)
	e := ours(t, "")
	layer := whole(t, "opt/", "opt/large: "+noise(4<<20))
	p.image(t, "1", layer)
	at := "/v2/team/app/blobs/sha256:" + sum(layer)
	half := len(layer) / 2
	p.lie(at, func(w http.ResponseWriter, r *http.Request) { // half of it, and then nothing more
		w.Header().Set("Content-Length", fmt.Sprint(len(layer)))
		w.Write(layer[:half])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ref := "oci:" + strings.TrimPrefix(p.URL, "http://") + "/team/app:1"
	cmd := e.command("image", "pull", ref)
	cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+e.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	partial := filepath.Join(e.dir, "cache", "partial", sum(layer))
	var size int64
	for end := time.Now().Add(deadline); size < int64(half); {
		if info, err := os.Stat(partial); err == nil {
			size = info.Size()
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d bytes came", size, half)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed
	p.lie(at, nil)
	p.took("")
	e.must(t, "image", "pull", ref)
	if got, want := p.took(at), fmt.Sprintf("%s bytes=%d-%d", at, half, len(layer)-1); len(got) != 1 || got[0] != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
	if h := e.listing(t, "team/app:1")["opt/large"]; h == nil || h.Size != 4<<20 {
		t.Errorf("the large file: %+v", h)
	}
}

// lies are what a server can do to a file whose digest is known, and what is said about it.
func lies(data []byte) map[string]struct {
	how  http.HandlerFunc
	said string
} {
	write := func(data []byte, length int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(length))
			w.Write(data)
		}
	}
	other := bytes.Clone(data)
	other[len(other)/2] ^= 1
	return map[string]struct {
		how  http.HandlerFunc
		said string
	}{
		"another content": {write(other, len(other)), "wrong content"},
		"too little":      {write(data[:10], 10), ""},
		"broken off": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				http.Error(w, "no", http.StatusTeapot)
				return
			}
			write(data[:10], len(data))(w, r)
		}, "418"},
		"not there":       {http.NotFound, "404 Not Found"},
		"a redirect loop": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirected more than"},
	}
}

// What an image server sends that is not what it promised is refused in one line, and nothing of it is kept.
func TestPullFromImageServer(t *testing.T) {
	p := publish(t)
	data := whole(t)
	p.stream(t, "debian/12,debian/bookworm", data)
	e := ours(t, "remotes: {near: {type: simplestreams, url: '"+p.URL+"/images/'}}\n")
	for name, lie := range lies(data) {
		t.Run(name, func(t *testing.T) {
			p.lie("/images/images/root.tar", lie.how)
			status, out, errs := e.sysctl(t, "image", "pull", "near:debian/12")
			if lines := strings.Split(strings.TrimSpace(errs), "\n"); status != 10 || out != "" || len(lines) != 2 || !strings.Contains(lines[0], lie.said) || !strings.HasPrefix(lines[0], "sysctl: pull near:debian/12: ") {
				t.Errorf("exit status %d\n%s", status, errs)
			}
			if list := e.must(t, "image", "list", "-q"); list != "" {
				t.Errorf("left: %s", list)
			}
		})
	}
	p.lie("/images/images/root.tar", nil)
	id := e.must(t, "image", "pull", "near:debian/12")
	if info := e.must(t, "image", "info", "debian/12"); !strings.Contains(info, strings.TrimSpace(id)) || !strings.Contains(info, "sha256:"+sum(data)) {
		t.Errorf("info: %s", info)
	}
	for ref, want := range map[string]struct {
		status int
		said   string
	}{
		"near:debian/13": {3, "the server does not have it"}, "nera:debian/12": {3, "did you mean near:debian/12?"}, "debian": {2, "REMOTE:ALIAS"},
	} {
		if status, _, errs := e.sysctl(t, "image", "pull", ref); status != want.status || !strings.Contains(errs, want.said) {
			t.Errorf("%s: exit status %d: %s", ref, status, errs)
		}
	}
}

// A template goes on to its next source, whatever the first one does, and says so.
func TestBuildTriesTheNextSource(t *testing.T) {
	p := publish(t)
	data := whole(t)
	p.files["/good.tar"] = data
	e := ours(t, "mirrors: {'mirrored.example': '"+p.URL+"'}\n")
	if err := os.MkdirAll(filepath.Join(e.dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	recipe := "schema: sysctl.template/v1\nname: mine\nos: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386, armhf, riscv64, ppc64el, s390x]}\nsource:\n" +
		"  - {type: tar, url: '" + p.URL + "/bad.tar', sha256: " + sum(data) + "}\n  - {type: tar, url: 'http://mirrored.example/good.tar', sha256: " + sum(data) + "}\n"
	if err := os.WriteFile(filepath.Join(e.dir, "templates", "mine.yaml"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	first := ""
	for name, lie := range lies(data) {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(filepath.Join(e.dir, "cache")); err != nil {
				t.Fatal(err)
			}
			p.lie("/bad.tar", lie.how)
			status, id, errs := e.sysctl(t, "template", "build", "mine", "--rebuild")
			if status != 0 || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "note: tar "+p.URL+"/bad.tar does not work, trying tar http://mirrored.example/good.tar: ") || !strings.Contains(errs, lie.said) {
				t.Errorf("exit status %d\n%s", status, errs)
			}
			if first == "" {
				first = id
			}
			if id != first {
				t.Errorf("image %s, before %s", id, first)
			}
		})
	}
}

// Instances of what is built cost nothing of the build: nobody is asked, and no layer comes. A build asks what there is today.
func TestSecondInstanceCostsNoBuild(t *testing.T) {
	p := publish(t)
	p.image(t, "1", whole(t))
	e := ours(t, "mirrors: {hub.example: '"+p.URL+"'}\n")
	if err := os.MkdirAll(filepath.Join(e.dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	recipe := "schema: sysctl.template/v1\nname: mine\nos: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386, armhf, riscv64, ppc64el, s390x]}\nsource:\n" +
		"  - {type: oci, ref: hub.example/team/app:1, complete: true}\n"
	if err := os.WriteFile(filepath.Join(e.dir, "templates", "mine.yaml"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	layers := func() string {
		names, err := filepath.Glob(filepath.Join(e.dir, "layers", "*"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		return strings.Join(names, " ")
	}
	e.must(t, "create", "-q", "mine", "m1")
	before := layers()
	if asked := p.took("/manifests/"); len(asked) == 0 {
		t.Error("the first instance did not ask for the image")
	}
	for _, name := range []string{"m2", "m3"} {
		e.must(t, "create", "-q", "mine", name)
		if asked := p.took(""); len(asked) != 0 || layers() != before {
			t.Errorf("%s: asked for %q; layers %s, before %s", name, asked, layers(), before)
		}
	}
	e.must(t, "template", "build", "mine")
	if asked := p.took("/manifests/"); len(asked) == 0 {
		t.Error("a build did not ask for the image")
	}
	e.must(t, "delete", "m1", "m2", "m3")
}

// So it does after a bootstrap, whose mirror is a tool's to judge.
func TestBootstrapTriesTheNextSource(t *testing.T) {
	needs.LXC(t)
	needs.Program(t, "mmdebstrap")
	p := publish(t)
	data := whole(t)
	p.files["/good.tar"] = data
	e := ours(t, "silence: 1s\n")
	if err := os.MkdirAll(filepath.Join(e.dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	recipe := "schema: sysctl.template/v1\nname: mine\nos: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386, armhf, riscv64, ppc64el, s390x]}\nsource:\n" +
		"  - {type: bootstrap, suite: bookworm, mirror: '" + p.URL + "/debian'}\n  - {type: tar, complete: true, url: '" + p.URL + "/good.tar', sha256: " + sum(data) + "}\n"
	if err := os.WriteFile(filepath.Join(e.dir, "templates", "mine.yaml"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]http.HandlerFunc{
		"not there":       http.NotFound,
		"a redirect loop": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"not signed":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Origin: Debian") },
		"no answer":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"InRelease", "Release", "Release.gpg"} {
				p.lie("/debian/dists/bookworm/"+file, lie)
			}
			status, id, errs := e.sysctl(t, "template", "build", "mine", "--rebuild")
			if status != 0 || id == "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "note: bootstrap bookworm does not work, trying tar "+p.URL+"/good.tar: mmdebstrap: exit status ") || !strings.Contains(errs, p.URL+"/debian") {
				t.Errorf("exit status %d\n%s", status, errs)
			}
		})
	}
}

// A source that hangs or trickles is given up, which is said in one line, and the next one is tried.
func TestSlowSource(t *testing.T) {
	p := publish(t)
	data := whole(t, "opt/", "opt/large: "+noise(1<<20))
	p.files["/good.tar"] = data
	e := ours(t, "silence: 2s\n")
	if err := os.MkdirAll(filepath.Join(e.dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	recipe := "schema: sysctl.template/v1\nname: mine\nos: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386, armhf, riscv64, ppc64el, s390x]}\nsource:\n" +
		"  - {type: tar, url: '" + p.URL + "/slow.tar', sha256: " + sum(data) + "}\n  - {type: tar, url: '" + p.URL + "/good.tar', sha256: " + sum(data) + "}\n"
	if err := os.WriteFile(filepath.Join(e.dir, "templates", "mine.yaml"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func(w http.ResponseWriter, r *http.Request, n int) {
		at := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		if at < n {
			w.Write(data[at:n])
		}
		w.(http.Flusher).Flush()
	}
	for name, lie := range map[string]struct {
		how  http.HandlerFunc
		said string
	}{
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout awaiting response headers"},
		"hangs": {func(w http.ResponseWriter, r *http.Request) {
			begin(w, r, len(data)/2)
			<-r.Context().Done()
		}, "nothing came for 2s"},
		"trickles": {func(w http.ResponseWriter, r *http.Request) {
			begin(w, r, 0)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					w.Write(data[:1])
					w.(http.Flusher).Flush()
				case <-r.Context().Done():
					return
				}
			}
		}, " bytes came in 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(filepath.Join(e.dir, "cache")); err != nil {
				t.Fatal(err)
			}
			p.lie("/slow.tar", lie.how)
			status, _, errs := e.sysctl(t, "template", "build", "mine", "--rebuild")
			if status != 0 || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "note: tar "+p.URL+"/slow.tar does not work, trying tar "+p.URL+"/good.tar: ") || !strings.Contains(errs, lie.said) {
				t.Errorf("exit status %d\n%s", status, errs)
			}
		})
	}
	// An image server that is the only one: the same in one error, with the way out.
	p.stream(t, "debian/12", whole(t, "opt/"))
	p.lie("/images/images/root.tar", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if err := os.WriteFile(filepath.Join(e.dir, "config.yaml"), []byte("silence: 2s\nremotes: {near: {type: simplestreams, url: '"+p.URL+"/images'}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := e.sysctl(t, "image", "pull", "near:debian/12"); status != 10 || strings.Count(errs, "\n") != 2 || !strings.Contains(errs, "timeout awaiting response headers") {
		t.Errorf("pull: exit status %d\n%s", status, errs)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "config.yaml"), []byte("silence: -1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := e.sysctl(t, "image", "list"); status != 2 || !strings.Contains(errs, "silence: -1s is not a time to wait") {
		t.Errorf("settings: exit status %d\n%s", status, errs)
	}
	if err := os.Remove(filepath.Join(e.dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
}

// A full disk is said to be one, and leaves nothing.
func TestPullOnAFullDisk(t *testing.T) {
	unshare := needs.Program(t, "unshare")
	p := publish(t)
	p.image(t, "1", whole(t, "opt/", "opt/large: "+noise(4<<20)))
	e := ours(t, "")
	e.must(t, "list", "-q")
	for _, full := range []string{"cache", "staging"} {
		dir := filepath.Join(e.dir, full)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		// The small disk is in a mount namespace of the command's own.
		script := fmt.Sprintf("mount -t tmpfs -o size=2m none %s && exec %s/sysctl image pull oci:%s/team/app:1", dir, e.bin, strings.TrimPrefix(p.URL, "http://"))
		cmd := exec.Command(unshare, "-m", "sh", "-c", script)
		cmd.Env = append(e.vars(), "DOCKER_CONFIG="+e.dir)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 9 || strings.Count(string(out), "\n") > 2 || !strings.Contains(string(out), "no space left on device") {
			t.Errorf("%s: %v\n%s", full, err, out)
		}
		if list := e.must(t, "image", "list", "-q"); list != "" {
			t.Errorf("left: %s", list)
		}
	}
}

// Everything that is wrong with the user's recipes and settings is said at once, with lines, and the other templates work.
func TestBrokenRecipes(t *testing.T) {
	e := ours(t, "")
	dir := filepath.Join(e.dir, "templates")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"one":   "schema: sysctl.template/v1\nname: one\nos: {family: debian, id: debian, version: \"12\", arch: []}\neol: soon\nsource:\n  - {type: tar, url: x}\n  - {type: ftp}\n",
		"two":   "name: [\n",
		"three": "schema: sysctl.template/v1\nnane: three\nsauce: []\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, _, errs := e.sysctl(t, "template", "validate", "--all")
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	for _, want := range []string{
		"one.yaml: os.arch: is missing", "(line 3)", "one.yaml: eol: ", "(line 4)", "one.yaml: source[0].url: ", "one.yaml: source[0].sha256: is missing", "(line 6)",
		"one.yaml: source[1].type: \"ftp\" is not known", "(line 7)", "three.yaml: nane: unknown field: did you mean name? (line 2)", "three.yaml: sauce: unknown field: did you mean source? (line 3)", "three.yaml: os.arch: is missing", "two.yaml:",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q", want)
		}
	}
	if status != 2 || len(lines) != 14 {
		t.Errorf("exit status %d, %d lines\n%s", status, len(lines), errs)
	}
	if status, _, errs := e.sysctl(t, "template", "validate", filepath.Join(dir, "one.yaml")); status != 2 || strings.Count(errs, "\n") != 5 {
		t.Errorf("one file: %d\n%s", status, errs)
	}
	for _, ref := range []string{"one", "two"} {
		if status, _, errs := e.sysctl(t, "template", "build", ref); status != 2 || !strings.Contains(errs, ref+".yaml") {
			t.Errorf("build %s: %d\n%s", ref, status, errs)
		}
	}
	if list := e.must(t, "template", "list"); !strings.Contains(list, "debian12") || !strings.Contains(list, "broken: ") {
		t.Errorf("list: %s", list)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "config.yaml"), []byte("mirrors: {debian: --x}\nremotes: {near: {type: ftp}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := e.sysctl(t, "image", "list"); status != 2 || !strings.Contains(errs, "mirrors.debian: ") || !strings.Contains(errs, "remotes.near: ") {
		t.Errorf("settings: %d\n%s", status, errs)
	}
	if err := os.Remove(filepath.Join(e.dir, "config.yaml")); err != nil {
		t.Fatal(err)
	}
}

// What was pulled, from a registry in two layers and from an image server, boots.
func TestPulledBoots(t *testing.T) {
	needs.LXC(t)
	needs.Program(t, "mmdebstrap")
	file, err := debian()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := publish(t)
	e := ours(t, "remotes: {near: {type: simplestreams, url: '"+p.URL+"/images'}}\n")
	p.image(t, "1", data, tree(t, "etc/.wh.issue.net", "etc/from-a-layer: yes"))
	p.stream(t, "debian/12", data)
	e.must(t, "image", "pull", "oci:"+strings.TrimPrefix(p.URL, "http://")+"/team/app:1", "--alias", "app")
	e.must(t, "image", "pull", "near:debian/12", "--alias", "near")
	for image, want := range map[string]string{"app": "yes", "near": ""} {
		e.must(t, "launch", "-q", image, image+"1")
		e.isUp(t, image+"1")
		out := e.must(t, "exec", image+"1", "--", "sh", "-c", "cat /etc/from-a-layer 2>/dev/null; cat /proc/1/comm; ls /etc/issue.net 2>/dev/null || true")
		if issue := strings.Contains(out, "issue.net"); !strings.HasPrefix(out, want+"systemd\n") || issue == (image == "app") {
			t.Errorf("%s: %q", image, out)
		}
		for _, verb := range []string{"restart", "stop"} { // its init halts by itself, or it would be told
			if status, _, errs := e.sysctl(t, verb, "--timeout", "3m", image+"1"); status != 0 || strings.Contains(errs, "note:") {
				t.Errorf("%s %s: %d %s", verb, image, status, errs)
			}
			if verb == "restart" {
				e.isUp(t, image+"1")
			}
		}
	}
}

// isUp waits until a Debian with systemd has booted, and checks its address, gateway, nameservers and name, and that nothing
// failed.
func (e environment) isUp(t *testing.T, name string) {
	t.Helper()
	e.until(t, "exec", name, "--", "systemctl", "is-system-running", "--wait")
	lines := strings.Split(strings.TrimSpace(e.must(t, "list", name, "--format", "csv")), "\n")
	address := strings.Split(lines[len(lines)-1], ",")[2]
	said := e.must(t, "exec", name, "--", "sh", "-c", "ip -4 addr show eth0; ip -4 route; cat /proc/sys/kernel/hostname /etc/resolv.conf; systemctl --failed --no-legend | sed 's/^/FAILED /'")
	for _, want := range []string{"inet " + address + "/24", "default via " + address[:strings.LastIndex(address, ".")] + ".1 ", "\n" + name + "\n", "nameserver "} {
		if !strings.Contains(said, want) {
			t.Errorf("%s: no %q in:\n%s", name, want, said)
		}
	}
	if strings.Contains(said, "FAILED") {
		t.Errorf("%s:\n%s", name, said)
	}
}

// A base image without an init gets one by its own package manager, in an instance; what comes of it boots, and is the
// same when it is made again.
func TestBaseImageGetsAnInit(t *testing.T) {
	needs.LXC(t)
	file := filepath.Join(t.TempDir(), "base.tar")
	if out, err := exec.Command(needs.Program(t, "mmdebstrap"), "--variant=apt", "--format=tar", "bookworm", file).CombinedOutput(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := publish(t)
	p.image(t, "1", data)
	e := ours(t, "mirrors: {hub.example: '"+p.URL+"'}\n")
	ref := "oci:" + strings.TrimPrefix(p.URL, "http://") + "/team/app:1"
	if status, _, errs := e.sysctl(t, "image", "pull", ref); status != 8 || !strings.Contains(errs, "there is no init in it") {
		t.Errorf("pull of an image without an init: %d %s", status, errs)
	}
	recipe := "schema: sysctl.template/v1\nname: base\nos: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386]}\n" +
		"source:\n  - {type: oci, ref: hub.example/team/app:1}\npackages: {manager: apt, install: [systemd-sysv, dbus, ifupdown, iproute2]}\n"
	if err := os.MkdirAll(filepath.Join(e.dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "templates", "base.yaml"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	id := e.must(t, "template", "build", "base")
	if again := e.must(t, "template", "build", "base", "--rebuild"); again != id {
		t.Errorf("image %s, made again %s", id, again)
	}
	e.must(t, "launch", "-q", "base", "b1")
	e.until(t, "exec", "b1", "--", "systemctl", "is-system-running", "--wait")
	if out := e.must(t, "exec", "b1", "--", "ip", "-4", "-o", "addr", "show", "dev", "eth0"); !strings.Contains(out, "inet ") {
		t.Errorf("no address: %s", out)
	}
}

// until runs sysctl until it succeeds, at most until the deadline.
func (e environment) until(t *testing.T, args ...string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); ; <-tick.C {
		status, _, errs := e.sysctl(t, args...)
		if status == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("sysctl %s: still exit status %d\n%s", strings.Join(args, " "), status, errs)
		}
	}
}
