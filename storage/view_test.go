package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

func TestViewsOfMountinfo(t *testing.T) {
	s := New("/var/lib/a b")
	got := s.viewsOf(`27 1 254:0 / / rw - ext4 /dev/vda rw
700 27 0:138 / /mnt/x\040y ro,nosuid shared:5 - overlay sysctl:1@/var/lib/a\040b ro
701 27 0:139 / /mnt/s ro - overlay sysctl:12:00ff@/var/lib/a\040b ro
702 27 0:140 / /mnt/other ro - overlay sysctl:1@/var/lib/other ro
703 27 0:141 / /mnt/no ro - tmpfs sysctl:1@/var/lib/a\040b ro
704 27 0:142 / /mnt/no ro - overlay sysctl:x@/var/lib/a\040b ro
nonsense
`)
	if fmt.Sprint(got) != "[{1  /mnt/x y} {12 00ff /mnt/s}]" {
		t.Errorf("%v", got)
	}
}

// TestMount shows an instance's tree and a list of layers, and takes both away in every way there is.
func TestMount(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	image := comparedImage(t, s)
	must(t, s.CreateUpper(ctx, 1))
	write(t, filepath.Join(s.instance(1), "upper/etc/own"), "own")
	must(t, os.Lchown(filepath.Join(s.instance(1), "upper/etc/own"), 7, 8))
	dirs := []string{t.TempDir(), t.TempDir()}
	t.Cleanup(func() {
		for _, dir := range dirs {
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	instance, layers := sysctl.Side{Layers: image, Instance: 1}, sysctl.Side{Layers: image}
	skipUnsupported(t, s.Mount(ctx, 1, instance, dirs[0]))
	must(t, s.Mount(ctx, 1, layers, dirs[1]))
	views := func() int {
		t.Helper()
		list, err := s.Views()
		must(t, err)
		return len(list)
	}
	if n := views(); n != 2 {
		t.Errorf("%d views", n)
	}
	if uid, gid := owner(t, filepath.Join(dirs[0], "etc/own")); uid != 7 || gid != 8 || read(t, filepath.Join(dirs[0], "etc/own")) != "own" {
		t.Errorf("%d:%d", uid, gid)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], "etc/new"), nil, 0o600); err == nil {
		t.Error("it can be written")
	}
	absent(t, filepath.Join(dirs[1], "etc/own"))
	wantKind(t, s.Mount(ctx, 1, layers, dirs[0]), sysctl.Conflict)
	wantKind(t, s.Mount(ctx, 1, layers, filepath.Join(t.TempDir(), "none")), sysctl.NotFound)
	wantKind(t, s.Mount(ctx, 1, layers, filepath.Join(s.instance(1), "work")), sysctl.Conflict)

	// The instance can be mounted under it.
	tree, err := s.OpenTree(ctx, 1, image)
	must(t, err)
	must(t, tree.Close())

	used, err := os.Open(dirs[0])
	must(t, err)
	list, err := s.Views()
	must(t, err)
	wantKind(t, s.Unmount(list[0], false), sysctl.Busy)
	must(t, s.Unmount(list[0], true))
	must(t, s.Unmount(list[0], true))
	must(t, used.Close())
	must(t, s.DeleteLayer(ctx, image[1]))
	if n := views(); n != 0 {
		t.Errorf("%d views are left of what is deleted", n)
	}
}
