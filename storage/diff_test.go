package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// differences compares and writes one line for each difference.
func differences(t *testing.T, s *Store, from, to sysctl.Side) []string {
	t.Helper()
	c, err := s.OpenComparison(context.Background(), from, to)
	must(t, err)
	defer c.Close()
	list, err := c.Differences(context.Background())
	must(t, err)
	lines := []string{}
	for _, d := range list {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", d.Change, d.Type, d.Path, strings.Join(d.What, ","))))
	}
	return lines
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// comparedImage is an image of two layers.
func comparedImage(t *testing.T, s *Store) []string {
	low := testLayer(t, s, func(dir string) {
		for _, name := range []string{"etc/passwd", "etc/motd", "etc/kept", "usr/share/doc/a", "usr/share/doc/b", "var/cache/x/1", "var/cache/x/2",
			"var/same", "var/mode", "var/owner", "var/attr", "opt/app/bin", "was/file", "deep/er/file"} {
			write(t, filepath.Join(dir, name), name)
		}
		must(t, os.Symlink("motd", filepath.Join(dir, "etc/link")))
	})
	high := testLayer(t, s, func(dir string) { write(t, filepath.Join(dir, "etc/motd"), "of the second layer") })
	return []string{low, high}
}

// TestDifferences changes an instance's tree in every way there is, through overlay, and finds just that.
func TestDifferences(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	image := comparedImage(t, s)
	must(t, s.CreateUpper(ctx, 1))
	instance := sysctl.Side{Layers: image, Instance: 1}
	tree, err := s.OpenTree(ctx, 1, image)
	skipUnsupported(t, err)
	must(t, err)
	in := func(name string) string { return filepath.Join(procPath(int(tree.Root().Fd())), name) }
	same(t, differences(t, s, sysctl.Side{Layers: image}, instance), []string{})

	write(t, in("etc/passwd"), "other")      // content
	write(t, in("var/same"), "x")            // copied up, and put back
	write(t, in("var/same"), "var/same")     // the same again, and another time
	must(t, os.Chmod(in("var/mode"), 0o600)) // mode
	must(t, os.Chown(in("var/owner"), 7, 8)) // owner
	must(t, unix.Setxattr(in("var/attr"), "user.x", []byte("1"), 0))
	must(t, os.Chtimes(in("etc/kept"), time.Unix(1, 0), time.Unix(1, 0))) // times are nothing
	must(t, os.Remove(in("etc/motd")))                                    // a whiteout
	must(t, os.Remove(in("etc/link")))
	must(t, os.Symlink("passwd", in("etc/link")))                   // a link elsewhere
	must(t, os.Rename(in("usr/share/doc"), in("usr/share/papers"))) // a redirect
	must(t, os.RemoveAll(in("var/cache/x")))                        // an opaque directory
	write(t, in("var/cache/x/2"), "var/cache/x/2")
	write(t, in("var/cache/x/3"), "3")
	must(t, os.RemoveAll(in("opt/app"))) // a whole directory
	must(t, os.RemoveAll(in("was")))     // a directory becomes a file
	write(t, in("was"), "file")
	write(t, in("new/dir/file"), "new")
	must(t, unix.Mkfifo(in("new/pipe"), 0o644))

	want := []string{
		"changed symlink /etc/link content",
		"deleted file /etc/motd",
		"changed file /etc/passwd content",
		"added directory /new",
		"added directory /new/dir",
		"added file /new/dir/file",
		"added fifo /new/pipe",
		"deleted directory /opt/app",
		"deleted directory /usr/share/doc",
		"added directory /usr/share/papers",
		"added file /usr/share/papers/a",
		"added file /usr/share/papers/b",
		"changed file /var/attr xattr",
		"deleted file /var/cache/x/1",
		"added file /var/cache/x/3",
		"changed file /var/mode mode",
		"changed file /var/owner owner",
		"changed file /was type",
	}
	// While it is mounted, as of an instance that runs, and when it is not.
	same(t, differences(t, s, sysctl.Side{Layers: image}, instance), want)
	must(t, tree.Close())
	same(t, differences(t, s, sysctl.Side{Layers: image}, instance), want)

	// The other way round it all comes back.
	back := differences(t, s, instance, sysctl.Side{Layers: image})
	for _, line := range []string{"added file /etc/motd", "deleted directory /new", "added file /opt/app/bin", "changed directory /was type",
		"added file /was/file", "deleted directory /usr/share/papers", "added file /usr/share/doc/a"} {
		if !slices.Contains(back, line) {
			t.Errorf("back: %q is missing in\n\t%s", line, strings.Join(back, "\n\t"))
		}
	}

	// What is sealed into a layer differs as it did before; between what was and is nothing does.
	must(t, s.PrepareUpper(ctx, 1, ""))
	sealed := strings.Repeat("ab", 32)
	must(t, s.Seal(ctx, 1, sealed))
	snap := append(slices.Clone(image), sealed)
	same(t, differences(t, s, sysctl.Side{Layers: image}, sysctl.Side{Layers: snap}), want)
	same(t, differences(t, s, sysctl.Side{Layers: snap}, sysctl.Side{Layers: snap, Instance: 1}), []string{})
	tree, err = s.OpenTree(ctx, 1, snap)
	must(t, err)
	write(t, in("etc/passwd"), "etc/passwd") // as in the image again
	must(t, tree.Close())
	same(t, differences(t, s, sysctl.Side{Layers: snap}, sysctl.Side{Layers: snap, Instance: 1}), []string{"changed file /etc/passwd content"})
	if got := differences(t, s, sysctl.Side{Layers: image}, sysctl.Side{Layers: snap, Instance: 1}); slices.Contains(got, want[2]) {
		t.Errorf("what is as it was in the image counts as changed: %q", got)
	}
}

// TestDifferencesHostile is of a tree that leads out of itself, is too deep, and cannot be read from.
func TestDifferencesHostile(t *testing.T) {
	ctx := context.Background()
	s := rootStore(t)
	image := comparedImage(t, s)
	must(t, s.CreateUpper(ctx, 1))
	tree, err := s.OpenTree(ctx, 1, image)
	skipUnsupported(t, err)
	must(t, err)
	defer tree.Close()
	in := func(name string) string { return filepath.Join(procPath(int(tree.Root().Fd())), name) }
	outside := t.TempDir()
	write(t, filepath.Join(outside, "er/secret"), "secret")
	must(t, os.RemoveAll(in("deep")))
	must(t, os.Symlink(outside, in("deep"))) // a directory becomes a link to the host's
	must(t, os.Remove(in("var/same")))
	must(t, unix.Mkfifo(in("var/same"), 0o644)) // nobody must wait for a writer
	dir := int(tree.Root().Fd())
	for range 900 {
		must(t, unix.Mkdirat(dir, "down.", 0o755))
		next, err := unix.Openat(dir, "down.", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		if dir != int(tree.Root().Fd()) {
			unix.Close(dir)
		}
		dir = next
	}
	unix.Close(dir)
	got := differences(t, s, sysctl.Side{Layers: image}, sysctl.Side{Layers: image, Instance: 1})
	if last := got[len(got)-1]; last != "changed fifo /var/same type" {
		t.Errorf("last: %s", last)
	}
	for _, line := range got {
		if strings.Contains(line, "secret") {
			t.Errorf("%s", line)
		}
	}
	if !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, "too deep to look at") }) {
		t.Error("nothing is said of what is too deep")
	}
	if !slices.Contains(got, "changed symlink /deep type") {
		t.Errorf("the link: %q", got[:3])
	}
}
