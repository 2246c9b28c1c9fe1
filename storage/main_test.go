package storage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// helperEnv makes the test binary act as another process of a test.
const helperEnv = "STORAGE_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var helpers = map[string]func(args []string) error{
	"stage":  helpStage,
	"commit": helpCommit,
	"guest":  helpGuest,
	"write":  helpWrite,
	"sit":    func([]string) error { fmt.Println("ready"); _, err := io.Copy(io.Discard, os.Stdin); return err },
}

// helper returns the command that runs a helper.
func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a helper and waits for its first line. The helper's stdin stays open until it is killed
// at the end of the test.
func start(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind fails the test unless err is of kind.
func wantKind(t *testing.T, err error, kind sysctl.Kind) {
	t.Helper()
	if sysctl.KindOf(err) != kind {
		t.Fatalf("error %v is of kind %q, want %q", err, sysctl.KindOf(err), kind)
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts, device nodes, owners")
	}
}

// rootStore returns a store for tests that mount, and checks at the end that they left no mount.
func rootStore(t testing.TB) *Store {
	t.Helper()
	needRoot(t)
	s := New(filepath.Join(t.TempDir(), "sysctl"))
	t.Cleanup(func() { noMountsLeft(t, s.dir) })
	return s
}

// noMountsLeft checks that nothing is mounted under dir and that no thread has kept a mount namespace of its own.
func noMountsLeft(t testing.TB, dir string) {
	t.Helper()
	info, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if strings.Contains(string(info), dir) {
		t.Errorf("mounts left under %s:\n%s", dir, info)
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	must(t, err)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() { // threads end by themselves
		tasks, err := filepath.Glob("/proc/self/task/*/ns/mnt")
		must(t, err)
		strangers := 0
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil && ns != own {
				strangers++
			}
		}
		if strangers == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d threads have kept a mount namespace of their own", strangers)
		}
	}
}

// testLayer commits a layer that fill has written.
func testLayer(t testing.TB, s *Store, fill func(dir string)) string {
	t.Helper()
	st, err := s.Stage(context.Background())
	must(t, err)
	fill(st.Dir())
	l, err := st.Commit(context.Background())
	must(t, err)
	return l.ID
}

func write(t testing.TB, path, data string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(data), 0o644))
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func owner(t testing.TB, path string) (uint32, uint32) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Uid, st.Gid
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", path, err)
	}
}

// empty checks that a directory of the store has no entries.
func empty(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(list) > 0 {
		t.Errorf("%s: %v %v", dir, list, err)
	}
}

// inUserNamespace makes cmd run as root of a user namespace with the ids of m.
func inUserNamespace(cmd *exec.Cmd, m sysctl.IDMap) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(m.Base), Size: int(m.Size)}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{},
	}
}
