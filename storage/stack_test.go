package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

var shifted = sysctl.IDMap{Base: 2_000_000, Size: 65536}

// helpGuest does what a guest's root does in its tree: descriptor 3 is the mounted root.
func helpGuest([]string) error {
	const root = 3
	var st unix.Stat_t
	if err := unix.Fstatat(root, "etc/passwd", &st, 0); err != nil {
		return err
	}
	if st.Uid != 0 || os.Getuid() != 0 {
		return fmt.Errorf("guest sees the image's files owned by %d, itself as %d", st.Uid, os.Getuid())
	}
	fd, err := unix.Openat(root, "etc/new", unix.O_CREAT|unix.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(
		unix.Fchown(fd, 33, 33), unix.Fchown(fd, 0, 0),
		unix.Fchownat(root, "etc/passwd", 7, 8, 0), unix.Fchownat(root, "etc/passwd", 0, 0, 0),
		unix.Fchownat(root, "var/mail", 8, 12, 0),
		unix.Mkdirat(root, "srv", 0o755),
		unix.Renameat(root, "usr/share", root, "usr/moved"), // a lower directory: EXDEV without redirect_dir
		unix.Unlinkat(root, "etc/gone", 0),
	)
}

// imageLayer is a small image.
func imageLayer(t testing.TB, s *Store) string {
	return testLayer(t, s, func(dir string) {
		for _, name := range []string{"etc/passwd", "etc/gone", "usr/share/doc", "var/mail", "bin/gzip"} {
			write(t, filepath.Join(dir, name), name)
		}
		must(t, os.Link(filepath.Join(dir, "bin/gzip"), filepath.Join(dir, "bin/gunzip")))
	})
}

// skipUnsupported skips where the kernel or the temporary directory's filesystem cannot do it.
func skipUnsupported(t testing.TB, err error) {
	t.Helper()
	if sysctl.KindOf(err) == sysctl.Unsupported {
		t.Skipf("this host cannot: %v", err)
	}
	must(t, err)
}

func TestOpenRootShifted(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	id := imageLayer(t, s)
	before := digestOf(t, s.LayerPath(id))
	must(t, s.CreateUpper(ctx, 5))
	root, err := s.OpenRoot(ctx, 5, []string{id}, shifted, nil)
	skipUnsupported(t, err)

	guest := helper("guest")
	guest.ExtraFiles = []*os.File{root}
	inUserNamespace(guest, shifted)
	must(t, guest.Run())

	// Host-side writes as the guest's root.
	tree := NewTree(root).WithOwner(int(shifted.Base), int(shifted.Base))
	confined(t, tree)
	must(t, tree.WriteFile("/etc/a/b/hostname", []byte("web1\n"), 0o640))
	must(t, tree.Symlink("b", "/etc/a/link"))
	must(t, tree.WriteFile("/bin/gzip2", nil, 0o644))
	hardLinkKept(t, tree)
	must(t, tree.Close())

	upper := filepath.Join(s.instance(5), "upper")
	for path, want := range map[string][2]uint32{
		"": {0, 0}, "etc/new": {0, 0}, "etc/passwd": {0, 0}, "var/mail": {8, 12}, "srv": {0, 0},
		"etc/a": {0, 0}, "etc/a/b/hostname": {0, 0}, "etc/a/link": {0, 0}, "usr/moved": {0, 0},
	} {
		if uid, gid := owner(t, filepath.Join(upper, path)); uid != want[0] || gid != want[1] {
			t.Errorf("%q belongs to %d:%d on disk, want %v", path, uid, gid, want)
		}
	}
	if digestOf(t, s.LayerPath(id)) != before {
		t.Error("the layer was changed")
	}

	// The same instance, seen from the host and then shifted by another range.
	onHost, err := s.OpenTree(ctx, 5, []string{id})
	must(t, err)
	if b, err := onHost.ReadFile("/usr/moved/doc"); err != nil || string(b) != "usr/share/doc" {
		t.Errorf("moved directory: %q %v", b, err)
	}
	if _, err := onHost.Lstat("/etc/gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed file: %v", err)
	}
	_, err = s.stack(s.instance(5), []string{id}, shifted)
	wantKind(t, err, sysctl.Busy)
	interrupted, interrupt := context.WithCancel(ctx)
	time.AfterFunc(5*time.Millisecond, interrupt)
	if _, err = s.OpenRoot(interrupted, 5, []string{id}, shifted, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted while the upper is mounted: %v", err)
	}
	time.AfterFunc(5*time.Millisecond, func() { onHost.Close() }) // who wants the upper waits for it
	again, err := s.OpenRoot(ctx, 5, []string{id}, sysctl.IDMap{Base: 3_000_000, Size: 65536}, nil)
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Fstatat(int(again.Fd()), "var/mail", &st, 0))
	if st.Uid != 3_000_008 {
		t.Errorf("uid 8 is shifted to %d", st.Uid)
	}
	must(t, again.Close())

	must(t, s.DeleteUpper(ctx, 5))
	must(t, s.DeleteUpper(ctx, 5))
	empty(t, s.instances())
	empty(t, s.trash())
}

// hardLinkKept writes through one name of a hard-linked lower file and reads through the other.
func hardLinkKept(t *testing.T, tree *Tree) {
	t.Helper()
	fd, err := unix.Openat(int(tree.root.Fd()), "bin/gzip", unix.O_WRONLY|unix.O_APPEND, 0)
	must(t, err)
	_, err = unix.Write(fd, []byte("+more"))
	must(t, errors.Join(err, unix.Close(fd)))
	if b, err := tree.ReadFile("/bin/gunzip"); err != nil || string(b) != "bin/gzip+more" {
		t.Errorf("other name of a hard link: %q %v", b, err)
	}
}

func TestOpenRootPlain(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	low := imageLayer(t, s)
	high := testLayer(t, s, func(dir string) { write(t, filepath.Join(dir, "etc/passwd"), "high") })
	must(t, s.CreateUpper(ctx, 1))
	root, err := s.OpenRoot(ctx, 1, []string{low, high}, sysctl.IDMap{}, nil)
	skipUnsupported(t, err)
	tree := NewTree(root)
	confined(t, tree)
	if b, err := tree.ReadFile("/etc/passwd"); err != nil || string(b) != "high" {
		t.Errorf("the upper layer does not win: %q %v", b, err)
	}
	must(t, tree.WriteFile("/etc/passwd", []byte("mine"), 0o600))
	must(t, tree.Close())
	must(t, unix.Lstat(filepath.Join(s.instance(1), "upper/etc/passwd"), new(unix.Stat_t)))
}

func TestOpenRootErrors(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	id, other := imageLayer(t, s), testLayer(t, s, func(dir string) { write(t, filepath.Join(dir, "x"), "y") })
	_, err := s.OpenRoot(ctx, 1, []string{id}, sysctl.IDMap{}, nil)
	wantKind(t, err, sysctl.NotFound)
	must(t, s.CreateUpper(ctx, 1))
	for _, c := range []struct {
		layers []string
		kind   sysctl.Kind
	}{
		{nil, sysctl.Invalid},
		{make([]string, maxLayers+1), sysctl.Invalid},
		{[]string{"../../etc"}, sysctl.Invalid},
		{[]string{id, strings.Repeat("0", 64)}, sysctl.NotFound},
	} {
		_, err := s.OpenTree(ctx, 1, c.layers)
		wantKind(t, err, c.kind)
	}
	tree, err := s.OpenTree(ctx, 1, []string{id})
	skipUnsupported(t, err)
	must(t, tree.Close())
	_, err = s.OpenTree(ctx, 1, []string{id, other}) // another layer on top than the upper was made for
	wantKind(t, err, sysctl.Conflict)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.OpenTree(canceled, 1, []string{id})
	wantKind(t, err, sysctl.Canceled)
}

func TestManyLayers(t *testing.T) {
	for _, n := range []int{60, 88, 200} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			ctx := context.Background()
			s := rootStore(t)
			var layers []string
			for i := range n {
				dir := filepath.Join(s.layers(), fmt.Sprintf("%064x", i), "fs")
				write(t, filepath.Join(dir, "top"), strconv.Itoa(i))
				layers = append(layers, fmt.Sprintf("%064x", i))
			}
			must(t, s.CreateUpper(ctx, 1))
			root, err := s.OpenRoot(ctx, 1, layers, shifted, nil)
			skipUnsupported(t, err)
			tree := NewTree(root)
			defer tree.Close()
			if b, err := tree.ReadFile("/top"); err != nil || string(b) != strconv.Itoa(n-1) {
				t.Errorf("top %q %v", b, err)
			}
		})
	}
}

// TestMountedInAnotherNamespace attaches the root where a keeper does: in a mount namespace of its own.
func TestMountedInAnotherNamespace(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	id := imageLayer(t, s)
	must(t, s.CreateUpper(ctx, 1))
	root, err := s.OpenRoot(ctx, 1, []string{id}, shifted, nil)
	skipUnsupported(t, err)
	defer root.Close()
	at := t.TempDir()
	must(t, onOwnThread(func() error {
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.MoveMount(int(root.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH))
		if err != nil {
			return err
		}
		_, err = os.Stat(filepath.Join(at, "etc/passwd"))
		return err
	}))
	absent(t, filepath.Join(at, "etc"))
}

func TestUserNamespace(t *testing.T) {
	needRoot(t)
	const n = 50
	seen := map[string]bool{}
	var open []*os.File
	for i := range n {
		ns, err := userNamespace(sysctl.IDMap{Base: uint32(1_000_000 + i), Size: 10})
		must(t, err)
		open = append(open, ns)
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()))
		must(t, err)
		seen[link] = true
		if i%10 == 0 {
			runtime.GC()
		}
	}
	for _, ns := range open {
		ns.Close()
	}
	if len(seen) != n {
		t.Errorf("%d namespaces are %d", n, len(seen))
	}
	if _, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %v", err)
	}
	_, err := userNamespace(sysctl.IDMap{Base: 1<<32 - 5, Size: 10})
	if err == nil {
		t.Error("a range beyond 32 bits was mapped")
	}
	if out, err := exec.Command("true").CombinedOutput(); err != nil {
		t.Errorf("starting a program afterwards: %v %s", err, out)
	}
}

func TestProbe(t *testing.T) {
	s := rootStore(t)
	skipUnsupported(t, tryIdmapped(t.TempDir()))
	facts := s.Probe(context.Background())
	if len(facts) != 5 {
		t.Fatalf("facts: %+v", facts)
	}
	for _, f := range facts {
		if f.Level == sysctl.Fatal {
			t.Errorf("%s: %s", f.Name, f.Value)
		}
	}
	empty(t, s.staging())
	empty(t, s.trash())
}

func BenchmarkOpenRoot(b *testing.B) {
	ctx := context.Background()
	s := rootStore(b)
	var layers []string
	for i := range 3 {
		layers = append(layers, testLayer(b, s, func(dir string) { write(b, filepath.Join(dir, strconv.Itoa(i)), "x") }))
	}
	for _, c := range []struct {
		name string
		m    sysctl.IDMap
	}{{"shifted", shifted}, {"plain", sysctl.IDMap{}}} {
		b.Run(c.name, func(b *testing.B) {
			for i := int64(1); b.Loop(); i++ {
				b.StopTimer()
				must(b, s.CreateUpper(ctx, i))
				b.StartTimer()
				root, err := s.OpenRoot(ctx, i, layers, c.m, nil)
				must(b, err)
				b.StopTimer()
				root.Close()
				must(b, s.DeleteUpper(ctx, i))
				b.StartTimer()
			}
		})
	}
	b.Run("namespace", func(b *testing.B) {
		for b.Loop() {
			ns, err := userNamespace(shifted)
			must(b, err)
			ns.Close()
		}
	})
}

// Several layers without an instance are one tree, topmost first, and cannot be written.
func TestOpenLayers(t *testing.T) {
	needRoot(t)
	ctx := t.Context()
	s := New(t.TempDir())
	var ids []string
	for i, files := range []map[string]string{{"etc/a": "low", "etc/b": "low"}, {"etc/b": "high"}} {
		st, err := s.Stage(ctx)
		must(t, err)
		for name, data := range files {
			must(t, st.Tree().WriteFile("/"+name, []byte(data), 0o644))
		}
		l, err := st.Commit(ctx)
		must(t, err)
		ids = append(ids, l.ID)
		if i == 0 {
			single, err := s.OpenLayers(ctx, ids)
			must(t, err)
			if b, err := single.ReadFile("/etc/b"); err != nil || string(b) != "low" {
				t.Errorf("one layer: %q, %v", b, err)
			}
			must(t, single.Close())
		}
	}
	tree, err := s.OpenLayers(ctx, ids)
	must(t, err)
	defer tree.Close()
	for name, want := range map[string]string{"/etc/a": "low", "/etc/b": "high"} {
		if b, err := tree.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s = %q, %v, want %q", name, b, err, want)
		}
	}
	if err := tree.WriteFile("/etc/a", nil, 0o644); err == nil {
		t.Error("layers of an image can be written")
	}
}
