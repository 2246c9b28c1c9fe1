package main

import (
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// TestTopOnTerminal ends top in every way there is: the terminal is as it was.
func TestTopOnTerminal(t *testing.T) {
	for how, end := range map[string]func(tty *terminal){
		"q":      func(tty *terminal) { tty.master.WriteString("q") },
		"ctrl-c": func(tty *terminal) { tty.master.WriteString("\x03") },
		"signal": func(*terminal) { syscall.Kill(syscall.Getpid(), syscall.SIGTERM) },
	} {
		tty := newTerminal(t)
		before := state(t, tty.slave)
		done := make(chan struct{})
		go func() {
			defer close(done)
			tty.waitShown(t, "by cpu (c m i n a p, r)")
			tty.master.WriteString("m")
			tty.waitShown(t, "by memory (c")
			tty.master.WriteString("r")
			tty.waitShown(t, "by memory, reversed")
			resizeTerminal(t, tty.master, 5, 30)
			syscall.Kill(syscall.Getpid(), syscall.SIGWINCH)
			tty.waitShown(t, "\x1b[H2 of 2 instances run, cpu 0.0%\x1b[K") // cut off
			end(tty)
		}()
		got := runWith(t, seeded(sysctl.Running, "web1", "web2"), "", func(a *app) {
			onTerminal(tty)(a)
			a.env = func(name string) (string, bool) {
				v, ok := map[string]string{"TERM": "xterm", "LANG": "C.UTF-8"}[name]
				return v, ok
			}
		}, "top", "--delay", "1h")
		<-done
		if got.status != 0 || !reflect.DeepEqual(before, state(t, tty.slave)) {
			t.Errorf("%s: %+v, or the terminal is not as it was", how, got)
		}
		shown := tty.shown()
		if !strings.HasPrefix(shown, enterScreen) || !strings.HasSuffix(shown, leaveScreen) || strings.Count(shown, leaveScreen) != 1 {
			t.Errorf("%s: shown %q", how, shown)
		}
	}
}

func TestRates(t *testing.T) {
	load := func(id int64, cpu time.Duration, read, received int64) manager.Load {
		return manager.Load{ID: id, Name: string(rune('a' + id)), Resources: sysctl.Resources{CPU: cpu, Read: read, Written: -1,
			Networks: []sysctl.Traffic{{Received: received}, {Received: 1}}}}
	}
	var s sampler
	at := time.Unix(1000, 0)
	first := s.next(at, manager.HostLoad{Resources: sysctl.Resources{CPU: time.Second}}, []manager.Load{load(1, time.Second, 100, 5)})
	if i := first.Instances[0]; i.CPU != 0 || i.Read != 0 || i.Written != -1 || i.Received != 0 {
		t.Errorf("first: %+v", i)
	}
	second := s.next(at.Add(2*time.Second), manager.HostLoad{Resources: sysctl.Resources{CPU: 4 * time.Second}},
		[]manager.Load{load(1, 2*time.Second, 300, 2005), load(2, time.Hour, 1, 1)})
	if i := second.Instances[0]; i.CPU != 50 || i.Read != 100 || i.Received != 1000 || len(i.history) != 2 {
		t.Errorf("second: %+v", i)
	}
	if i := second.Instances[1]; i.CPU != 0 || i.Read != 0 || second.Host.CPU != 150 {
		t.Errorf("a new one: %+v, host %v", i, second.Host.CPU)
	}
	again := s.next(at.Add(4*time.Second), manager.HostLoad{}, []manager.Load{load(1, time.Second, 5, 5)}) // it was started anew
	if i := again.Instances[0]; i.CPU != 0 || i.Read != 0 || i.Received != 0 {
		t.Errorf("another run: %+v", i)
	}
	for range 50 {
		again = s.next(at, manager.HostLoad{}, []manager.Load{load(1, time.Second, 5, 5)})
	}
	if n := len(again.Instances[0].history); n != historyLength {
		t.Errorf("%d samples are kept", n)
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		history []float64
		plain   bool
		want    string
	}{
		{nil, false, ""}, {[]float64{0, 50, 100}, false, "▁▅█"}, {[]float64{0, 100, 200}, true, "_=#"},
	} {
		if got := strings.TrimLeft(sparkline(c.history, c.plain), " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.history, got, c.want)
		}
	}
}
