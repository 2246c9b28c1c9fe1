package templates

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
)

func applyLayers(t *testing.T, dir string, o UnpackOptions, layers ...[]*tar.Header) error {
	t.Helper()
	var all [][]byte
	for _, l := range layers {
		all = append(all, gz(t, bytes.NewReader(archive(t, l...))))
	}
	return unpackAll(t, dir, o, all...)
}

// unpackAll unpacks layers over each other and looks whether a root filesystem came of it.
func unpackAll(t *testing.T, dir string, o UnpackOptions, layers ...[]byte) error {
	t.Helper()
	m := newMeter(o.MaxSize, o.MaxEntries)
	for i, data := range layers {
		if err := unpackLayer(t.Context(), layer{"sha256:0123456789abcdef", bytes.NewReader(data)}, dir, i == 0, m, nil); err != nil {
			return err
		}
	}
	root, err := openRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	return checkRoot(root)
}

func TestLayers(t *testing.T) {
	dirs := func(names ...string) (out []*tar.Header) {
		for _, n := range names {
			out = append(out, item(tar.TypeDir, n))
		}
		return out
	}
	files := func(names ...string) (out []*tar.Header) {
		for _, n := range names {
			out = append(out, item(tar.TypeReg, n))
		}
		return out
	}
	for _, x := range []struct {
		name   string
		layers [][]*tar.Header // over system()
		there  []string        // lines of the listing
		gone   []string        // parts of it
	}{
		{"whiteout of a file", [][]*tar.Header{files("a", "d/b", "d/c"), files(".wh.a", "d/.wh.b")}, []string{"- 0644 d/c = d/c"}, []string{" a ", "d/b", ".wh."}},
		{"whiteout of a directory", [][]*tar.Header{files("d/e/f", "g"), files(".wh.d")}, []string{"- 0644 g = g"}, []string{" d"}},
		{"whiteout of nothing there", [][]*tar.Header{files("g"), files(".wh.x", "g/.wh.y", "n/.wh.z")}, []string{"- 0644 g = g"}, []string{".wh."}},
		{"opaque directory first", [][]*tar.Header{files("d/old", "d/s/old", "keep"), append(dirs("d"), files("d/.wh..wh..opq", "d/new")...)}, []string{"- 0644 d/new = d/new", "- 0644 keep = keep"}, []string{"old", " d/s"}},
		{"opaque directory last", [][]*tar.Header{files("d/old", "d/s/old", "d/t/old"), append(files("d/s/new", "d/new"), files("d/.wh..wh..opq")...)}, []string{"- 0644 d/new = d/new", "- 0644 d/s/new = d/s/new"}, []string{"old", "d/t"}},
		{"whiteout of what the layer brings", [][]*tar.Header{files("d/old", "a"), append(files("d/new", "a"), files(".wh.d", ".wh.a")...)}, []string{"- 0644 d/new = d/new", "- 0644 a = a"}, []string{"old"}},
		{"opaque root", [][]*tar.Header{files("d/old"), append(files(".wh..wh..opq"), system()...)}, []string{"- 0755 bin/sh = ./bin/sh"}, []string{"old"}},
		{"a later layer brings it back", [][]*tar.Header{files("a"), files(".wh.a"), files("a")}, []string{"- 0644 a = a"}, nil},
		{"whiteouts in the lowest layer mean nothing", [][]*tar.Header{}, []string{"d 0755 etc"}, []string{".wh."}},
		{"what AUFS kept", [][]*tar.Header{files(".wh..wh.plnk", ".wh..wh.aufs"), files(".wh..wh.orph/x", "y")}, []string{"- 0644 y = y"}, []string{".wh..wh.plnk", ".wh..wh.aufs"}},
		{"directory becomes a file", [][]*tar.Header{files("d/e/f"), files("d")}, []string{"- 0644 d = d"}, []string{"d/e"}},
		{"directory becomes a link", [][]*tar.Header{append(files("lib/a", "usr/lib/b"), dirs("lib")...), {item(tar.TypeSymlink, "lib", to("usr/lib")), item(tar.TypeReg, "lib/c")}}, []string{"L 0777 lib -> usr/lib", "- 0644 usr/lib/c = lib/c", "- 0644 usr/lib/b = usr/lib/b"}, []string{" lib/a"}},
		{"file becomes a directory", [][]*tar.Header{files("d"), append(dirs("d"), files("d/e")...)}, []string{"d 0755 d", "- 0644 d/e = d/e"}, nil},
		{"attributes of the last layer that says them", [][]*tar.Header{{item(tar.TypeDir, "d", mode(0o700)), item(tar.TypeReg, "d/f")}, {item(tar.TypeDir, "d", mode(0o1777))}, files("d/g")}, []string{"d 1777 d"}, nil},
		{"opaque directory without an entry of its own", [][]*tar.Header{{item(tar.TypeDir, "d", mode(0o1700)), item(tar.TypeReg, "d/old")}, files("d/.wh..wh..opq", "d/new")}, []string{"d 1700 d", "- 0644 d/new = d/new"}, []string{"old"}},
		{"opaque directory with an entry of its own", [][]*tar.Header{{item(tar.TypeDir, "d", mode(0o1700)), item(tar.TypeReg, "d/old")}, {item(tar.TypeDir, "d", mode(0o711)), item(tar.TypeReg, "d/.wh..wh..opq")}}, []string{"d 0711 d"}, []string{"old"}},
		{"hard link into a lower layer", [][]*tar.Header{files("a"), {item(tar.TypeLink, "b", to("a"))}, files(".wh.a")}, []string{"- 0644 b = a"}, nil},
		{"a link keeps what a later layer replaces", [][]*tar.Header{files("a"), {item(tar.TypeLink, "b", to("a"))}, {item(tar.TypeReg, "a", mode(0o600))}}, []string{"- 0644 b = a", "- 0600 a = a"}, nil},
		{"absolute names", [][]*tar.Header{files("/etc/x"), {item(tar.TypeLink, "/etc/y", to("/etc/x"))}}, []string{"- 0644 etc/y = /etc/x"}, nil},
		{"a directory called rootfs", [][]*tar.Header{files("rootfs/x")}, []string{"- 0644 rootfs/x = rootfs/x"}, nil},
		{"whiteout through a link out", [][]*tar.Header{{item(tar.TypeSymlink, "up", to("..")), item(tar.TypeSymlink, "abs", to("/"))}, files("up/.wh.victim", "abs/.wh.victim", "up/tree/.wh.victim")}, []string{"L 0777 up -> .."}, nil},
		{"opaque link", [][]*tar.Header{{item(tar.TypeReg, "d/old"), item(tar.TypeSymlink, "l", to("d")), item(tar.TypeSymlink, "up", to(".."))}, files("l/.wh..wh..opq", "up/.wh..wh..opq")}, []string{"- 0644 d/old = d/old"}, nil},
		{"link that the layer brings in an opaque directory", [][]*tar.Header{files("d/old", "e/keep"), {item(tar.TypeSymlink, "d/l", to("../e")), item(tar.TypeReg, "d/.wh..wh..opq")}}, []string{"- 0644 e/keep = e/keep", "L 0777 d/l -> ../e"}, []string{"old"}},
		{"link below a link below", [][]*tar.Header{{item(tar.TypeSymlink, "a", to("b")), item(tar.TypeReg, "b/x")}, files("a/.wh.x")}, []string{"d 0755 b"}, []string{"b/x"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir, above := emptyDir(t)
			lowest := append(system(), item(tar.TypeReg, "etc/.wh.lowest"))
			if err := applyLayers(t, dir, UnpackOptions{}, append([][]*tar.Header{lowest}, x.layers...)...); err != nil {
				t.Fatal(err)
			}
			untouched(t, above)
			got := listing(t, dir)
			for _, line := range x.there {
				if !strings.Contains(got, line+"\n") {
					t.Errorf("no line %q", line)
				}
			}
			for _, part := range append(x.gone, ".wh.lowest") {
				if strings.Contains(got, part) {
					t.Errorf("there is %q", part)
				}
			}
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}

func TestLayersHostile(t *testing.T) {
	for _, x := range []struct {
		name  string
		items []*tar.Header
		want  string
	}{
		{"dot dot", []*tar.Header{item(tar.TypeReg, "../victim")}, "leads out of the tree"},
		{"whiteout of the directory above", []*tar.Header{item(tar.TypeReg, "etc/.wh...")}, "a whiteout of nothing"},
		{"whiteout of the directory itself", []*tar.Header{item(tar.TypeReg, "etc/.wh..")}, "a whiteout of nothing"},
		{"whiteout without a name", []*tar.Header{item(tar.TypeReg, "etc/.wh.")}, "a whiteout of nothing"},
		{"whiteout of dot dot", []*tar.Header{item(tar.TypeReg, "../.wh.victim")}, "leads out of the tree"},
		{"hard link out", []*tar.Header{item(tar.TypeLink, "x", to("../victim"))}, "leads out"},
		{"write through a link", []*tar.Header{item(tar.TypeSymlink, "out", to("/tmp")), item(tar.TypeReg, "out/x")}, "leads nowhere"},
		{"nothing is left", []*tar.Header{item(tar.TypeReg, ".wh..wh..opq")}, "not a root filesystem"},
		{"the root becomes a file", []*tar.Header{item(tar.TypeReg, ".")}, "not a directory"},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir, above := emptyDir(t)
			err := applyLayers(t, dir, UnpackOptions{}, system(), x.items)
			untouched(t, above)
			if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%s: %v", sysctl.KindOf(err), err)
			}
		})
	}
	t.Run("limits are of all layers together", func(t *testing.T) {
		dir, _ := emptyDir(t)
		err := applyLayers(t, dir, UnpackOptions{MaxEntries: 6}, system(), []*tar.Header{item(tar.TypeReg, "a"), item(tar.TypeReg, "b")}, []*tar.Header{item(tar.TypeReg, "c"), item(tar.TypeReg, "d")})
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "more than 6 entries") {
			t.Errorf("%v", err)
		}
	})
	t.Run("looking again and again", func(t *testing.T) {
		dir, _ := emptyDir(t)
		top := []*tar.Header{item(tar.TypeReg, "d/a"), item(tar.TypeReg, "d/b")}
		for range 10 {
			top = append(top, item(tar.TypeReg, "d/.wh..wh..opq"))
		}
		if err := applyLayers(t, dir, UnpackOptions{MaxEntries: 18}, system(), top); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "whiteouts look at") {
			t.Errorf("%v", err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir, _ := emptyDir(t)
		data := gz(t, bytes.NewReader(archive(t, system()...)))
		err := unpackAll(t, dir, UnpackOptions{}, data[:len(data)/2])
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "layer 0123456789ab: the tar.gz archive is truncated") {
			t.Errorf("%v", err)
		}
	})
}

// An attribute of a lower layer's file is that of the file that takes its place only where that has it.
func TestLayersXattrs(t *testing.T) {
	dir, _ := emptyDir(t)
	err := applyLayers(t, dir, UnpackOptions{}, system(item(tar.TypeReg, "bin/ping", pax("SCHILY.xattr.user.a", "low")), item(tar.TypeReg, "bin/b", pax("SCHILY.xattr.user.a", "low")),
		item(tar.TypeDir, "d", pax("SCHILY.xattr.user.a", "low")), item(tar.TypeDir, "e", pax("SCHILY.xattr.user.a", "low"))),
		[]*tar.Header{item(tar.TypeReg, "bin/ping", pax("SCHILY.xattr.user.b", "high")), item(tar.TypeDir, "d", pax("SCHILY.xattr.user.b", "high")), item(tar.TypeReg, "e/.wh..wh..opq")})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bin/ping": "user.b=high", "bin/b": "user.a=low", "d": "user.b=high", "e": "user.a=low"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := xattrs(int(f.Fd()))
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			t.Skip("the temporary directory keeps no user.* attributes")
		}
		key, value, _ := strings.Cut(want, "=")
		if len(got) != 1 || got[key] != value {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzLayers feeds anything as a layer over a system.
func FuzzLayers(f *testing.F) {
	lowest := archive(f, system(item(tar.TypeReg, "d/e/f"), item(tar.TypeSymlink, "up", to("..")))...)
	for _, seed := range [][]*tar.Header{
		{item(tar.TypeReg, ".wh.d")}, {item(tar.TypeReg, "d/.wh..wh..opq"), item(tar.TypeReg, "d/x")},
		{item(tar.TypeReg, "up/.wh.victim"), item(tar.TypeReg, "up/victim")}, {item(tar.TypeSymlink, "d", to("../..")), item(tar.TypeReg, "d/.wh.victim")},
	} {
		f.Add(archive(f, seed...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")) {
			t.Skip("would start a program for each input")
		}
		dir, above := emptyDir(t)
		err := unpackAll(t, dir, UnpackOptions{MaxSize: 1 << 20, MaxEntries: 100}, lowest, data)
		untouched(t, above)
		if kind := sysctl.KindOf(err); kind != "" && kind != sysctl.Invalid {
			t.Errorf("%s: %v", kind, err)
		}
	})
}
