package lxc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Forward runs what passes connections between the host and the guest whose init is given: a process for each proxy, in a cgroup
// beside the guest's, which ends with that init (cmd/sysctl-forward, doc/adr/0014). When it returns all of them listen; those that there
// were before are gone. On failure none is left.
func (rt *Runtime) Forward(ctx context.Context, id int64, init int, all []sysctl.Proxy) error {
	if err := rt.endForwarders(ctx, rt.paths.ProxyCgroup(id)); err != nil {
		return err
	}
	for _, p := range all {
		if err := rt.forward(ctx, id, init, p); err != nil {
			return errors.Join(sysctl.Wrap(err, "device %s", p.Device), rt.endForwarders(context.WithoutCancel(ctx), rt.paths.ProxyCgroup(id)))
		}
	}
	return nil
}

// AddForwarder is Forward for one proxy more; it takes the place of one of the same device. On failure there is none.
func (rt *Runtime) AddForwarder(ctx context.Context, id int64, init int, p sysctl.Proxy) error {
	if err := rt.EndForwarder(ctx, id, p); err != nil {
		return err
	}
	if err := rt.forward(ctx, id, init, p); err != nil {
		return errors.Join(err, rt.EndForwarder(context.WithoutCancel(ctx), id, p))
	}
	return nil
}

// EndForwarder ends what passes connections for one proxy: nothing listens there any more when it returns. Absent is success.
func (rt *Runtime) EndForwarder(ctx context.Context, id int64, p sysctl.Proxy) error {
	group := filepath.Join(rt.paths.ProxyCgroup(id), p.Device)
	if err := rt.endForwarders(ctx, group); err != nil {
		return err
	}
	if err := removeSockets(p); err != nil {
		return err
	}
	return removeTree(filepath.Join(rt.cgroupRoot(), group))
}

// endForwarders ends those in a cgroup, and returns when their sockets are closed.
func (rt *Runtime) endForwarders(ctx context.Context, group string) error {
	if rt.cgroups.v2 != "" {
		if err := rt.kill(group); err != nil {
			return err
		}
		return untilEvent(ctx, filepath.Join(rt.cgroups.v2, group), "populated 0")
	}
	for {
		pids := pidsBelow(filepath.Join(rt.cgroups.all[0], group))
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			p, _, ok := identify(pid)
			if !ok {
				continue
			}
			if err := signal(p, unix.SIGKILL); err != nil {
				return err
			}
			if err := wait(ctx, p); err != nil {
				return err
			}
		}
	}
}

// forward runs one.
func (rt *Runtime) forward(ctx context.Context, id int64, init int, p sysctl.Proxy) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	files, userns, base, err := rt.forwarderFiles(init, p)
	defer closeAll(files)
	if err != nil {
		return err
	}
	request, err := forwardRequest(p, userns, base)
	if err != nil {
		return err
	}
	defer request.Close()
	cmd := exec.Command(rt.forwarder, "run")
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return sysctl.E(sysctl.Unsupported, "%s is not installed", rt.forwarder).WithHint("make install")
		}
		return err
	}
	theirs.Close()
	answer, err := rt.brief(ctx, id, p.Device, cmd.Process, ours, append([]*os.File{request}, files...))
	if err == nil && answer == "." {
		return cmd.Process.Release()
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		return err
	}
	return refusal(answer)
}

// brief puts a forwarder where it belongs, tells it what to do and returns what it answers.
func (rt *Runtime) brief(ctx context.Context, id int64, device string, process *os.Process, conn *os.File, files []*os.File) (string, error) {
	procs := filepath.Join(rt.cgroupRoot(), rt.paths.ProxyCgroup(id), device, "cgroup.procs")
	if err := os.MkdirAll(filepath.Dir(procs), 0o755); err != nil {
		return "", sysctl.Wrap(err, "cgroup")
	}
	if err := os.WriteFile(procs, []byte(strconv.Itoa(process.Pid)), 0); err != nil {
		return "", sysctl.Wrap(err, "cgroup")
	}
	k := keeper{cmd: &exec.Cmd{Process: process}, conn: conn}
	stop := context.AfterFunc(ctx, func() { process.Kill() })
	defer stop()
	if err := k.send(files); err != nil {
		return "", err
	}
	answer, _, err := k.receive()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return answer, err
}

// cgroupRoot is the hierarchy in which processes of ours are found again.
func (rt *Runtime) cgroupRoot() string {
	if rt.cgroups.v2 != "" {
		return rt.cgroups.v2
	}
	return rt.cgroups.all[0]
}

// refusal is the error that a forwarder's "!NUMBER WHY" says.
func refusal(answer string) error {
	number, why, _ := strings.Cut(strings.TrimPrefix(answer, "!"), " ")
	n, err := strconv.Atoi(number)
	if err != nil || why == "" {
		return sysctl.E(sysctl.Internal, "the forwarder ended at once: %s", answer)
	}
	switch errno := unix.Errno(n); errno {
	case unix.EADDRINUSE:
		return sysctl.E(sysctl.Conflict, "%s", why).WithHint("ss -lntuxp")
	case unix.EADDRNOTAVAIL, unix.ENOENT, unix.ENOTDIR:
		return sysctl.E(sysctl.NotFound, "%s", why)
	default:
		return sysctl.E(sysctl.KindOf(errno), "%s", why)
	}
}

// forwarderFiles opens what a forwarder needs of a guest: its init, namespaces, root directory and table of mounts. userns says that it has
// users of its own, and base is which of the host's its root is.
func (rt *Runtime) forwarderFiles(init int, p sysctl.Proxy) (files []*os.File, userns bool, base uint32, err error) {
	fd, err := unix.PidfdOpen(init, 0)
	if err != nil {
		return nil, false, 0, sysctl.Wrap(err, "open the guest's init")
	}
	files = []*os.File{os.NewFile(uintptr(fd), "init")}
	proc := filepath.Join("/proc", strconv.Itoa(init))
	for _, name := range []string{"ns/net", "ns/mnt", "ns/user"} {
		f, err := os.Open(filepath.Join(proc, name))
		if err != nil {
			return files, false, 0, err
		}
		files = append(files, f)
	}
	root, err := os.OpenFile(filepath.Join(proc, "root"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return files, false, 0, err
	}
	files = append(files, root)
	mounts, err := os.Open(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return files, false, 0, err
	}
	files = append(files, mounts)
	own, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return files, false, 0, err
	}
	theirs, err := os.Readlink(filepath.Join(proc, "ns/user"))
	if err != nil || theirs == own {
		return files, false, 0, err
	}
	base, err = rootOf(filepath.Join(proc, "uid_map"))
	return files, true, base, err
}

// rootOf reads which id of the host is 0 by a uid_map (user_namespaces(7)).
func rootOf(path string) (uint32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "0" {
			base, err := strconv.ParseUint(f[1], 10, 32)
			return uint32(base), err
		}
	}
	return 0, sysctl.E(sysctl.Internal, "%s: nobody is root", path)
}

// forwardRequest renders a proxy into a forwarder's input, in an anonymous file.
func forwardRequest(p sysctl.Proxy, userns bool, base uint32) (*os.File, error) {
	if !p.Instance {
		base = 0
	}
	var buf bytes.Buffer
	say := func(words ...any) {
		for _, w := range words {
			fmt.Fprintf(&buf, "%v\x00", w)
		}
	}
	side, again := "host", false
	if p.Instance {
		side = "instance"
	}
	for _, pair := range p.Pairs {
		again = again || p.Instance && strings.HasPrefix(pair.Listen.Path, "/")
	}
	say(side, digit(userns), digit(again), base, base+p.UID, base+p.GID, strconv.FormatUint(uint64(p.Mode), 8), p.AsUID, p.AsGID, digit(p.Protocol))
	for _, pair := range p.Pairs {
		for _, e := range []sysctl.Endpoint{pair.Listen, pair.Connect} {
			if e.Proto == "unix" {
				say(e.Proto, e.Path, "")
			} else {
				say(e.Proto, e.Addr, e.Port)
			}
		}
	}
	f, err := memfile("forward")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(buf.Bytes()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func digit(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// unwire takes away what a run that has ended was wired with, but for what goes with its processes: rules for packets, and the
// names of sockets on the host on which nobody listens any more.
func (rt *Runtime) unwire(ctx context.Context, id int64) error {
	w, _, err := rt.Wiring(id)
	if err != nil || w.Empty() {
		return err
	}
	for _, p := range w.Proxies {
		if err := removeSockets(p); err != nil {
			return sysctl.Wrap(err, "device %s", p.Device)
		}
	}
	if rt.unwired == nil {
		return nil
	}
	return rt.unwired(ctx, id, w)
}

// removeSockets removes the names on the host of the sockets of a proxy that has ended.
func removeSockets(p sysctl.Proxy) error {
	for _, pair := range p.Pairs {
		if p.Instance || !strings.HasPrefix(pair.Listen.Path, "/") {
			continue
		}
		if err := removeSocket(pair.Listen.Path); err != nil {
			return err
		}
	}
	return nil
}

// removeSocket removes a unix socket that nobody listens on. Absent is success; anything else of that name is somebody's.
func removeSocket(path string) error {
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode()&os.ModeSocket == 0 {
		return nil
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
