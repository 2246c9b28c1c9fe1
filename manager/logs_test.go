package manager_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// consoleLog gives every instance a console log with a text in it.
func (h *house) consoleLog(t *testing.T, old, text string) string {
	t.Helper()
	h.w.console = filepath.Join(t.TempDir(), "console")
	for path, text := range map[string]string{h.w.console: text, h.w.console + ".1": old} {
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h.w.console
}

// write appends to a log, as liblxc does.
func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestLogsLastLines(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	long := strings.Repeat("x", 100<<10)
	for _, c := range []struct {
		old, text string
		n         int // -1: all
		want      string
	}{
		{"", "", -1, ""},
		{"", "", 3, ""},
		{"", "a\nb\n", -1, "a\nb\n"},
		{"a\n", "b\n", -1, "a\nb\n"},
		{"", "a\nb\nc\n", 2, "b\nc\n"},
		{"", "a\nb\nc", 2, "b\nc"},
		{"", "a\nb", 0, ""},
		{"", "a\nb\n", 9, "a\nb\n"},
		{"a\nb\n", "c\n", 2, "b\nc\n"},
		{"a\nb\nc", "d\ne\n", 2, "cd\ne\n"},
		{"a\nb\n", "c\nd\n", 2, "c\nd\n"},
		{"a\n" + long, "\n" + long + "\nz\n", 2, long + "\nz\n"},
		{"a\n" + long, "\n" + long + "\nz\n", 3, long + "\n" + long + "\nz\n"},
	} {
		h.consoleLog(t, c.old, c.text)
		o := manager.LogOptions{Console: true}
		if c.n >= 0 {
			o.Lines = &c.n
		}
		r, err := h.Logs(t.Context(), "web1", o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != c.want {
			t.Errorf("the last %d lines of %.9q and %.9q are %.9q… of %d, want %.9q… of %d; %v", c.n, c.old, c.text, got, len(got), c.want, len(c.want), err)
		}
		r.Close()
	}
	minus := -1
	_, err := h.Logs(t.Context(), "web1", manager.LogOptions{Lines: &minus})
	kind(t, err, sysctl.Invalid)
}

// TestLogsFollowed reads a log while it is written, rotated and emptied, until the instance has stopped.
func TestLogsFollowed(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	path := h.consoleLog(t, "0\n", "1\n")
	r, err := h.Logs(t.Context(), "web1", manager.LogOptions{Console: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := bufio.NewReader(r)
	n := 0
	said := func(more int) {
		t.Helper()
		for range more {
			if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintln(n) {
				t.Fatalf("line %d is %q, %v", n, line, err)
			}
			n++
		}
	}
	rotate := func() {
		t.Helper()
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
	}
	said(2)
	write(t, path, "2\n")
	said(1)
	write(t, path, "3\n4\n") // unread when it is rotated
	rotate()
	write(t, path, "5\n")
	said(3)
	rotate()
	write(t, path, "6\n")
	rotate() // twice before anybody looks
	write(t, path, "7\n")
	said(2)
	write(t, path, "longer than what comes after it is emptied\n")
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, path, "8\n")
	said(1)
	write(t, path, "9\n")
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{}), "")
	said(1)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("behind its end: %q, %v", rest, err)
	}
}

func TestLogsFollowEnds(t *testing.T) {
	h := newHouse(t)
	h.launch(t, "web1")
	h.consoleLog(t, "", "1\n")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := h.Logs(ctx, "web1", manager.LogOptions{Console: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := io.ReadAll(r); string(got) != "1\n" || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %q, %v", got, err)
	}
	r.Close()
	kind(t, h.Stop(t.Context(), "web1", manager.StopOptions{}), "")
	r, err = h.Logs(t.Context(), "web1", manager.LogOptions{Console: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "1\n" || err != nil {
		t.Errorf("of one that does not run: %q, %v", got, err)
	}
}
