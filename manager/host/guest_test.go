package host

import (
	"net/netip"
	"os"
	"reflect"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"github.com/sysctl-os/sysctl/storage"
	"github.com/sysctl-os/sysctl/templates"
)

// Real trees, from 2013 on: found to be what they are, prepared and rendered once and not a second time, every step that
// can be taken back taken back, and found again to be what they are.
func TestRealTrees(t *testing.T) {
	needs.Root(t)
	for file, want := range map[string]sysctl.Guest{
		"alpine-2.6-amd64":  {Version: "2.6", Arch: "amd64", Bits: 64, Init: "busybox", InitVersion: "1.21.1", Libc: "uclibc", LibcVersion: "0.9.33.2", Renderer: "ifupdown", Dialect: "busybox"},
		"alpine-3.6-amd64":  {Version: "3.6", Arch: "amd64", Bits: 64, Init: "busybox", InitVersion: "1.26.2", Libc: "musl", LibcVersion: "1.1.16", Renderer: "none"},
		"alpine-3.20-amd64": {Version: "3.20", Arch: "amd64", Bits: 64, Init: "busybox", InitVersion: "1.36.1", Libc: "musl", LibcVersion: "1.2.5", Renderer: "none"},
		"alpine-3.20-i386":  {Version: "3.20", Arch: "i386", Bits: 32, Init: "busybox", InitVersion: "1.36.1", Libc: "musl", LibcVersion: "1.2.5", Renderer: "none"},
	} {
		t.Run(file, func(t *testing.T) {
			tree := realTree(t, "rootfs/"+file+".tar.gz")
			g, err := guests{}.Detect(tree)
			want.Family, want.ID, want.Packages, want.Name = "alpine", "alpine", "apk", g.Name
			want.Evidence, want.Fingerprint = g.Evidence, g.Fingerprint
			if err != nil || !reflect.DeepEqual(g, want) {
				t.Fatalf("%+v, %v\nwant %+v", g, err, want)
			}
			prepare := func(skip ...string) {
				t.Helper()
				for round := range 2 {
					changes, err := guests{}.Prepare(tree, g, skip)
					if err == nil && round == 1 && len(changes) > 0 {
						t.Errorf("without %v, the second time: %s", skip, changes[0].Path)
					}
					if err == nil {
						err = sysctl.Apply(tree, changes)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			prepare()
			for round := range 2 {
				changes, err := guests{}.Render(tree, g, oneNIC())
				if err != nil || round == 1 && len(changes) > 0 {
					t.Fatalf("round %d: %v, %v", round, changes, err)
				}
				if err := sysctl.Apply(tree, changes); err != nil {
					t.Fatal(err)
				}
			}
			steps, err := guests{}.Prepared(tree)
			if err != nil || len(steps) == 0 {
				t.Fatal(steps, err)
			}
			for _, s := range steps {
				changes, err := guests{}.Restore(tree, []string{s.Name})
				if sysctl.KindOf(err) == sysctl.Invalid {
					continue
				}
				if err == nil {
					err = sysctl.Apply(tree, changes)
				}
				if err != nil {
					t.Fatal(s.Name, err)
				}
				prepare(s.Name)
				prepare()
			}
			now, err := guests{}.Detect(tree)
			now.Evidence, now.Fingerprint = g.Evidence, g.Fingerprint
			if err != nil || !reflect.DeepEqual(now, g) {
				t.Errorf("%+v, %v\nwas %+v", now, err, g)
			}
		})
	}
}

// realTree unpacks a tree that lies beside the clone.
func realTree(t testing.TB, name string) *storage.Tree {
	t.Helper()
	f, err := os.Open(needs.Shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	if _, err := templates.Unpack(t.Context(), f, dir, templates.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	tree, err := storage.OpenDirTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	confined(t, tree)
	return tree
}

// confined makes sure that a tree's paths stay in it, with a name that does no harm if they do not: the tests go on to
// write into /etc.
func confined(t testing.TB, tree *storage.Tree) {
	t.Helper()
	const probe = "/sysctl-test-of-a-real-tree"
	if err := tree.WriteFile(probe, nil, 0o600); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	if os.Remove(probe) == nil {
		t.Fatal("the tree's paths are not confined to the tree")
	}
	if err := tree.Remove(probe); err != nil {
		t.Fatal(err)
	}
}

func oneNIC() sysctl.GuestNetwork {
	return sysctl.GuestNetwork{Hostname: "web1", DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, NICs: []sysctl.GuestNIC{{
		Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.5/24"), netip.MustParsePrefix("2001:db8::5/64")},
		Gateway4: netip.MustParseAddr("192.0.2.1"), Gateway6: netip.MustParseAddr("2001:db8::1"),
	}}}
}

// What a start does with the guest's files where nothing has changed: whether the guest is what it was, and rendering.
func BenchmarkGuestFiles(b *testing.B) {
	var t sysctl.Tree
	if dir := os.Getenv("SYSCTL_BENCH_TREE"); dir != "" { // another tree: a directory
		other, err := storage.OpenDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		defer other.Close()
		t = other
	} else {
		t = realTree(b, "rootfs/alpine-3.20-amd64.tar.gz")
	}
	g, err := guests{}.Detect(t)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fingerprint", func(b *testing.B) {
		for b.Loop() {
			guests{}.Fingerprint(t)
		}
	})
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			if _, err := (guests{}).Render(t, g, oneNIC()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("detect", func(b *testing.B) {
		for b.Loop() {
			if _, err := (guests{}).Detect(t); err != nil {
				b.Fatal(err)
			}
		}
	})
}
