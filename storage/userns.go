package storage

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// userNamespace returns a new user namespace with the mapping of m, for
// MOUNT_ATTR_IDMAP. Nothing runs in it: it exists as long as the file or a mount made with it.
//
// A namespace can be made by a new process only. It is forked without exec (about 0.35 ms, against 0.65 ms for a
// start of /proc/self/exe stopped by ptrace, which hardened hosts and strace forbid besides).
func userNamespace(m sysctl.IDMap) (*os.File, error) {
	runtime.LockOSThread() // the child dies with the thread it was forked from
	defer runtime.UnlockOSThread()
	pid, errno := forkIntoUserNamespace()
	switch errno {
	case 0:
	case unix.ENOSPC, unix.EUSERS:
		return nil, sysctl.E(sysctl.Unsupported, "make user namespace: user.max_user_namespaces is used up: %w", errno).
			WithHint("sysctl -w user.max_user_namespaces=65536")
	default:
		return nil, sysctl.E(sysctl.Unsupported, "make user namespace: %w", errno)
	}
	ns, err := mapAndOpen(pid, m)
	killed := unix.Kill(pid, unix.SIGKILL)
	_, waited := waitClone(pid)
	if err := errors.Join(err, killed, waited); err != nil {
		if ns != nil {
			ns.Close()
		}
		return nil, sysctl.Wrap(err, "make user namespace for ids %d+%d", m.Base, m.Size)
	}
	return ns, nil
}

func mapAndOpen(pid int, m sysctl.IDMap) (*os.File, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	for name, ranges := range map[string][]sysctl.IDRange{"/uid_map": m.UIDs(), "/gid_map": m.GIDs()} {
		var lines strings.Builder
		for _, r := range ranges {
			lines.WriteString(r.String() + "\n")
		}
		if err := os.WriteFile(dir+name, []byte(lines.String()), 0); err != nil { // in one write, or not at all
			return nil, err
		}
	}
	return os.Open(dir + "/ns/user")
}

func waitClone(pid int) (int, error) {
	for {
		p, err := unix.Wait4(pid, nil, unix.WALL, nil)
		if err != unix.EINTR {
			return p, err
		}
	}
}

// forkIntoUserNamespace forks a child that waits in a new user namespace to be killed. Its
// exit signal is 0: the program it happens in gets no SIGCHLD and does not see it in wait(2). It
// shares the table of open files, so no descriptor lives longer because of it.
//
// In the child the Go runtime is broken (no other threads). So it makes system calls that never enter the runtime
// and touches no memory but its stack; with all signals blocked no handler and no preemption runs
// in it. The function must not be split: a stack that grows would enter the runtime.
//
//go:norace
//go:nosplit
//go:noinline
func forkIntoUserNamespace() (int, syscall.Errno) {
	all, old := ^uint64(0), uint64(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), unsafe.Sizeof(all), 0, 0)
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_FILES, 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		for {
			syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0) // for ever: nothing to poll, no timeout
		}
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, unsafe.Sizeof(old), 0, 0)
	return int(pid), errno
}
