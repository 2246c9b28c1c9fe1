package storage

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// ownTree returns a tree whose writes belong to whoever runs the test, and its directory.
func ownTree(t *testing.T) (*Tree, string) {
	t.Helper()
	dir := t.TempDir()
	tree, err := OpenDirTree(dir)
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	tree = tree.WithOwner(os.Geteuid(), os.Getegid())
	confined(t, tree)
	return tree, dir
}

// confined checks that tree does not write to this machine's root, with a name that does no harm if it does. Every
// test that writes to absolute paths of a tree comes here first: as root it could ruin the machine otherwise.
func confined(t *testing.T, tree *Tree) {
	t.Helper()
	name := "/sysctl-test-" + randomName()
	err := tree.WriteFile(name, nil, 0o600)
	if os.Remove(name) == nil {
		t.Fatal("the tree's paths are not confined to the tree")
	}
	must(t, err)
	must(t, tree.Remove(name))
}

func TestTreeWrite(t *testing.T) {
	tree, dir := ownTree(t)
	path := filepath.Join(dir, "etc/network/interfaces")
	must(t, tree.WriteFile("/etc/network/interfaces", []byte("auto lo\n"), 0o640))
	info, err := os.Stat(path)
	must(t, err)
	if read(t, path) != "auto lo\n" || info.Mode() != 0o640 {
		t.Errorf("%v %q", info.Mode(), read(t, path))
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("parent %v %v", info, err)
	}
	inode := func() uint64 {
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		return st.Ino
	}
	first := inode()
	must(t, tree.WriteFile("etc/network/interfaces", []byte("auto lo\n"), 0o640))
	if inode() != first {
		t.Error("an unchanged file was written")
	}
	must(t, tree.WriteFile("/etc/network/interfaces", []byte("auto l0\n"), 0o640))
	if inode() == first || read(t, path) != "auto l0\n" {
		t.Error("changed content was not written to a new file")
	}
	second := inode()
	must(t, tree.WriteFile("/etc/network/interfaces", []byte("auto l0\n"), 0o4755))
	if info, err := os.Stat(path); inode() == second || err != nil || info.Mode().Perm() != 0o755 {
		t.Error("changed mode was not written")
	}
	must(t, tree.WriteFile("/su", []byte("x"), 0o755|fs.ModeSetuid))
	if info, err := os.Stat(filepath.Join(dir, "su")); err != nil || info.Mode() != 0o755|fs.ModeSetuid {
		t.Errorf("setuid file: %v %v", info.Mode(), err)
	}
	if err := tree.WriteFile("/etc/network", nil, 0o644); !errors.Is(err, unix.EISDIR) {
		t.Errorf("writing over a directory: %v", err)
	}
	for _, name := range []string{"", "/", "/..", "/etc/.", "/a\x00b"} {
		if err := tree.WriteFile(name, nil, 0o644); err == nil {
			t.Errorf("wrote %q", name)
		}
	}
	leftovers(t, dir)
}

// leftovers checks that no temporary file is left.
func leftovers(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.Walk(dir, func(path string, _ fs.FileInfo, err error) error {
		if strings.Contains(filepath.Base(path), ".sysctl-") {
			t.Errorf("left: %s", path)
		}
		return err
	}))
}

// TestTreeStaysInside has links of every kind that point at a directory of the host.
func TestTreeStaysInside(t *testing.T) {
	host := t.TempDir()
	secret := filepath.Join(host, "secret")
	write(t, secret, "host")
	tree, dir := ownTree(t)
	must(t, os.Symlink(host, filepath.Join(dir, "etc")))
	must(t, os.Symlink(strings.Repeat("../", 30)+host[1:], filepath.Join(dir, "up")))
	must(t, os.Symlink(secret, filepath.Join(dir, "file")))
	must(t, os.Symlink("/proc/self/root"+host, filepath.Join(dir, "magic")))

	for _, name := range []string{"/etc/secret", "/up/secret", "/file", "/magic/secret", "/../../.." + secret} {
		if b, err := tree.ReadFile(name); err == nil {
			t.Errorf("read %s of the host: %q", name, b)
		}
	}
	for _, name := range []string{"/etc/secret", "/up/secret", "/file", "/magic/secret", "/etc/deep/er"} {
		must(t, tree.WriteFile(name, []byte("guest"), 0o644))
		must(t, tree.Symlink("guest", name+".link"))
		must(t, tree.MkdirAll(name+".d/sub", 0o700))
		if b, err := tree.ReadFile(name); err != nil || string(b) != "guest" {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if got := read(t, filepath.Join(dir, host, "secret")); got != "guest" {
		t.Errorf("written through /etc: %q", got)
	}
	must(t, tree.Remove("/etc/secret"))
	if read(t, secret) != "host" {
		t.Error("the host's file was changed")
	}
	list, err := os.ReadDir(host)
	must(t, err)
	if len(list) != 1 {
		t.Errorf("the host's directory has %v", list)
	}
	if info, err := os.Lstat(filepath.Join(dir, "file")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("a link was followed, not replaced: %v %v", info, err)
	}
	leftovers(t, dir)
}

func TestTreeRefusesSpecialFiles(t *testing.T) {
	tree, dir := ownTree(t)
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must(t, err)
	defer l.Close()
	names := []string{"fifo", "socket"}
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(filepath.Join(dir, "tty"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 0))))
		names = append(names, "tty")
	}
	for _, name := range names {
		if _, err := tree.ReadFile(name); !errors.Is(err, errNotRegular) {
			t.Errorf("read %s: %v", name, err)
		}
		if _, err := tree.Open(name); !errors.Is(err, errNotRegular) {
			t.Errorf("open %s: %v", name, err)
		}
		must(t, tree.WriteFile(name, []byte("now a file"), 0o644))
	}
	if _, err := tree.ReadFile("/"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("read directory: %v", err)
	}
	must(t, os.Truncate(filepath.Join(dir, "fifo"), maxRead+1))
	if _, err := tree.ReadFile("fifo"); !errors.Is(err, unix.EFBIG) {
		t.Errorf("read large file: %v", err)
	}
	must(t, os.Truncate(filepath.Join(dir, "fifo"), maxRead))
	if b, err := tree.ReadFile("fifo"); err != nil || len(b) != maxRead {
		t.Errorf("read file of 16 MiB: %d %v", len(b), err)
	}
}

func TestTreeResolve(t *testing.T) {
	tree, dir := ownTree(t)
	write(t, filepath.Join(dir, "usr/lib/systemd/systemd"), "\x7fELF")
	for name, target := range map[string]string{
		"lib": "usr/lib", "sbin": "/usr/sbin", "usr/sbin": "../../../usr/lib", "init": "/sbin/../lib/systemd/./systemd",
		"loop": "loop", "a": "b", "b": "a", "dangling": "/none", "fileslash": "usr/lib/systemd/systemd/x",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{"/init", "/usr/lib/systemd/systemd", nil},
		{"/sbin/systemd/", "/usr/lib/systemd", nil},
		{"/../..//lib", "/usr/lib", nil},
		{"/", "/", nil},
		{"/loop", "", unix.ELOOP},
		{"/a/x", "", unix.ELOOP},
		{"/dangling", "", fs.ErrNotExist},
		{"/fileslash", "", unix.ENOTDIR},
		{"", "", unix.EINVAL},
	} {
		got, err := tree.Resolve(c.name)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %q %v, want %q %v", c.name, got, err, c.want, c.err)
		}
	}
	if info, err := tree.Stat("/init"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("stat: %v %v", info, err)
	}
	if info, err := tree.Lstat("/init"); err != nil || info.Mode()&fs.ModeSymlink == 0 || info.Name() != "init" {
		t.Errorf("lstat: %v %v", info, err)
	}
	if target, err := tree.Readlink("/lib"); err != nil || target != "usr/lib" {
		t.Errorf("readlink: %q %v", target, err)
	}
	for _, name := range []string{"/usr", "/usr/lib/systemd/systemd"} {
		if _, err := tree.Readlink(name); !errors.Is(err, unix.EINVAL) {
			t.Errorf("readlink of %s: %v", name, err)
		}
	}
	if _, err := tree.Stat("/loop"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("stat of a loop: %v", err)
	}
	f, err := tree.Open("/init")
	must(t, err)
	defer f.Close()
	b := make([]byte, 3)
	if _, err := f.(io.ReaderAt).ReadAt(b, 1); err != nil || !bytes.Equal(b, []byte("ELF")) {
		t.Errorf("read at 1: %q %v", b, err)
	}
}

func TestTreeDirectories(t *testing.T) {
	tree, dir := ownTree(t)
	must(t, tree.MkdirAll("/var/lib/x", 0o750))
	must(t, tree.MkdirAll("/var/lib/x", 0o700))
	if info, err := os.Stat(filepath.Join(dir, "var/lib/x")); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	write(t, filepath.Join(dir, "var/lib/c"), "")
	must(t, tree.Symlink("c", "/var/lib/b"))
	must(t, tree.Symlink("c", "/var/lib/b"))
	must(t, tree.Symlink("x", "/var/lib/b"))
	if err := tree.Symlink("c", "/var/lib/x"); err == nil {
		t.Error("a directory was replaced by a link")
	}
	if err := tree.MkdirAll("/var/lib/c", 0o755); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("mkdir over a file: %v", err)
	}
	list, err := tree.ReadDir("/var/lib")
	must(t, err)
	var got []string
	for _, e := range list {
		got = append(got, e.Name()+" "+e.Type().String())
	}
	if want := "b L--------- c ---------- x d---------"; strings.Join(got, " ") != want {
		t.Errorf("list %q, want %q", got, want)
	}
	if err := tree.Remove("/var/lib"); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("removed a full directory: %v", err)
	}
	for _, name := range []string{"/var/lib/b", "/var/lib/b", "/var/lib/x", "/none/of/it"} {
		must(t, tree.Remove(name))
	}
	absent(t, filepath.Join(dir, "var/lib/x"))
}

func TestApplyTwice(t *testing.T) {
	tree, dir := ownTree(t)
	changes := []sysctl.Change{
		{Path: "/etc/hostname", Data: []byte("web1\n")},
		{Path: "/etc/resolv.conf", Link: "../run/resolv.conf"},
		{Path: "/etc/machine-id", Remove: true},
	}
	for range 2 {
		must(t, sysctl.Apply(tree, changes))
	}
	if got := read(t, filepath.Join(dir, "etc/hostname")); got != "web1\n" {
		t.Errorf("%q", got)
	}
}

// TestProcTree writes into the root of a process in another user namespace.
func TestProcTree(t *testing.T) {
	needRoot(t)
	cmd := helper("sit")
	inUserNamespace(cmd, shifted)
	start(t, cmd)
	tree, err := ProcTree(cmd.Process.Pid)
	must(t, err)
	defer tree.Close()
	dir := t.TempDir() // the process's root is the host's
	must(t, tree.WriteFile(filepath.Join(dir, "etc/file"), []byte("x"), 0o644))
	for _, name := range []string{"etc", "etc/file"} {
		if uid, gid := owner(t, filepath.Join(dir, name)); uid != shifted.Base || gid != shifted.Base {
			t.Errorf("%s belongs to %d:%d", name, uid, gid)
		}
	}
	write(t, filepath.Join(dir, "own"), "")
	if uid, _ := owner(t, filepath.Join(dir, "own")); uid != 0 {
		t.Errorf("afterwards this process writes as %d", uid)
	}
	_, err = ProcTree(1 << 30)
	wantKind(t, err, sysctl.NotFound)
}

func TestWriteFileSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, data := range []string{"one", "two"} {
		must(t, WriteFileSync(path, []byte(data), 0o640))
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 || read(t, path) != data {
			t.Errorf("%v %v", info, err)
		}
	}
	if err := WriteFileSync(filepath.Join(path, "x"), nil, 0o600); err == nil {
		t.Error("wrote below a file")
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("left %v %v", list, err)
	}
}
