package templates

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
)

// layerSample makes a tree with everything that a layer can have.
func layerSample(t *testing.T) string {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	run := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("long name ", 20)
	for _, d := range []string{"dev", "proc/1", "opaque", "moved", "d/" + long} {
		run(os.MkdirAll(in(d), 0o755))
	}
	for _, f := range []string{"dev/file", "d/a", "d/" + long + "/ä\n", ".wh.mine", "empty"} {
		run(os.WriteFile(in(f), []byte(f), 0o640))
	}
	run(os.Truncate(in("empty"), 0))
	run(os.Link(in("d/a"), in("d/"+long+"/b")))
	run(os.Symlink("/etc/../../x", in("link")))
	run(os.Link(in("link"), in("link2")))
	run(unix.Mkfifo(in("pipe"), 0o611))
	run(unix.Mknod(in("gone"), unix.S_IFCHR, 0))
	run(os.Chmod(in("d/a"), 0o640|fs.ModeSetuid))
	run(os.Lchown(in("dev/file"), 4_000_000_000, 7))
	run(unix.Lsetxattr(in("opaque"), "trusted.overlay.opaque", []byte("y"), 0))
	run(unix.Lsetxattr(in("moved"), "trusted.overlay.redirect", []byte("/usr/x"), 0))
	run(unix.Lsetxattr(in("moved"), "trusted.overlay.origin", []byte("z"), 0)) // of the upper it was
	run(unix.Lsetxattr(in("empty"), "user.a", []byte("1\x002"), 0))
	// version 2: CAP_NET_RAW permitted and effective
	run(unix.Lsetxattr(in("d/a"), "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	run(unix.Mknod(in("disk"), unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0)))) // these two are left out
	run(unix.Mknod(in("socket"), unix.S_IFSOCK|0o600, 0))

	for name, parts := range map[string][][2]int64{"holes": {{1 << 20, 3}, {5 << 20, 70000}}, "tail": {{0, 5}}, "hole": {}, "end": {{3 << 20, 4096}}} {
		f, err := os.Create(in(name))
		run(err)
		size := int64(3<<20 + 4096)
		for _, p := range parts {
			_, err = f.WriteAt(bytes.Repeat([]byte("x"), int(p[1])), p[0])
			run(err)
			size = max(size, p[0]+p[1])
		}
		run(f.Truncate(size))
		run(f.Close())
		run(os.Lchown(in(name), 3_000_000, 5))
		run(unix.Lsetxattr(in(name), "user.n", []byte("v"), 0))
	}
	for _, name := range []string{"d/a", "holes", "link", "pipe", "opaque", "gone", "."} {
		run(unix.UtimesNanoAt(unix.AT_FDCWD, in(name), []unix.Timespec{{Sec: 1}, {Sec: 1_000_000_000, Nsec: 123456789}}, unix.AT_SYMLINK_NOFOLLOW))
	}
	run(os.Chmod(dir, 0o700))
	return dir
}

// exactly lists a tree with all that an archive keeps.
func exactly(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		kind := st.Mode & unix.S_IFMT
		if kind == unix.S_IFSOCK || kind == unix.S_IFBLK {
			return nil
		}
		if kind == unix.S_IFCHR {
			fmt.Fprintf(&b, "%q whiteout %d\n", name, st.Rdev)
			return nil
		}
		first := inodes[st.Ino]
		if kind != unix.S_IFDIR && st.Nlink > 1 && first == "" {
			inodes[st.Ino] = name
		}
		var content string
		switch kind {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = sumOf(data)
		case unix.S_IFLNK:
			content, _ = os.Readlink(path)
		}
		if name != "." { // its time is no part of a layer
			content += fmt.Sprint(st.Mtim)
		}
		size := st.Size
		if kind == unix.S_IFDIR {
			size = 0
		}
		fmt.Fprintf(&b, "%q %o %d:%d %d %q %q", name, st.Mode, st.Uid, st.Gid, size, content, first)
		if kind == unix.S_IFREG && size > 1<<20 {
			fmt.Fprintf(&b, " sparse %v", st.Blocks*512 < size/2)
		}
		list := make([]byte, 4096)
		n, err := unix.Llistxattr(path, list)
		if err != nil {
			return err
		}
		for x := range strings.SplitSeq(string(list[:n]), "\x00") {
			if layerXattr(x) {
				v := make([]byte, 4096)
				m, _ := unix.Lgetxattr(path, x, v)
				fmt.Fprintf(&b, " %s=%q", x, v[:m])
			}
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// take is a sink that unpacks the layers it has room for.
func take(t *testing.T, dirs map[int]string, index *[]byte) ArchiveSink {
	return ArchiveSink{
		Index: func(data []byte) error { *index = data; return nil },
		Layer: func(n int) (string, int64, int64, error) { return dirs[n], 64 << 20, 100, nil },
		Done:  func(n int) error { dirs[-n] = "done"; return nil },
	}
}

func TestArchiveIsTheSame(t *testing.T) {
	needs.Root(t)
	dir := layerSample(t)
	want := exactly(t, dir)
	for _, format := range ArchiveFormats() {
		var b bytes.Buffer
		layers := []ArchiveLayer{{1, dir}, {2, t.TempDir()}, {3, dir}}
		left, err := WriteArchive(t.Context(), &b, format, []byte(`{"x":1}`), layers, 1, nil)
		if err != nil || left != 4 {
			t.Fatalf("%s: %d left out, %v", format, left, err)
		}
		one, two := t.TempDir(), t.TempDir()
		var index []byte
		dirs := map[int]string{1: one, 2: two}
		if err := ReadArchive(t.Context(), bytes.NewReader(b.Bytes()), take(t, dirs, &index), nil); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if got := exactly(t, one); got != want || string(index) != `{"x":1}` || dirs[-1] != "done" || dirs[-2] != "done" || dirs[-3] != "" {
			t.Errorf("%s: index %q, done %v; got\n%swant\n%s", format, index, dirs, got, want)
		}
		if names, _ := os.ReadDir(two); len(names) > 0 {
			t.Errorf("%s: the second layer has %v", format, names)
		}
		if format != "none" {
			continue
		}
		// With tar alone, by who knows where the layers are.
		file, by := filepath.Join(t.TempDir(), "a.tar"), t.TempDir()
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(needs.Program(t, "tar"), "-C", by, "--delay-directory-restore", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-pxf", file).CombinedOutput()
		if err != nil {
			t.Fatalf("tar: %v: %s", err, out)
		}
		if got := exactly(t, filepath.Join(by, "layers/1")); got != want {
			t.Errorf("tar makes\n%swant\n%s", got, want)
		}
	}
}

func TestArchiveHostile(t *testing.T) {
	needs.Root(t)
	index := item(tar.TypeReg, archiveIndex)
	root := item(tar.TypeDir, "layers/1/")
	for name, c := range map[string]struct {
		items []*tar.Header
		want  string
	}{
		"no index":           {[]*tar.Header{item(tar.TypeDir, "./"), item(tar.TypeDir, "etc/")}, "no archive of an instance"},
		"nothing":            {nil, "no archive of an instance"},
		"another entry":      {[]*tar.Header{index, item(tar.TypeReg, "etc/passwd")}, "only layers/NUMBER/"},
		"dots":               {[]*tar.Header{index, root, item(tar.TypeReg, "layers/1/../../x")}, "leads out of the tree"},
		"absolute":           {[]*tar.Header{index, root, item(tar.TypeReg, "/layers/1/x")}, "absolute"},
		"through a link":     {[]*tar.Header{index, root, item(tar.TypeSymlink, "layers/1/l", to("/tmp")), item(tar.TypeReg, "layers/1/l/x")}, "symbolic link"},
		"link out":           {[]*tar.Header{index, root, item(tar.TypeLink, "layers/1/l", to("layers/2/x"))}, "into another layer"},
		"link to the host":   {[]*tar.Header{index, root, item(tar.TypeLink, "layers/1/l", to("/etc/passwd"))}, "absolute"},
		"device":             {[]*tar.Header{index, root, item(tar.TypeBlock, "layers/1/sda", func(h *tar.Header) { h.Devmajor = 8 })}, "device node"},
		"layers go back":     {[]*tar.Header{index, item(tar.TypeDir, "layers/2/"), root}, "comes after"},
		"the root is a file": {[]*tar.Header{index, item(tar.TypeReg, "layers/1")}, "not a directory"},
		"layer zero":         {[]*tar.Header{index, item(tar.TypeDir, "layers/0/")}, "only layers/NUMBER/"},
		"too large":          {[]*tar.Header{index, root, item(tar.TypeReg, "layers/1/a"), item(tar.TypeReg, "layers/1/b")}, "size limit"},
		"too many":           {[]*tar.Header{index, root, item(tar.TypeDir, "layers/1/a"), item(tar.TypeDir, "layers/1/b"), item(tar.TypeDir, "layers/1/c"), item(tar.TypeDir, "layers/1/d")}, "more than 4 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, above := emptyDir(t)
			var data []byte
			s := take(t, map[int]string{1: dir, 2: t.TempDir()}, &data)
			s.Layer = func(n int) (string, int64, int64, error) {
				if n == 2 {
					return t.TempDir(), 15, 4, nil
				}
				return dir, 15, 4, nil
			}
			err := ReadArchive(t.Context(), bytes.NewReader(archive(t, c.items...)), s, nil)
			if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			untouched(t, above)
		})
	}
}

// Whatever is cut off or changed, it is said in one sentence.
func TestArchiveDamaged(t *testing.T) {
	needs.Root(t)
	dir := layerSample(t)
	for _, format := range ArchiveFormats() {
		var b bytes.Buffer
		if _, err := WriteArchive(t.Context(), &b, format, []byte("{}"), []ArchiveLayer{{1, dir}}, 1, nil); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{b.Len() / 2, b.Len() - 3} {
			var index []byte
			err := ReadArchive(t.Context(), bytes.NewReader(b.Bytes()[:size]), take(t, map[int]string{1: t.TempDir()}, &index), nil)
			if sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "truncated") {
				t.Errorf("%s cut to %d of %d: %v", format, size, b.Len(), err)
			}
		}
	}
}

func TestArchiveStops(t *testing.T) {
	needs.Root(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var b bytes.Buffer
	if _, err := WriteArchive(ctx, &b, "", nil, []ArchiveLayer{{1, layerSample(t)}}, 1, nil); sysctl.KindOf(err) != sysctl.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	gone := errors.New("gone")
	if _, err := WriteArchive(t.Context(), refusing{gone}, "", nil, []ArchiveLayer{{1, layerSample(t)}}, 1, nil); !errors.Is(err, gone) {
		t.Errorf("a writer that fails: %v", err)
	}
	if _, err := WriteArchive(t.Context(), &b, "rar", nil, nil, 1, nil); sysctl.KindOf(err) != sysctl.Invalid {
		t.Errorf("a format that is not known: %v", err)
	}
}
