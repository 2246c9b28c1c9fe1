package lxc

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

func denied(names ...string) sysctl.Syscalls {
	var s sysctl.Syscalls
	for _, n := range names {
		s.Rules = append(s.Rules, sysctl.Rule{Call: n, Action: sysctl.Action{What: "errno", Errno: int(unix.EPERM)}})
	}
	return s
}

func TestPolicyText(t *testing.T) {
	bare := denied("bpf")
	bare.Bare = true
	only := sysctl.Syscalls{Only: true, Rules: []sysctl.Rule{{Call: "read", Action: sysctl.Action{What: "allow"}}}}
	twice := denied("bpf")
	twice.Rules = append(twice.Rules, sysctl.Rule{Call: "bpf", Action: sysctl.Action{What: "kill"}})
	twice.Bare, twice.Forced = true, true
	for _, c := range []struct {
		s    sysctl.Syscalls
		want string
	}{
		{denied("bpf"), "2\ndenylist\nreject_force_umount\n[all]\nkexec_load errno 1\nkexec_file_load errno 1\nopen_by_handle_at errno 1\ninit_module errno 1\nfinit_module errno 1\ndelete_module errno 1\nbpf errno 1\n"},
		{bare, "2\ndenylist\n[all]\nbpf errno 1\n"},
		{only, "2\nallowlist errno 1\n[all]\nread allow\n"},
		{twice, "2\ndenylist\nreject_force_umount\n[all]\nbpf kill\n"},
		{sysctl.Syscalls{}, seccompProfile()},
	} {
		if got := policyText(c.s); got != c.want {
			t.Errorf("%+v:\n%s\nwant\n%s", c.s, got, c.want)
		}
	}
}

// The program is tried on a process of its own: it is what the kernel does that counts.
func TestPolicyIsWhatTheKernelDoes(t *testing.T) {
	if os.Getenv("TRY_POLICY") != "" {
		tryPolicy(t)
		return
	}
	rt := &Runtime{keeper: filepath.Join(t.TempDir(), "sysctl-keeper")}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", rt.keeper, "../../cmd/sysctl-keeper").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := rt.CheckSyscalls(denied("frobnicate")); sysctl.KindOf(err) != sysctl.Invalid || !strings.Contains(err.Error(), "frobnicate") {
		t.Errorf("a system call that there is none of: %v", err)
	}
	for _, call := range []string{"mkdirat", "getcwd"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPolicyIsWhatTheKernelDoes$")
		cmd.Env = append(os.Environ(), "TRY_POLICY="+call, "KEEPER="+rt.keeper)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", call, err, out)
		}
	}
}

func tryPolicy(t *testing.T) {
	runtime.LockOSThread()
	dir := t.TempDir()
	rt := &Runtime{paths: Paths{Run: dir}, keeper: os.Getenv("KEEPER")}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := rt.makePolicy(sysctl.Boot{Instance: 1, Kernel: sysctl.Kernel{Calls: denied(os.Getenv("TRY_POLICY"))}}); err != nil {
		t.Fatal(err)
	}
	program, err := rt.policyOf(1, runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0); err != nil { // of this thread alone
		t.Fatal(err)
	}
	made := unix.Mkdirat(unix.AT_FDCWD, dir+"/made", 0o700)
	_, _, cwd := syscall.RawSyscall(unix.SYS_GETCWD, 0, 0, 0) // no memory for it: EFAULT or ERANGE where it is allowed
	if os.Getenv("TRY_POLICY") == "mkdirat" {
		if made != unix.EPERM || cwd == unix.EPERM {
			t.Errorf("mkdirat %v, getcwd %v", made, cwd)
		}
	} else if made != nil || cwd != unix.EPERM {
		t.Errorf("mkdirat %v, getcwd %v", made, cwd)
	}
}

// A run without a policy of its own has everybody's, also after one that had.
func TestUsualPolicy(t *testing.T) {
	rt := &Runtime{paths: Paths{Run: t.TempDir()}}
	if err := os.MkdirAll(rt.paths.Dir(1), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rt.paths.Filter(1), []byte("of the run before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rt.makePolicy(sysctl.Boot{Instance: 1}); err != nil {
		t.Fatal(err)
	}
	program, err := rt.policyOf(1, "amd64")
	if err != nil || len(program) != len(filter("amd64")) {
		t.Errorf("%d instructions, %v; want %d", len(program), err, len(filter("amd64")))
	}
}
