package storage

import (
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
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"golang.org/x/sys/unix"
)

// onQuotas is a store on a new btrfs with quotas, until the test ends. It has a layer of 20 MiB.
func onQuotas(t *testing.T) (*Store, string) {
	t.Helper()
	s := onDisk(t, "mkfs.btrfs")
	btrfs(t, "quota", "enable", s.dir)
	btrfs(t, "quota", "rescan", "-w", s.dir)
	must(t, s.CheckSize())
	return s, testLayer(t, s, func(dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "image"), bytes.Repeat([]byte("image\n"), 20<<20/6), 0o644))
		for i := range 300 {
			write(t, filepath.Join(dir, "etc", fmt.Sprint(i)), "x")
		}
	})
}

func btrfs(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(needs.Program(t, "btrfs"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("btrfs %q: %v: %s", args, err, out)
	}
	return string(out)
}

// nothingLeft checks that a filesystem has neither subvolumes nor quotas of any.
func nothingLeft(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.WaitQgroups(t.Context()))
	list := btrfs(t, "subvolume", "list", s.dir)
	for line := range strings.Lines(btrfs(t, "qgroup", "show", "--sync", s.dir)) {
		if strings.HasPrefix(line, "0/") && !strings.HasPrefix(line, "0/5 ") {
			list += line
		}
	}
	if list != "" {
		t.Errorf("left:\n%s", list)
	}
	for _, dir := range []string{s.trash(), s.instances(), s.staging()} {
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("left in %s: %v", dir, entries)
		}
	}
}

// fill writes a file until nothing more goes into it, or it has so many bytes, and returns how many it has.
func fill(t *testing.T, path string, most int) int {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	block, n := make([]byte, 64<<10), 0
	for n < most {
		k, err := f.Write(block)
		n += k
		if err == nil && n%(1<<20) == 0 {
			err = f.Sync()
		}
		if errors.Is(err, unix.EDQUOT) {
			return n
		}
		must(t, err)
	}
	return n
}

// full checks that about as many MiB go into a new file of the instance as are to.
func full(t *testing.T, what, root, name string, mib int) {
	t.Helper()
	if n := fill(t, filepath.Join(root, name), 64<<20); n > mib<<20 || n < (mib-2)<<20 {
		t.Errorf("%s: %d bytes went into it, want up to %d MiB", what, n, mib)
	}
}

func limit(t *testing.T, s *Store, size int64, running bool) {
	t.Helper()
	if applied, err := s.LimitUpper(t.Context(), 1, size, running); err != nil || !applied {
		t.Fatalf("limit of %d: %v, %v", size, applied, err)
	}
}

// What an instance has before it gets a size is what it was, and counts; its image does not, nor what its snapshots have.
func TestSizeOnBtrfs(t *testing.T) {
	s, base := onQuotas(t)
	must(t, s.CreateUpper(t.Context(), 1))
	layers := []string{base}
	inGuest(t, s, layers, func(root string) {
		at := func(name string) string { return filepath.Join(root, name) }
		must(t, os.MkdirAll(at("d/e"), 0o755))
		must(t, os.WriteFile(at("d/e/file"), make([]byte, 2<<20), 0o600))
		must(t, os.Link(at("d/e/file"), at("d/again")))
		must(t, os.Symlink("e/file", at("d/link")))
		must(t, os.Lchown(at("d/link"), 5, 6))
		must(t, unix.Mkfifo(at("d/pipe"), 0o620))
		must(t, os.Remove(at("etc/1")))
		must(t, os.Chmod(at("etc/2"), 0o600))
		must(t, os.Chmod(root, 0o711))
	})
	if applied, err := s.LimitUpper(t.Context(), 1, 8<<20, true); err != nil || applied {
		t.Errorf("of one that runs without: %v, %v", applied, err)
	}
	before := listing(t, filepath.Join(s.instance(1), "upper"))
	for range 2 {
		limit(t, s, 8<<20, false)
	}
	if after := listing(t, filepath.Join(home(s.instance(1)), "upper")); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	inGuest(t, s, layers, func(root string) {
		must(t, os.Rename(filepath.Join(root, "d/link"), filepath.Join(root, "moved")))
		full(t, "with what it had", root, "big", 6)
		for i := 0; ; i++ { // not even a note goes into it any more
			err := os.WriteFile(filepath.Join(root, fmt.Sprint("small", i)), []byte("x"), 0o600)
			if errors.Is(err, unix.EDQUOT) {
				break
			}
			must(t, err)
		}
		must(t, os.WriteFile(filepath.Join(s.dir, "host"), make([]byte, 10<<20), 0o600)) // the host has room
		limit(t, s, 16<<20, true)
		full(t, "more at once", root, "more", 8)
		limit(t, s, 6<<20, true)
		if f, err := os.Create(filepath.Join(root, "less")); !errors.Is(err, unix.EDQUOT) {
			t.Errorf("with less than it has a file is made: %v", errors.Join(err, f.Close()))
		}
		limit(t, s, 5<<20, true)
		limit(t, s, 6<<20, true)
		must(t, os.Remove(filepath.Join(root, "big")))
		must(t, os.Remove(filepath.Join(root, "more")))
		full(t, "less at once", root, "more", 4)
		limit(t, s, 0, true)
		if n := fill(t, filepath.Join(root, "free"), 40<<20); n != 40<<20 {
			t.Errorf("without a limit %d bytes went into it", n)
		}
		must(t, os.Remove(filepath.Join(root, "free")))
		// What is of the image and its own differ by device and inode number.
		seen := map[[2]uint64]string{}
		must(t, filepath.WalkDir(root+"/.", func(path string, d fs.DirEntry, err error) error {
			must(t, err)
			var st unix.Stat_t
			must(t, unix.Lstat(path, &st))
			if other := seen[[2]uint64{st.Dev, st.Ino}]; other != "" && st.Nlink < 2 {
				t.Errorf("%s and %s have the same device and inode number", other, path)
			}
			seen[[2]uint64{st.Dev, st.Ino}] = path
			return nil
		}))
	})

	// A full one is sealed, and has all its room again.
	limit(t, s, 8<<20, false)
	was := listing(t, filepath.Join(home(s.instance(1)), "upper"))
	must(t, s.PrepareUpper(t.Context(), 1, ""))
	must(t, s.Seal(t.Context(), 1, "aa"))
	if is := listing(t, s.LayerPath("aa")); is != was {
		t.Errorf("the upper was\n%s\nand the layer is\n%s", was, is)
	}
	layers = append(layers, "aa")
	limit(t, s, 8<<20, false)
	inGuest(t, s, layers, func(root string) {
		full(t, "after a snapshot", root, "after", 8)
		if b := read(t, filepath.Join(root, "etc/3")); b != "x" {
			t.Errorf("a file of the image has %q", b)
		}
	})
	// Of what is copied from it nothing is charged to it that it does not have.
	st, err := s.CopyUpper(t.Context(), 1, nil)
	must(t, err)
	_, err = st.CommitAs(t.Context(), "bb")
	must(t, err)
	must(t, s.PrepareUpper(t.Context(), 1, base))
	must(t, s.RenewUpper(t.Context(), 1))
	limit(t, s, 8<<20, false)
	inGuest(t, s, layers[:1], func(root string) {
		full(t, "after a restore", root, "after", 8)
		if _, err := os.Lstat(filepath.Join(root, "d")); !os.IsNotExist(err) {
			t.Errorf("what it had written is there: %v", err)
		}
	})
	if parts, _ := os.ReadDir(filepath.Join(home(s.instance(1)), ownParts)); len(parts) != 1 {
		t.Errorf("copies of layers that it does not use: %v", parts)
	}
	must(t, s.DeleteUpper(t.Context(), 1))
	nothingLeft(t, s)
}

// Ids that are shifted, by the kernel or in copies, are what they were.
func TestSizeOnBtrfsShifts(t *testing.T) {
	s, base := onQuotas(t)
	must(t, s.CreateUpper(t.Context(), 1))
	limit(t, s, 8<<20, false)
	for _, how := range []Shift{ShiftIDMap, ShiftCopy, ShiftIDMap} {
		s = s.Shifting(how)
		limit(t, s, 8<<20, false)
		f, err := s.OpenRoot(t.Context(), 1, []string{base}, shifted, nil)
		must(t, err)
		tree := NewTree(f).WithOwner(int(shifted.Base), int(shifted.Base))
		limit(t, s, 8<<20, true)
		must(t, tree.WriteFile("/by-"+string(how), []byte("x"), 0o600))
		for _, name := range []string{"by-" + string(how), "by-idmap", "etc/3"} {
			var st unix.Stat_t
			must(t, unix.Fstatat(int(f.Fd()), name, &st, 0))
			if st.Uid != shifted.Base {
				t.Errorf("%s: %s is %d's, want %d's", how, name, st.Uid, shifted.Base)
			}
		}
		must(t, tree.asOwner(func() error {
			full(t, "in "+string(how), fdPath(f), "big", 8)
			return os.Remove(filepath.Join(fdPath(f), "big"))
		}))
		must(t, tree.Close())
	}
	must(t, s.DeleteUpper(t.Context(), 1))
	must(t, s.DeleteCopy(t.Context(), sysctl.LayerCopy{Dir: filepath.Base(s.copied(shifted)), Layer: base}))
	nothingLeft(t, s)
}

// Wherever it was killed while it got its subvolume or copies of its layers, it has what it had, and the next call finishes.
func TestSizeOnBtrfsIsFinished(t *testing.T) {
	s, base := onQuotas(t)
	other := testLayer(t, s, func(dir string) { write(t, filepath.Join(dir, "other"), "other") })
	at := func(name string) string { return filepath.Join(s.instance(1), name) }
	states := map[string]func(){
		"a subvolume half filled": func() {
			must(t, makeSubvolume(at(ownNew)))
			write(t, at(ownNew+"/upper/mine"), "half")
		},
		"what was moved is there yet": func() {
			limit(t, s, 8<<20, false)
			must(t, makeUpper(at("was")))
			must(t, os.Rename(at("was/upper"), at("upper")))
			must(t, os.Rename(at("was/work"), at("work")))
			must(t, os.Remove(at("was")))
			write(t, at("upper/mine"), "older")
		},
		"a layer half copied": func() {
			limit(t, s, 8<<20, false)
			write(t, at("own/layers/.new/fs/image"), "half")
		},
		"a layer copied without a name": func() {
			limit(t, s, 8<<20, false)
			inGuest(t, s, []string{base}, func(string) {})
			must(t, os.Rename(at("own/layers/layers."+base), at("own/layers/.new")))
			must(t, s.Restack(t.Context(), 1)) // it was never mounted on it
		},
		"a layer of before half removed": func() {
			limit(t, s, 8<<20, false)
			inGuest(t, s, []string{base, other}, func(string) {})
			must(t, s.Restack(t.Context(), 1))
			must(t, os.MkdirAll(at("own/gone"), 0o700))
			must(t, os.Rename(at("own/layers/layers."+other), at("own/gone/x")))
		},
		"copied while nobody counted": func() {
			limit(t, s, 8<<20, false)
			inGuest(t, s, []string{base}, func(string) {})
			must(t, os.WriteFile(at("own/layers/layers."+base+"/"+madeName), []byte(`{"bytes":-1}`), 0o600))
			must(t, s.Restack(t.Context(), 1))
		},
		"sealed half-way": func() {
			limit(t, s, 8<<20, false)
			must(t, s.PrepareUpper(t.Context(), 1, ""))
			write(t, at("seal/fs/half"), "half")
		},
	}
	for what, state := range states {
		t.Run(what, func(t *testing.T) {
			must(t, s.CreateUpper(t.Context(), 1))
			write(t, at("upper/mine"), "mine")
			state()
			limit(t, s, 8<<20, false)
			inGuest(t, s, []string{base}, func(root string) {
				if got := read(t, filepath.Join(root, "mine")); got != "mine" {
					t.Errorf("it has written %q", got)
				}
				if b := read(t, filepath.Join(root, "image")); len(b) < 20<<20-6 {
					t.Errorf("the image's file has %d bytes", len(b))
				}
				full(t, "then", root, "big", 8)
				must(t, os.Remove(filepath.Join(root, "big")))
			})
			must(t, s.PrepareUpper(t.Context(), 1, ""))
			must(t, s.Seal(t.Context(), 1, "aa"))
			if got := read(t, filepath.Join(s.LayerPath("aa"), "mine")); got != "mine" {
				t.Errorf("the layer has %q", got)
			}
			if _, err := os.Lstat(filepath.Join(s.LayerPath("aa"), "half")); err == nil {
				t.Error("the layer has what was half copied")
			}
			must(t, s.DeleteLayer(t.Context(), "aa"))
			must(t, s.DeleteUpper(t.Context(), 1))
			nothingLeft(t, s)
		})
	}
}

// Wherever a seal or a renewal was killed, the same call finishes it.
func TestSealOnBtrfsIsFinished(t *testing.T) {
	s, base := onQuotas(t)
	at := func(name string) string { return filepath.Join(s.instance(1), name) }
	moves := [][2]string{{at("seal"), s.LayerPath("aa") + "/.."}, {at("own/work"), at("own/gone/w")}, {at("own/next/work"), at("own/work")},
		{at("own/upper"), at("own/gone/u")}, {at("own/next/upper"), at("own/upper")}}
	for _, renew := range []bool{false, true} {
		for n := range len(moves) + 1 {
			must(t, s.CreateUpper(t.Context(), 1))
			limit(t, s, 8<<20, false)
			inGuest(t, s, []string{base}, func(root string) { write(t, filepath.Join(root, "mine"), "mine") })
			must(t, os.MkdirAll(at("own/gone"), 0o700))
			layers := []string{base}
			if renew {
				must(t, s.PrepareUpper(t.Context(), 1, base))
				for _, m := range moves[1:max(n, 1)] {
					must(t, os.Rename(m[0], filepath.Clean(m[1])))
				}
				must(t, s.RenewUpper(t.Context(), 1))
			} else {
				must(t, s.PrepareUpper(t.Context(), 1, ""))
				for _, m := range moves[:n] {
					must(t, os.Rename(m[0], filepath.Clean(m[1])))
				}
				must(t, s.Seal(t.Context(), 1, "aa"))
				layers = append(layers, "aa")
			}
			limit(t, s, 8<<20, false)
			inGuest(t, s, layers, func(root string) {
				b, err := os.ReadFile(filepath.Join(root, "mine"))
				if renew != (err != nil) || !renew && string(b) != "mine" {
					t.Errorf("renewed %v after %d steps: %q, %v", renew, n, b, err)
				}
				full(t, "then", root, "big", 8)
			})
			must(t, s.DeleteUpper(t.Context(), 1))
			must(t, s.DeleteLayer(t.Context(), "aa"))
		}
	}
	nothingLeft(t, s)
}

// What is interrupted leaves nothing behind.
func TestSizeOnBtrfsIsInterrupted(t *testing.T) {
	s, base := onQuotas(t)
	must(t, s.CreateUpper(t.Context(), 1))
	for i := range 20 {
		write(t, filepath.Join(s.instance(1), "upper", fmt.Sprint(i)), "x")
	}
	before := listing(t, filepath.Join(s.instance(1), "upper"))
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := s.LimitUpper(interrupted, 1, 8<<20, false); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if after := listing(t, filepath.Join(s.instance(1), "upper")); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
	if entries, _ := os.ReadDir(s.instance(1)); len(entries) != 2 {
		t.Errorf("beside upper and work there are %v", entries)
	}
	limit(t, s, 8<<20, false)
	if _, err := s.OpenTree(interrupted, 1, []string{base}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	must(t, s.DeleteUpper(t.Context(), 1))
	nothingLeft(t, s)
}

// What quotas lack to keep to a size is said with the command that gives it.
func TestQuotasOfBtrfs(t *testing.T) {
	s, _ := onQuotas(t)
	refused := func(what, hint string) {
		t.Helper()
		err := s.CheckSize()
		wantKind(t, err, sysctl.Unsupported)
		if !strings.Contains(err.Error(), what) || sysctl.HintOf(err) != hint {
			t.Errorf("%v, hint %q", err, sysctl.HintOf(err))
		}
	}
	btrfs(t, "subvolume", "snapshot", s.dir, s.dir+"/shares")
	btrfs(t, "qgroup", "create", "1/1", s.dir)
	btrfs(t, "qgroup", "assign", "--no-rescan", "0/5", "1/1", s.dir)
	refused("has not counted yet", "btrfs quota rescan -w "+s.dir)
	btrfs(t, "quota", "rescan", "-w", s.dir)
	must(t, s.CheckSize())
	btrfs(t, "quota", "disable", s.dir)
	refused("not switched on", fmt.Sprintf("btrfs quota enable %[1]s && btrfs quota rescan -w %[1]s", s.dir))
	fd, err := openDir(s.dir)
	must(t, err)
	defer unix.Close(fd)
	simple := struct{ command, _ uint64 }{command: 4} // BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA
	if err := btrfsIoctl(fd, 0xc0109428, unsafe.Pointer(&simple)); err != nil {
		needs.Skip(t, "simple quotas", "this kernel has none: %v", err)
	}
	refused("simple ones", fmt.Sprintf("btrfs quota disable %[1]s && btrfs quota enable %[1]s && btrfs quota rescan -w %[1]s", s.dir))
}
