// Package needs owns what tests may ask of the machine they run on. A test that asks for what is not
// there is skipped with a reason; where SYSCTL_TEST_REQUIRE names the thing, it fails instead, so that
// CI cannot pass by skipping (doc/testing.md).
//
// Only tests import it.
package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// RequireEnv names the variable that lists, separated by commas, what must be there: the words root,
// lxc, debian, and names of programs.
const RequireEnv = "SYSCTL_TEST_REQUIRE"

// Skip ends the test because thing is not there: as a failure where thing is required, else as a skip.
func Skip(t testing.TB, thing, format string, args ...any) {
	t.Helper()
	if required(os.Getenv(RequireEnv), thing) {
		t.Fatalf("%s is in %s: "+format, append([]any{thing, RequireEnv}, args...)...)
	}
	t.Skipf(format, args...)
}

func required(list, thing string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		return strings.TrimSpace(s) == thing
	})
}

// Root asks for effective uid 0.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "root", "needs root")
	}
}

// LXC asks for a machine on which liblxc can start an unprivileged container: root, user namespaces and
// a writable cgroup hierarchy. That liblxc itself is there is a matter of linking.
func LXC(t testing.TB) {
	t.Helper()
	Root(t)
	if why := noContainers("/"); why != "" {
		Skip(t, "lxc", "needs a machine that can run containers: %s", why)
	}
}

// noContainers says why the machine whose /proc and /sys lie below root cannot run containers, or "".
func noContainers(root string) string {
	if _, err := os.Stat(filepath.Join(root, "proc/self/ns/user")); err != nil {
		return "the kernel has no user namespaces"
	}
	limit, err := os.ReadFile(filepath.Join(root, "proc/sys/user/max_user_namespaces"))
	if n, bad := strconv.Atoi(strings.TrimSpace(string(limit))); err == nil && bad == nil && n == 0 {
		return "user.max_user_namespaces is 0"
	}
	for _, hierarchy := range []string{"cgroup.procs", "systemd/cgroup.procs", "unified/cgroup.procs", "memory/cgroup.procs"} {
		f, err := os.OpenFile(filepath.Join(root, "sys/fs/cgroup", hierarchy), os.O_WRONLY, 0)
		if err == nil {
			f.Close()
			return ""
		}
	}
	return "no cgroup hierarchy is mounted writable at /sys/fs/cgroup"
}

// Program asks for an executable on PATH and returns its path. It must be there where the program's own
// name is required, or, for the program that makes Debian trees, where debian is.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	thing := name
	if name == "mmdebstrap" && !required(os.Getenv(RequireEnv), name) {
		thing = "debian"
	}
	Skip(t, thing, "needs the program %s", name)
	return ""
}

// Shared asks for a file or directory of the shared material beside the clone (../shared of the
// repository's top, "rootfs/x.tar.gz") and returns its absolute path. It is never required: a clone
// elsewhere has none.
func Shared(t testing.TB, path string) string {
	t.Helper()
	top, err := moduleTop()
	if err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(filepath.Dir(top), "shared", path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("needs ../shared/%s beside the clone", path)
	}
	return full
}

// moduleTop is the directory of go.mod, found upwards from the working directory: go test runs a
// package's tests in the package's directory.
func moduleTop() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", os.ErrNotExist
		}
		dir = parent
	}
}
