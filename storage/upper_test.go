package storage

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// deepDir makes n directories one in the other, each with a file.
func deepDir(t *testing.T, dir string, n int) {
	t.Helper()
	must(t, onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Chdir(dir); err != nil {
			return err
		}
		for range n {
			if err := unix.Mkdir("deep", 0o755); err != nil {
				return err
			}
			if err := unix.Chdir("deep"); err != nil {
				return err
			}
			if err := unix.Mknod("fifo", unix.S_IFIFO|0o600, 0); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestDeleteOddUpper(t *testing.T) {
	needRoot(t)
	ctx := context.Background()
	s := New(t.TempDir())
	must(t, s.CreateUpper(ctx, 9))
	upper := filepath.Join(s.instance(9), "upper")
	oddTree(t, upper)
	deepDir(t, upper, 3000) // longer than PATH_MAX and deeper than 1024 open files
	for _, name := range []string{"home/file", "home", "etc/acl"} {
		setFlags(t, filepath.Join(upper, name), 0x30)
	}
	if _, _, err := Digest(ctx, upper); err != nil {
		t.Errorf("digest: %v", err)
	}
	must(t, s.DeleteUpper(ctx, 9))
	empty(t, s.instances())
	empty(t, s.trash())
}

// setFlags makes a file immutable and append-only, where the filesystem has such flags.
func setFlags(t *testing.T, path string, flags int) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
		t.Logf("no flags on %s: %v", path, err)
	}
}

func TestDeleteCanceled(t *testing.T) {
	s := New(t.TempDir())
	must(t, s.CreateUpper(context.Background(), 1))
	write(t, filepath.Join(s.instance(1), "upper/x"), "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, s.DeleteUpper(ctx, 1))
	empty(t, s.instances())
	must(t, s.SweepStaging(context.Background()))
	empty(t, s.trash())
}

// TestRemoversTogether removes one tree several times at once, as a deleter and sweeps do.
func TestRemoversTogether(t *testing.T) {
	s := New(t.TempDir())
	for i := range 2000 {
		write(t, filepath.Join(s.trash(), "one", strconv.Itoa(i%50), strconv.Itoa(i%7), strconv.Itoa(i)), "")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := s.SweepStaging(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	empty(t, s.trash())
}

func TestUsage(t *testing.T) {
	ctx := context.Background()
	s := New(t.TempDir())
	_, err := s.Usage(ctx, 3)
	wantKind(t, err, sysctl.NotFound)
	must(t, s.CreateUpper(ctx, 3))
	before, err := s.Usage(ctx, 3)
	must(t, err)
	upper := filepath.Join(s.instance(3), "upper")
	write(t, filepath.Join(upper, "file"), string(make([]byte, 100_000)))
	must(t, os.Truncate(filepath.Join(upper, "file"), 1<<30)) // sparse
	must(t, os.Link(filepath.Join(upper, "file"), filepath.Join(upper, "link")))
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(upper, "file"), &st))
	if got, err := s.Usage(ctx, 3); err != nil || got-before != st.Blocks*512 {
		t.Errorf("usage grew by %d %v, want %d", got-before, err, st.Blocks*512)
	}
}
