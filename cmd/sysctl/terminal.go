package main

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"golang.org/x/term"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// ttyGuard holds the terminal that is in raw mode, so that whoever ends the process can restore it.
type ttyGuard struct {
	mu    sync.Mutex
	fd    int
	saved *term.State
	out   *os.File
	end   string // is written to out when it is restored
}

// atRestore has a string be written when the terminal, which is in raw mode, is restored.
func (g *ttyGuard) atRestore(out *os.File, s string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out, g.end = out, s
}

// raw puts a terminal into raw mode until restore is called.
func (g *ttyGuard) raw(f *os.File) error {
	saved, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return sysctl.E(sysctl.Internal, "put the terminal into raw mode: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fd, g.saved = int(f.Fd()), saved
	return nil
}

// restore gives the terminal back as it was. It may be called at any time and more than once.
func (g *ttyGuard) restore() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.saved != nil {
		_ = term.Restore(g.fd, g.saved) // the terminal may be gone: nothing is left to restore
		g.saved = nil
		if g.end != "" {
			_, _ = io.WriteString(g.out, g.end)
			g.end = ""
		}
	}
}

// windowSizes delivers the terminal's size now and whenever it changes, until stop is called. Only the
// newest size waits to be read.
func windowSizes(f *os.File) (sizes <-chan manager.WindowSize, stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	out := make(chan manager.WindowSize, 1)
	send := func() {
		cols, rows, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return
		}
		select {
		case <-out:
		default:
		}
		out <- manager.WindowSize{Rows: uint16(rows), Cols: uint16(cols)}
	}
	send()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changed:
				send()
			case <-done:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(changed)
		close(done)
	}
}

// copyPlain copies text that a guest wrote to a terminal, with everything escaped that would command it. What has come is
// written before more is waited for.
func copyPlain(w io.Writer, r io.Reader) error {
	buf := make([]byte, 64<<10)
	held := 0 // bytes at its beginning of which it matters what follows: a return, a part of a character
	for {
		n, err := r.Read(buf[held:])
		text := buf[:held+n]
		held = 0
		if err == nil {
			held = unfinished(text)
		}
		if _, werr := io.WriteString(w, plain(string(text[:len(text)-held]))); werr != nil {
			return outputError{werr}
		}
		copy(buf, text[len(text)-held:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// unfinished is how many bytes at the end of a text are a return, or the beginning of a longer character.
func unfinished(text []byte) int {
	if bytes.HasSuffix(text, []byte{'\r'}) {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// plain is text with everything escaped but tabs and the ends of lines.
func plain(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i < len(lines)-1 {
			line = strings.TrimSuffix(line, "\r")
		}
		cells := strings.Split(line, "\t")
		for j := range cells {
			cells[j] = clean(cells[j])
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

// copyData copies data as it is, telling our output's errors from its source's.
func copyData(w io.Writer, r io.Reader) error {
	_, err := io.Copy(dataWriter{w}, r)
	return err
}

// dataWriter marks the errors of standard output as such.
type dataWriter struct{ w io.Writer }

func (d dataWriter) Write(b []byte) (int, error) {
	n, err := d.w.Write(b)
	if err != nil {
		err = outputError{err}
	}
	return n, err
}
