package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	epoch      = time.Unix(1_000_000_000, 0)
	capability = string([]byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // cap_net_bind_service=ep
	acl        = string([]byte{2, 0, 0, 0,
		1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255})
)

// TestDigestFormat computes the digest of a small tree as its documentation says.
func TestDigestFormat(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	write(t, filepath.Join(dir, "d/file"), "hello")
	must(t, os.Link(filepath.Join(dir, "d/file"), filepath.Join(dir, "link")))
	must(t, os.Symlink("d/file", filepath.Join(dir, "d.sym")))
	must(t, os.Chmod(filepath.Join(dir, "d"), 0o755))
	must(t, os.Chmod(filepath.Join(dir, "link"), 0o644))
	settle(t, dir)

	uid, gid := fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid())
	hello := sha256.Sum256([]byte("hello"))
	want := "sysctl tree 1\n"
	for _, fields := range [][]string{
		{".", "d", "755", uid, gid, ""},
		{"d", "d", "755", uid, gid, "1000000000"},
		{"d/file", "f", "644", uid, gid, "1000000000", "5", hex.EncodeToString(hello[:])},
		{"d.sym", "l", "777", uid, gid, "1000000000", "d/file"},
		{"link", "h", "d/file"},
	} {
		for _, f := range fields {
			want += fmt.Sprintf("%d:%s,", len(f), f)
		}
		want += "\n"
	}
	id, size, err := Digest(context.Background(), dir)
	must(t, err)
	sum := sha256.Sum256([]byte(want))
	if id != hex.EncodeToString(sum[:]) || size != 5 {
		t.Errorf("digest %s size %d, want that of %q", id, size, want)
	}
}

// oddTree fills dir with one of everything.
func oddTree(t testing.TB, dir string) {
	t.Helper()
	must(t, os.Chmod(dir, 0o755))
	p := func(name string) string { return filepath.Join(dir, name) }
	write(t, p("bin/su"), "setuid")
	must(t, os.Chmod(p("bin/su"), 0o755|os.ModeSetuid))
	write(t, p("bin/ping"), "capable")
	must(t, unix.Lsetxattr(p("bin/ping"), "security.capability", []byte(capability), 0))
	write(t, p("etc/acl"), "acl")
	write(t, p("etc/xattr"), "xattr")
	err := unix.Lsetxattr(p("etc/xattr"), "user.colour", []byte("red"), 0)
	if err == unix.ENOTSUP {
		t.Skip("the temporary directory's filesystem has no user.* attributes")
	}
	must(t, err)
	must(t, unix.Lsetxattr(p("etc/acl"), "system.posix_acl_access", []byte(acl), 0))
	write(t, p("home/file"), "home")
	must(t, os.Lchown(p("home/file"), 1000, 1001))
	must(t, os.Link(p("home/file"), p("home/link")))
	must(t, os.Symlink("/etc/passwd", p("etc/out")))
	must(t, os.Symlink("../../../../../etc", p("etc/up")))
	must(t, unix.Mkdir(p("dev"), 0o755))
	must(t, unix.Mknod(p("dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(p("dev/loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 1))))
	must(t, unix.Mkfifo(p("dev/fifo"), 0o600))
	must(t, os.Mkdir(p("empty"), 0o1777))
	settle(t, dir)
}

// settle gives every file the same modification time.
func settle(t testing.TB, dir string) {
	t.Helper()
	ts, err := unix.TimeToTimespec(epoch)
	must(t, err)
	must(t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}))
}

func digestOf(t testing.TB, dir string) string {
	t.Helper()
	id, _, err := Digest(context.Background(), dir)
	must(t, err)
	return id
}

func TestDigestSensitive(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	oddTree(t, base)
	want := digestOf(t, base)
	touch := func(path string, sec int64) error {
		ts := unix.Timespec{Sec: sec, Nsec: 5}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 1}, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	for _, c := range []struct {
		name   string
		same   bool
		late   bool // change after the times are settled
		change func(p func(string) string) error
	}{
		{name: "nothing", same: true, change: func(p func(string) string) error { return nil }},
		{name: "atime and nanoseconds", same: true, late: true, change: func(p func(string) string) error { return touch(p("home/file"), epoch.Unix()) }},
		{name: "root mtime", same: true, late: true, change: func(p func(string) string) error { return touch(p("."), 7) }},
		{name: "foreign xattr", same: true, change: func(p func(string) string) error {
			return unix.Lsetxattr(p("etc/xattr"), "trusted.other", []byte("x"), 0)
		}},
		{name: "mtime", late: true, change: func(p func(string) string) error { return touch(p("home/file"), epoch.Unix()+1) }},
		{name: "symlink mtime", late: true, change: func(p func(string) string) error { return touch(p("etc/out"), epoch.Unix()+1) }},
		{name: "content", change: func(p func(string) string) error { return os.WriteFile(p("etc/xattr"), []byte("XATTR"), 0o644) }},
		{name: "mode", change: func(p func(string) string) error { return os.Chmod(p("etc/xattr"), 0o600) }},
		{name: "setuid", change: func(p func(string) string) error { return os.Chmod(p("bin/su"), 0o755) }},
		{name: "sticky", change: func(p func(string) string) error { return unix.Chmod(p("empty"), 0o777) }},
		{name: "root mode", change: func(p func(string) string) error { return os.Chmod(p("."), 0o700) }},
		{name: "uid", change: func(p func(string) string) error { return os.Lchown(p("etc/out"), 1, 0) }},
		{name: "gid", change: func(p func(string) string) error { return os.Lchown(p("etc/out"), 0, 1) }},
		{name: "link target", change: func(p func(string) string) error {
			return errors.Join(os.Remove(p("etc/out")), os.Symlink("/etc/shadow", p("etc/out")))
		}},
		{name: "device number", change: func(p func(string) string) error {
			return errors.Join(os.Remove(p("dev/null")), unix.Mknod(p("dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
		}},
		{name: "type", change: func(p func(string) string) error {
			return errors.Join(os.Remove(p("dev/null")), unix.Mknod(p("dev/null"), unix.S_IFBLK|0o666, int(unix.Mkdev(1, 3))))
		}},
		{name: "hard link broken", change: func(p func(string) string) error {
			return errors.Join(os.Remove(p("home/link")), os.WriteFile(p("home/link"), []byte("home"), 0o644), os.Lchown(p("home/link"), 1000, 1001))
		}},
		{name: "xattr value", change: func(p func(string) string) error {
			return unix.Lsetxattr(p("etc/xattr"), "user.colour", []byte("blue"), 0)
		}},
		{name: "xattr of a directory", change: func(p func(string) string) error { return unix.Lsetxattr(p("empty"), "user.a", []byte("b"), 0) }},
		{name: "capability", change: func(p func(string) string) error { return unix.Lremovexattr(p("bin/ping"), "security.capability") }},
		{name: "acl", change: func(p func(string) string) error {
			return errors.Join(unix.Lremovexattr(p("etc/acl"), "system.posix_acl_access"), os.Chmod(p("etc/acl"), 0o644))
		}},
		{name: "opaque", change: func(p func(string) string) error {
			return unix.Lsetxattr(p("empty"), "trusted.overlay.opaque", []byte("y"), 0)
		}},
		{name: "name", change: func(p func(string) string) error { return os.Rename(p("empty"), p("emptx")) }},
		{name: "new entry", change: func(p func(string) string) error { return os.Mkdir(p("new"), 0o755) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			oddTree(t, dir)
			err := c.change(func(name string) string { return filepath.Join(dir, name) })
			must(t, err)
			if !c.late {
				settle(t, dir)
			}
			if got := digestOf(t, dir); (got == want) != c.same {
				t.Errorf("digest is the same: %v, want %v", got == want, c.same)
			}
		})
	}
}

func TestDigestStops(t *testing.T) {
	dir := t.TempDir()
	for i := range 300 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), "x")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Digest(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled digest: %v", err)
	}
	if _, _, err := Digest(context.Background(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("digest of nothing: %v", err)
	}
}

// A file of terabytes that are a hole, as lastlog is on old servers, takes no time; all that is in it counts, and where.
func TestDigestOfHoles(t *testing.T) {
	const size = 5<<40 + 7
	dir := t.TempDir()
	name := filepath.Join(dir, "lastlog")
	digest := func(data map[int64]string) string {
		t.Helper()
		os.Remove(name)
		f, err := os.Create(name)
		must(t, err)
		defer f.Close()
		must(t, f.Truncate(size))
		for at, b := range data {
			_, err := f.WriteAt([]byte(b), at)
			must(t, err)
		}
		settle(t, dir)
		return digestOf(t, dir)
	}
	const block = 256 << 10
	base := map[int64]string{1 << 40: "deep", size - 2: "ab"}
	want := digest(base)
	zeros := string(make([]byte, 3*block))
	for what, c := range map[string]struct {
		data map[int64]string
		same bool
	}{
		"the same again":       {base, true},
		"zeros in the hole":    {map[int64]string{1 << 40: "deep", size - 2: "ab", 3 << 40: zeros}, true},
		"another byte":         {map[int64]string{1 << 40: "deer", size - 2: "ab"}, false},
		"another place":        {map[int64]string{1<<40 + block: "deep", size - 2: "ab"}, false},
		"another in the block": {map[int64]string{1<<40 + 1: "deep", size - 2: "ab"}, false},
		"another end":          {map[int64]string{1 << 40: "deep", size - 2: "ac"}, false},
		"nothing":              {nil, false},
	} {
		if got := digest(c.data); (got == want) != c.same {
			t.Errorf("%s: digest is the same: %v, want %v", what, got == want, c.same)
		}
	}

	// As the documentation says.
	h := sha256.New()
	first, last := make([]byte, block), make([]byte, 7)
	copy(first, "deep")
	copy(last[5:], "ab")
	h.Write(binary.BigEndian.AppendUint64(nil, 1<<40))
	h.Write(first)
	h.Write(binary.BigEndian.AppendUint64(nil, 5<<40))
	h.Write(last)
	doc := h.Sum(nil)
	digest(base)
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	h.Reset()
	must(t, hashBlocks(t.Context(), h, f, size, make([]byte, hashBlock)))
	if got := h.Sum(nil); !bytes.Equal(got, doc) {
		t.Errorf("content %x, by the documentation %x", got, doc)
	}
	for _, wrong := range []int64{size - 1, size + 1} {
		if err := hashBlocks(t.Context(), h, f, wrong, make([]byte, hashBlock)); !errors.Is(err, errMoved) {
			t.Errorf("a file of another size: %v", err)
		}
	}
}

// In the middle of a large file it stops too.
func TestDigestStopsInAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "large"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(1<<30))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, hash := range map[string]func(context.Context, hash.Hash, *os.File, int64, []byte) error{"all": hashAll, "blocks": hashBlocks} {
		if err := hash(ctx, sha256.New(), f, 1<<30, make([]byte, hashBlock)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDigestRefusesMounts(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "proc"), 0o755))
	err := onOwnThread(func() error {
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", filepath.Join(dir, "proc"), "tmpfs", 0, ""); err != nil {
			return err
		}
		if _, _, err := Digest(context.Background(), dir); err == nil {
			return errors.New("a mounted filesystem was walked into")
		}
		return nil
	})
	must(t, err)
}

// How and when the kernel made a whiteout says nothing about what it hides.
func TestDigestOfWhiteouts(t *testing.T) {
	needRoot(t)
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		must(t, os.Chmod(dir, 0o755))
		must(t, unix.Mknod(filepath.Join(dir, "a"), unix.S_IFCHR, 0))
	}
	must(t, unix.Mknod(filepath.Join(one, "b"), unix.S_IFCHR, 0))
	must(t, os.Link(filepath.Join(two, "a"), filepath.Join(two, "b")))
	must(t, os.Chown(filepath.Join(two, "a"), 7, 7))
	must(t, os.Chtimes(filepath.Join(two, "a"), epoch, epoch))
	if digestOf(t, one) != digestOf(t, two) {
		t.Error("the same whiteouts, another digest")
	}
	must(t, os.Remove(filepath.Join(two, "b")))
	if digestOf(t, one) == digestOf(t, two) {
		t.Error("a whiteout does not count")
	}
}
