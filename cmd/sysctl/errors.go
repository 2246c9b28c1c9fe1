package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// exitCode is one line of the table that help, man pages and doc/errors.md show.
type exitCode struct {
	code    int
	kind    sysctl.Kind // "" where no kind of error leads to it
	meaning string
}

// The two codes that no kind decides.
const (
	exitOK   = 0
	exitExec = 125
)

// exitCodes is the one table of exit statuses.
func exitCodes() []exitCode {
	return []exitCode{
		{exitOK, "", "done"},
		{1, sysctl.Internal, "unexpected failure: a bug, or a system call nobody expected to fail"},
		{2, sysctl.Invalid, "the request itself is wrong: a flag, name, key, value or file"},
		{3, sysctl.NotFound, "what is named does not exist"},
		{4, sysctl.Exists, "the name or address is taken"},
		{5, sysctl.Conflict, "what is named is in a state that forbids this"},
		{6, sysctl.Busy, "another process holds it: trying again may work"},
		{7, sysctl.Permission, "not allowed: most verbs need root"},
		{8, sysctl.Unsupported, "this host or this guest cannot do it"},
		{9, sysctl.NoSpace, "a disk, quota or range of ids is full"},
		{10, sysctl.Unavailable, "something outside did not answer"},
		{exitExec, "", "exec and shell only: our own failure, not the command's"},
		{130, sysctl.Canceled, "interrupted, and what was begun is undone"},
	}
}

// codeOf returns the exit status for an error. It is never 0.
func codeOf(err error) int {
	kind := sysctl.KindOf(err)
	for _, c := range exitCodes() {
		if c.kind == kind && c.code != exitOK && c.code != exitExec {
			return c.code
		}
	}
	return 1
}

// exitStatus ends the process with a command's own status, silently.
type exitStatus int

func (s exitStatus) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// failures are the errors of a verb on several things, in the order the user named them.
type failures []error

func (f failures) Error() string   { return errors.Join(f...).Error() }
func (f failures) Unwrap() []error { return f }

// outputError is a failure to write to standard output.
type outputError struct{ err error }

func (e outputError) Error() string { return "write output: " + e.err.Error() }
func (e outputError) Unwrap() error { return e.err }

// usageError is a wrong command line. Its way out is the verb's help.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if path := verbPath(cmd); path != "" {
		msg = path + ": " + msg
	}
	return sysctl.E(sysctl.Invalid, "%s", msg).WithHint("%s --help", cmd.CommandPath())
}

// report tells the user of err and returns the exit status. cmd is the command that failed, or nil.
func (a *app) report(cmd *cobra.Command, err error) int {
	var status exitStatus
	var output outputError
	var several failures
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &output) && errors.Is(err, syscall.EPIPE):
		dieOfBrokenPipe()
		return 1
	case !errors.As(err, &several):
		several = failures{err}
	}
	for _, e := range several {
		a.printError(e)
	}
	code := codeOf(several[0])
	if cmd != nil && a.traits[cmd].passes && sysctl.KindOf(several[0]) != sysctl.Canceled {
		return exitExec
	}
	return code
}

// printError writes an error: one line, or one per bad field, then the way out, then with --debug the chain.
func (a *app) printError(err error) {
	for _, line := range errorLines(err) {
		a.note("sysctl: %s", clean(line))
	}
	if hint := sysctl.HintOf(err); hint != "" {
		if rest, ours := strings.CutPrefix(hint, "sysctl "); ours && !strings.HasPrefix(rest, "-H ") {
			if from, far := a.env(fromKey); far { // it is typed where the verb was
				hint = "sysctl -H " + quoteArg(from) + " " + rest
			}
		}
		a.note("hint: %s", clean(hint))
	}
	if !a.debug {
		return
	}
	a.note("debug: kind %s", sysctl.KindOf(err))
	for e := err; e != nil; e = errors.Unwrap(e) {
		a.note("debug: %T: %s", e, clean(e.Error()))
	}
}

// errorLines splits bad fields into a line each, repeating what was being done.
func errorLines(err error) []string {
	var fields sysctl.FieldErrors
	if !errors.As(err, &fields) || len(fields) == 0 {
		return []string{plainCancel(err)}
	}
	prefix, ok := strings.CutSuffix(err.Error(), fields.Error())
	var lines []string
	if !ok {
		lines, prefix = append(lines, err.Error()), ""
	}
	for _, f := range fields {
		lines = append(lines, prefix+f.Field+": "+f.Msg)
	}
	return lines
}

// plainCancel is an error's text, with the library's words for a cancelled context put plainly.
func plainCancel(err error) string {
	if !errors.Is(err, context.Canceled) {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted")
}

// clean makes a string safe for a terminal and one line long: whatever does not print is escaped. Names,
// guests and error causes are other people's words.
func clean(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		i += size
	}
	return b.String()
}
