package templates

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// sample unpacks a tree that has one of everything.
func sample(t *testing.T) string {
	t.Helper()
	dir, _ := emptyDir(t)
	long := strings.Repeat("ä/", 60) + strings.Repeat("n", 200)
	if _, err := unpack(t, archive(t, system(
		item(tar.TypeReg, "bin/su", mode(0o4755)), item(tar.TypeLink, "etc/su", to("bin/su")), item(tar.TypeSymlink, "lib", to("/usr/lib")),
		item(tar.TypeDir, "home/", mode(0o2700)), item(tar.TypeFifo, "home/pipe", mode(0o600)), item(tar.TypeReg, long),
		item(tar.TypeReg, "home/note", pax("SCHILY.xattr.user.mime", "text/\x00plain")),
		item(tar.TypeReg, "proc/kept-out"), item(tar.TypeDir, "tmp/", mode(0o1777)),
	)...), dir, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// same fails where two trees differ, but for what lies in /proc.
func same(t *testing.T, a, b string) {
	t.Helper()
	want := strings.ReplaceAll(listing(t, a), "- 0644 proc/kept-out = proc/kept-out\n", "")
	if got := listing(t, b); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var x, y unix.Stat_t
	if unix.Lstat(b+"/bin/su", &x) != nil || unix.Lstat(b+"/etc/su", &y) != nil || x.Ino != y.Ino {
		t.Error("the hard link is lost")
	}
	for _, name := range []string{"bin", "home", "bin/su", "lib", "home/pipe"} {
		if fi, err := os.Lstat(filepath.Join(b, name)); err != nil || !fi.ModTime().Equal(old()) {
			t.Errorf("time of %s: %v %v", name, fi.ModTime(), err)
		}
	}
	value := make([]byte, 64)
	if n, err := unix.Getxattr(b+"/home/note", "user.mime", value); err != nil || string(value[:n]) != "text/\x00plain" {
		t.Errorf("attribute: %q %v", value[:max(n, 0)], err)
	}
}

func TestPackUnpackIsTheSame(t *testing.T) {
	src := sample(t)
	var first, second bytes.Buffer
	if err := Pack(t.Context(), src, &first); err != nil {
		t.Fatal(err)
	}
	dir, _ := emptyDir(t)
	if _, err := unpack(t, first.Bytes(), dir, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	same(t, src, dir)
	if err := Pack(t.Context(), dir, &second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same tree gave other bytes")
	}
}

func TestPackStops(t *testing.T) {
	src := sample(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Pack(ctx, src, new(bytes.Buffer)); sysctl.KindOf(err) != sysctl.Canceled {
		t.Errorf("canceled: %v", err)
	}
	full := errors.New("no more paper")
	if err := Pack(t.Context(), src, refusing{full}); !errors.Is(err, full) {
		t.Errorf("writer: %v", err)
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }

func TestCopyTree(t *testing.T) {
	src := sample(t)
	dst, above := emptyDir(t)
	st, err := CopyTree(t.Context(), src, dst, UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, src, dst)
	untouched(t, above)
	if st.Entries == 0 || st.Bytes == 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestCopyTreeHoles(t *testing.T) {
	src := sample(t)
	f, err := os.Create(src + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("middle"), 8<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	var was unix.Stat_t
	if err := unix.Stat(src+"/sparse", &was); err != nil || was.Blocks > 1<<10 {
		needs.Skip(t, "holes", "the temporary directory's filesystem has no holes")
	}
	dst, _ := emptyDir(t)
	if _, err := CopyTree(t.Context(), src, dst, UnpackOptions{MaxSize: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	var is unix.Stat_t
	if err := unix.Stat(dst+"/sparse", &is); err != nil || is.Size != 1<<30 || is.Blocks > was.Blocks {
		t.Errorf("size %d, blocks %d (%d before): %v", is.Size, is.Blocks, was.Blocks, err)
	}
	got, err := os.Open(dst + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	buf := make([]byte, 6)
	if _, err := got.ReadAt(buf, 8<<20); err != nil || string(buf) != "middle" {
		t.Errorf("content %q %v", buf, err)
	}
}

func TestCopyTreeLimits(t *testing.T) {
	src := sample(t)
	dst, _ := emptyDir(t)
	_, err := CopyTree(t.Context(), src, dst, UnpackOptions{MaxEntries: 5})
	wantLimit(t, err, "more than 5 entries")
	dst, _ = emptyDir(t)
	_, err = CopyTree(t.Context(), src, dst, UnpackOptions{MaxSize: 10})
	wantLimit(t, err, "more than 10 B")
	dst, _ = emptyDir(t)
	_, err = CopyTree(t.Context(), src+"/home", dst, UnpackOptions{})
	if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "not a root filesystem") {
		t.Error(err)
	}
}

// The copy may lie below its source, and what is mounted there is not copied.
func TestCopyTreeStaysOnItsFilesystem(t *testing.T) {
	src := sample(t)
	dst := src + "/home/copy"
	if err := os.Mkdir(dst, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyTree(t.Context(), src, dst, UnpackOptions{MaxEntries: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dst + "/home/copy"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy contains itself: %v", err)
	}
	// The machine's root has its kernel filesystems mounted; only they are looked at here.
	if away, err := mountPoint(unix.AT_FDCWD, "/proc"); err == nil && !away {
		t.Error("/proc is not seen as a mount point")
	}
	root, err := openRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	if away, err := mountPoint(root, "proc"); err != nil || !away {
		t.Errorf("/proc is a mount point: %v %v", away, err)
	}
	if away, err := mountPoint(root, "etc"); err != nil || away {
		t.Errorf("/etc is no mount point: %v %v", away, err)
	}
}

func TestCopyTreeToAnotherFilesystem(t *testing.T) {
	src := sample(t)
	dst, err := os.MkdirTemp("/dev/shm", "sysctl-test-")
	if err != nil {
		needs.Skip(t, "shm", "needs /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dst) })
	if err := os.WriteFile(src+"/etc/big", noise(3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyTree(t.Context(), src, dst, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dst + "/etc/big"); err != nil || !bytes.Equal(got, noise(3<<20)) {
		t.Errorf("content differs: %d bytes, %v", len(got), err)
	}
}
