package templates

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

func unpack(t testing.TB, data []byte, dir string, o UnpackOptions) (Stats, error) {
	t.Helper()
	return Unpack(t.Context(), bytes.NewReader(data), dir, o)
}

func TestUnpackHostile(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, c := range []struct {
		name  string
		items []*tar.Header
		want  string // part of the error; "": unpacked, all inside
	}{
		{"absolute name", system(item(tar.TypeReg, "/victim")), `name "/victim" is absolute`},
		{"dot dot", system(item(tar.TypeReg, "../victim")), `name "../victim" leads out of the tree`},
		{"dot dot inside", system(item(tar.TypeReg, "etc/../../victim")), `leads out of the tree`},
		{"empty name", system(item(tar.TypeReg, "")), "name is empty"},
		{"the root a file", system(item(tar.TypeReg, ".")), "root of the tree is not a directory"},
		{"the root a link", system(item(tar.TypeSymlink, ".", to("/"))), "root of the tree is not a directory"},
		{"write through an absolute link", system(item(tar.TypeSymlink, "out", to("/tmp")), item(tar.TypeReg, "out/victim")), "symbolic link that leads nowhere"},
		{"write through a relative link", system(item(tar.TypeSymlink, "out", to("..")), item(tar.TypeReg, "out/victim")), ""},
		{"write through two links", system(item(tar.TypeSymlink, "a", to("..")), item(tar.TypeSymlink, "b", to("a")), item(tar.TypeReg, "b/victim")), ""},
		{"write through a link to itself", system(item(tar.TypeSymlink, "a", to("a")), item(tar.TypeReg, "a/x")), "symbolic link that cannot be followed"},
		{"write onto a link", system(item(tar.TypeSymlink, "x", to("../victim")), item(tar.TypeReg, "x")), ""},
		{"write through /proc/self/root", system(item(tar.TypeSymlink, "x", to("/proc/self/root/tmp")), item(tar.TypeReg, "x/y")), "leads nowhere"},
		{"directory over a link", system(item(tar.TypeSymlink, "x", to("..")), item(tar.TypeDir, "x/", mode(0o777))), ""},
		{"directory becomes a link", system(item(tar.TypeDir, "x/", mode(0o4777)), item(tar.TypeSymlink, "x", to(".."))), ""},
		{"hard link to an absolute name", system(item(tar.TypeLink, "x", to("/etc/passwd"))), `hard link: name "/etc/passwd" is absolute`},
		{"hard link out of the tree", system(item(tar.TypeLink, "x", to("../victim"))), `hard link: name "../victim" leads out`},
		{"hard link through a link", system(item(tar.TypeSymlink, "up", to("..")), item(tar.TypeLink, "x", to("up/victim"))), "not in the archive before it"},
		{"hard link to nothing", system(item(tar.TypeLink, "x", to("later"))), "not in the archive before it"},
		{"hard link to a directory", system(item(tar.TypeLink, "x", to("etc"))), "cannot have one"},
		{"hard link to itself", system(item(tar.TypeLink, "bin/sh", to("bin/sh"))), ""},
		{"file below a file", system(item(tar.TypeReg, "bin/sh/x")), "not a directory"},
		{"file over a full directory", system(item(tar.TypeReg, "bin")), "would replace a directory that is not empty"},
		{"name too long", system(item(tar.TypeReg, long)), "name is too long"},
		{"path too long", system(item(tar.TypeReg, strings.Repeat("abcdefg/", 600)+"x")), "name is too long"},
		{"owner is nobody's", system(item(tar.TypeReg, "x", owner(-1, 0))), "not a uid and gid"},
		{"owner is chown's wildcard", system(item(tar.TypeReg, "x", owner(1<<32-1, 0))), "not a uid and gid"},
		{"no system", []*tar.Header{item(tar.TypeReg, "readme")}, "not a root filesystem: there is no /etc"},
		{"no programs", []*tar.Header{item(tar.TypeDir, "etc")}, "not a root filesystem: there is no /bin and no /usr"},
		{"etc is a link out", []*tar.Header{item(tar.TypeSymlink, "etc", to("../../etc")), item(tar.TypeDir, "bin")}, "no /etc"},
		{"nothing", nil, "not a root filesystem"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, above := emptyDir(t)
			_, err := unpack(t, archive(t, c.items...), dir, UnpackOptions{})
			untouched(t, above)
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("not unpacked: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("error is %v, want one with %q", err, c.want)
			case err != nil && sysctl.KindOf(err) != sysctl.Invalid:
				t.Fatalf("kind of %v is %s", err, sysctl.KindOf(err))
			}
		})
	}
}

func TestUnpackLeavesDevicesOut(t *testing.T) {
	dir, _ := emptyDir(t)
	st, err := unpack(t, archive(t, system(
		item(tar.TypeChar, "dev/mem", func(h *tar.Header) { h.Devmajor, h.Devminor = 1, 1 }),
		item(tar.TypeBlock, "dev/sda", func(h *tar.Header) { h.Devmajor = 8 }),
		item(tar.TypeChar, "etc/whiteout"),
		item(tar.TypeFifo, "run/pipe"),
	)...), dir, UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if st.Skipped["device nodes"] != 3 {
		t.Errorf("skipped: %v", st.Skipped)
	}
	if _, err := os.Lstat(filepath.Join(dir, "dev/mem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dev/mem: %v", err)
	}
	if fi, err := os.Lstat(filepath.Join(dir, "run/pipe")); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("run/pipe: %v %v", fi, err)
	}
}

func TestUnpackKeeps(t *testing.T) {
	dir, _ := emptyDir(t)
	deep := strings.Repeat("long-directory-name/", 12) + "file"
	st, err := unpack(t, archive(t, system(
		&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "from git"}},
		item(tar.TypeReg, "bin/su", mode(0o4755)),
		item(tar.TypeLink, "bin/su2", to("./bin/su")),
		item(tar.TypeDir, "secret/", mode(0o500)),
		item(tar.TypeReg, "secret/key", mode(0o400)),
		item(tar.TypeDir, "tmp/", mode(0o1777)),
		item(tar.TypeReg, deep),
		item(tar.TypeSymlink, "lib", to("usr/lib")),
		item(tar.TypeDir, "usr/lib"),
		item(tar.TypeReg, "lib/libc.so"),
		// Twice: the later wins, a directory keeps its content.
		item(tar.TypeReg, "twice", mode(0o600)),
		item(tar.TypeSymlink, "twice", to("lib")),
		item(tar.TypeDir, "bin/", mode(0o711)),
	)...), dir, UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := listing(t, dir)
	for _, want := range []string{
		"- 4755 bin/su = bin/su\n", "- 4755 bin/su2 = bin/su\n", "d 0711 bin\n", "- 0755 bin/sh = ./bin/sh\n",
		"d 0500 secret\n", "- 0400 secret/key = secret/key\n", "d 1777 tmp\n", "d 0755 long-directory-name\n",
		"L 0777 lib -> usr/lib\n", "- 0644 usr/lib/libc.so = lib/libc.so\n", "L 0777 twice -> lib\n", "- 0644 " + deep + " = " + deep + "\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	for _, name := range []string{"bin", "tmp", "secret", "bin/su", "twice"} {
		if fi, err := os.Lstat(filepath.Join(dir, name)); err != nil || !fi.ModTime().Equal(old()) {
			t.Errorf("time of %s is %v (%v)", name, fi.ModTime(), err)
		}
	}
	// A directory without an entry has no time, and gets the same one each time.
	if fi, err := os.Lstat(filepath.Join(dir, "long-directory-name")); err != nil || fi.ModTime().Unix() != 0 {
		t.Errorf("time of a directory without an entry is %v (%v)", fi.ModTime(), err)
	}
	if st.Format != "tar" || st.Bytes == 0 || st.Entries < 15 {
		t.Errorf("stats: %+v", st)
	}
}

// The root is for everybody in the guest, whether or not the archive says what it is like.
func TestUnpackRootMode(t *testing.T) {
	for _, items := range [][]*tar.Header{system(), system(item(tar.TypeDir, "./", mode(0o700)))} {
		dir, _ := emptyDir(t)
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := unpack(t, archive(t, items...), dir, UnpackOptions{}); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o755 {
			t.Errorf("mode %v %v", fi.Mode(), err)
		}
	}
}

func TestUnpackOwnersAndXattrs(t *testing.T) {
	needs.Root(t)
	dir, _ := emptyDir(t)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw=ep
	_, err := unpack(t, archive(t, system(
		item(tar.TypeReg, "bin/ping", owner(12, 34), mode(0o2755), pax("SCHILY.xattr.security.capability", capability),
			pax("SCHILY.xattr.user.note", "hello"), pax("SCHILY.xattr.trusted.overlay.opaque", "y"), pax("SCHILY.xattr.security.selinux", "label")),
		item(tar.TypeDir, "home/", owner(70000, 4294967294)),
		item(tar.TypeSymlink, "sym", to("/nowhere"), owner(5, 6)),
	)...), dir, UnpackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]uint32{"bin/ping": {12, 34}, "home": {70000, 4294967294}, "sym": {5, 6}, "bin": {0, 0}} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil || st.Uid != want[0] || st.Gid != want[1] {
			t.Errorf("%s belongs to %d:%d (%v)", name, st.Uid, st.Gid, err)
		}
	}
	fd, err := unix.Open(filepath.Join(dir, "bin/ping"), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got, err := xattrs(fd)
	if err != nil || got["security.capability"] != capability || got["user.note"] != "hello" || len(got) != 2 {
		t.Errorf("attributes: %q %v", got, err)
	}
	if _, err := unix.Fgetxattr(fd, "trusted.overlay.opaque", nil); !errors.Is(err, unix.ENODATA) {
		t.Errorf("trusted.overlay.opaque: %v", err)
	}
	if fi, err := os.Stat(filepath.Join(dir, "bin/ping")); err != nil || fi.Mode()&os.ModeSetgid == 0 {
		t.Errorf("setgid lost: %v %v", fi.Mode(), err)
	}
}

// A sparse file in the oldest of GNU tar's formats: 1 MiB of hole, then 4 bytes.
func sparseArchive(t *testing.T) []byte {
	t.Helper()
	plain := archive(t, system()...)
	plain = plain[:len(plain)-2*blockSize]
	h := make([]byte, 2*blockSize)
	copy(h, "sparse")
	copy(h[100:], "0000644\x000000000\x000000000\x0000000000004\x0007346545000\x00")
	copy(h[156:], "S")
	copy(h[257:], "ustar  \x00")
	copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", 1<<20, 4))
	copy(h[483:], fmt.Sprintf("%011o\x00", 1<<20+4))
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h[:blockSize] {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	copy(h[blockSize:], "DATA")
	return append(append(plain, h...), make([]byte, 2*blockSize)...)
}

func TestUnpackSparse(t *testing.T) {
	dir, _ := emptyDir(t)
	st, err := unpack(t, sparseArchive(t), dir, UnpackOptions{MaxSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var fi unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "sparse"), &fi); err != nil || fi.Size != 1<<20+4 || fi.Blocks > 64 {
		t.Errorf("size %d, blocks %d, %v", fi.Size, fi.Blocks, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "sparse"))
	if err != nil || string(bytes.TrimLeft(data, "\x00")) != "DATA" {
		t.Errorf("content: %q %v", bytes.TrimLeft(data, "\x00"), err)
	}
	if st.Bytes > 4096+100 {
		t.Errorf("holes were counted: %d", st.Bytes)
	}
	dir, _ = emptyDir(t)
	_, err = unpack(t, sparseArchive(t), dir, UnpackOptions{MaxSize: 1 << 10})
	wantLimit(t, err, "unpacks to more than 1 KiB")
}

func wantLimit(t *testing.T, err error, text string) {
	t.Helper()
	if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), text) || sysctl.HintOf(err) == "" {
		t.Fatalf("want a limit %q with a hint, got %v (%s)", text, err, sysctl.HintOf(err))
	}
}

// stream writes an archive of n empty files, as long as somebody reads.
func stream(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		for i := range n {
			if tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("etc/%d/%d", i/1000, i), Mode: 0o644}) != nil {
				return
			}
		}
		w.CloseWithError(tw.Close())
	}()
	return r
}

func TestUnpackTooManyEntries(t *testing.T) {
	dir, above := emptyDir(t)
	st, err := Unpack(t.Context(), stream(1_000_000), dir, UnpackOptions{MaxEntries: 2000})
	wantLimit(t, err, "more than 2000 entries")
	if st.Entries != 2001 {
		t.Errorf("entries: %d", st.Entries)
	}
	untouched(t, above)
	// Directories that are only in names count as well.
	dir, _ = emptyDir(t)
	_, err = unpack(t, archive(t, item(tar.TypeReg, strings.Repeat("d/", 100)+"x")), dir, UnpackOptions{MaxEntries: 50})
	wantLimit(t, err, "more than 50 entries")
}

// zeros gives n bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func gz(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestUnpackBomb(t *testing.T) {
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	if err := w.WriteHeader(item(tar.TypeReg, "etc/big", func(h *tar.Header) { h.Size = 1 << 40 })); err != nil {
		t.Fatal(err)
	}
	prefix := head.Bytes()
	t.Run("one file", func(t *testing.T) {
		dir, _ := emptyDir(t)
		st, err := unpack(t, gz(t, io.MultiReader(bytes.NewReader(prefix), zeros(8<<20))), dir, UnpackOptions{MaxSize: 1 << 20})
		wantLimit(t, err, "unpacks to more than 1 MiB, the size limit")
		if st.Bytes > 1<<20 {
			t.Errorf("%d bytes were written", st.Bytes)
		}
	})
	t.Run("padding", func(t *testing.T) {
		dir, _ := emptyDir(t)
		_, err := unpack(t, gz(t, zeros(slack+1<<20)), dir, UnpackOptions{})
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "follow the archive's last entry") {
			t.Fatal(err)
		}
	})
	t.Run("many files", func(t *testing.T) {
		dir, _ := emptyDir(t)
		_, err := unpack(t, archive(t, system(item(tar.TypeReg, strings.Repeat("x", 90)), item(tar.TypeReg, strings.Repeat("y", 90)))...), dir, UnpackOptions{MaxSize: 150})
		wantLimit(t, err, "more than 150 B")
	})
}

func TestUnpackImageArchive(t *testing.T) {
	for _, c := range []struct {
		name, want string
		items      []*tar.Header
	}{
		{"unified", "d 0711 .\nd 0755 bin\n- 0755 bin/sh = rootfs/bin/sh\nd 0755 etc\nd 0755 rootfs\n- 0644 rootfs/x = rootfs/rootfs/x\nd 0755 run\n- 0644 run/id = rootfs/var/run/id\nd 0755 var\nL 0777 var/run -> /run\n", []*tar.Header{
			item(tar.TypeReg, "metadata.yaml"), item(tar.TypeDir, "templates/"), item(tar.TypeReg, "templates/hostname.tpl"), item(tar.TypeDir, "rootfs/", mode(0o711)),
			item(tar.TypeDir, "rootfs/etc/"), item(tar.TypeReg, "rootfs/bin/sh", mode(0o755)), item(tar.TypeReg, "rootfs/rootfs/x"),
			item(tar.TypeDir, "rootfs/run/"), item(tar.TypeSymlink, "rootfs/var/run", to("/run")), item(tar.TypeReg, "rootfs/var/run/id"),
		}},
		{"a system with a directory rootfs", "d 0755 .\nd 0755 bin\n- 0755 bin/sh = ./bin/sh\nd 0755 etc\nd 0755 rootfs\n- 0644 rootfs/x = rootfs/x\n", append([]*tar.Header{item(tar.TypeDir, "./"), item(tar.TypeReg, "rootfs/x")}, system()...)},
		{"a link called rootfs", "d 0755 .\nd 0755 bin\n- 0755 bin/sh = ./bin/sh\nd 0755 etc\n- 0644 etc/x = rootfs/x\nL 0777 rootfs -> etc\n", append([]*tar.Header{item(tar.TypeDir, ".")}, system(item(tar.TypeSymlink, "rootfs", to("etc")), item(tar.TypeReg, "rootfs/x"))...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := emptyDir(t)
			if _, err := unpack(t, archive(t, c.items...), dir, UnpackOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := listing(t, dir); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestUnpackCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var big bytes.Buffer
	w := tar.NewWriter(&big)
	if err := w.WriteHeader(item(tar.TypeReg, "etc/big", func(h *tar.Header) { h.Size = 1 << 40 })); err != nil {
		t.Fatal(err)
	}
	dir, _ := emptyDir(t)
	seen := int64(0)
	// The content never ends; the context ends in the middle of it.
	st, err := Unpack(ctx, io.MultiReader(&big, zeroReader{}), dir, UnpackOptions{MaxSize: 1 << 50, Progress: func(step string, done, _ int64) {
		if seen = done; done > 4<<20 {
			cancel()
		}
	}})
	if sysctl.KindOf(err) != sysctl.Canceled {
		t.Fatalf("%v after %d bytes", err, st.Bytes)
	}
	if seen < 4<<20 || st.Bytes > 16<<20 {
		t.Errorf("progress %d, written %d", seen, st.Bytes)
	}
}

func TestUnpackNeedsEmptyDirectory(t *testing.T) {
	dir, above := emptyDir(t)
	_, err := unpack(t, archive(t, system()...), above, UnpackOptions{})
	if sysctl.KindOf(err) != sysctl.Conflict {
		t.Errorf("into a full directory: %v", err)
	}
	if _, err := unpack(t, archive(t, system()...), dir+"/none", UnpackOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("into none: %v", err)
	}
}

func TestUnpackFailingSource(t *testing.T) {
	broken := errors.New("cable pulled")
	for _, data := range [][]byte{archive(t, system()...), gz(t, bytes.NewReader(archive(t, system()...)))} {
		dir, _ := emptyDir(t)
		_, err := Unpack(t.Context(), io.MultiReader(bytes.NewReader(data[:len(data)/2]), failing{broken}), dir, UnpackOptions{})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

// Files come whole however the batches fall, and one that is cut off or cannot be read on is named.
func TestUnpackBatches(t *testing.T) {
	sizes := []int{0, 1, batchBytes - 1, 7, batchBytes, 9, batchBytes + 1, 2 * batchBytes, 3, batches*batchBytes + 5*batchBytes + 7, 11}
	data := noise(slices.Max(sizes))
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	put := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range system() {
		put(h, nil)
	}
	for i, n := range sizes {
		put(item(tar.TypeReg, fmt.Sprintf("file%d", i)), data[:n])
	}
	cut := buf.Len() // the last but one is being read there
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir, _ := emptyDir(t)
	if _, err := unpack(t, buf.Bytes(), dir, UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		if got, err := os.ReadFile(fmt.Sprintf("%s/file%d", dir, i)); err != nil || !bytes.Equal(got, data[:n]) {
			t.Errorf("file%d has %d bytes, other than the %d it was (%v)", i, len(got), n, err)
		}
	}
	large := fmt.Sprintf("file%d", len(sizes)-2)
	broken := fmt.Errorf("cable pulled: %w", unix.ENOENT)
	for missing := 4096; missing < 6*batchBytes; missing += batchBytes {
		begin := buf.Bytes()[:cut-missing]
		dir, _ := emptyDir(t)
		_, err := unpack(t, begin, dir, UnpackOptions{})
		if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "truncated") || !strings.Contains(err.Error(), large) {
			t.Errorf("without the last %d bytes: %v", missing, err)
		}
		dir, _ = emptyDir(t)
		_, err = Unpack(t.Context(), io.MultiReader(bytes.NewReader(begin), failing{broken}), dir, UnpackOptions{})
		if !errors.Is(err, broken) || strings.Contains(err.Error(), "symbolic") {
			t.Errorf("where the last %d bytes cannot be read: %v", missing, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestUnpackFullDisk(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		// The thread keeps a mount namespace of its own and ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k")
		}
		if err != nil {
			t.Error(err)
			done <- nil
			return
		}
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		if err := w.WriteHeader(item(tar.TypeReg, "etc/big", func(h *tar.Header) { h.Size = 1 << 20 })); err != nil {
			t.Error(err)
		}
		_, err = Unpack(t.Context(), io.MultiReader(&buf, zeros(1<<20)), dir, UnpackOptions{})
		done <- err
	}()
	err := <-done
	if sysctl.KindOf(err) != sysctl.NoSpace || !strings.Contains(err.Error(), "etc/big") || sysctl.HintOf(err) == "" {
		t.Errorf("got %v (%s)", err, sysctl.KindOf(err))
	}
}
