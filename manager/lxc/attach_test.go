package lxc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/internal/needs"
	"golang.org/x/sys/unix"
)

// The test's own binary is what runs in the guests of these tests, as what this variable says.
const roleVar = "SYSCTL_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "init":
		io.Copy(io.Discard, os.Stdin) // until the test ends
	case "probe":
		json.NewEncoder(os.Stdout).Encode(probe())
	case "hang":
		fmt.Println("here")
		select {}
	default:
		os.Exit(m.Run())
	}
}

// report is what a command sees of itself.
type report struct {
	Status, Namespaces, Calls map[string]string
	Files                     []int
	Cwd, Cgroup, Machine      string
}

var namespaces = [...]string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}

func probe() report {
	r := report{Status: status("self"), Namespaces: links("self"), Calls: map[string]string{}}
	known := abis(runtime.GOARCH)
	for _, a := range known {
		for name, n := range a.numbers {
			if a.arch != known[0].arch {
				continue // made another way than a Go program can
			}
			for _, arg := range []uintptr{unix.MNT_DETACH, unix.MNT_FORCE} {
				_, _, errno := unix.RawSyscall6(uintptr(n), 0, arg, 0, 0, 0, 0)
				r.Calls[fmt.Sprintf("%s %#x %d", name, n&x32, arg)] = unix.ErrnoName(errno)
			}
		}
	}
	dir, _ := os.Open("/proc/self/fd")
	entries, _ := dir.Readdirnames(-1)
	for _, e := range entries {
		fd, _ := strconv.Atoi(e)
		if target, _ := os.Readlink("/proc/self/fd/" + e); fd != int(dir.Fd()) && !strings.HasPrefix(target, "anon_inode:") {
			r.Files = append(r.Files, fd) // the Go runtime has an epoll and an eventfd
		}
	}
	slices.Sort(r.Files)
	r.Cwd, _ = os.Getwd()
	b, _ := os.ReadFile("/proc/self/cgroup")
	r.Cgroup = string(b)
	var u unix.Utsname
	unix.Uname(&u)
	r.Machine = unix.ByteSliceToString(u.Machine[:])
	return r
}

func status(pid string) map[string]string {
	b, _ := os.ReadFile("/proc/" + pid + "/status")
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		all[name] = strings.TrimSpace(value)
	}
	return all
}

func links(pid string) map[string]string {
	all := map[string]string{}
	for _, ns := range namespaces {
		all[ns], _ = os.Readlink("/proc/" + pid + "/ns/" + ns)
	}
	return all
}

// guest is a process with namespaces of its own, in place of an instance's init.
func guest(t *testing.T, flags uintptr) sysctl.Process {
	t.Helper()
	needs.Root(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleVar + "=init"}
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS |
		unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP}
	if flags&unix.CLONE_NEWUSER != 0 {
		all := []syscall.SysProcIDMap{{Size: 65536}}
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings, cmd.SysProcAttr.GidMappingsEnableSetgroups = all, all, true
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hold.Close()
		cmd.Wait() // killed by some of the tests
	})
	p, _, ok := identify(cmd.Process.Pid)
	if !ok {
		t.Fatal("init ended at once")
	}
	return p
}

func entryOf(t *testing.T, init sysctl.Process) *entry {
	t.Helper()
	e := &entry{policy: filter(runtime.GOARCH)}
	t.Cleanup(e.close)
	if err := e.look(init); err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs a command in a guest and returns its status and output.
func (e *entry) run(t *testing.T, c sysctl.Command) (int, string, string) {
	t.Helper()
	dir := t.TempDir()
	var files [2]*os.File
	for i, name := range []string{"out", "err"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	c.Stdout, c.Stderr = files[0], files[1]
	b, err := e.begin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	status, err := b.end(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var text [2][]byte
	for i, f := range files {
		if text[i], err = os.ReadFile(f.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return status, string(text[0]), string(text[1])
}

// role is the command line that plays a role in a guest.
func role(name string) sysctl.Command {
	exe, _ := os.Executable()
	// Without the variable the Go runtime keeps files of cgroup v1 open.
	return sysctl.Command{Argv: []string{exe}, Env: []string{roleVar + "=" + name, "GODEBUG=containermaxprocs=0"}, Cwd: "/"}
}

func (e *entry) probe(t *testing.T, c sysctl.Command) report {
	t.Helper()
	status, out, errs := e.run(t, c)
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
		t.Fatalf("%v, status %d: %s%s", err, status, out, errs)
	}
	return r
}

func TestEnter(t *testing.T) {
	for name, flags := range map[string]uintptr{"unprivileged": unix.CLONE_NEWUSER, "privileged": 0} {
		t.Run(name, func(t *testing.T) {
			init := guest(t, flags)
			e := entryOf(t, init)
			c := role("probe")
			c.Cwd = "/no/such/directory"
			r := e.probe(t, c)
			pid := strconv.Itoa(init.PID)
			theirs, inits := status("self"), status(pid)
			for _, ns := range namespaces {
				if want := links(pid)[ns]; r.Namespaces[ns] != want || want == "" {
					t.Errorf("%s: %s, want %s", ns, r.Namespaces[ns], want)
				}
			}
			zero := strings.Repeat("0", 16)
			bounding, err := strconv.ParseUint(inits["CapBnd"], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			for _, cap := range dropped {
				bounding &^= 1 << cap.bit
			}
			for field, want := range map[string]string{
				"CapBnd": fmt.Sprintf("%016x", bounding), "CapEff": fmt.Sprintf("%016x", bounding), "CapPrm": fmt.Sprintf("%016x", bounding),
				"CapInh": zero, "CapAmb": zero, "SigBlk": zero, "Seccomp": "2", "NoNewPrivs": theirs["NoNewPrivs"],
				"Groups": "", "Uid": "0\t0\t0\t0",
			} {
				if r.Status[field] != want {
					t.Errorf("%s: %q, want %q", field, r.Status[field], want)
				}
			}
			if want := []int{0, 1, 2}; !slices.Equal(r.Files, want) {
				t.Errorf("open files: %v, want %v", r.Files, want)
			}
			if r.Cwd != "/" {
				t.Errorf("in %s", r.Cwd)
			}
		})
	}
}

func TestEnterAsUser(t *testing.T) {
	e := entryOf(t, guest(t, unix.CLONE_NEWUSER))
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp("/var/tmp", "sysctl-attach-") // where everybody may look
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(exe); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Chmod(0o755), file.Close()); err != nil {
		t.Fatal(err)
	}
	c := role("probe")
	c.Argv[0], c.UID, c.GID, c.Groups = file.Name(), 1000, 1001, []int{1002, 1003}
	r := e.probe(t, c)
	zero := strings.Repeat("0", 16)
	for field, want := range map[string]string{
		"Uid": "1000\t1000\t1000\t1000", "Gid": "1001\t1001\t1001\t1001", "Groups": "1002 1003", "CapEff": zero, "CapPrm": zero,
		"CapInh": zero, "CapAmb": zero, "Seccomp": "2",
	} {
		if r.Status[field] != want {
			t.Errorf("%s: %q, want %q", field, r.Status[field], want)
		}
	}
}

// TestFilterInKernel makes the refused calls, with arguments that would do nothing.
func TestFilterInKernel(t *testing.T) {
	e := entryOf(t, guest(t, unix.CLONE_NEWUSER))
	r := e.probe(t, role("probe"))
	if len(r.Calls) == 0 {
		t.Fatal("no calls were made")
	}
	for call, got := range r.Calls {
		switch name, _, _ := strings.Cut(call, " "); {
		case name != "umount2":
			if got != "EPERM" {
				t.Errorf("%s: %s, want EPERM", call, got)
			}
		case strings.HasSuffix(call, " "+strconv.Itoa(unix.MNT_FORCE)):
			if got != "EACCES" {
				t.Errorf("%s: %s, want EACCES", call, got)
			}
		case got == "EACCES" || got == "EPERM":
			t.Errorf("%s: %s: not for the filter to refuse", call, got)
		}
	}
}

// A command may open no more files than init: what a guest is protected from (compat.nofile) would come by a command else.
func TestEnterFiles(t *testing.T) {
	init := guest(t, unix.CLONE_NEWUSER)
	for _, most := range []uint64{4096, 700} {
		if err := unix.Prlimit(init.PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 600, Max: most}, nil); err != nil {
			t.Fatal(err)
		}
		_, out, _ := entryOf(t, init).run(t, sysctl.Command{Argv: []string{"/bin/sh", "-c", "ulimit -Hn"}, Cwd: "/"})
		if want := fmt.Sprintln(most); out != want {
			t.Errorf("%q, want %q", out, want)
		}
	}
}

func TestEnterPersonality(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("i686 is amd64's 32 bit machine")
	}
	e := entryOf(t, guest(t, 0))
	e.personality = perLinux32
	if got := e.probe(t, role("probe")).Machine; got != "i686" {
		t.Error(got)
	}
}

// A command has of the personality what makes uname(2) lie, and nothing else.
func TestLookPersonality(t *testing.T) {
	for word, want := range map[string]uint64{"00000000": 0, "00020008": perLinux32 | uname26, "00020000": uname26, "0a040008": perLinux32, "00400000": 0} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "personality"), []byte(word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var e entry
		if err := e.lookPersonality(dir); err != nil || e.personality != want {
			t.Errorf("%s: %x, %v, want %x", word, e.personality, err, want)
		}
	}
}

func TestEnterSetsLabel(t *testing.T) {
	for _, attr := range []string{"self/attr/apparmor/exec", "self/attr/exec"} {
		e := entryOf(t, guest(t, unix.CLONE_NEWUSER))
		proc := t.TempDir()
		file := filepath.Join(proc, attr)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o666)); err != nil {
			t.Fatal(err)
		}
		var err error
		if e.proc, err = os.Open(proc); err != nil {
			t.Fatal(err)
		}
		e.label = "lxc-web1//&:ns:unconfined"
		if r := e.probe(t, role("probe")); !slices.Equal(r.Files, []int{0, 1, 2}) {
			t.Errorf("open files: %v", r.Files)
		}
		if b, err := os.ReadFile(file); string(b) != "exec lxc-web1//&:ns:unconfined" {
			t.Errorf("%s: %q, %v", attr, b, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		e.fails(t, role("probe"), "open the AppArmor label", unix.ENOENT)
	}
}

// fails runs a command that must not begin, for one reason.
func (e *entry) fails(t *testing.T, c sysctl.Command, step string, why error) {
	t.Helper()
	b, err := e.begin(t.Context(), c)
	if err == nil {
		b.end(t.Context(), c) // the guest could not end before it
	}
	if !errors.Is(err, why) || !strings.Contains(err.Error(), step) {
		t.Errorf("%v, want %s: %v", err, step, why)
	}
}

// TestEnterFails: a step that cannot be done is named, and no child is left, which the guest would wait for.
func TestEnterFails(t *testing.T) {
	c := role("probe")
	e := entryOf(t, guest(t, 0))
	e.namespaces |= unix.CLONE_NEWUSER // which is our own
	e.fails(t, c, "enter the guest's namespaces", unix.EINVAL)
	e = entryOf(t, guest(t, 0))
	c.Groups = make([]int, 1<<17)
	e.fails(t, c, "set groups", unix.EINVAL)
}

func TestNotRun(t *testing.T) {
	e := entryOf(t, guest(t, unix.CLONE_NEWUSER))
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"script": 0o755, "plain": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("echo $0 $1; exit 3"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		argv     []string
		status   int
		out, err string
	}{
		{[]string{"script", "one"}, 3, dir + "/script one\n", ""},
		{[]string{"plain"}, 126, "", "sysctl: plain: Permission denied\n"},
		{[]string{"nothing"}, 127, "", "sysctl: nothing: No such file or directory\n"},
		{[]string{""}, 127, "", "sysctl: : No such file or directory\n"},
		{[]string{dir}, 126, "", "sysctl: " + dir + ": Permission denied\n"},
		{[]string{dir + "/plain/x"}, 126, "", "sysctl: " + dir + "/plain/x: Not a directory\n"},
	} {
		cmd := sysctl.Command{Argv: c.argv, Env: []string{"PATH=/no/such:" + dir}, Cwd: "/"}
		if status, out, errs := e.run(t, cmd); status != c.status || out != c.out || errs != c.err {
			t.Errorf("%q: %d %q %q, want %d %q %q", c.argv, status, out, errs, c.status, c.out, c.err)
		}
	}
}

// TestExecEnds: ctx ends a command that runs; one whose guest has gone is a Conflict.
func TestExecEnds(t *testing.T) {
	rt := &Runtime{}
	init := guest(t, unix.CLONE_NEWUSER)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	c := role("hang")
	c.Stdout = w
	go func() {
		io.ReadFull(r, make([]byte, 4))
		cancel()
	}()
	status, err := rt.execBeside(ctx, 1, init, c)
	defer w.Close()
	if status != 128+int(unix.SIGKILL) || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	if _, err := rt.execBeside(ctx, 1, init, c); !errors.Is(err, context.Canceled) {
		t.Errorf("when ctx has ended before: %v", err)
	}
	e := entryOf(t, init)
	if err := errors.Join(signal(init, unix.SIGKILL), wait(t.Context(), init)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.begin(t.Context(), c); err == nil {
		t.Error("entered a guest that has ended")
	}
	if _, err := rt.execBeside(t.Context(), 1, init, c); sysctl.KindOf(err) != sysctl.Conflict {
		t.Error(err)
	}
}

// TestStdio: streams that stand in each other's places.
func TestStdio(t *testing.T) {
	if os.Getenv(roleVar+"_SWAP") == "" {
		needs.Root(t)
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestStdio$")
		cmd.Env = append(os.Environ(), roleVar+"_SWAP=1")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatal(err, out.String(), errs.String())
		}
		if !strings.Contains(out.String(), "to stderr") || !strings.Contains(errs.String(), "to stdout") {
			t.Errorf("%q, %q", out.String(), errs.String())
		}
		return
	}
	e := entryOf(t, guest(t, unix.CLONE_NEWUSER))
	c := sysctl.Command{Argv: []string{"/bin/sh", "-c", "echo to stdout; echo to stderr >&2"}, Stdout: os.Stderr, Stderr: os.Stdout, Cwd: "/"}
	b, err := e.begin(t.Context(), c)
	if err == nil {
		_, err = b.end(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeaf: a command is born in a cgroup that its guest owns, and in the next one where the guest has spoilt it.
func TestLeaf(t *testing.T) {
	e := entryOf(t, guest(t, unix.CLONE_NEWUSER))
	h, err := probeCgroups()
	if err != nil || h.v2 == "" {
		needs.Skip(t, "cgroup2", "needs cgroup v2")
	}
	e.cgroup = filepath.Join(h.v2, "sysctl-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(e.cgroup, 0o775); err != nil {
		t.Fatal(err)
	}
	defer removeTree(e.cgroup)
	for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		if err := errors.Join(os.Chown(filepath.Join(e.cgroup, name), 0, 1000), os.Chmod(filepath.Join(e.cgroup, name), 0o775)); err != nil {
			t.Fatal(err)
		}
	}
	in := func(leaf string) {
		t.Helper()
		if r := e.probe(t, role("probe")); !strings.Contains(r.Cgroup, "0::") || !strings.Contains(r.Cgroup, filepath.Base(e.cgroup)+"/"+leaf+"\n") {
			t.Errorf("%q, want %s", r.Cgroup, leaf)
		}
	}
	in(".exec")
	in(".exec") // again
	for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(e.cgroup, ".exec", name), &st); err != nil || st.Uid != 0 || st.Gid != 1000 || st.Mode&0o777 != 0o775 {
			t.Errorf("%q: %v %d:%d %o", name, err, st.Uid, st.Gid, st.Mode)
		}
	}
	b, _ := os.ReadFile(filepath.Join(e.cgroup, "cgroup.controllers"))
	controllers := strings.Fields(string(b))
	if len(controllers) == 0 {
		t.Skip("this host gives the children of its cgroup v2 no controller to give on")
	}
	for _, dir := range []string{e.cgroup, filepath.Join(e.cgroup, ".exec")} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controllers[0]), 0); err != nil {
			t.Fatal(err)
		}
	}
	in(".exec-1")
}
