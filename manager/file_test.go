package manager_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/treetest"
	"github.com/sysctl-os/sysctl/manager"
)

func ref(path string) manager.FileRef { return manager.FileRef{Instance: "web1", Path: path} }

// Where a pushed file goes is what cp does, and a refusal changes nothing.
func TestPushPlaces(t *testing.T) {
	src := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(src, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{"/etc/hosts": "old", "/etc/link": "-> real/hosts", "/etc/real/hosts": "old", "/srv/": "", "/gone": "-> nowhere"}
	for _, c := range []struct {
		name, target string
		sources      []string
		parents      bool
		written      string // "": refused
		kind         sysctl.Kind
	}{
		{name: "a file", target: "/etc/hosts", written: "/etc/hosts"},
		{name: "another name", target: "/etc/other", written: "/etc/other"},
		{name: "into a directory", target: "/srv", written: "/srv/hosts"},
		{name: "into a directory with a slash", target: "/srv/", written: "/srv/hosts"},
		{name: "a link stays", target: "/etc/link", written: "/etc/real/hosts"},
		{name: "a link that leads nowhere", target: "/gone", written: "/gone"},
		{name: "no directory", target: "/a/b/c", kind: sysctl.NotFound},
		{name: "directories made", target: "/a/b/c", parents: true, written: "/a/b/c"},
		{name: "into one that is made", target: "/a/b/", parents: true, written: "/a/b/hosts"},
		{name: "into none", target: "/a/", kind: sysctl.NotFound},
		{name: "into a file", target: "/etc/hosts/", kind: sysctl.Invalid},
		{name: "through a file", target: "/etc/hosts/x", kind: sysctl.Invalid},
		{name: "several into a file", target: "/etc/hosts", sources: []string{src, src}, kind: sysctl.Invalid},
		{name: "a stream", target: "/etc/new", sources: []string{"-"}, written: "/etc/new"},
		{name: "a stream into a directory", target: "/srv", sources: []string{"-"}, kind: sysctl.Invalid},
		{name: "no such source", target: "/srv/", sources: []string{src + "x"}, kind: sysctl.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.launch(t, "web1")
			h.w.files = treetest.New(before)
			if c.sources == nil {
				c.sources = []string{src}
			}
			err := h.PushFiles(t.Context(), c.sources, ref(c.target), strings.NewReader("new"), manager.FileOptions{Parents: c.parents})
			kind(t, err, c.kind)
			want := maps.Clone(before)
			if c.written != "" {
				if want[c.written] = "new"; strings.HasPrefix(c.written, "/srv/") {
					delete(want, "/srv/")
				}
			}
			if got := h.w.files.Files(); !maps.Equal(got, want) {
				t.Errorf("files %v, want %v", got, want)
			}
		})
	}
}

func TestPullPlaces(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.w.files = treetest.New(map[string]string{"/etc/hosts": "theirs"})
	dir := t.TempDir()
	pull := func(dst string, parents bool, refs ...manager.FileRef) error {
		return h.PullFiles(t.Context(), refs, dst, io.Discard, manager.FileOptions{Parents: parents})
	}
	for dst, made := range map[string]string{"": "hosts", "/x": "x", "/x/y/": "x/y/hosts"} {
		t.Run("to "+dst, func(t *testing.T) {
			at := t.TempDir()
			kind(t, pull(at+dst, true, ref("/etc/hosts")), "")
			if b, err := os.ReadFile(filepath.Join(at, made)); err != nil || string(b) != "theirs" {
				t.Errorf("%s: %q %v", made, b, err)
			}
		})
	}
	kind(t, pull(dir+"/no/where", false, ref("/etc/hosts")), sysctl.NotFound)
	kind(t, pull(dir+"/no/", false, ref("/etc/hosts")), sysctl.NotFound)
	kind(t, pull(dir, false, ref("/etc/none")), sysctl.NotFound)
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kind(t, pull(dir+"/file", false, ref("/etc/hosts"), ref("/etc/hosts")), sysctl.Invalid)
	kind(t, pull("/dev/null", false, ref("/etc/hosts")), "") // written to, not replaced
	if fi, err := os.Stat("/dev/null"); err != nil || fi.Mode()&os.ModeDevice == 0 {
		t.Fatalf("/dev/null is %v: %v", fi, err)
	}
	var out bytes.Buffer
	kind(t, h.PullFiles(t.Context(), []manager.FileRef{ref("/etc/hosts"), ref("/etc/hosts")}, "-", &out, manager.FileOptions{}), "")
	if out.String() != "theirstheirs" {
		t.Errorf("stream %q", out.String())
	}
	kind(t, h.PullFiles(t.Context(), []manager.FileRef{{Instance: "web9", Path: "/x"}}, "-", &out, manager.FileOptions{}), sysctl.NotFound)
}

func TestFilesOfAnInstance(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		h := newHouse(t)
		ctx := t.Context()
		h.launch(t, "web1")
		if stopped {
			kind(t, h.Stop(ctx, "web1", manager.StopOptions{}), "")
		}
		h.w.files = treetest.New(map[string]string{"/etc/hosts": "old", "/link": "-> etc/hosts", "/srv/full/x": ""})
		kind(t, h.ReplaceFile(ctx, ref("/link"), []byte("other"), []byte("new")), sysctl.Conflict)
		kind(t, h.ReplaceFile(ctx, ref("/link"), []byte("old"), []byte("new")), "")
		kind(t, h.DeleteFile(ctx, ref("/srv/full"), false), sysctl.Conflict)
		kind(t, h.DeleteFile(ctx, ref("/srv/none"), false), sysctl.NotFound)
		kind(t, h.DeleteFile(ctx, ref("/srv/none"), true), "")
		kind(t, h.MakeDir(ctx, ref("/a/b"), manager.FileOptions{}), sysctl.NotFound)
		kind(t, h.MakeDir(ctx, ref("/srv"), manager.FileOptions{}), sysctl.Exists)
		kind(t, h.MakeDir(ctx, ref("/a/b/"), manager.FileOptions{Parents: true}), "")
		kind(t, h.MakeDir(ctx, ref("/a/b/"), manager.FileOptions{Parents: true}), "")
		var bad manager.FileOptions
		bad.UID, bad.GID = 65536, -1
		err := h.MakeDir(ctx, ref("/c"), bad)
		kind(t, err, sysctl.Invalid)
		if err == nil || !strings.Contains(err.Error(), "--uid: 65536") || !strings.Contains(err.Error(), "--gid: -1") {
			t.Errorf("both fields must be named: %v", err)
		}
		want := map[string]string{"/etc/hosts": "new", "/link": "-> etc/hosts", "/srv/full/x": "", "/a/b/": ""}
		if got := h.w.files.Files(); !maps.Equal(got, want) {
			t.Errorf("files %v, want %v", got, want)
		}
		list, err := h.ListFiles(ctx, ref("/"))
		kind(t, err, "")
		if len(list) != 4 {
			t.Errorf("list %v", list)
		}
	}
}

// waiting is a source that tells when it is read and then gives nothing until the end is let go.
type waiting struct {
	read chan struct{}
	end  chan struct{}
}

func (w waiting) Read([]byte) (int, error) {
	close(w.read)
	<-w.end
	return 0, io.EOF
}

// A copy into a running instance keeps nobody from stopping it.
func TestStopDoesNotWaitForACopy(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.w.files = treetest.New(map[string]string{"/etc/hosts": "old"})
	w := waiting{make(chan struct{}), make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		done <- h.PushFiles(context.Background(), []string{"-"}, ref("/x"), w, manager.FileOptions{})
	}()
	<-w.read
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{}), "")
	close(w.end)
	<-done
}
