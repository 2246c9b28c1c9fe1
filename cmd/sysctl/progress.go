package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/term"
)

// screen is standard error: lines for people, and below them, on a terminal, one line that moves.
type screen struct {
	out *os.File

	mu    sync.Mutex
	text  string // what the moving line says; "" where nothing is going on
	drawn int    // characters of it that are on the terminal
	frame int
}

func newScreen(out *os.File) *screen { return &screen{out: out} }

// Write writes whole lines in place of the moving line, which comes back at its next tick.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	return s.out.Write(b)
}

func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

// draw puts the line on the terminal, cut to its width. It uses no more of the terminal than carriage
// return and spaces.
func (s *screen) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == "" {
		return
	}
	width, _, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width < 10 {
		width = 80
	}
	s.frame = (s.frame + 1) % 4
	line := []rune(fmt.Sprintf("%c %s", `|/-\`[s.frame], clean(s.text)))
	line = line[:min(len(line), width-1)]
	s.erase()
	io.WriteString(s.out, string(line))
	s.drawn = len(line)
}

// erase removes the line. The caller holds mu.
func (s *screen) erase() {
	if s.drawn > 0 {
		io.WriteString(s.out, "\r"+strings.Repeat(" ", s.drawn)+"\r")
		s.drawn = 0
	}
}

// run draws until the returned func is called, which leaves a clear line.
func (s *screen) run() func() {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(120 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.draw()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		s.mu.Lock()
		defer s.mu.Unlock()
		s.erase()
		s.text = ""
	}
}

// progress begins to show what a verb is doing until stop is called: with --debug as a line for each
// new step, else as one moving line where standard error is a terminal, else (or with --quiet) not at all.
// The func it returns makes the Progress for one thing by name.
func (a *app) progress() (of func(name string) sysctl.Progress, stop func()) {
	switch {
	case a.quiet:
		return func(string) sysctl.Progress { return nil }, func() {}
	case a.debug:
		return a.stepLines, func() {}
	case isTerminal(a.stderr):
		return func(name string) sysctl.Progress {
			return func(step string, done, total int64) { a.screen.say(progressText(name, step, done, total)) }
		}, a.screen.run()
	}
	return func(string) sysctl.Progress { return nil }, func() {}
}

// stepLines is a Progress that writes each new step as a line.
func (a *app) stepLines(name string) sysctl.Progress {
	var mu sync.Mutex
	var last string
	return func(step string, _, _ int64) {
		mu.Lock()
		defer mu.Unlock()
		if step != last {
			a.note("%s", clean(progressText(name, step, 0, 0)))
			last = step
		}
	}
}

func progressText(name, step string, done, total int64) string {
	if name != "" {
		step = name + ": " + step
	}
	if total > 0 {
		step += fmt.Sprintf(" %d%%", min(100, done*100/total))
	}
	return step
}
