package storage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"golang.org/x/sys/unix"
)

// onDisk is a store on a new filesystem of 400 MiB, until the test ends.
func onDisk(t *testing.T, mkfs ...string) *Store {
	t.Helper()
	needs.Root(t)
	program := needs.Program(t, mkfs[0])
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(400<<20))
	must(t, f.Close())
	for _, argv := range [][]string{append(append([]string{program}, mkfs[1:]...), "-q", image), {needs.Program(t, "mount"), "-o", "loop", image, dir}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return New(dir)
}

// Where a size cannot be kept to, what is missing is said, and an upper without one is no matter. That quotas are kept to is seen on a
// kernel with quotas (internal/make/host/tests/5-quota.sh).
func TestSizeIsRefused(t *testing.T) {
	for _, mkfs := range []string{"mkfs.ext4", "mkfs.xfs", "mkfs.btrfs"} {
		t.Run(mkfs, func(t *testing.T) {
			s := onDisk(t, mkfs)
			err := s.CheckSize()
			wantKind(t, err, sysctl.Unsupported)
			if fs := strings.TrimPrefix(mkfs, "mkfs."); !strings.Contains(err.Error(), fs) || sysctl.HintOf(err) == "" {
				t.Errorf("%v, hint %q", err, sysctl.HintOf(err))
			}
			must(t, s.CreateUpper(t.Context(), 1))
			for _, running := range []bool{false, true} {
				_, err = s.LimitUpper(t.Context(), 1, 1<<20, running)
				wantKind(t, err, sysctl.Unsupported)
				if applied, err := s.LimitUpper(t.Context(), 1, 0, running); err != nil || !applied {
					t.Errorf("no limit: %v, %v", applied, err)
				}
			}
			if fd, err := openDir(filepath.Join(s.instance(1), "upper")); err == nil {
				if project, _ := projectOf(fd); project != 0 {
					t.Errorf("the refused upper has project %d", project)
				}
				unix.Close(fd)
			}
			must(t, s.DeleteUpper(t.Context(), 1))
		})
	}
}

// What an instance has written before it gets a size is a project's as a whole, is what it was, and can be renamed in there.
func TestGiveToProject(t *testing.T) {
	s := onDisk(t, "mkfs.xfs") // which has projects where it has no quotas
	base := testLayer(t, s, func(dir string) {
		write(t, filepath.Join(dir, "gone"), "x")
		write(t, filepath.Join(dir, "below"), "x")
	})
	must(t, s.CreateUpper(t.Context(), 1))
	inGuest(t, s, []string{base}, func(root string) {
		at := func(name string) string { return filepath.Join(root, name) }
		must(t, os.MkdirAll(at("d/e"), 0o755))
		write(t, at("d/e/file"), "data")
		must(t, os.Link(at("d/e/file"), at("d/again")))
		must(t, os.Symlink("e/file", at("d/link")))
		must(t, os.Lchown(at("d/link"), 5, 6))
		must(t, unix.Mkfifo(at("d/pipe"), 0o620))
		must(t, os.Remove(at("gone")))
		must(t, os.Chmod(at("below"), 0o600))
	})
	dir := s.instance(1)
	before := listing(t, filepath.Join(dir, "upper"))
	const project = 0x73000001
	for range 2 {
		for _, name := range []string{"work", "upper"} {
			must(t, s.giveToProject(t.Context(), filepath.Join(dir, name), project))
		}
	}
	if after := listing(t, filepath.Join(dir, "upper")); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	fd, err := openDir(filepath.Join(dir, "upper"))
	must(t, err)
	defer unix.Close(fd)
	if got, err := projectOf(fd); err != nil || got != project {
		t.Errorf("the upper's project is %#x, %v", got, err)
	}
	inGuest(t, s, []string{base}, func(root string) {
		for _, name := range []string{"d/link", "d/pipe", "d/again", "d/e/file", "d", "below"} {
			to := filepath.Join(root, "moved")
			if err := unix.Rename(filepath.Join(root, name), to); err != nil {
				t.Errorf("rename %s: %v", name, err)
				continue
			}
			must(t, unix.Rename(to, filepath.Join(root, name)))
		}
		write(t, filepath.Join(root, "gone"), "again") // over a whiteout
		must(t, os.RemoveAll(filepath.Join(root, "d")))
	})
}

// listing describes a tree as find(1) sees it, with attributes.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		names, err := xattrs(path)
		must(t, err)
		target, _ := os.Readlink(path)
		name, _ := filepath.Rel(dir, path)
		line := []string{name, info.Mode().String(), target, strings.Join(names, ",")}
		if info.Mode()&os.ModeCharDevice != 0 {
			st.Nlink = 1 // of whiteouts it says nothing
		}
		for _, n := range []int64{int64(st.Uid), int64(st.Gid), int64(st.Rdev), int64(st.Nlink), st.Mtim.Nano()} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		lines = append(lines, strings.Join(line, " "))
		return nil
	}))
	return strings.Join(lines, "\n")
}
