package needs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTB records how a test ended; Skip and Fatal unwind as the real ones do.
type fakeTB struct {
	testing.TB
	ended string
}

type unwind struct{}

func (f *fakeTB) Helper() {}
func (f *fakeTB) Skipf(format string, args ...any) {
	f.ended = "skip: " + fmt.Sprintf(format, args...)
	panic(unwind{})
}
func (f *fakeTB) Fatalf(format string, args ...any) {
	f.ended = "fail: " + fmt.Sprintf(format, args...)
	panic(unwind{})
}

func end(run func(testing.TB)) (ended string) {
	f := &fakeTB{ended: "ran"}
	defer func() {
		if r := recover(); r != nil && r != any(unwind{}) {
			panic(r)
		}
		ended = f.ended
	}()
	run(f)
	return
}

func TestWhatIsMissingIsSkippedOrFails(t *testing.T) {
	const absent = "no-such-program-anywhere"
	for _, c := range []struct {
		name, require, path string
		ask                 func(testing.TB)
		want                string
	}{
		{"absent program", "", "", func(tb testing.TB) { Program(tb, absent) }, "skip: needs the program " + absent},
		{"required program", "root, " + absent, "", func(tb testing.TB) { Program(tb, absent) }, "fail: " + absent},
		{"debian requires mmdebstrap", "debian", "", func(tb testing.TB) { Program(tb, "mmdebstrap") }, "fail: debian"},
		{"present program", absent, "/bin:/usr/bin", func(tb testing.TB) { Program(tb, "sh") }, "ran"},
		{"shared is never required", "shared,root,lxc,debian", "", func(tb testing.TB) { Shared(tb, absent) }, "skip: needs ../shared/" + absent},
		{"own reason", "", "", func(tb testing.TB) { Skip(tb, "debian", "mirror is silent") }, "skip: mirror is silent"},
		{"own reason required", "debian", "", func(tb testing.TB) { Skip(tb, "debian", "mirror is silent") }, "fail: debian is in SYSCTL_TEST_REQUIRE: mirror is silent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(RequireEnv, c.require)
			t.Setenv("PATH", c.path)
			if got := end(c.ask); !strings.HasPrefix(got, c.want) {
				t.Errorf("ended %q, want %q…", got, c.want)
			}
		})
	}
}

func TestNoContainersSaysWhy(t *testing.T) {
	root := t.TempDir()
	put := func(path, content string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(part string) {
		t.Helper()
		if got := noContainers(root); (got == "") != (part == "") || !strings.Contains(got, part) {
			t.Errorf("said %q, want %q", got, part)
		}
	}
	want("no user namespaces")
	put("proc/self/ns/user", "")
	want("no cgroup hierarchy")
	put("sys/fs/cgroup/unified/cgroup.procs", "")
	want("")
	put("proc/sys/user/max_user_namespaces", "0\n")
	want("max_user_namespaces")
}
