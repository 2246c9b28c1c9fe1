package roottest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers are the layers on disk.
func (e environment) layers(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(e.dir, "layers"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// stored is an archive compressed in another way.
func stored(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What two images have in common is got and stored once, and stays for as long as one of them or an instance has it.
func TestImagesShareLayers(t *testing.T) {
	p := publish(t)
	e := ours(t, "")
	base := whole(t, "opt/", "opt/large: "+noise(1<<20))
	tops := map[string][]byte{}
	for _, tag := range []string{"a", "b", "c"} {
		tops[tag] = tree(t, "opt/"+tag+": x")
		p.image(t, tag, base, tops[tag])
	}
	p.image(t, "again", stored(t, base), tops["a"])
	p.image(t, "hostile", base, tree(t, "../victim: x"))
	ref := "oci:" + strings.TrimPrefix(p.URL, "http://") + "/team/app:"
	pull := func(tag string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(e.dir, "cache")); err != nil {
			t.Fatal(err)
		}
		p.took("")
		e.must(t, "image", "pull", ref+tag, "--alias", tag)
	}
	count := func(want int, when string) {
		t.Helper()
		if got := e.layers(t); len(got) != want {
			t.Errorf("%s: %d layers, wanted %d", when, len(got), want)
		}
	}
	got := func(data []byte) bool {
		return slices.ContainsFunc(p.took("/blobs/"), func(s string) bool { return strings.HasSuffix(s, sum(data)) })
	}
	pull("a") // base, a, and what is ours, which is the same for all
	if count(3, "one image"); !got(base) {
		t.Error("the base was not got")
	}
	pull("b")
	if count(4, "two images"); got(base) {
		t.Error("the base was got again")
	}
	if all := e.listing(t, "b"); all["opt/large"] == nil || all["opt/b"] == nil || all["opt/a"] != nil {
		t.Errorf("merged: %v", all)
	}
	pull("again") // another archive of the same content
	count(4, "the same content in another archive")
	if status, _, errs := e.sysctl(t, "image", "pull", ref+"hostile"); status != 2 || !strings.Contains(errs, "leads out of the tree") {
		t.Errorf("hostile: %d %s", status, errs)
	}
	count(4, "a layer that is refused")
	e.must(t, "image", "delete", "a")
	count(4, "one of two names")
	e.must(t, "image", "delete", "again")
	count(3, "one of two images")
	e.must(t, "create", "b", "b1")
	e.must(t, "image", "delete", "b")
	count(3, "an instance without its image")
	if left := e.must(t, "image", "list", "-q"); left != "" {
		t.Errorf("images: %s", left)
	}
	pull("c")
	if count(4, "what an instance has is shared too"); got(base) {
		t.Error("the base was got again")
	}
	e.must(t, "delete", "b1")
	count(3, "the instance is gone")
	e.must(t, "image", "delete", "c")
	count(0, "the end")
}

// A layer that a pull builds on is not taken away under it.
func TestDeleteDuringAPull(t *testing.T) {
	p := publish(t)
	e := ours(t, "")
	base, top := whole(t, "opt/", "opt/kept: x"), tree(t, "opt/b: x")
	p.image(t, "a", base, tree(t, "opt/a: x"))
	p.image(t, "b", base, top)
	ref := "oci:" + strings.TrimPrefix(p.URL, "http://") + "/team/app:"
	e.must(t, "image", "pull", ref+"a", "--alias", "a")
	asked, goOn := make(chan struct{}), make(chan struct{})
	p.lie("/v2/team/app/blobs/sha256:"+sum(top), func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-goOn
		w.Write(top)
	})
	pull := e.command("image", "pull", ref+"b", "--alias", "b")
	pull.Env = append(pull.Env, "DOCKER_CONFIG="+e.dir)
	if err := pull.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	e.must(t, "image", "delete", "a")
	if n := len(e.layers(t)); n != 3 {
		t.Errorf("%d layers while the pull goes on", n)
	}
	close(goOn)
	if err := pull.Wait(); err != nil {
		t.Fatal(err)
	}
	if all := e.listing(t, "b"); all["opt/kept"] == nil || all["opt/b"] == nil {
		t.Errorf("merged: %v", all)
	}
	if n := len(e.layers(t)); n != 3 {
		t.Errorf("%d layers at the end", n)
	}
}
