package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"golang.org/x/sys/unix"
)

var elsewhere = sysctl.IDMap{Base: 5_000_000, Size: 65536}

// accessList is one with a user and a group.
func accessList(user, group uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, 4, user}, {4, 4, ^uint32(0)}, {8, 6, group}, {16, 6, ^uint32(0)}, {32, 4, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// hostileLayer has everything that a copy could lose or get wrong.
func hostileLayer(t testing.TB, s *Store) string {
	return testLayer(t, s, func(dir string) {
		p := func(name string) string { return filepath.Join(dir, name) }
		program(t, dir, "usr/bin/tool", "capable and set-uid")
		must(t, os.Link(p("usr/bin/tool"), p("usr/bin/again")))
		program(t, dir, "usr/bin/other", "another")
		write(t, p("usr/bin/mail"), "set-gid")
		must(t, os.Chown(p("usr/bin/mail"), 0, 8))
		must(t, os.Chmod(p("usr/bin/mail"), 0o755|os.ModeSetgid))
		write(t, p("home/user/file"), "listed")
		must(t, os.Chown(p("home/user"), 1000, 1000))
		must(t, unix.Lsetxattr(p("home/user/file"), aclAccess, accessList(1000, 50), 0))
		must(t, unix.Lsetxattr(p("home/user"), aclDefault, accessList(33, 34), 0))
		must(t, os.Mkdir(p("shared"), 0o777))
		must(t, os.Chown(p("shared"), 0, 50))
		must(t, os.Chmod(p("shared"), 0o775|os.ModeSetgid|os.ModeSticky))
		special(t, dir)
		must(t, os.Lchown(p("link"), 1000, 1001))
		must(t, os.Lchown(p("zero"), 5, 6))
		must(t, os.Lchown(p("fifo"), 65535, 65535))
		write(t, p("nobodys"), "of an id that the guest does not have")
		must(t, os.Chown(p("nobodys"), 70_000, 80_000))
		must(t, unix.Mknod(p("hidden"), unix.S_IFCHR, 0))
		write(t, p("opaque/file"), "x")
		must(t, unix.Lsetxattr(p("opaque"), "trusted.overlay.opaque", []byte("y"), 0))
		f, err := os.OpenFile(p("sparse"), os.O_WRONLY, 0)
		must(t, err)
		must(t, f.Truncate(32<<20))
		_, err = f.WriteAt([]byte("middle"), 16<<20)
		must(t, errors.Join(err, f.Close()))
		must(t, os.Chtimes(p("home/user"), epoch, epoch))
		must(t, os.Chmod(dir, 0o711))
	})
}

// inGuestIDs is everything of a tree, with ids translated.
func inGuestIDs(t testing.TB, root string, ids translate) map[string]string {
	t.Helper()
	all := map[string]string{}
	inodes := map[uint64]string{}
	must(t, filepath.WalkDir(root+"/.", func(name string, d fs.DirEntry, err error) error {
		must(t, err)
		rel := strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
		var st unix.Stat_t
		must(t, unix.Lstat(name, &st))
		must(t, translateStat(&st, ids))
		list, err := xattrs(name)
		must(t, err)
		must(t, translateXattrs(list, ids))
		first := ""
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if first = inodes[st.Ino]; first == "" {
				inodes[st.Ino] = rel
			}
		}
		content := ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content = fmt.Sprint(st.Size, st.Blocks < 1000)
			if st.Size < 100 {
				content = read(t, name)
			}
		case unix.S_IFLNK:
			content, err = os.Readlink(name)
			must(t, err)
		case unix.S_IFCHR, unix.S_IFBLK:
			content = fmt.Sprint(st.Rdev)
		}
		mtime := fmt.Sprint(st.Mtim)
		if rel == "." {
			mtime = ""
		}
		all[rel] = fmt.Sprintf("%o %d %d %s %q %s %q", st.Mode, st.Uid, st.Gid, mtime, list, first, content)
		return nil
	}))
	return all
}

// seen is what the guest sees of ids on disk.
func seen(ids translate) translate {
	return func(group bool, id uint32) (uint32, error) {
		id, err := ids(group, id)
		if id >= shifted.Size {
			id = overflowID
		}
		return id, err
	}
}

func sameTree(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s: %s is\n%s\nwant\n%s", what, name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s: is there: %s", what, name, got[name])
		}
	}
}

func TestCopyOfALayer(t *testing.T) {
	s := rootStore(t).Shifting(ShiftCopy)
	id := hostileLayer(t, s)
	before := digestOf(t, s.LayerPath(id))
	for _, m := range []sysctl.IDMap{shifted, {Base: 5_000_000, Size: 65536, Raw: "both 1000 5000\nuid 600000-600001 1000-1001\ngid 33 33"}} {
		made, err := s.copyLayer(t.Context(), id, m, nil)
		must(t, err)
		again, err := s.copyLayer(t.Context(), id, m, nil)
		must(t, err)
		if !made || again {
			t.Errorf("made %v, and again %v", made, again)
		}
		fs := filepath.Join(s.copyPath(id, m), "fs")
		sameTree(t, m.Raw, inGuestIDs(t, fs, toGuest(m)), inGuestIDs(t, s.LayerPath(id), asIs))
		if uid, gid := owner(t, filepath.Join(fs, "usr/bin/tool")); uid != m.Base+7 || gid != m.Base+8 {
			t.Errorf("owner %d %d", uid, gid)
		}
		b, err := grow(func(b []byte) (int, error) {
			return unix.Lgetxattr(filepath.Join(fs, "usr/bin/tool"), capabilityXattr, b)
		})
		if err != nil || len(b) != 24 || binary.LittleEndian.Uint32(b[20:]) != m.Base {
			t.Errorf("capabilities %v %v: of another root than the guest's", b, err)
		}
		if uid, gid := owner(t, filepath.Join(fs, "nobodys")); uid != 70_000 || gid != 80_000 {
			t.Errorf("what is nobody's belongs to %d %d", uid, gid)
		}
	}
	for path, want := range map[string][2]uint32{"home/user": {600_000, 5_001_000}, "link": {600_000, 5_001_001}} {
		raw := sysctl.IDMap{Base: 5_000_000, Size: 65536, Raw: "both 1000 5000\nuid 600000-600001 1000-1001\ngid 33 33"}
		if uid, gid := owner(t, filepath.Join(s.copyPath(id, raw), "fs", path)); uid != want[0] || gid != want[1] {
			t.Errorf("%s belongs to %d %d, want %v", path, uid, gid, want)
		}
	}
	if digestOf(t, s.LayerPath(id)) != before {
		t.Error("the layer was changed")
	}
	empty(t, s.staging())

	// Ids that would become the guest's.
	bad := testLayer(t, s, func(dir string) {
		write(t, filepath.Join(dir, "f"), "")
		must(t, os.Chown(filepath.Join(dir, "f"), int(shifted.Base)+3, 0))
	})
	_, err := s.copyLayer(t.Context(), bad, shifted, nil)
	wantKind(t, err, sysctl.Unsupported)
	absent(t, s.copyPath(bad, shifted))
	empty(t, s.staging())
	for _, m := range []sysctl.IDMap{{Base: 65536, Size: 65537}, {Base: 70_000, Size: 65536, Raw: "both 70001 5\nboth 1000 1"}, {Base: 70_000, Size: 65536, Raw: "both 1000 65536"}} {
		wantKind(t, checkShifted(m), sysctl.Unsupported)
	}
	must(t, checkShifted(sysctl.IDMap{Base: 70_000, Size: 65536, Raw: "both 70005 5\nboth 1000 1001"}))
	_, err = s.copyLayer(t.Context(), "abc123", shifted, nil)
	wantKind(t, err, sysctl.NotFound)

	list, err := s.Copies()
	must(t, err)
	if len(list) != 2 {
		t.Errorf("copies %+v", list)
	}
	for _, c := range list {
		must(t, s.DeleteCopy(t.Context(), c))
		must(t, s.DeleteCopy(t.Context(), c))
	}
	empty(t, s.shifted())
}

// Of several who want a copy at once one makes it, and what a killed maker has left is swept before.
func TestCopyOfALayerIsMadeOnce(t *testing.T) {
	s := rootStore(t)
	id := hostileLayer(t, s)
	cmd := helper("stage", s.dir)
	start(t, cmd)
	must(t, cmd.Process.Kill())
	cmd.Wait()
	if left, _ := os.ReadDir(s.staging()); len(left) == 0 {
		t.Error("the killed maker has left nothing")
	}
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			fresh, err := s.copyLayer(t.Context(), id, shifted, nil)
			if err != nil {
				t.Error(err)
			}
			if fresh {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d have made it", made.Load())
	}
	empty(t, s.staging())
	empty(t, s.trash())
}

// helpWrite does in a guest's tree what its own programs do: descriptor 3 is the mounted root.
func helpWrite([]string) error {
	at := func(name string) string { return "/proc/self/fd/3/" + name }
	create := func(name string, mode os.FileMode, uid, gid int) error {
		return errors.Join(os.WriteFile(at(name), []byte(name), 0o600), os.Lchown(at(name), uid, gid), os.Chmod(at(name), mode))
	}
	return errors.Join(
		create("own", 0o644, 0, 0), create("setuid", 0o755|os.ModeSetuid, 33, 34), create("capable", 0o755, 0, 0),
		unix.Setxattr(at("capable"), capabilityXattr, capNetRaw, 0),
		os.Link(at("setuid"), at("setuid2")),
		unix.Setxattr(at("own"), aclAccess, accessList(1000, 1001), 0),
		unix.Setxattr(at("own"), "user.note", []byte("x"), 0),
		os.Mkdir(at("group"), 0o755), os.Lchown(at("group"), 7, 50), os.Chmod(at("group"), 0o775|os.ModeSetgid),
		unix.Setxattr(at("group"), aclDefault, accessList(1, 2), 0),
		os.Symlink("/own", at("group/link")), os.Lchown(at("group/link"), 1000, 1001),
		unix.Mkfifo(at("group/fifo"), 0o640), os.Chown(at("group/fifo"), 5000, 1000),
		os.Remove(at("usr/bin/mail")), os.RemoveAll(at("home/user")), os.Mkdir(at("home/user"), 0o700),
		os.Rename(at("shared"), at("moved")),
		os.Chtimes(at("usr/bin/other"), epoch, epoch), // copied up
		os.Chmod(at("."), 0o751),
	)
}

// guestDoes runs a helper as the root of a guest.
func guestDoes(t testing.TB, root *os.File, m sysctl.IDMap, what string) {
	t.Helper()
	guest := helper(what)
	guest.ExtraFiles = []*os.File{root}
	inUserNamespace(guest, m)
	must(t, guest.Run())
}

// lived is an instance over the hostile layer in which a guest has written, and what it then is.
func lived(t testing.TB) (s *Store, layers []string, is map[string]string) {
	s = rootStore(t)
	layers = []string{hostileLayer(t, s)}
	must(t, s.CreateUpper(t.Context(), 1))
	root, err := s.OpenRoot(t.Context(), 1, layers, shifted, nil)
	skipUnsupported(t, err)
	guestDoes(t, root, shifted, "write")
	is = inGuestIDs(t, fdPath(root), seen(toGuest(shifted)))
	must(t, root.Close())
	return s, layers, is
}

// Whichever way ids are shifted, and back and forth between them, an instance is the same.
func TestShiftIsTheSame(t *testing.T) {
	s, layers, want := lived(t)
	upper := filepath.Join(s.instance(1), "upper")
	before := digestOf(t, upper)
	open := func(s *Store, m sysctl.IDMap) {
		t.Helper()
		root, err := s.OpenRoot(t.Context(), 1, layers, m, nil)
		must(t, err)
		sameTree(t, fmt.Sprint(s.shift, m), inGuestIDs(t, fdPath(root), seen(toGuest(m))), want)
		must(t, root.Close())
		tree, err := s.OpenTree(t.Context(), 1, layers)
		must(t, err)
		ids := translate(asIs)
		if tree.uid != 0 {
			ids = toGuest(m)
		}
		sameTree(t, "tree", inGuestIDs(t, fdPath(tree.Root()), seen(ids)), want)
		must(t, tree.Close())
	}
	raw := sysctl.IDMap{Base: 5_000_000, Size: 65536, Raw: "both 1000 5000\nuid 600000-600001 1000-1001\ngid 33 33"}
	copying := s.Shifting(ShiftCopy)
	open(copying, shifted)
	open(copying, shifted)
	if uid, _ := owner(t, filepath.Join(upper, "setuid")); uid != shifted.Base+33 {
		t.Errorf("owner on disk %d", uid)
	}
	open(copying, elsewhere)
	open(copying, raw)
	open(s.Shifting(ShiftIDMap), shifted)
	open(copying, raw)
	open(s, elsewhere) // auto: this kernel can
	if got := digestOf(t, upper); got != before {
		t.Errorf("the upper was %s and is %s", before, got)
	}
	open(copying, shifted)

	// What is made of it has the guest's ids.
	st, err := copying.CopyUpper(t.Context(), 1, nil)
	must(t, err)
	if got := digestOf(t, st.Dir()); got != before {
		t.Errorf("a copy of the upper is %s, it was %s", got, before)
	}
	must(t, st.Abort())
	if clean, err := copying.UpperClean(t.Context(), 1, layers[0]); clean || err != nil {
		t.Errorf("clean: %v %v", clean, err)
	}
	must(t, copying.PrepareUpper(t.Context(), 1, ""))
	must(t, copying.Seal(t.Context(), 1, "aa"))
	if got := digestOf(t, copying.LayerPath("aa")); got != before {
		t.Errorf("sealed it is %s, it was %s", got, before)
	}
	layers = append(layers, "aa")
	open(copying, shifted)
	if clean, err := copying.UpperClean(t.Context(), 1, "aa"); !clean || err != nil {
		t.Errorf("clean: %v %v", clean, err)
	}
	must(t, copying.PrepareUpper(t.Context(), 1, "aa"))
	must(t, copying.RenewUpper(t.Context(), 1))
	absent(t, filepath.Join(s.instance(1), idsName))
	open(s, shifted)
	open(copying, shifted)
	// A copy that somebody has removed is made again.
	must(t, os.RemoveAll(copying.copyPath("aa", shifted)))
	open(copying, shifted)
	must(t, copying.DeleteUpper(t.Context(), 1))
	empty(t, s.instances())
	empty(t, s.staging())
	empty(t, s.trash())
}

// The guest's programs do the same where its files have its ids on disk.
func TestGuestInCopies(t *testing.T) {
	s, layers, want := lived(t)
	copying := s.Shifting(ShiftCopy)
	must(t, copying.CreateUpper(t.Context(), 2))
	root, err := copying.OpenRoot(t.Context(), 2, layers, elsewhere, nil)
	must(t, err)
	guestDoes(t, root, elsewhere, "write")
	got := inGuestIDs(t, fdPath(root), seen(toGuest(elsewhere)))
	must(t, root.Close())
	noTimes := func(all map[string]string) map[string]string {
		out := map[string]string{}
		for name, is := range all {
			f := strings.SplitN(is, "} ", 2)
			out[name] = strings.SplitN(is, "{", 2)[0] + f[len(f)-1]
		}
		return out
	}
	sameTree(t, "a guest's work", noTimes(got), noTimes(want))
	onDisk := inGuestIDs(t, filepath.Join(copying.instance(2), "upper"), asIs)
	if !strings.Contains(onDisk["own"], fmt.Sprintf(" %d %d ", elsewhere.Base, elsewhere.Base)) {
		t.Errorf("on disk %s", onDisk["own"])
	}

	// From the host, while it is stopped.
	tree, err := copying.OpenTree(t.Context(), 2, layers)
	must(t, err)
	must(t, tree.WriteFile("/etc/pushed", []byte("x"), 0o644))
	must(t, tree.Mkdir("/etc/dir", sysctl.CopyOptions{UID: 33, GID: 34}))
	list, err := tree.Files("/etc")
	must(t, err)
	for _, f := range list {
		if f.Name == "dir" && (f.UID != 33 || f.GID != 34) || f.Name == "pushed" && (f.UID != 0 || f.GID != 0) {
			t.Errorf("%s belongs to %d %d", f.Name, f.UID, f.GID)
		}
	}
	must(t, tree.Close())
	if uid, _ := owner(t, filepath.Join(copying.instance(2), "upper/etc/dir")); uid != elsewhere.Base+33 {
		t.Errorf("owner on disk %d", uid)
	}
}

// What an instance has changed is the same for who compares while it runs.
func TestDiffInCopies(t *testing.T) {
	s, layers, _ := lived(t)
	diff := func() []sysctl.Difference {
		t.Helper()
		c, err := s.OpenComparison(t.Context(), sysctl.Side{Layers: layers}, sysctl.Side{Layers: layers, Instance: 1})
		must(t, err)
		defer c.Close()
		list, err := c.Differences(t.Context())
		must(t, err)
		return list
	}
	want := fmt.Sprintf("%+v", diff())
	copying := s.Shifting(ShiftCopy)
	root, err := copying.OpenRoot(t.Context(), 1, layers, shifted, nil)
	must(t, err)
	if got := fmt.Sprintf("%+v", diff()); got != want {
		t.Errorf("differences\n%s\nwant\n%s", got, want)
	}
	// A view of it would show other ids.
	dir := t.TempDir()
	side := sysctl.Side{Layers: layers, Instance: 1}
	wantKind(t, copying.Mount(t.Context(), 1, side, dir), sysctl.Unsupported)
	must(t, root.Close())
	must(t, copying.Mount(t.Context(), 1, side, dir))
	if uid, gid := owner(t, filepath.Join(dir, "setuid")); uid != 33 || gid != 34 {
		t.Errorf("in a view it belongs to %d %d", uid, gid)
	}
	root, err = copying.OpenRoot(t.Context(), 1, layers, shifted, nil)
	must(t, err)
	if views, err := copying.Views(); err != nil || len(views) > 0 {
		t.Errorf("views of what was shifted: %+v %v", views, err)
	}
	must(t, root.Close())
}

// stops is a context that ends after it was asked a number of times.
type stops struct {
	context.Context
	left *int
}

func (c stops) Err() error {
	if *c.left--; *c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Wherever a shift is interrupted, it can be finished, and taken back.
func TestShiftInterrupted(t *testing.T) {
	s, _, _ := lived(t)
	dir := s.instance(1)
	is := func() map[string]string { return inGuestIDs(t, filepath.Join(dir, "upper"), asIs) }
	want := is()
	raw := sysctl.IDMap{Base: 5_000_000, Size: 65536, Raw: "both 1000 5000\nuid 600000-600001 1000-1001\ngid 33 33"}
	interrupted := func(m sysctl.IDMap, after int) bool {
		err := s.setIDs(stops{t.Context(), &after}, dir, m, nil)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return err != nil
	}
	for _, m := range []sysctl.IDMap{shifted, raw} {
		for n := 1; ; n += 3 {
			again := interrupted(m, n)
			if !again {
				break
			}
			if n%2 == 0 {
				must(t, s.setIDs(t.Context(), dir, m, nil))
				sameTree(t, fmt.Sprintf("finished after %d", n), inGuestIDs(t, filepath.Join(dir, "upper"), toGuest(m)), want)
			}
			for back := n; interrupted(sysctl.IDMap{}, back); back += n {
			}
			sameTree(t, fmt.Sprintf("taken back after %d", n), is(), want)
			absent(t, filepath.Join(dir, idsName))
		}
		must(t, s.setIDs(t.Context(), dir, elsewhere, nil))
		must(t, s.setIDs(t.Context(), dir, sysctl.IDMap{}, nil))
		sameTree(t, "at last", is(), want)
	}
}

// An upper that somebody has mounted is not touched.
func TestShiftOfAMounted(t *testing.T) {
	s, layers, _ := lived(t)
	root, err := s.OpenRoot(t.Context(), 1, layers, shifted, nil)
	must(t, err)
	before := inGuestIDs(t, filepath.Join(s.instance(1), "upper"), asIs)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := s.setIDs(ctx, s.instance(1), shifted, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("it was shifted: %v", err)
	}
	sameTree(t, "mounted", inGuestIDs(t, filepath.Join(s.instance(1), "upper"), asIs), before)
	must(t, root.Close())
}

func TestLayerInAnInstanceInCopies(t *testing.T) {
	s := rootStore(t).Shifting(ShiftCopy)
	for name, below := range map[string][]string{"over a layer": {hostileLayer(t, s)}, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			st, err := s.Stage(t.Context(), below...)
			must(t, err)
			defer st.Abort()
			if below == nil {
				for _, path := range []string{"usr/bin", "home"} {
					must(t, os.MkdirAll(filepath.Join(st.Dir(), path), 0o755))
				}
				program(t, st.Dir(), "usr/bin/other", "x")
				write(t, filepath.Join(st.Dir(), "usr/bin/mail"), "x")
				must(t, os.Mkdir(filepath.Join(st.Dir(), "shared"), 0o755))
			}
			before := inGuestIDs(t, st.Dir(), seen(asIs))
			root, err := st.OpenRoot(t.Context(), shifted)
			must(t, err)
			sameTree(t, "in the instance", inGuestIDs(t, fdPath(root), seen(toGuest(shifted))), before)
			guestDoes(t, root, shifted, "write")
			want := inGuestIDs(t, fdPath(root), seen(toGuest(shifted)))
			must(t, root.Close())
			must(t, st.Reopen(t.Context()))
			sameTree(t, "reopened", inGuestIDs(t, st.Dir(), seen(asIs)), want)
			l, err := st.Commit(t.Context())
			must(t, err)
			absent(t, filepath.Join(s.layers(), l.ID, idsName))
		})
	}
}

// On a filesystem that refuses idmapped mounts (ext3 as the ext4 driver has it), layers are copied without being asked for, and
// check says so.
func TestShiftOnAFilesystemThatRefuses(t *testing.T) {
	needs.Root(t)
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(200<<20))
	must(t, f.Close())
	for _, argv := range [][]string{{needs.Program(t, "mkfs.ext3"), "-q", image}, {needs.Program(t, "mount"), "-t", "ext3", "-o", "loop", image, dir}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := New(filepath.Join(dir, "sysctl"))
	wantKind(t, s.idmaps(t.Context()), sysctl.Unsupported)
	layers := []string{hostileLayer(t, s)}
	must(t, s.CreateUpper(t.Context(), 1))
	_, err = s.Shifting(ShiftIDMap).OpenRoot(t.Context(), 1, layers, shifted, nil)
	wantKind(t, err, sysctl.Unsupported)
	if hint := sysctl.HintOf(err); !strings.Contains(hint, "storage.shift") {
		t.Errorf("hint %q", hint)
	}
	for range 2 {
		root, err := s.OpenRoot(t.Context(), 1, layers, shifted, nil)
		must(t, err)
		if uid, _ := owner(t, fdPath(root)+"/usr/bin/tool"); uid != shifted.Base+7 {
			t.Errorf("owner %d", uid)
		}
		must(t, root.Close())
	}
	st, err := s.Stage(t.Context())
	must(t, err)
	root, err := st.OpenRoot(t.Context(), shifted)
	must(t, err)
	must(t, root.Close())
	must(t, st.Abort())

	fact := func(s *Store, name string) sysctl.Fact {
		for _, f := range s.Probe(t.Context()) {
			if f.Name == name {
				return f
			}
		}
		t.Fatalf("no fact %q", name)
		return sysctl.Fact{}
	}
	if f := fact(s, "overlay on idmapped layers"); f.Level != sysctl.Warning || f.Repair == "" {
		t.Errorf("%+v", f)
	}
	if f := fact(s.Shifting(ShiftIDMap), "overlay on idmapped layers"); f.Level != sysctl.Fatal || !strings.Contains(f.Repair, "storage.shift") {
		t.Errorf("%+v", f)
	}
	if f := fact(s, "ids of layers"); f.Level != sysctl.Warning || f.Value != "in copies" || !strings.Contains(f.Cost, "1 copies have 0.") {
		t.Errorf("%+v", f)
	}
}
