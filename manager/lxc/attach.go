package lxc

// #include <stdlib.h>
// #include "attach.h"
import "C"

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// entry is what it takes to enter a guest, all of it opened and read while its init lived.
type entry struct {
	init        *os.File // pidfd
	namespaces  int
	personality uint64
	noLoginUID  bool                     // a command in it has no audit login id
	files       uint64                   // how many init may open at most (RLIMIT_NOFILE, hard)
	limits      map[string]sysctl.Rlimit // that it was given, which its commands have too
	policy      []unix.SockFilter
	bounding    uint64     // capabilities
	owner       []idMap    // of the guest's users on the host
	cgroup      string     // the guest's on cgroup v2; "" where it has none
	tasks       []*os.File // of its cgroups on v1, to be written
	proc        *os.File   // the host's; nil where there is no label to set
	label       string
}

// entry opens the way into a guest. The caller closes it.
func (rt *Runtime) entry(id int64, init sysctl.Process) (*entry, error) {
	e := &entry{}
	if err := errors.Join(e.look(init), rt.lookCgroups(e, id, init), rt.lookRun(e, id)); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// look reads what a guest's init tells about the guest. It is no reused pid's: the pidfd was opened before.
func (e *entry) look(init sysctl.Process) error {
	fd, err := unix.PidfdOpen(init.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return errNotRunning()
	}
	if err != nil {
		return sysctl.Wrap(err, "open init")
	}
	e.init = os.NewFile(uintptr(fd), "init")
	dir := "/proc/" + strconv.Itoa(init.PID)
	err = errors.Join(e.lookNamespaces(dir), e.lookCapabilities(dir), e.lookPersonality(dir), e.lookLoginUID(dir), e.lookFiles(init), e.lookOwner(dir), e.lookLabel("/proc", dir))
	if !alive(init) {
		return errNotRunning()
	}
	return err
}

// lookNamespaces chooses what to enter: all that a guest has of its own. The user namespace of a privileged
// one is ours, which cannot be entered again.
func (e *entry) lookNamespaces(dir string) error {
	e.namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP
	theirs, err := os.Readlink(dir + "/ns/user")
	if err != nil {
		return err
	}
	ours, err := os.Readlink("/proc/self/ns/user")
	if theirs != ours {
		e.namespaces |= unix.CLONE_NEWUSER
	}
	return err
}

// lookCapabilities keeps what init may have, as liblxc's attach does, and never what no instance may.
func (e *entry) lookCapabilities(dir string) error {
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(b), "\nCapBnd:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	e.bounding, err = strconv.ParseUint(mask, 16, 64)
	for _, c := range dropped {
		e.bounding &^= 1 << c.bit
	}
	return err
}

// personalities (personality(2)): which machine and kernel uname(2) tells of. The rest of the word is the guest's own choice.
const perMask, perLinux32, uname26 = 0xff, 8, 0x20000

func (e *entry) lookPersonality(dir string) error {
	b, err := os.ReadFile(dir + "/personality")
	if err != nil {
		return err
	}
	word, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 64)
	if word&perMask == perLinux32 {
		e.personality = perLinux32
	}
	e.personality |= word & uname26
	return err
}

// lookLoginUID finds out whether the guest was started without the audit login id that we have. What is started in it then
// has none either: a service that an administrator restarts must be able to give its users theirs.
func (e *entry) lookLoginUID(dir string) error {
	if !loginUID() {
		return nil
	}
	b, err := os.ReadFile(dir + "/loginuid")
	e.noLoginUID = err == nil && strings.TrimSpace(string(b)) == noLoginUID
	return err
}

// lookFiles finds out what limit the guest was started with: a measure may have made it small, and no command is to have more.
func (e *entry) lookFiles(init sysctl.Process) error {
	var limit unix.Rlimit
	err := unix.Prlimit(init.PID, unix.RLIMIT_NOFILE, nil, &limit)
	e.files = limit.Max
	return os.NewSyscallError("prlimit", err)
}

func (e *entry) close() {
	for _, f := range append(e.tasks, e.init, e.proc) {
		if f != nil {
			f.Close()
		}
	}
}

// begin starts a command in the guest. It waits until the command has begun: a guest that is frozen meanwhile
// can make that long, and then ctx ends it.
func (e *entry) begin(ctx context.Context, c sysctl.Command) (begun, error) {
	shared, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err != nil {
		return begun{}, sysctl.Wrap(err, "mmap")
	}
	defer unix.Munmap(shared)
	var m memory
	defer m.free()
	a := e.request(&m, c)
	a.outcome = (*C.struct_outcome)(unsafe.Pointer(&shared[0]))
	a.filter = C.struct_sock_fprog{len: C.ushort(len(e.policy)), filter: (*C.struct_sock_filter)(list(&m, e.policy))}
	closeCopies, err := e.stdio(a, c)
	defer closeCopies()
	if err != nil {
		return begun{}, err
	}
	pid, err := e.fork(a)
	if err != nil {
		return begun{}, sysctl.Wrap(err, "start a process in the guest's cgroup")
	}
	ws, err := reap(ctx, pid)
	if err != nil {
		return begun{}, sysctl.Wrap(err, "wait for a child")
	}
	return judge(ctx, a.outcome, ws)
}

// request is what C is told, in memory that stays where it is.
func (e *entry) request(m *memory, c sysctl.Command) *C.struct_attach {
	a := &C.struct_attach{
		init:        C.int(e.init.Fd()),
		namespaces:  C.int(e.namespaces),
		proc:        -1,
		cwd:         m.str(c.Cwd),
		personality: C.ulong(e.personality),
		files:       C.uint64_t(e.files),
		logout:      C.bool(e.noLoginUID),
		bounding:    C.uint64_t(e.bounding),
		groups:      (*C.gid_t)(list(m, ids(c.Groups))),
		ngroups:     C.size_t(len(c.Groups)),
		uid:         C.uid_t(c.UID),
		gid:         C.gid_t(c.GID),
		argv:        m.strs(c.Argv),
		script:      m.strs(append([]string{"/bin/sh", ""}, c.Argv[1:]...)),
	}
	env := environment(c.Env)
	a.env, a.programs = m.strs(env), m.strs(candidates(c.Argv[0], env))
	if e.proc != nil {
		a.proc, a.label = C.int(e.proc.Fd()), m.str("exec "+e.label)
	}
	var limits []C.struct_limit
	for _, name := range sortedKeys(e.limits) {
		l := e.limits[name]
		limits = append(limits, C.struct_limit{resource: C.int(resources()[name]), values: [2]C.uint64_t{C.uint64_t(l.Soft), C.uint64_t(l.Hard)}})
	}
	a.limits, a.nlimits = (*C.struct_limit)(list(m, limits)), C.size_t(len(limits))
	fds := make([]C.int, len(e.tasks))
	for i, f := range e.tasks {
		fds[i] = C.int(f.Fd())
	}
	a.tasks, a.ntasks = (*C.int)(list(m, fds)), C.size_t(len(fds))
	return a
}

// stdio says where the command's streams come from: nil stays as it is, and what another one's place would
// overwrite is copied out of the way, until closeCopies. A terminal is given to the command's user, who could not
// open it by its name else.
func (e *entry) stdio(a *C.struct_attach, c sysctl.Command) (closeCopies func(), err error) {
	var copies []int
	closeCopies = func() {
		for _, fd := range copies {
			unix.Close(fd)
		}
	}
	for i, f := range []*os.File{c.Stdin, c.Stdout, c.Stderr} {
		a.stdio[i] = -1
		if f == nil || int(f.Fd()) == i {
			continue
		}
		fd := int(f.Fd())
		if fd <= 2 {
			if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
				return closeCopies, sysctl.Wrap(err, "copy a standard stream")
			}
			copies = append(copies, fd)
		}
		a.stdio[i] = C.int(fd)
	}
	if a.stdio[0] < 0 {
		return closeCopies, nil
	}
	if _, err := unix.IoctlGetTermios(int(a.stdio[0]), unix.TCGETS); err == nil {
		a.terminal = true
		for _, m := range e.owner {
			if host, ok := m.host(c.UID); ok {
				return closeCopies, sysctl.Wrap(unix.Fchown(int(a.stdio[0]), host, -1), "give the terminal to the command")
			}
		}
	}
	return closeCopies, nil
}

// host translates a user of the guest.
func (m idMap) host(uid int) (int, bool) {
	n := uint64(uid) - m.inside
	return int(m.outside + n), n < m.size
}

// fork makes the first child, in a leaf of the guest's cgroup v2 that it can be born in.
func (e *entry) fork(a *C.struct_attach) (int, error) {
	for n := 0; ; n++ {
		leaf, err := openLeaf(e.cgroup, n)
		if err != nil {
			return 0, err
		}
		a.cgroup = -1
		if leaf != nil {
			a.cgroup = C.int(leaf.Fd())
		}
		// What another fork of this process has open for its own child must not be open in ours.
		syscall.ForkLock.Lock()
		pid := int(C.sysctl_attach(a))
		syscall.ForkLock.Unlock()
		if leaf != nil {
			leaf.Close()
		}
		if pid > 0 {
			return pid, nil
		}
		if err := syscall.Errno(-pid); leaf == nil || n == leaves-1 || !spoilt(err) {
			return 0, err
		}
	}
}

// judge tells what has become of the command when the first child, which ws is of, has ended.
func judge(ctx context.Context, o *C.struct_outcome, ws unix.WaitStatus) (begun, error) {
	b := begun{pid: int(o.pid)}
	if o.error != 0 {
		b.reason = syscall.Errno(o.error)
	}
	if o.step == nil && !ws.Signaled() {
		return b, nil
	}
	if b.pid > 0 { // half-way into the guest, as a child of ours
		unix.Kill(b.pid, unix.SIGKILL)
		reap(ctx, b.pid)
	}
	switch {
	case ctx.Err() != nil:
		return begun{}, ctx.Err()
	case o.step != nil:
		return begun{}, sysctl.Wrap(b.reason, "%s", C.GoString(o.step))
	}
	return begun{}, sysctl.E(sysctl.Conflict, "killed while it entered the guest (%s)", ws.Signal())
}

func ids(list []int) []C.gid_t {
	out := make([]C.gid_t, len(list))
	for i, id := range list {
		out[i] = C.gid_t(id)
	}
	return out
}

// memory is C's, for what C's structures point to. The children have copies of it.
type memory []unsafe.Pointer

func (m *memory) free() {
	for _, p := range *m {
		C.free(p)
	}
}

func (m *memory) str(s string) *C.char {
	p := C.CString(s)
	*m = append(*m, unsafe.Pointer(p))
	return p
}

// strs makes an array that ends with a null pointer.
func (m *memory) strs(all []string) **C.char {
	array := make([]*C.char, len(all)+1)
	for i, s := range all {
		array[i] = m.str(s)
	}
	return (**C.char)(list(m, array))
}

// list copies items, which hold no pointers of Go's.
func list[T any](m *memory, items []T) unsafe.Pointer {
	if len(items) == 0 {
		return nil
	}
	var item T
	p := C.CBytes(unsafe.Slice((*byte)(unsafe.Pointer(&items[0])), uintptr(len(items))*unsafe.Sizeof(item)))
	*m = append(*m, p)
	return p
}
