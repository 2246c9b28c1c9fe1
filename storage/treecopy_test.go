package storage

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// openTree is the tree of a new directory and the directory.
func openTree(t testing.TB) (*Tree, string) {
	t.Helper()
	dir := t.TempDir()
	tree, err := OpenDirTree(dir)
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree, dir
}

// mtimeOf is when the files of source were changed.
var mtimeOf = time.Unix(1000000000, 0)

func mtime(t *testing.T, path string) unix.Timespec {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Mtim
}

// source is a directory with one of everything.
func source(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "src")
	write(t, dir+"/plain", "data")
	must(t, os.Chmod(dir+"/plain", 0o4751))
	must(t, os.Chown(dir+"/plain", 1234, 1234))
	must(t, unix.Setxattr(dir+"/plain", "user.note", []byte("kept"), 0))
	must(t, os.Chmod(dir+"/plain", 0o4751|fs.ModeSetuid))
	must(t, os.Mkdir(dir+"/sub", 0o2750))
	must(t, os.Link(dir+"/plain", dir+"/sub/linked"))
	must(t, os.Symlink("/etc/passwd", dir+"/sub/symlink"))
	must(t, os.Symlink("gone", dir+"/dangling"))
	must(t, unix.Mkfifo(dir+"/fifo", 0o600))
	f, err := os.Create(dir + "/holes")
	must(t, err)
	_, err = f.WriteAt([]byte("middle"), 64<<20)
	must(t, err)
	must(t, f.Truncate(128<<20))
	must(t, f.Close())
	must(t, os.Chtimes(dir+"/sub", mtimeOf, mtimeOf))
	must(t, os.Chtimes(dir+"/plain", mtimeOf, mtimeOf))
	return dir
}

func TestCopyWholeTreeInAndOut(t *testing.T) {
	needRoot(t)
	tree, dir := openTree(t)
	src := source(t)
	var notes []string
	o := sysctl.CopyOptions{Recursive: true, UID: 5, GID: 6, Note: func(s string) { notes = append(notes, s) }}
	must(t, tree.Put(t.Context(), src, "/into", o))
	checkCopy(t, dir+"/into", 5, 6)
	if at := mtime(t, dir+"/into/sub"); at.Sec != mtimeOf.Unix() {
		t.Errorf("directory changed at %d", at.Sec)
	}
	if !slices.Equal(notes, []string{"into/fifo: left out: it is a fifo"}) {
		t.Errorf("notes = %q", notes)
	}
	out := t.TempDir()
	must(t, unix.Mkfifo(dir+"/into/fifo", 0o600))
	must(t, tree.Get(t.Context(), "/into", out+"/back", sysctl.CopyOptions{Recursive: true}))
	checkCopy(t, out+"/back", 0, 0)
	// Once more over what is there: the same again, and nothing temporary.
	must(t, tree.Put(t.Context(), src, "/into", o))
	checkCopy(t, dir+"/into", 5, 6)
}

func checkCopy(t *testing.T, dir string, uid, gid uint32) {
	t.Helper()
	if got := read(t, dir+"/plain"); got != "data" {
		t.Errorf("content %q", got)
	}
	for path, want := range map[string]uint32{"/plain": unix.S_IFREG | 0o751, "/sub": unix.S_IFDIR | 0o750, "/holes": unix.S_IFREG | 0o644} {
		var st unix.Stat_t
		must(t, unix.Lstat(dir+path, &st))
		if st.Mode != want || st.Uid != uid || st.Gid != gid {
			t.Errorf("%s: mode %o of %d:%d, want %o of %d:%d", path, st.Mode, st.Uid, st.Gid, want, uid, gid)
		}
		if path == "/holes" && (st.Size != 128<<20 || st.Blocks*512 > 1<<20) {
			t.Errorf("holes: %d bytes in %d blocks", st.Size, st.Blocks)
		}
		if path == "/plain" && st.Nlink != 2 {
			t.Errorf("%d links", st.Nlink)
		}
	}
	if at := mtime(t, dir+"/plain"); at.Sec != mtimeOf.Unix() {
		t.Errorf("changed at %d", at.Sec)
	}
	b, err := os.ReadFile(dir + "/holes")
	must(t, err)
	if i := bytes.IndexByte(b, 'm'); i != 64<<20 || string(b[i:i+6]) != "middle" {
		t.Errorf("holes: data at %d", i)
	}
	note := make([]byte, 10)
	n, err := unix.Getxattr(dir+"/plain", "user.note", note)
	if err != nil || string(note[:n]) != "kept" {
		t.Errorf("attribute: %q %v", note[:max(n, 0)], err)
	}
	for path, want := range map[string]string{"/sub/symlink": "/etc/passwd", "/dangling": "gone"} {
		if got, err := os.Readlink(dir + path); got != want || err != nil {
			t.Errorf("%s -> %q %v", path, got, err)
		}
	}
	names := entries(t, dir)
	if !slices.Equal(slices.DeleteFunc(names, func(s string) bool { return s == "fifo" }), []string{"dangling", "holes", "plain", "sub"}) {
		t.Errorf("entries %q", names)
	}
	if names := entries(t, dir+"/sub"); !slices.Equal(names, []string{"linked", "symlink"}) {
		t.Errorf("entries %q", names)
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// A tree's links lead nowhere else: not what is named, not what is on the way, not what is there when a directory is merged into.
func TestCopyStaysInside(t *testing.T) {
	tree, dir := openTree(t)
	outside := t.TempDir()
	write(t, outside+"/secret", "secret")
	must(t, os.Symlink(outside, dir+"/way"))
	must(t, os.Symlink(outside+"/secret", dir+"/file"))
	src := filepath.Join(t.TempDir(), "way")
	write(t, src+"/secret", "ours")
	o := sysctl.CopyOptions{Recursive: true}
	if os.Geteuid() != 0 {
		o.UID, o.GID = os.Geteuid(), os.Getegid()
	}
	if err := tree.Put(t.Context(), src, "/way", o); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("merged into a link: %v", err)
	}
	if err := tree.Put(t.Context(), src+"/secret", "/way/secret", o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("put through a link: %v", err)
	}
	must(t, tree.Put(t.Context(), src+"/secret", "/file", o))
	if got := read(t, dir+"/file"); got != "ours" {
		t.Errorf("file: %q", got)
	}
	must(t, os.Remove(dir+"/file"))
	must(t, os.Symlink(outside+"/secret", dir+"/file"))
	got := t.TempDir()
	if err := tree.Get(t.Context(), "/file", got+"/file", sysctl.CopyOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got through a link: %v", err)
	}
	if err := tree.Get(t.Context(), "/way/secret", got+"/file", o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got through a directory's link: %v", err)
	}
	// A link that was brought out is not followed when a directory of its name comes after it.
	must(t, tree.Get(t.Context(), "/way", got+"/way", o))
	must(t, os.Remove(dir+"/way"))
	write(t, dir+"/way/secret", "guest's")
	if err := tree.Get(t.Context(), "/way", got+"/way", o); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("merged into a link of the host: %v", err)
	}
	must(t, os.Symlink(outside, dir+"/way/dir"))
	must(t, tree.RemoveAll(t.Context(), "/way"))
	if got := read(t, outside+"/secret"); got != "secret" {
		t.Errorf("the secret is %q", got)
	}
	if names := entries(t, got); !slices.Equal(names, []string{"way"}) {
		t.Errorf("got %q", names)
	}
}

// A guest that swaps a directory for a link to one outside all the time gets nothing of it.
func TestCopyWhileDirectoriesAreSwapped(t *testing.T) {
	tree, dir := openTree(t)
	outside := t.TempDir()
	write(t, outside+"/f", "outside")
	for i := range 20 {
		write(t, filepath.Join(dir, "top/a", strings.Repeat("d", i+1), "f"), "inside")
	}
	must(t, os.Symlink(outside, dir+"/link"))
	o := sysctl.CopyOptions{Recursive: true, UID: os.Geteuid(), GID: os.Getegid()}
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, dir+"/top/a/dddd", unix.AT_FDCWD, dir+"/link", unix.RENAME_EXCHANGE)
			}
		}
	}()
	src := filepath.Join(t.TempDir(), "a")
	write(t, src+"/dddd/f", "pushed")
	for range 200 {
		out := filepath.Join(t.TempDir(), "out")
		_ = tree.Get(t.Context(), "/top/a", out, o)
		if b, err := os.ReadFile(out + "/dddd/f"); err == nil {
			if fi, err := os.Lstat(out + "/dddd"); err == nil && fi.IsDir() && string(b) == "outside" {
				t.Fatal("a file of the host came")
			}
		}
		_ = tree.Put(t.Context(), src, "/top/a", o)
	}
	close(stop)
	<-ended
	if got := read(t, outside+"/f"); got != "outside" {
		t.Errorf("a file of the host was written: %q", got)
	}
	if names := entries(t, outside); len(names) != 1 {
		t.Errorf("outside: %q", names)
	}
}

func TestCopyOneFile(t *testing.T) {
	needRoot(t)
	tree, dir := openTree(t)
	src := source(t)
	mode := fs.FileMode(0o640) | fs.ModeSetgid
	must(t, tree.Put(t.Context(), src+"/plain", "/a", sysctl.CopyOptions{UID: 7, GID: 8, Mode: &mode}))
	fi, err := os.Stat(dir + "/a")
	must(t, err)
	if fi.Mode() != mode {
		t.Errorf("mode %v", fi.Mode())
	}
	if u, g := owner(t, dir+"/a"); u != 7 || g != 8 {
		t.Errorf("owner %d:%d", u, g)
	}
	must(t, tree.PutStream(t.Context(), strings.NewReader("other"), "/a", sysctl.CopyOptions{Keep: true}))
	if fi, err = os.Stat(dir + "/a"); err != nil || fi.Mode() != mode || read(t, dir+"/a") != "other" {
		t.Errorf("kept: %v %v", fi.Mode(), err)
	}
	if u, g := owner(t, dir+"/a"); u != 7 || g != 8 {
		t.Errorf("owner %d:%d", u, g)
	}
	if n, _ := unix.Getxattr(dir+"/a", "user.note", make([]byte, 9)); n != 4 {
		t.Error("the attribute is gone")
	}
	must(t, tree.PutStream(t.Context(), strings.NewReader("x"), "/stream", sysctl.CopyOptions{}))
	if fi, err = os.Stat(dir + "/stream"); err != nil || fi.Mode() != 0o644 {
		t.Errorf("stream: %v %v", fi.Mode(), err)
	}
	for name, err := range map[string]error{
		"a directory": tree.Put(t.Context(), src, "/dir", sysctl.CopyOptions{}),
		"a fifo":      tree.Put(t.Context(), src+"/fifo", "/fifo", sysctl.CopyOptions{}),
		"over a dir":  tree.Put(t.Context(), src+"/plain", "/", sysctl.CopyOptions{}),
	} {
		if err == nil {
			t.Errorf("%s was put", name)
		}
	}
	if names := entries(t, dir); !slices.Equal(names, []string{"a", "stream"}) {
		t.Errorf("left: %q", names)
	}
	list, err := tree.Files("/")
	must(t, err)
	if len(list) != 2 || list[0].Name != "a" || list[0].UID != 7 || list[0].Mode != "2640" || list[0].Type != "file" {
		t.Errorf("files %+v", list)
	}
}

// What is made has its owner and mode whatever the process and the directory would give it.
// What is written to the disk while it is copied comes whole, a last part and holes too.
func TestCopyLargeFile(t *testing.T) {
	tree, dir := openTree(t)
	data := make([]byte, 9*earlyChunk+12345)
	rand.New(rand.NewSource(1)).Read(data)
	clear(data[3*earlyChunk : 5*earlyChunk])
	src := filepath.Join(t.TempDir(), "large")
	for _, holes := range []bool{false, true} {
		must(t, os.WriteFile(src, data, 0o600))
		if holes {
			f, err := os.OpenFile(src, os.O_WRONLY, 0)
			must(t, err)
			must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 3*earlyChunk, 2*earlyChunk))
			must(t, f.Close())
		}
		for name, o := range map[string]sysctl.CopyOptions{"/one": {}, "/tree": {Recursive: true}} {
			must(t, tree.Put(t.Context(), src, name, o))
			if got, err := os.ReadFile(dir + name); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, holes %v: it has %d bytes, other than the %d it was (%v)", name, holes, len(got), len(data), err)
			}
		}
	}
}

func TestCopyModesAndOwners(t *testing.T) {
	needRoot(t)
	tree, dir := openTree(t)
	src := filepath.Join(t.TempDir(), "d")
	modes := map[string]fs.FileMode{"none": 0, "all": 0o777, "shared": 0o664, "set": 0o755 | fs.ModeSetuid, "sticky": 0o644 | fs.ModeSticky}
	for name, mode := range modes {
		write(t, src+"/"+name, name)
		must(t, os.Chmod(src+"/"+name, mode))
	}
	must(t, os.Chown(dir, 0, 5))
	must(t, os.Chmod(dir, 0o755|fs.ModeSetgid)) // what is made in it gets its group
	defer unix.Umask(unix.Umask(0o077))
	for at, o := range map[string]sysctl.CopyOptions{"/root": {Recursive: true}, "/other": {Recursive: true, UID: 33}} {
		must(t, tree.Put(t.Context(), src, at, o))
		for name, mode := range modes {
			fi, err := os.Stat(dir + at + "/" + name)
			must(t, err)
			if fi.Mode() != mode&^fs.ModeSetuid {
				t.Errorf("%s/%s has mode %v", at, name, fi.Mode())
			}
			if u, g := owner(t, dir+at+"/"+name); int(u) != o.UID || g != 0 {
				t.Errorf("%s/%s belongs to %d:%d", at, name, u, g)
			}
		}
	}
}

// broken gives a little and then an error.
type broken struct{ cancel func() }

func (b broken) Read(p []byte) (int, error) {
	if b.cancel != nil {
		b.cancel()
		select {}
	}
	return copy(p, "half"), errors.New("broken")
}

func TestCopyLeavesNoHalf(t *testing.T) {
	tree, dir := openTree(t)
	write(t, dir+"/a", "whole")
	o := sysctl.CopyOptions{UID: os.Geteuid(), GID: os.Getegid()}
	if err := tree.PutStream(t.Context(), broken{}, "/a", o); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := tree.PutStream(ctx, broken{cancel}, "/a", o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := tree.Put(ctx, dir+"/a", "/b", o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"a"}) || read(t, dir+"/a") != "whole" {
		t.Errorf("left %q", got)
	}
}

// On a full disk there is one error and no temporary file.
func TestCopyToFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	tree, err := OpenDirTree(dir)
	must(t, err)
	defer tree.Close()
	big := filepath.Join(t.TempDir(), "big")
	must(t, os.WriteFile(big, make([]byte, 4<<20), 0o600))
	for name, err := range map[string]error{
		"file":   tree.Put(t.Context(), big, "/big", sysctl.CopyOptions{}),
		"tree":   tree.Put(t.Context(), filepath.Dir(big), "/dir", sysctl.CopyOptions{Recursive: true}),
		"stream": tree.PutStream(t.Context(), bytes.NewReader(make([]byte, 4<<20)), "/big", sysctl.CopyOptions{}),
	} {
		if sysctl.KindOf(err) != sysctl.NoSpace {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names := append(entries(t, dir), entries(t, dir+"/dir")...); !slices.Equal(names, []string{"dir"}) {
		t.Errorf("left %q", names)
	}
}

// What a running guest has is its own: ids are its, in what is made and what is told.
func TestCopyShiftedIDs(t *testing.T) {
	needRoot(t)
	plain, dir := openTree(t)
	tree := plain.WithOwner(100000, 100000)
	src := filepath.Join(t.TempDir(), "d")
	write(t, src+"/f", "x")
	must(t, tree.Put(t.Context(), src, "/d", sysctl.CopyOptions{Recursive: true, UID: 33, GID: 34}))
	if u, g := owner(t, dir+"/d/f"); u != 100033 || g != 100034 {
		t.Errorf("owner %d:%d", u, g)
	}
	must(t, tree.Mkdir("/e", sysctl.CopyOptions{UID: 1}))
	must(t, os.Mkdir(dir+"/host", 0o700))
	list, err := tree.Files("/")
	must(t, err)
	var ids []int64
	for _, f := range list {
		ids = append(ids, f.UID)
	}
	if !slices.Equal(ids, []int64{33, 1, overflowID}) {
		t.Errorf("ids %v", ids)
	}
}

// BenchmarkCopy copies 2,000 small files in by turns with tar, and one large file by turns with cp. It tells what share of
// their speed ours has; the wait for the disk counts on both sides.
func BenchmarkCopy(b *testing.B) {
	small, large := filepath.Join(b.TempDir(), "small"), filepath.Join(b.TempDir(), "large")
	for i := range 2000 {
		write(b, filepath.Join(small, "d"+decimal(int64(i%20)), decimal(int64(i))), strings.Repeat("x", 2000+i))
	}
	must(b, os.WriteFile(large, make([]byte, 256<<20), 0o600))
	o := sysctl.CopyOptions{Recursive: true, UID: os.Geteuid(), GID: os.Getegid()}
	for name, c := range map[string]struct{ src, other string }{
		"small": {small, `mkdir "$2" && tar -C "$1" -c . | tar -C "$2" -x && sync -f "$2"`},
		"large": {large, `cp -a --reflink=never "$1" "$2" && sync -f "$2"`},
	} {
		b.Run(name, func(b *testing.B) {
			tree, dir := openTree(b)
			var ours, other float64
			for b.Loop() {
				must(b, syncfs(int(tree.root.Fd()))) // what was removed is nobody's to wait for
				start := b.Elapsed()
				must(b, tree.Put(b.Context(), c.src, "/ours", o))
				ours += float64(b.Elapsed() - start)
				must(b, syncfs(int(tree.root.Fd())))
				start = b.Elapsed()
				must(b, exec.Command("sh", "-c", c.other, "sh", c.src, dir+"/other").Run())
				other += float64(b.Elapsed() - start)
				must(b, os.RemoveAll(dir+"/ours"))
				must(b, os.RemoveAll(dir+"/other"))
			}
			b.ReportMetric(ours/float64(b.N)/1e6, "ms-ours")
			b.ReportMetric(other/ours, "of-its-speed")
		})
	}
}

// A directory of our own is filled under its files' names; what somebody else has made there meanwhile is replaced when the copy is whole,
// as in any other directory.
func TestCopyIntoADirectoryOfOurOwn(t *testing.T) {
	needRoot(t)
	src, dst := t.TempDir(), t.TempDir()
	write(t, src+"/file", "ours")
	write(t, dst+"/file", "theirs, and longer")
	must(t, os.Link(dst+"/file", dst+"/theirs"))
	must(t, os.Symlink("ours", src+"/link"))
	must(t, os.Symlink("theirs", dst+"/link"))
	from, err := unix.Open(src, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(from)
	to, err := unix.Open(dst, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(to)
	c := &copier{ctx: t.Context(), o: sysctl.CopyOptions{Recursive: true}, links: map[inode]made{}, top: to, buf: make([]byte, copyBuffer), fresh: true, inward: true}
	list, err := readDir(from)
	must(t, err)
	for _, e := range list {
		must(t, c.entry(from, e, to, e.name, e.name))
	}
	for name, want := range map[string]string{"file": "ours", "theirs": "theirs, and longer"} {
		if b, err := os.ReadFile(dst + "/" + name); err != nil || string(b) != want {
			t.Errorf("%s = %q, %v", name, b, err)
		}
	}
	if target, err := os.Readlink(dst + "/link"); err != nil || target != "ours" {
		t.Errorf("link = %q, %v", target, err)
	}
	if left, err := os.ReadDir(dst); err != nil || len(left) != 3 {
		t.Errorf("left %v, %v", left, err)
	}
}

// What became another thing since it was listed is not opened, and does not hold the copy up.
func TestCopyOfWhatChangedMeanwhile(t *testing.T) {
	src := t.TempDir()
	must(t, unix.Mkfifo(src+"/fifo", 0o600))
	must(t, os.Symlink("fifo", src+"/link"))
	from, err := unix.Open(src, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(from)
	c := &copier{inward: true}
	if _, _, err := c.openSource(from, dirent{"fifo", unix.DT_REG}); !errors.Is(err, errNotRegular) {
		t.Errorf("a fifo: %v", err)
	}
	fd, st, err := c.openSource(from, dirent{"link", unix.DT_REG})
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Fatalf("a link: %o, %v", st.Mode, err)
	}
	unix.Close(fd)
}

// Times are kept to the nanosecond.
func TestCopyKeepsTimesExactly(t *testing.T) {
	needRoot(t)
	tree, dir := openTree(t)
	src := filepath.Join(t.TempDir(), "src")
	write(t, src+"/file", "x")
	at := time.Unix(1000000000, 123456789)
	for _, name := range []string{"/file", ""} {
		must(t, os.Chtimes(src+name, at, at))
	}
	must(t, tree.Put(t.Context(), src, "/into", sysctl.CopyOptions{Recursive: true}))
	for _, name := range []string{"/into/file", "/into"} {
		if got := mtime(t, dir+name); got.Sec != at.Unix() || got.Nsec != int64(at.Nanosecond()) {
			t.Errorf("%s: %d.%09d", name, got.Sec, got.Nsec)
		}
	}
}
