package templates

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
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
	return readProgram(ctx, r, program, "-dcq", "-T0", "--memlimit-decompress=1GiB")
}

// zstdReader decompresses r, which begins with head, by the zstd program where there is one, since it is half as fast again as the
// library.
func zstdReader(ctx context.Context, head []byte, r io.Reader) (data io.Reader, stop func(), err error) {
	if program, err := exec.LookPath("zstd"); err == nil {
		return readProgram(ctx, r, program, "-dcq", fmt.Sprintf("-M%dMiB", maxWindow>>20))
	}
	// The library is twice as fast with twice the window, which is taken where that is no more memory than else.
	var first zstd.Header
	roomy := first.Decode(head) == nil && first.WindowSize <= maxWindow/4
	window := uint64(maxWindow)
	if roomy {
		window /= 2 // of later frames
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(!roomy), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, func() {}, err
	}
	data, end := readAhead(z)
	return data, func() { end(); z.Close() }, nil
}

// readProgram decompresses r by a program. stop ends it and waits for it.
func readProgram(ctx context.Context, r io.Reader, program string, args ...string) (data io.Reader, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	x := &decompressor{cmd: exec.CommandContext(ctx, program, args...)}
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
		return nil, nil, err
	}
	return bufio.NewReaderSize(x, 64<<10), func() { cancel(); x.wait() }, nil
}

// decompressor is a running program.
type decompressor struct {
	cmd     *exec.Cmd
	out     io.Reader
	message strings.Builder
	ended   bool
	err     error
}

// Read implements io.Reader. Where the program failed, its error comes in place of io.EOF.
func (x *decompressor) Read(p []byte) (int, error) {
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
func (x *decompressor) wait() {
	if x.ended {
		return
	}
	x.ended, x.err = true, io.EOF
	err := x.cmd.Wait()
	if err == nil {
		return
	}
	message, _, _ := strings.Cut(strings.TrimSpace(x.message.String()), "\n")
	message = strings.TrimSpace(message)
	for _, prefix := range []string{"xz: (stdin): ", "zstd: ", `/*stdin*\ : `} {
		message = strings.TrimPrefix(message, prefix)
	}
	switch {
	case strings.Contains(message, "Unexpected end of input"), strings.Contains(message, "premature end"), strings.Contains(message, "premature frame end"):
		x.err = io.ErrUnexpectedEOF
	case message != "":
		x.err = errors.New(message)
	default:
		x.err = fmt.Errorf("%s: %w", x.cmd.Args[0], err)
	}
}
