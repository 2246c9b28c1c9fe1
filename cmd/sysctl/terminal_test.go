package main

import (
	"bytes"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"golang.org/x/term"
)

func ioctl(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		t.Fatalf("ioctl %#x: %v", request, errno)
	}
}

type winsize struct{ rows, cols, x, y uint16 }

func resizeTerminal(t *testing.T, master *os.File, rows, cols uint16) {
	t.Helper()
	ioctl(t, master, syscall.TIOCSWINSZ, unsafe.Pointer(&winsize{rows: rows, cols: cols}))
}

// terminal is a pseudo-terminal whose output is collected.
type terminal struct {
	master, slave *os.File
	mu            sync.Mutex
	output        bytes.Buffer
	more          chan struct{} // has a value after something was written
	ended         chan struct{}
}

// shows waits until a text was written to the terminal, and reports whether it was within a minute, and all that was.
func (tty *terminal) shows(text string) (all string, ok bool) {
	end := time.After(time.Minute)
	for {
		tty.mu.Lock()
		all = tty.output.String()
		tty.mu.Unlock()
		if strings.Contains(all, text) {
			return all, true
		}
		select {
		case <-tty.more:
		case <-end:
			return all, false
		}
	}
}

// waitFor ends the test where a text is never written to the terminal.
func (tty *terminal) waitFor(t *testing.T, text string) {
	t.Helper()
	if all, ok := tty.shows(text); !ok {
		t.Fatalf("%q was not written within a minute: %q", text, all)
	}
}

// waitShown is waitFor for goroutines, which cannot end the test.
func (tty *terminal) waitShown(t *testing.T, text string) {
	t.Helper()
	if all, ok := tty.shows(text); !ok {
		t.Errorf("%q was never shown: %q", text, all)
	}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs pseudo-terminals: %v", err)
	}
	var n, unlocked int32
	ioctl(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	ioctl(t, master, syscall.TIOCGPTN, unsafe.Pointer(&n))
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	tty := &terminal{master: master, slave: slave, more: make(chan struct{}, 1), ended: make(chan struct{})}
	resizeTerminal(t, master, 24, 80)
	go func() {
		defer close(tty.ended)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			tty.mu.Lock()
			tty.output.Write(buf[:n])
			tty.mu.Unlock()
			select {
			case tty.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { slave.Close(); master.Close() })
	return tty
}

// shown closes the terminal and returns all that was written to it.
func (tty *terminal) shown() string {
	tty.slave.Close()
	<-tty.ended
	return strings.ReplaceAll(tty.output.String(), "\r\n", "\n")
}

func state(t *testing.T, f *os.File) *term.State {
	t.Helper()
	s, err := term.GetState(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onTerminal makes all three streams a terminal.
func onTerminal(tty *terminal) func(*app) {
	return func(a *app) {
		a.stdin, a.stdout, a.stderr = tty.slave, tty.slave, tty.slave
		a.env = func(key string) (string, bool) { return "vt100", key == "TERM" }
	}
}

func TestExecOnATerminal(t *testing.T) {
	tty := newTerminal(t)
	before := state(t, tty.slave)
	f := seeded(sysctl.Running, "web1")
	f.exec = func(o manager.ExecOptions) (int, error) {
		if !o.TTY || !strings.Contains(strings.Join(o.Env, " "), "TERM=vt100") {
			t.Errorf("tty %v, environment %q", o.TTY, o.Env)
		}
		if reflect.DeepEqual(before, state(t, tty.slave)) {
			t.Error("the terminal is not raw while the command runs")
		}
		if got := <-o.Resize; got != (manager.WindowSize{Rows: 24, Cols: 80}) {
			t.Errorf("first size %v", got)
		}
		resizeTerminal(t, tty.master, 50, 132)
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Error(err)
		}
		if got := <-o.Resize; got != (manager.WindowSize{Rows: 50, Cols: 132}) {
			t.Errorf("second size %v", got)
		}
		return 7, nil
	}
	if got := runWith(t, f, "", onTerminal(tty), "exec", "web1", "--", "top"); got.status != 7 {
		t.Errorf("%+v", got)
	}
	if !reflect.DeepEqual(before, state(t, tty.slave)) {
		t.Error("the terminal is not as it was")
	}
	if shown := tty.shown(); shown != "" {
		t.Errorf("shown: %q", shown)
	}
}

func TestTerminalIsRestoredBeforeAnError(t *testing.T) {
	tty := newTerminal(t)
	before := state(t, tty.slave)
	f := seeded(sysctl.Running, "web1")
	f.exec = func(manager.ExecOptions) (int, error) { return 0, sysctl.E(sysctl.Busy, "exec web1: made to fail") }
	if got := runWith(t, f, "", onTerminal(tty), "shell", "web1"); got.status != 125 {
		t.Errorf("%+v", got)
	}
	if !reflect.DeepEqual(before, state(t, tty.slave)) {
		t.Error("the terminal is not as it was")
	}
	// A raw terminal would show the line without its carriage return.
	tty.slave.Close()
	<-tty.ended
	if got := tty.output.String(); got != "sysctl: exec web1: made to fail\r\n" {
		t.Errorf("shown: %q", got)
	}
}

func TestWhoGetsATerminal(t *testing.T) {
	for _, c := range []struct {
		in, out bool
		flags   string
		want    bool
		status  int
	}{
		{true, true, "", true, 0},
		{true, false, "", false, 0},
		{false, true, "", false, 0},
		{false, false, "", false, 0},
		{true, true, "-T", false, 0},
		{true, true, "--no-tty", false, 0},
		{true, false, "-t", true, 0},
		{false, true, "--tty", false, 125},
		{true, true, "-t -T", false, 125},
	} {
		tty := newTerminal(t)
		f := seeded(sysctl.Running, "web1")
		var got *bool
		f.exec = func(o manager.ExecOptions) (int, error) {
			got = &o.TTY
			return 0, nil
		}
		args := append(append([]string{"exec"}, strings.Fields(c.flags)...), "web1", "--", "true")
		r := runWith(t, f, "", func(a *app) {
			if c.in {
				a.stdin = tty.slave
			}
			if c.out {
				a.stdout = tty.slave
			}
		}, args...)
		if r.status != c.status || c.status == 0 && (got == nil || *got != c.want) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

func TestExecPassesEnvironment(t *testing.T) {
	f := seeded(sysctl.Running, "web1")
	env := func(a *app) {
		a.env = func(key string) (string, bool) { return "host's", key == "MINE" || key == "LANG" }
	}
	got := runWith(t, f, "", env, "exec", "web1", "--env", "A=1", "--env", "MINE", "--env", "UNSET", "--env", "A=2=3", "--user", "7", "--group", "g", "--cwd", "/", "env")
	want := `exec ["web1",["env"],["MINE=host's","A=2=3"],"7","g","/",false,false]`
	if got.status != 0 || f.Last != want {
		t.Errorf("%+v, request %s, want %s", got, f.Last, want)
	}
}

func TestConsoleOnATerminal(t *testing.T) {
	tty := newTerminal(t)
	before := state(t, tty.slave)
	f := seeded(sysctl.Running, "web1")
	if got := runWith(t, f, "", onTerminal(tty), "console", "web1", "--escape", "^B"); got.status != 0 || f.Last != `console ["web1",2,true]` {
		t.Errorf("%+v, request %s", got, f.Last)
	}
	if !reflect.DeepEqual(before, state(t, tty.slave)) {
		t.Error("the terminal is not as it was")
	}
	if shown := tty.shown(); shown != "web1: attached to its console; ctrl-b q detaches\n" {
		t.Errorf("shown: %q", shown)
	}
}

func TestLogOnATerminalIsHarmless(t *testing.T) {
	tty := newTerminal(t)
	if got := runWith(t, seeded(sysctl.Stopped, "web1"), "", onTerminal(tty), "console", "web1", "--log"); got.status != 0 {
		t.Errorf("%+v", got)
	}
	if shown := tty.shown(); shown != "login: \\x1b[2J\n" {
		t.Errorf("shown: %q", shown)
	}
}

func TestLaunchOnATerminal(t *testing.T) {
	tty := newTerminal(t)
	got := runWith(t, seeded(sysctl.Running), "", func(a *app) {
		onTerminal(tty)(a)
		at := a.now()
		a.now = func() (was time.Time) { was, at = at, at.Add(420*time.Millisecond); return was }
	}, "launch", "debian12", "web1")
	if got.status != 0 {
		t.Errorf("%+v", got)
	}
	want := "web1: Debian GNU/Linux 12 (bookworm), started in 0.42s, 10.1.2.2, fd42::2\nnext: sysctl shell web1\n"
	if shown := tty.shown(); shown != want {
		t.Errorf("shown: %q, want %q", shown, want)
	}
}

func TestEditProfile(t *testing.T) {
	tty := newTerminal(t)
	f := seeded(sysctl.Running)
	editor := t.TempDir() + "/edit"
	// The first attempt is wrong, the second is right.
	executable(t, editor, "#!/bin/sh\nif grep -q nonsense \"$1\"; then echo 'description: done' > \"$1\"; else echo 'nonsense: 1' > \"$1\"; fi\n")
	if _, err := io.WriteString(tty.master, "\n"); err != nil {
		t.Fatal(err)
	}
	got := runWith(t, f, "", func(a *app) {
		onTerminal(tty)(a)
		a.env = func(key string) (string, bool) { return editor, key == "VISUAL" }
	}, "profile", "edit", "default")
	if got.status != 0 || f.Pieces["default"].Description != "done" || f.Pieces["default"].Name != "default" {
		t.Errorf("%+v, profile %+v", got, f.Pieces["default"])
	}
	if shown := tty.shown(); !strings.Contains(shown, "sysctl: profile default:1: nonsense") || !strings.Contains(shown, "edit again") {
		t.Errorf("shown: %q", shown)
	}
}

func TestEditConfig(t *testing.T) {
	tty := newTerminal(t)
	f := seeded(sysctl.Running, "web1")
	editor := t.TempDir() + "/edit"
	executable(t, editor, "#!/bin/sh\nprintf 'config: {limits.memory: 1GiB, user.new: x}\\n' > \"$1\"\n")
	got := runWith(t, f, "", func(a *app) {
		onTerminal(tty)(a)
		a.env = func(key string) (string, bool) { return editor, key == "EDITOR" }
	}, "config", "edit", "web1")
	i, err := f.on("config", "web1")
	if err != nil {
		t.Fatal(err)
	}
	if got.status != 0 || !reflect.DeepEqual(i.Config, map[string]string{"limits.memory": "1GiB", "user.new": "x"}) {
		t.Errorf("%+v, config %v", got, i.Config)
	}
	if got := runWith(t, f, "description: mine\n", func(*app) {}, "config", "edit", "web1"); got.status != 2 || !strings.Contains(got.stderr, "description") {
		t.Errorf("%+v", got)
	}
}

// Only what was changed is set.
func TestChanges(t *testing.T) {
	was := sysctl.Profile{Config: map[string]string{"a": "1", "b": "2", "c": "3"},
		Devices: map[string]sysctl.Device{"gone": {"type": "none"}, "kept": {"type": "disk", "path": "/a", "source": "/b"}}}
	is := sysctl.Profile{Config: map[string]string{"a": "1", "b": "", "d": "4"},
		Devices: map[string]sysctl.Device{"kept": {"type": "disk", "path": "/c"}, "new": {"type": "none"}}}
	got := map[string]string{}
	for key, value := range changes(was, is) {
		got[key] = "unset"
		if value != nil {
			got[key] = "=" + *value
		}
	}
	want := map[string]string{"b": "=", "c": "unset", "d": "=4", "devices.gone": "unset", "devices.kept.path": "=/c", "devices.kept.source": "unset", "devices.new.type": "=none"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if same := changes(was, was); len(same) != 0 {
		t.Errorf("of the same: %v", same)
	}
}

func TestEditProfileGivenUp(t *testing.T) {
	tty := newTerminal(t)
	f := seeded(sysctl.Running)
	editor := t.TempDir() + "/edit"
	executable(t, editor, "#!/bin/sh\necho 'nonsense: 1' > \"$1\"\n")
	if _, err := io.WriteString(tty.master, "q\n"); err != nil {
		t.Fatal(err)
	}
	before := f.Pieces["default"]
	got := runWith(t, f, "", func(a *app) {
		onTerminal(tty)(a)
		a.env = func(key string) (string, bool) { return editor, key == "EDITOR" }
	}, "profile", "edit", "default")
	if got.status != 2 || !reflect.DeepEqual(f.Pieces["default"], before) {
		t.Errorf("%+v, profile %+v", got, f.Pieces["default"])
	}
}

func TestProgressLine(t *testing.T) {
	tty := newTerminal(t)
	s := newScreen(tty.slave)
	s.say("web1: unpack\x1b 40%")
	s.draw()
	s.say(strings.Repeat("x", 200))
	s.draw()
	if _, err := io.WriteString(s, "a line\n"); err != nil {
		t.Fatal(err)
	}
	s.draw()
	s.run()() // leaves nothing behind
	s.draw()
	shown := tty.shown()
	first := `/ web1: unpack\x1b 40%`
	erase := func(n int) string { return "\r" + strings.Repeat(" ", n) + "\r" }
	long := "- " + strings.Repeat("x", 77)
	want := first + erase(len(first)) + long + erase(79) + "a line\n" + `\ ` + strings.Repeat("x", 77) + erase(79)
	if shown != want {
		t.Errorf("shown %q, want %q", shown, want)
	}
}

func TestProgressText(t *testing.T) {
	for want, got := range map[string]string{
		"web1: unpack":     progressText("web1", "unpack", 0, 0),
		"web1: unpack 0%":  progressText("web1", "unpack", 0, 10),
		"web1: unpack 50%": progressText("web1", "unpack", 5, 10),
		"unpack 100%":      progressText("", "unpack", 11, 10),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
