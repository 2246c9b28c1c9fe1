package manager

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// execTerminal runs a command on a pty of the guest's and connects it to the caller's terminal, which the
// caller has made raw.
func (m *Manager) execTerminal(ctx context.Context, id int64, cmd sysctl.Command, o ExecOptions) (int, error) {
	master, slave, err := m.Runtime.OpenPTY(id)
	if err != nil {
		return 0, err
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	resize(ctx, master, o.Resize)
	go io.Copy(master, o.Stdin) // ends with the process: a read of the terminal cannot be interrupted
	done, err := newSignal()
	if err != nil {
		return 0, err
	}
	defer done.close()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		copyUntil(o.Stdout, master, done)
	}()
	status, err := m.Runtime.Exec(ctx, id, cmd)
	slave.Close()
	done.set()
	<-copied
	return status, err
}

// resize tells a pty its sizes: the first at once, so that the command starts with it.
func resize(ctx context.Context, pty *os.File, sizes <-chan WindowSize) {
	if sizes == nil {
		return
	}
	set := func(s WindowSize) {
		unix.IoctlSetWinsize(int(pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Cols})
	}
	select {
	case s := <-sizes:
		set(s)
	default:
	}
	go func() {
		for {
			select {
			case s, ok := <-sizes:
				if !ok {
					return
				}
				set(s)
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Console connects the caller's terminal to an instance's console until the escape character followed by
// 'q', the end of input, the end of the guest or of ctx.
func (m *Manager) Console(ctx context.Context, name string, o ConsoleOptions) error {
	return sysctl.Wrap(m.console(ctx, name, o), "console %s", name)
}

func (m *Manager) console(ctx context.Context, name string, o ConsoleOptions) error {
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return err
	}
	if _, err := m.running(inst); err != nil {
		return err
	}
	pty, release, err := m.Runtime.OpenConsole(ctx, inst.ID)
	if sysctl.KindOf(err) == sysctl.Busy {
		return sysctl.E(sysctl.Busy, "%w", err).WithHint("sysctl console --log %s", name)
	}
	if err != nil {
		return err
	}
	defer release()
	resize(ctx, pty, o.Resize)
	done, err := newSignal()
	if err != nil {
		return err
	}
	defer done.close()
	stop := context.AfterFunc(ctx, done.set)
	defer stop()
	go func() {
		copyEscaped(pty, o.In, o.Escape)
		done.set()
	}()
	copyUntil(o.Out, pty, done)
	return ctx.Err()
}

// copyEscaped copies input to a console until it ends or the escape character is followed by 'q'. The
// escape character twice sends it once.
func copyEscaped(w io.Writer, r io.Reader, escape byte) {
	buf := make([]byte, 1024)
	escaped := false
	for {
		n, err := r.Read(buf)
		out := buf[:0:0]
		for _, c := range buf[:n] {
			switch {
			case escaped && c == 'q':
				w.Write(out)
				return
			case !escaped && c == escape && escape != 0:
				escaped = true
				continue
			case escaped && c != escape:
				out = append(out, escape)
			}
			escaped = false
			out = append(out, c)
		}
		if _, werr := w.Write(out); err != nil || werr != nil {
			return
		}
	}
}

// copyUntil copies from a pty until it hangs up (EIO: no process has the other end open) or done is set
// and nothing is left to read: a process in the background may keep the other end open for ever.
func copyUntil(w io.Writer, pty *os.File, done *signal) {
	fd := int(pty.Fd())
	buf := make([]byte, 32<<10)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(done.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			n, err := unix.Read(fd, buf)
			if n > 0 {
				if _, werr := w.Write(buf[:n]); werr != nil {
					return
				}
			}
			if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
				return
			}
		case fds[0].Revents != 0 || fds[1].Revents != 0:
			return
		}
	}
}

// signal is something that can be polled together with other descriptors: set once, seen by all.
type signal struct{ fd int }

func newSignal() (*signal, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return &signal{fd}, err
}

func (s *signal) set()   { unix.Write(s.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }
func (s *signal) close() { unix.Close(s.fd) }
