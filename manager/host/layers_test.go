package host

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/storage"
	"github.com/sysctl-os/sysctl/templates"
)

// entry is one entry of an archive: "d/" a directory, "a -> b" a symbolic link, "a = b" a hard link, "a: text" a file.
type entry string

// packEntries makes an archive. Each entry has a mode of its own.
func packEntries(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, e := range entries {
		name, content, _ := strings.Cut(string(e), ": ")
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(0o700 + i%8), Uid: i, Size: int64(len(content)), ModTime: time.Unix(1e9+int64(i), 0)}
		if from, to, ok := strings.Cut(name, " -> "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeSymlink, from, to
		} else if from, to, ok := strings.Cut(name, " = "); ok {
			h.Typeflag, h.Name, h.Linkname = tar.TypeLink, from, to
		} else if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if strings.Contains(content, "mark") {
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.mark": content}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hub is a registry of one repository.
type hub struct {
	*httptest.Server
	files map[string][]byte
}

func newHub(t *testing.T) *hub {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody's login
	h := &hub{files: map[string][]byte{"/v2/": nil}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := h.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hub) blob(kind string, data []byte) map[string]any {
	s := sha256.Sum256(data)
	digest := "sha256:" + hex.EncodeToString(s[:])
	h.files["/v2/os/blobs/"+digest] = data
	return map[string]any{"mediaType": kind, "size": len(data), "digest": digest}
}

// image publishes layers and returns the reference to pull them by.
func (h *hub) image(t *testing.T, tag string, layers ...[]entry) string {
	t.Helper()
	config := h.blob("application/vnd.oci.image.config.v1+json", fmt.Appendf(nil, `{"architecture":%q,"os":"linux"}`, runtime.GOARCH))
	var all []any
	for _, l := range layers {
		all = append(all, h.blob("application/vnd.oci.image.layer.v1.tar", packEntries(t, l)))
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": kind, "config": config, "layers": all})
	if err != nil {
		t.Fatal(err)
	}
	h.files["/v2/os/manifests/"+tag] = text
	return "oci:" + strings.TrimPrefix(h.URL, "http://") + "/os:" + tag
}

// stacked pulls an image into layers of a store, as the manager does. It returns their ids and what they show.
func stacked(t *testing.T, s *storage.Store, ref string) (below []string, shown map[string]string, err error) {
	t.Helper()
	var top *storage.Staging
	stack := func(ctx context.Context, layers []sysctl.TreeLayer) (dir string, err error) {
		for _, l := range layers {
			id, err := layerOf(ctx, s, below, l)
			if err != nil {
				return "", err
			}
			below = append(slices.DeleteFunc(below, func(b string) bool { return b == id }), id)
		}
		if top, err = s.Stage(ctx, below...); err != nil {
			return "", err
		}
		return top.Dir(), nil
	}
	_, err = templates.Pull(t.Context(), ref, nil, t.TempDir(), templates.BuildOptions{Cache: t.TempDir(), Stack: stack})
	if top != nil {
		defer top.Abort()
	}
	if err == nil {
		shown = contents(t, top.Dir())
	}
	return below, shown, err
}

func layerOf(ctx context.Context, s *storage.Store, below []string, l sysctl.TreeLayer) (string, error) {
	st, err := s.Stage(ctx, below...)
	if err != nil {
		return "", err
	}
	defer st.Abort()
	began, err := os.Stat(st.Dir())
	if err != nil {
		return "", err
	}
	if err := l.Fill(ctx, st.Dir()); err != nil {
		return "", err
	}
	own, err := st.Own()
	if err == nil {
		err = templates.Normalize(ctx, own, began.ModTime())
	}
	if err != nil {
		return "", err
	}
	layer, err := st.Commit(ctx)
	return layer.ID, err
}

// contents describes each entry of a tree by its name. Hard links are files here, and directories have no times: which
// layer touched one last is nobody's concern.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := templates.Pack(t.Context(), dir, &b); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		if h.Typeflag == tar.TypeLink {
			all[name] = all[h.Linkname]
			continue
		}
		if h.Typeflag == tar.TypeDir || name == "etc/resolv.conf" { // which a pull makes
			h.ModTime = time.Time{}
		}
		all[name] = fmt.Sprintf("%c %o %d %s %d %q %v", h.Typeflag, h.Mode, h.Uid, h.Linkname, h.ModTime.Unix(), data, h.PAXRecords["SCHILY.xattr.user.mark"])
	}
}

// base is a system that boots as far as a pull looks.
func base(more ...entry) []entry {
	return append([]entry{"etc/", "bin/", "sbin/", "bin/sh: sh", "sbin/init: init"}, more...)
}

// randomLayer has anything in few names, so that its entries meet those below and each other.
func randomLayer(r *rand.Rand) []entry {
	dirs := []string{"", "d/", "d/", "d/e/", "d/e/", "l/"}
	names := []string{"a", "b", "d", "e", "l"}
	name := func() string { return dirs[r.IntN(len(dirs))] + names[r.IntN(len(names))] }
	var all []entry
	for range 1 + r.IntN(6) {
		n := name()
		dir, base := filepath.Split(n)
		all = append(all, []entry{
			entry(n + "/"), entry(n + ": " + n), entry(fmt.Sprint(n, ": mark", r.IntN(9))), entry(n + " -> /d/e"), entry(n + " -> ../" + name()),
			entry(n + " = d/e/a"), entry(dir + ".wh." + base), entry(dir + ".wh..wh..opq"),
		}[r.IntN(8)])
	}
	return all
}

// Layers over each other show what their archives unpacked over each other in one directory give, whatever is in them;
// and each gets the same name each time.
func TestLayersShowWhatOneDirectoryWould(t *testing.T) {
	needs.Root(t)
	h := newHub(t)
	images := [][][]entry{
		{base("etc/gone: x", "d/old: x"), {"etc/.wh.gone", "d/.wh..wh..opq", "d/new: y"}},
		{base("d/a: a"), {"d: file"}, {"d/", "d/b: b"}},
		{base("d/a: a", "e/x: x"), {"d -> e"}, {"d/y: through the link"}, {"e/.wh.x"}},
		{base("usr/lib/a: a", "lib -> usr/lib"), {"lib/b: b", "lib/.wh.a"}},
		{base("d/a: a"), {".wh..wh..opq", "etc/", "bin/", "bin/sh: 2", "sbin/init: 2"}},
		{base("a: a", "b = a"), {"c = b"}, {".wh.a"}},
		{base("d/a: mark1", "d/b: mark2"), {"d/a: plain", "d/c = d/b"}},
		{base("a: 1"), {"a: 2"}, {"a: 1"}, {"a: 2"}},
		{base("a: 1"), {"etc/.wh.nothing", ".wh.x", "n/.wh.y"}, {"etc/.wh.nothing"}},
		{base("up -> ..", "abs -> /"), {"up/.wh.etc", "abs/bin/x: x"}, {"etc/", "abs/.wh.up"}},
		{base("d/"), {"d/../../x: out"}},
		{base(), {"x = ../../etc/passwd"}},
		{base("out -> /tmp"), {"out/x: x"}},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		images = append(images, [][]entry{base("d/", "d/e/", "d/e/a: a", "d/b: b", "l -> d/e"), randomLayer(r), randomLayer(r), randomLayer(r)})
	}
	failed := 0
	for n, layers := range images {
		ref := h.image(t, fmt.Sprint(n), layers...)
		dir := t.TempDir()
		_, wantErr := templates.Pull(t.Context(), ref, nil, dir, templates.BuildOptions{Cache: t.TempDir()})
		s := storage.New(filepath.Join(t.TempDir(), "sysctl"))
		ids, got, err := stacked(t, s, ref)
		if sysctl.KindOf(err) == sysctl.Unsupported {
			t.Skipf("this host cannot: %v", err)
		}
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("image %d %q:\nlayers: %v\none directory: %v", n, layers, err, wantErr)
		}
		if err != nil {
			failed++
			continue
		}
		want := contents(t, dir)
		for name, w := range want {
			if got[name] != w {
				t.Errorf("image %d %q: %s is\n%s, wanted\n%s", n, layers, name, got[name], w)
			}
		}
		for name := range got {
			if want[name] == "" {
				t.Errorf("image %d %q: %s is there", n, layers, name)
			}
		}
		again, _, err := stacked(t, storage.New(filepath.Join(t.TempDir(), "sysctl")), ref)
		if err != nil || !slices.Equal(again, ids) {
			t.Errorf("image %d %q: layers %q, made again %q %v", n, layers, ids, again, err)
		}
		if t.Failed() {
			return
		}
	}
	if failed < 3 || failed > len(images)*2/3 {
		t.Errorf("%d of %d images could not be unpacked: the test says little", failed, len(images))
	}
}
