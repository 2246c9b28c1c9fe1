package lxc

// #cgo pkg-config: lxc
// #include <stdlib.h>
// #include "attach.h"
import "C"

import (
	"context"
	"errors"
	"os"
	"syscall"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Exec runs one command in a running instance: all its namespaces, its cgroup, its capabilities, seccomp
// and LSM profile. It returns the exit status, 128+N when signal N ended it, 127 or 126 when it was not
// found or not executable, as a shell does. When ctx ends, the command is sent SIGKILL.
//
// It calls liblxc's attach itself rather than go-lxc's: with supplementary groups go-lxc clears every
// other attach flag, among them the ones that drop capabilities and enter the cgroup, and it loses
// the signal of a command that was killed (doc/adr/0003-attach.md).
func (rt *Runtime) Exec(ctx context.Context, id int64, c sysctl.Command) (int, error) {
	if len(c.Argv) == 0 {
		return 0, sysctl.E(sysctl.Invalid, "no command to run")
	}
	pid, err := rt.attach(id, c)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { unix.Kill(pid, unix.SIGKILL) }) // our child, not yet reaped: the pid is its own
	defer stop()
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, sysctl.Wrap(err, "wait for the command")
		}
		if ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return ws.ExitStatus(), nil
	}
}

func (rt *Runtime) attach(id int64, c sysctl.Command) (int, error) {
	name, path, cwd := C.CString(rt.paths.lxcName(id)), C.CString(lxcPath), C.CString(c.Cwd)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(cwd))
	argv, freeArgv := cStrings(c.Argv)
	defer freeArgv()
	env, freeEnv := cStrings(c.Env)
	defer freeEnv()
	var groups *C.gid_t
	if len(c.Groups) > 0 {
		list := make([]C.gid_t, len(c.Groups))
		for i, g := range c.Groups {
			list[i] = C.gid_t(g)
		}
		groups = &list[0]
	}
	// Another fork of this process must not come between liblxc's socketpair and its fork: the child
	// would keep the socket open (liblxc attach.c, lxc_attach).
	syscall.ForkLock.Lock()
	pid := C.sysctl_attach(name, path, argv, env, cwd, C.uid_t(c.UID), C.gid_t(c.GID), groups, C.size_t(len(c.Groups)),
		fdOf(c.Stdin), fdOf(c.Stdout), fdOf(c.Stderr))
	syscall.ForkLock.Unlock()
	if pid <= 0 {
		if s := rt.State(id); s.Init.PID == 0 {
			return 0, sysctl.E(sysctl.Conflict, "it is not running any more")
		}
		return 0, sysctl.E(sysctl.Internal, "liblxc could not attach")
	}
	return int(pid), nil
}

// fdOf returns f's descriptor, or -1 (liblxc leaves that stream as it is) for nil.
func fdOf(f *os.File) C.int {
	if f == nil {
		return -1
	}
	return C.int(f.Fd())
}

// cStrings makes a NULL-terminated array of C strings in C memory.
func cStrings(list []string) (**C.char, func()) {
	size := unsafe.Sizeof((*C.char)(nil))
	p := (**C.char)(C.malloc(C.size_t(uintptr(len(list)+1) * size)))
	array := unsafe.Slice(p, len(list)+1)
	for i, s := range list {
		array[i] = C.CString(s)
	}
	array[len(list)] = nil
	return p, func() {
		for _, s := range array[:len(list)] {
			C.free(unsafe.Pointer(s))
		}
		C.free(unsafe.Pointer(p))
	}
}
