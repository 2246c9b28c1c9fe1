package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mayFail reports whether a line is of what the recipe lets fail. Its expressions were checked.
func (b *bootTest) mayFail(line string) bool {
	return slices.ContainsFunc(b.expect.MayFail, func(words string) bool {
		re, err := regexp.Compile(words)
		return err == nil && re.MatchString(line)
	})
}

// failures checks that nothing failed, by the init's own word and by what was said on the console.
func (b *bootTest) failures(ctx context.Context) error {
	said, _, err := b.sh(ctx, failedScript)
	if err != nil {
		return err
	}
	var bad []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && !b.mayFail(line) {
			bad = append(bad, line)
		}
	}
	b.note("no service failed", strings.Join(bad, "; "), "none")
	systemd, _, err := b.sh(ctx, "[ ! -d /run/systemd/system ] || echo systemd")
	if err != nil {
		return err
	}
	console, err := b.console()
	if err != nil {
		return err
	}
	bad = slices.DeleteFunc(FailedLines(console, systemd != ""), b.mayFail)
	b.note("no failure on the console", strings.Join(bad, "; "), "none")
	return nil
}

// console is what the guest has written there since it was started.
func (b *bootTest) console() (string, error) {
	data, err := os.ReadFile(b.m.Runtime.ConsoleLogPath(b.inst.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// FailedLines returns the lines of a console on which boot scripts or an init say that something failed. systemd lists its failed
// units, and says more than that.
func FailedLines(console string, systemd bool) []string {
	failed := regexp.MustCompile(`(?mi)^.*(failed|failure|mFAIL|\[ *!! *\]|\berror\b|crashed|needs service|non existent|panic|sulogin).*$`)
	if systemd {
		failed = regexp.MustCompile(`(?m)^.*\[.{0,9}FAILED.{0,9}\].*$`)
	}
	var lines []string
	for _, line := range failed.FindAllString(console, -1) {
		lines = append(lines, strings.TrimRight(line, "\r"))
	}
	return lines
}

// expected checks what the recipe expects.
func (b *bootTest) expected(ctx context.Context) error {
	if len(b.expect.Running) > 0 {
		said, _, err := b.sh(ctx, "cat /proc/[0-9]*/comm 2>/dev/null")
		if err != nil {
			return err
		}
		run := strings.Split(said, "\n")
		for _, name := range b.expect.Running {
			wrong := ""
			if !slices.Contains(run, name) {
				wrong = "no process is called so"
			}
			b.note("runs "+name, wrong, "yes")
		}
	}
	if len(b.expect.Listening) > 0 {
		said, _, err := b.sh(ctx, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null")
		if err != nil {
			return err
		}
		open := listening(said)
		for _, port := range b.expect.Listening {
			wrong := ""
			if !slices.Contains(open, port) {
				wrong = "nobody listens"
			}
			b.note("listens on "+strconv.Itoa(int(port)), wrong, "yes")
		}
	}
	for _, command := range b.expect.Commands {
		within, cancel := context.WithTimeout(ctx, testBootTimeout)
		said, status, err := b.sh(within, command)
		late := within.Err() != nil
		cancel()
		wrong := ""
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case late:
			wrong = "has not ended within " + testBootTimeout.String()
		case err != nil:
			return err
		case status != 0:
			wrong = fmt.Sprintf("exit status %d: %s", status, lastOf(said))
		}
		b.note(oneLine(command), wrong, lastOf(said))
	}
	return nil
}

// lastOf is the last line of a text.
func lastOf(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }
