package templates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/ulikunitz/xz"
)

// xzReader decompresses r by the xz program where there is one, since it is several times as fast as the
// library. stop ends it and waits for it.
func xzReader(ctx context.Context, r io.Reader) (data io.Reader, stop func(), err error) {
	program, err := exec.LookPath("xz")
	if err != nil {
		data, err = xz.NewReader(r)
		return data, func() {}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	x := &xzProgram{cmd: exec.CommandContext(ctx, program, "-dcq", "-T0", "--memlimit-decompress=1GiB")}
	x.cmd.Stdin, x.cmd.Stderr = r, &x.message
	x.cmd.Env = []string{"LC_ALL=C"}
	// Ctrl-C on the terminal goes to us; we end it.
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Where r gives nothing and never ends, it is left behind.
	x.cmd.WaitDelay = time.Second
	if x.out, err = x.cmd.StdoutPipe(); err == nil {
		err = x.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("xz: %w", err)
	}
	return x, func() { cancel(); x.wait() }, nil
}

// xzProgram is a running xz -dc.
type xzProgram struct {
	cmd     *exec.Cmd
	out     io.Reader
	message strings.Builder
	ended   bool
	err     error
}

// Read implements io.Reader. Where xz failed, its error comes in place of io.EOF.
func (x *xzProgram) Read(p []byte) (int, error) {
	if x.ended {
		return 0, x.err
	}
	n, err := x.out.Read(p)
	if err != nil && n == 0 {
		x.wait()
		err = x.err
	}
	return n, err
}

// wait collects the program, once.
func (x *xzProgram) wait() {
	if x.ended {
		return
	}
	x.ended, x.err = true, io.EOF
	err := x.cmd.Wait()
	if err == nil {
		return
	}
	message := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(x.message.String()), "xz: (stdin): "))
	switch {
	case strings.Contains(message, "Unexpected end of input"):
		x.err = io.ErrUnexpectedEOF
	case message != "":
		x.err = errors.New(message)
	default:
		x.err = fmt.Errorf("xz: %w", err)
	}
}
