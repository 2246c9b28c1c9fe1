package lxc

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// keeper is a sysctl-boot or a sysctl-keeper that runs: it waits for a packet on its socket, answers with one, and ends when
// the socket is closed.
type keeper struct {
	cmd  *exec.Cmd
	conn *os.File
	said *os.File // its stderr: what the dynamic linker says where liblxc is missing
}

// runKeeper starts a keeper.
func runKeeper(program string, job ...string) (*keeper, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, sysctl.Wrap(err, "keeper")
	}
	defer theirs.Close()
	said, err := memfile("keeper")
	if err != nil {
		ours.Close()
		return nil, sysctl.Wrap(err, "keeper")
	}
	cmd := exec.Command(program, job...)
	cmd.Dir = "/"
	// liblxc insists on newuidmap, and so on /etc/subuid, where it finds that program (conf.c, lxc_map_ids).
	// We are root and give out ranges of our own, so it must not find it; apparmor_parser is all it needs.
	cmd.Env = []string{"PATH=/nonexistent"}
	if appArmor() == confined {
		cmd.Env = []string{"PATH=/usr/sbin:/sbin"}
	}
	cmd.Stderr = said
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	k := &keeper{cmd: cmd, conn: ours, said: said}
	if err := k.start(); err != nil {
		k.close()
		if errors.Is(err, os.ErrNotExist) {
			return nil, sysctl.E(sysctl.Unsupported, "%s is not installed", program).WithHint("make install")
		}
		return nil, sysctl.Wrap(err, "keeper")
	}
	return k, nil
}

// start runs the command. A keeper must not outlive who started it, and the death signal is bound to the thread, which
// is therefore kept until the keeper has ended. A child of the keeper may hold the socket then: the deadline wakes
// who waits for an answer.
func (k *keeper) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := k.cmd.Start()
		started <- err
		if err == nil {
			k.cmd.Wait() // its answer says how it went
			k.conn.SetReadDeadline(time.Now())
		}
	}()
	return <-started
}

// close lets go of a keeper. One that waits ends.
func (k *keeper) close() {
	k.conn.Close()
	k.said.Close()
}

// ask sends files in one packet, where there are any, and returns the answer and the descriptor that came with it, or nil. The
// answer may be a refusal: "!" and why. When ctx ends the keeper is killed.
func (k *keeper) ask(ctx context.Context, files ...*os.File) (string, *os.File, error) {
	stop := context.AfterFunc(ctx, func() { k.cmd.Process.Kill() })
	defer stop()
	if err := k.send(files); err != nil {
		return "", nil, k.silent(ctx, err)
	}
	answer, file, err := k.receive()
	if err != nil {
		return "", nil, k.silent(ctx, err)
	}
	return answer, file, nil
}

// silent is why there is no answer.
func (k *keeper) silent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said := make([]byte, 1024)
	n, _ := k.said.ReadAt(said, 0)
	if line := strings.TrimSpace(string(said[:n])); line != "" {
		return sysctl.E(sysctl.Internal, "keeper: %s", line)
	}
	return sysctl.Wrap(err, "keeper: no answer")
}

func (k *keeper) send(files []*os.File) error {
	if len(files) == 0 {
		return nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	defer runtime.KeepAlive(files)
	raw, err := k.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { // the first packet on a socket does not block
		sent = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
	})
	return errors.Join(err, sent)
}

func (k *keeper) receive() (string, *os.File, error) {
	raw, err := k.conn.SyscallConn()
	if err != nil {
		return "", nil, err
	}
	buf, space := make([]byte, 2048), make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	var got error
	try := func(fd uintptr) bool {
		for {
			n, oobn, _, _, got = unix.Recvmsg(int(fd), buf, space, unix.MSG_CMSG_CLOEXEC)
			if got != unix.EINTR {
				return got != unix.EAGAIN
			}
		}
	}
	err = raw.Read(try)
	if errors.Is(err, os.ErrDeadlineExceeded) { // it has ended: what it said before is in the socket, or nothing is
		err = raw.Control(func(fd uintptr) { try(fd) })
	}
	if err := errors.Join(err, got); err != nil {
		return "", nil, err
	}
	if n == 0 {
		return "", nil, io.ErrUnexpectedEOF
	}
	messages, err := unix.ParseSocketControlMessage(space[:oobn])
	if err != nil || len(messages) == 0 {
		return string(buf[:n]), nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return "", nil, errors.Join(err, errors.New("descriptors that nobody asked for"))
	}
	return string(buf[:n]), os.NewFile(uintptr(fds[0]), "keeper"), nil
}

// socketPair makes two ends of a socket of packets; ours is for Go's poller, theirs blocks.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(fds[1]), "keeper")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		theirs.Close()
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "keeper"), theirs, nil
}

// memfile makes an anonymous file.
func memfile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, sysctl.Wrap(err, "memfd_create")
	}
	return os.NewFile(uintptr(fd), name), nil
}
