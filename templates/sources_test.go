package templates

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// bootable is a system with an init.
func bootable(more ...*tar.Header) []*tar.Header {
	return append(system(item(tar.TypeReg, "./sbin/init", mode(0o755))), more...)
}

// recipeOf is a recipe called mine with the given sources, one per line, and whatever more.
func recipeOf(more string, sources ...string) string {
	text := "schema: sysctl.template/v1\nname: mine\nos: {family: debian, id: debian, version: \"12\", arch: [amd64, arm64, i386, armhf, riscv64]}\nsource:\n"
	for _, s := range sources {
		text += "  - {" + s + "}\n"
	}
	return text + more
}

// buildOf builds a recipe.
func buildOf(t *testing.T, text, dir string, o BuildOptions) (string, error) {
	t.Helper()
	needs.Root(t)
	c, _ := load(t, map[string]string{"mine.yaml": text})
	if _, _, err := c.Find("mine"); err != nil {
		t.Fatal(err)
	}
	built, err := c.Build(t.Context(), "mine", dir, o)
	return built.Source, err
}

// wantTree fails where the build failed, or its tree lacks a file.
func wantTree(t *testing.T, dir string, err error, files ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "bin/sh") {
		if _, err := os.Lstat(filepath.Join(dir, f)); err != nil {
			t.Error(err)
		}
	}
}

// wantError fails where err is not of the kind, in one line with every part.
func wantError(t *testing.T, err error, kind sysctl.Kind, parts ...string) {
	t.Helper()
	if sysctl.KindOf(err) != kind || err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v", sysctl.KindOf(err), err)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("no %q in: %v", p, err)
		}
	}
}

func TestBuildTar(t *testing.T) {
	data := gz(t, bytes.NewReader(archive(t, bootable(item(tar.TypeReg, "etc/x"))...)))
	hostile := archive(t, bootable(item(tar.TypeReg, "../victim"))...)
	s := server(t, map[string][]byte{"/r.tgz": data, "/hostile.tar": hostile, "/noinit.tar": archive(t, system()...)}, nil)
	at := filepath.Join(t.TempDir(), "r.tgz")
	if err := os.WriteFile(at, data, 0o600); err != nil {
		t.Fatal(err)
	}
	source := func(url string, data []byte) string {
		return fmt.Sprintf("type: tar, url: %q, sha256: %s", url, sumOf(data))
	}
	for _, place := range []string{s.URL + "/r.tgz", at, "file://" + at, "http://mirrored.example/r.tgz"} {
		dir, above := emptyDir(t)
		got, err := buildOf(t, recipeOf("", source(place, data)), dir, BuildOptions{Mirrors: map[string]string{"mirrored.example": s.URL + "/"}})
		wantTree(t, dir, err, "etc/x", "sbin/init")
		untouched(t, above)
		if want := "tar " + place + " sha256:" + sumOf(data); got != want {
			t.Errorf("source %s", got)
		}
	}
	for _, x := range []struct {
		name, source string
		kind         sysctl.Kind
		want         string
	}{
		{"not there", source(s.URL+"/none.tgz", data), sysctl.Unavailable, "404"},
		{"other content", source(s.URL+"/r.tgz", hostile), sysctl.Unavailable, "wrong content"},
		{"other content here", source(at, hostile), sysctl.Invalid, "wrong content"},
		{"no file", source(at+"x", hostile), sysctl.NotFound, "no such file"},
		{"hostile", source(s.URL+"/hostile.tar", hostile), sysctl.Invalid, "leads out of the tree"},
		{"no init", source(s.URL+"/noinit.tar", archive(t, system()...)), sysctl.Unsupported, "there is no init in it"},
		{"no source for us", "type: dir, path: /x, arch: [" + map[bool]string{true: "arm64", false: "amd64"}[hostArch() == "amd64"] + "]", sysctl.Unsupported, "no source is for " + hostArch()},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir, above := emptyDir(t)
			_, err := buildOf(t, recipeOf("", x.source), dir, BuildOptions{})
			wantError(t, err, x.kind, "build mine: ", x.want)
			untouched(t, above)
		})
	}
	t.Run("offline", func(t *testing.T) {
		dir, _ := emptyDir(t)
		cache := t.TempDir()
		text := recipeOf("", source(s.URL+"/r.tgz", data))
		_, err := buildOf(t, text, dir, BuildOptions{Offline: true, Cache: cache})
		wantError(t, err, sysctl.Unavailable, "it is not in the cache, and the network is not to be used")
		dir, _ = emptyDir(t)
		_, err = buildOf(t, text, dir, BuildOptions{Cache: cache})
		wantTree(t, dir, err)
		dir, _ = emptyDir(t)
		_, err = buildOf(t, text, dir, BuildOptions{Offline: true, Cache: cache})
		wantTree(t, dir, err)
	})
}

func TestBuildTriesInOrder(t *testing.T) {
	data := archive(t, bootable()...)
	s := server(t, map[string][]byte{"/r.tar": data, "/half.tar": archive(t, item(tar.TypeReg, "half"))}, nil)
	from := t.TempDir()
	for _, d := range []string{"etc", "sbin", "bin"} {
		if err := os.Mkdir(filepath.Join(from, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"sbin/init", "bin/sh", "etc/from-directory"} {
		if err := os.WriteFile(filepath.Join(from, f), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	half := archive(t, item(tar.TypeReg, "half"))
	bad := []string{
		"type: tar, url: " + s.URL + "/none.tar, sha256: " + sumOf(data),
		"type: tar, url: " + s.URL + "/half.tar, sha256: " + sumOf(half),
	}
	dir, above := emptyDir(t)
	var log bytes.Buffer
	got, err := buildOf(t, recipeOf("", append(bad, "type: dir, path: "+from, "type: dir, path: /nothing")...), dir, BuildOptions{Log: &log})
	wantTree(t, dir, err, "etc/from-directory")
	untouched(t, above)
	if got != "directory "+from || strings.Contains(listing(t, dir), "half") {
		t.Errorf("%s\n%s", got, listing(t, dir))
	}
	if lines := strings.Split(log.String(), "\n"); len(lines) != 3 || !strings.Contains(lines[0], "none.tar does not work, trying tar "+s.URL+"/half.tar: ") || !strings.Contains(lines[1], "trying dir ") {
		t.Errorf("log: %s", log.String())
	}
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf("", bad...), dir, BuildOptions{})
	wantError(t, err, sysctl.Unavailable, "none of 2 sources works: tar "+s.URL+"/none.tar: ", "404 Not Found; tar "+s.URL+"/half.tar: ", "not a root filesystem")
}

// A base image without an init gets one by its own package manager, run where the caller says.
func TestBuildInstalls(t *testing.T) {
	data := archive(t, system()...)
	at := filepath.Join(t.TempDir(), "r.tar")
	if err := os.WriteFile(at, data, 0o600); err != nil {
		t.Fatal(err)
	}
	source := "type: tar, url: " + at + ", sha256: " + sumOf(data)
	more := "packages:\n  manager: yum\n  unsigned: true\n  install: [systemd, iproute]\n  files: [{path: /etc/yum.repos.d/a.repo, content: \"url=${mirror}/x ${other}\"}]\nservices: {enable: [sshd], disable: [kdump]}\nvars: {mirror: \"https://vault.example\"}\n"
	var script string
	run := func(init bool) func(context.Context, string, string) error {
		return func(_ context.Context, dir, s string) error {
			script = s
			repo, err := os.ReadFile(filepath.Join(dir, "etc/yum.repos.d/a.repo"))
			if err != nil || string(repo) != "url=https://other.example/x ${other}" {
				return fmt.Errorf("%s: %w", repo, err)
			}
			if !init {
				return nil
			}
			return errors.Join(os.Mkdir(filepath.Join(dir, "sbin"), 0o755), os.WriteFile(filepath.Join(dir, "sbin/init"), nil, 0o755))
		}
	}
	set := map[string]string{"mirror": "https://other.example"}
	dir, _ := emptyDir(t)
	got, err := buildOf(t, recipeOf(more, source), dir, BuildOptions{Set: set, Run: run(true)})
	wantTree(t, dir, err, "sbin/init")
	if !strings.HasSuffix(got, ", finished in an instance") {
		t.Errorf("source %s", got)
	}
	for _, line := range []string{"set -e\n", "yum -y --nogpgcheck install systemd iproute\n", "yum clean all\n", "then systemctl enable sshd;", "elif command -v chkconfig >/dev/null 2>&1; then chkconfig kdump off;"} {
		if !strings.Contains(script, line) {
			t.Errorf("no %q in\n%s", line, script)
		}
	}
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf(more, source), dir, BuildOptions{Set: set, Run: run(false)})
	wantError(t, err, sysctl.Unsupported, "no init in it after its packages were installed")
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf(more, source), dir, BuildOptions{})
	wantError(t, err, sysctl.Unsupported, "packages cannot be installed here")
	dir, _ = emptyDir(t)
	_, err = buildOf(t, recipeOf(more, source), dir, BuildOptions{Run: func(context.Context, string, string) error { return errors.New("boom") }})
	wantError(t, err, sysctl.Internal, "install packages: boom")
}

// Every script is one that a shell can read.
func TestScripts(t *testing.T) {
	sh := needs.Program(t, "sh")
	for _, manager := range []string{"apt", "yum", "dnf", "apk", "zypper", "pacman", "xbps"} {
		r := recipe{Packages: recipePackages{Manager: manager, Install: []string{"a", "b"}, Unsigned: true}, Services: recipeServices{Enable: []string{"s"}, Disable: []string{"t"}}}
		script := r.script(recipeSource{Type: "oci"})
		if !strings.Contains(script, "a b") {
			t.Errorf("%s installs nothing: %s", manager, script)
		}
		pipeThrough(t, []byte(script), sh, "-n")
		if got := r.script(recipeSource{Type: "oci", Complete: true}); strings.Contains(got, "a b") {
			t.Errorf("%s: a complete source gets packages", manager)
		}
	}
}

func TestVariables(t *testing.T) {
	text := recipeOf("vars: {tree: \"\", other: x}\n", "type: dir, path: \"${tree}\"")
	from := t.TempDir()
	for _, x := range []struct {
		set  map[string]string
		want string
	}{
		{nil, "tree: has no value: sysctl template build mine --set tree=VALUE"},
		{map[string]string{"tree": "relative"}, `source[0].path: "relative" is not a clean absolute path`},
		{map[string]string{"tree": from, "tee": "x"}, "tee: is no variable of template mine: other, tree"},
		{map[string]string{"tree": from, "other": ""}, "other: has no value"},
	} {
		dir, _ := emptyDir(t)
		_, err := buildOf(t, text, dir, BuildOptions{Set: x.set})
		wantError(t, err, sysctl.Invalid, x.want)
	}
	dir, _ := emptyDir(t)
	_, err := buildOf(t, recipeOf("", "type: dir, path: /none"), dir, BuildOptions{Set: map[string]string{"tree": from}})
	wantError(t, err, sysctl.Invalid, "tree: is no variable of template mine: it has none")
	dir, _ = emptyDir(t)
	_, err = buildOf(t, text, dir, BuildOptions{Set: map[string]string{"tree": from}})
	wantError(t, err, sysctl.Invalid, "not a root filesystem") // it was looked at
}

func TestBuildDNF(t *testing.T) {
	needs.Root(t)
	text := recipeOf("packages: {install: [systemd, dnf]}\n", `type: bootstrap, release: "9", mirror: "https://127.0.0.1:1/9", repos: [{name: baseos, path: "BaseOS/$basearch/os", gpgkey: "https://a.example/KEY"}, {name: appstream, path: x, gpgkey: /etc/key}]`)
	script := "for a; do case $a in --installroot=*) dir=${a#--installroot=};; esac; done\n" + makeSystem + "\nfor a; do case $a in --config=*) cat ${a#--config=} > $dir/etc/conf;; esac; done"
	c, _ := load(t, map[string]string{"mine.yaml": text})
	fakeTool(t, "dnf", script)
	dir, _ := emptyDir(t)
	got, err := c.Build(t.Context(), "mine", dir, BuildOptions{Arch: "i386", Silence: 7 * time.Second, Mirrors: map[string]string{"debian": "https://127.0.0.1:1/el9/"}})
	if err != nil || got.Source != "dnf debian 9 (i386)" {
		t.Fatalf("%+v %v", got, err)
	}
	args, err := os.ReadFile(dir + "/etc/args")
	if err != nil || !strings.Contains(string(args), " --installroot="+dir+" --releasever=9 -y --forcearch=i686 --setopt=module_platform_id=platform:el9 install systemd dnf\n") {
		t.Errorf("%s %v", args, err)
	}
	conf, err := os.ReadFile(dir + "/etc/conf")
	for _, line := range []string{"[baseos]\n", "baseurl=https://127.0.0.1:1/el9/BaseOS/$basearch/os\n", "gpgcheck=1\ngpgkey=https://a.example/KEY\n", "gpgkey=file:///etc/key\n", "plugins=0\n", "timeout=7\nretries=2\n"} {
		if err != nil || !strings.Contains(string(conf), line) {
			t.Errorf("no %q in %s (%v)", line, conf, err)
		}
	}
	dir, _ = emptyDir(t)
	_, err = c.Build(t.Context(), "mine", dir, BuildOptions{Offline: true})
	wantError(t, err, sysctl.Unavailable, "dnf needs the network")
	fakeTool(t, "dnf", "echo noise; echo 'Error: Unable to find a match: x'; exit 1")
	_, err = c.Build(t.Context(), "mine", dir, BuildOptions{})
	wantError(t, err, sysctl.Unavailable, "dnf: exit status 1: Error: Unable to find a match: x")
}

// streamsServer publishes files as images of an image server.
func streamsServer(t *testing.T, items map[string]streamsItem, files map[string][]byte) *httptest.Server {
	t.Helper()
	products := map[string]any{
		"debian:bookworm:arch:default": map[string]any{
			"aliases": "debian/12,debian/bookworm", "arch": hostArch(),
			"versions": map[string]any{
				"20240102": map[string]any{"items": items}, "20230101": map[string]any{"items": map[string]any{}},
				"20250101": map[string]any{"items": map[string]any{"meta": streamsItem{Type: "lxd.tar.xz", Path: "meta", SHA256: sumOf(nil)}}},
			},
		},
		"debian:bookworm:other:default": map[string]any{"aliases": "debian/12,alien", "arch": "vax"},
	}
	for name, v := range map[string]any{
		"/base/streams/v1/index.json":  map[string]any{"format": "index:1.0", "index": map[string]any{"images": map[string]any{"datatype": "image-downloads", "path": "streams/v1/images.json"}, "ids": map[string]any{"datatype": "image-ids", "path": "none"}}},
		"/base/streams/v1/images.json": map[string]any{"format": "products:1.0", "products": products},
	} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	return server(t, files, nil)
}

func TestBuildSimplestreams(t *testing.T) {
	rootfs := xzLibrary(t, archive(t, bootable(item(tar.TypeReg, "etc/split"))...))
	var inside []*tar.Header
	for _, h := range bootable(item(tar.TypeReg, "etc/unified")) {
		h.Name = "rootfs/" + strings.TrimPrefix(h.Name, "./")
		inside = append(inside, h)
	}
	unified := gz(t, bytes.NewReader(archive(t, append(inside, item(tar.TypeReg, "metadata.yaml"))...)))
	hostile := archive(t, bootable(item(tar.TypeReg, "../victim"))...)
	one := func(kind string, data []byte) streamsItem {
		return streamsItem{Type: kind, Path: "images/" + kind, SHA256: sumOf(data), Size: int64(len(data))}
	}
	files := map[string][]byte{"/base/images/root.tar.xz": rootfs, "/base/images/incus_combined.tar.gz": unified, "/base/images/root.tar.hostile": hostile}
	lie := one("root.tar.xz", rootfs)
	lie.SHA256 = sumOf(unified)
	long, short := one("root.tar.xz", rootfs), one("root.tar.xz", rootfs)
	long.Size++
	short.Size--
	for _, x := range []struct {
		name  string
		items []streamsItem
		image string
		file  string
		kind  sysctl.Kind
		want  string
	}{
		{name: "split before unified", items: []streamsItem{one("incus_combined.tar.gz", unified), one("squashfs", nil), one("root.tar.xz", rootfs)}, file: "etc/split"},
		{name: "unified", items: []streamsItem{one("incus_combined.tar.gz", unified)}, file: "etc/unified"},
		{name: "by product", image: "debian:bookworm:arch:default", items: []streamsItem{one("root.tar.xz", rootfs)}, file: "etc/split"},
		{name: "wrong sum", items: []streamsItem{lie}, kind: sysctl.Unavailable, want: "wrong content"},
		{name: "shorter than said", items: []streamsItem{long}, kind: sysctl.Unavailable, want: ""},
		{name: "longer than said", items: []streamsItem{short}, kind: sysctl.Unavailable, want: "more than"},
		{name: "not there", items: []streamsItem{one("root.tar.gz", rootfs)}, kind: sysctl.Unavailable, want: "404"},
		{name: "hostile", items: []streamsItem{one("root.tar.hostile", hostile)}, kind: sysctl.Invalid, want: "leads out of the tree"},
		{name: "no sum", items: []streamsItem{{Type: "root.tar.xz", Path: "x"}}, kind: sysctl.Unsupported, want: "no root filesystem with a SHA-256"},
		{name: "unknown image", image: "debian/13", kind: sysctl.NotFound, want: "the server does not have it"},
		{name: "other architecture", image: "alien", kind: sysctl.Unsupported, want: "there is none for " + hostArch() + ": vax"},
	} {
		t.Run(x.name, func(t *testing.T) {
			items := map[string]streamsItem{}
			for i, it := range x.items {
				items[fmt.Sprint(i)] = it
			}
			s := streamsServer(t, items, files)
			if x.image == "" {
				x.image = "debian/12"
			}
			text := recipeOf("", fmt.Sprintf("type: simplestreams, server: %s/base, image: %q", s.URL, x.image))
			dir, above := emptyDir(t)
			cache := t.TempDir()
			_, err := buildOf(t, text, dir, BuildOptions{Cache: cache})
			untouched(t, above)
			if x.kind != "" {
				wantError(t, err, x.kind, x.want)
				return
			}
			wantTree(t, dir, err, x.file)
			s.Close()
			dir, _ = emptyDir(t)
			_, err = buildOf(t, text, dir, BuildOptions{Cache: cache, Offline: true})
			wantTree(t, dir, err, x.file)
			dir, _ = emptyDir(t)
			_, err = buildOf(t, text, dir, BuildOptions{Cache: cache})
			wantError(t, err, sysctl.Unavailable, "connection refused")
		})
	}
	t.Run("squashfs by the tool", func(t *testing.T) {
		needs.Root(t)
		squash := []byte("hsqs image")
		files["/base/images/squashfs"] = squash
		s := streamsServer(t, map[string]streamsItem{"a": one("squashfs", squash)}, files)
		text := recipeOf("", fmt.Sprintf("type: simplestreams, server: %s/base, image: debian/12", s.URL))
		c, _ := load(t, map[string]string{"mine.yaml": text})
		fakeTool(t, "unsquashfs", "dir=$3; mkdir -p $dir/etc $dir/bin $dir/sbin; cat $4 > $dir/etc/image; echo > $dir/bin/sh; echo > $dir/sbin/init")
		dir, _ := emptyDir(t)
		cache := t.TempDir()
		_, err := c.Build(t.Context(), "mine", dir, BuildOptions{Cache: cache})
		wantTree(t, dir, err, "etc/image")
		if left, err := os.ReadDir(filepath.Join(cache, "partial")); err != nil || len(left) > 0 {
			t.Errorf("left: %v %v", left, err)
		}
		fakeTool(t, "other", "")
		dir, _ = emptyDir(t)
		_, err = c.Build(t.Context(), "mine", dir, BuildOptions{Cache: cache})
		wantError(t, err, sysctl.Unsupported, "no unsquashfs on this host")
		if sysctl.HintOf(err) != "apt-get install squashfs-tools" {
			t.Errorf("hint %q", sysctl.HintOf(err))
		}
	})
	t.Run("no index", func(t *testing.T) {
		s := server(t, map[string][]byte{"/streams/v1/index.json": []byte("<html>")}, nil)
		dir, _ := emptyDir(t)
		_, err := buildOf(t, recipeOf("", "type: simplestreams, server: "+s.URL+", image: a"), dir, BuildOptions{})
		wantError(t, err, sysctl.Unavailable, "not an index of images")
	})
}

// What the real tool unpacks comes into the tree as from an archive: no device nodes, owners and modes kept.
func TestUnsquash(t *testing.T) {
	needs.Root(t)
	mksquashfs := needs.Program(t, "mksquashfs")
	needs.Program(t, "unsquashfs")
	from, _ := emptyDir(t)
	if _, err := unpack(t, archive(t, bootable(item(tar.TypeReg, "bin/su", mode(0o4755)), item(tar.TypeReg, "etc/owned", owner(7, 8)), item(tar.TypeLink, "etc/link", to("etc/owned")))...), from, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(from, "bin/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image")
	pipeThrough(t, nil, mksquashfs, from, image, "-no-progress", "-quiet")
	dir, above := emptyDir(t)
	b := &build{dir: dir, cache: testCache(t)}
	if err := b.unsquash(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	untouched(t, above)
	got := listing(t, dir)
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "etc/link"), &st); err != nil || st.Uid != 7 || st.Gid != 8 || st.Nlink != 2 {
		t.Errorf("etc/link: %+v %v", st, err)
	}
	if !strings.Contains(got, "- 4755 bin/su") || strings.Contains(got, "null") {
		t.Error(got)
	}
	if err := os.WriteFile(image, []byte("hsqs and no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.dir, _ = emptyDir(t)
	wantError(t, b.unsquash(t.Context(), image), sysctl.Unavailable, "unsquashfs: exit status 1: ")
}

// Which archive a bootstrap tool is given.
func TestMirrors(t *testing.T) {
	r := recipe{Name: "debian12", OS: recipeOS{ID: "debian"}}
	s := recipeSource{Mirror: "https://recipe.example"}
	for _, x := range []struct {
		o    BuildOptions
		want string
	}{
		{BuildOptions{}, "https://recipe.example"},
		{BuildOptions{Mirrors: map[string]string{"ubuntu": "https://u.example"}}, "https://recipe.example"},
		{BuildOptions{Mirrors: map[string]string{"debian": "https://d.example"}}, "https://d.example"},
		{BuildOptions{Mirrors: map[string]string{"debian": "https://d.example", "debian12": "https://d12.example"}}, "https://d12.example"},
		{BuildOptions{Mirror: "https://flag.example", Mirrors: map[string]string{"debian12": "https://d12.example"}}, "https://flag.example"},
	} {
		b := &build{BuildOptions: x.o, recipe: r}
		if got := b.archive(s); got != x.want {
			t.Errorf("%+v: %s", x.o, got)
		}
	}
	c, _ := load(t, map[string]string{"mine.yaml": good})
	dir, _ := emptyDir(t)
	_, err := c.Build(t.Context(), "mine", dir, BuildOptions{Mirrors: map[string]string{"debian": "--x"}})
	wantError(t, err, sysctl.Invalid, `mirror of debian: "--x" is not an http, https or file URL`)
	c, _ = load(t, map[string]string{"mine.yaml": recipeOf("vars: {mirror: x}\n", "type: dir, path: /x")})
	_, err = c.Build(t.Context(), "mine", dir, BuildOptions{Mirror: "http://m.example"})
	wantError(t, err, sysctl.Invalid, `"mine" takes no mirror`)
	if sysctl.HintOf(err) != "sysctl template build mine --set mirror=http://m.example" {
		t.Errorf("hint %q", sysctl.HintOf(err))
	}
	b := &build{BuildOptions: BuildOptions{Mirrors: map[string]string{"images.example:8443": "https://near.example/copy/"}}}
	for at, want := range map[string]string{
		"https://images.example:8443/a%2Fb?c=d": "https://near.example/copy/a%2Fb?c=d", "https://images.example/a": "https://images.example/a", "/a/b": "/a/b",
	} {
		if got := b.elsewhere(at); got != want {
			t.Errorf("%s: %s", at, got)
		}
	}
}
