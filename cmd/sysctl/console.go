package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) consoleCmd() *cobra.Command {
	escape := control(1)
	var log bool
	cmd := &cobra.Command{
		Use:   "console NAME",
		Short: "attach to an instance's console",
		Long: `Attaches to the console of a running instance, where it shows its boot messages and a login prompt. Ctrl-a q
detaches; --escape chooses another control character for those whose guest needs ctrl-a. Standard input must be a
terminal.

With --log, prints what has been written to the console so far and does not attach; that works for stopped
instances too.`,
		Example: `  sysctl console web1
  sysctl console web1 --escape ctrl-b
  sysctl console old1 --log`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names(sysctl.Running)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if log {
				return a.showLog(cmd, args[0], manager.LogOptions{Console: true})
			}
			return a.console(cmd, args[0], escape)
		},
	}
	cmd.Flags().BoolVar(&log, "log", false, "print the console's log instead")
	cmd.Flags().Var(&escape, "escape", "control character that, followed by q, detaches")
	mustComplete(cmd, "escape", fixed("ctrl-a", "ctrl-b", "ctrl-t"))
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}

func (a *app) console(cmd *cobra.Command, name string, escape control) error {
	if !isTerminal(a.stdin) {
		return sysctl.E(sysctl.Invalid, "console %s: standard input is not a terminal", name).
			WithHint("sysctl console --log %s, or sysctl exec %[1]s -- COMMAND", quoteArg(name))
	}
	o := manager.ConsoleOptions{In: a.stdin, Out: a.stdout, Escape: byte(escape)}
	return a.with(cmd, func(ctx context.Context, b backend) error {
		if !a.quiet {
			a.note("%s: attached to its console; %s q detaches", clean(name), &escape)
		}
		if err := a.tty.raw(a.stdin); err != nil {
			return sysctl.Wrap(err, "console %s", name)
		}
		defer a.tty.restore()
		sizes, stop := windowSizes(a.stdin)
		defer stop()
		o.Resize = sizes
		err := b.Console(ctx, name, o)
		a.tty.restore() // before anything is printed
		return err
	})
}

// control is a control character, written "ctrl-a" or "^a".
type control byte

func (c *control) Type() string   { return "CHAR" }
func (c *control) String() string { return fmt.Sprintf("ctrl-%c", *c|0x60) }

// Set implements pflag.Value.
func (c *control) Set(s string) error {
	letter := strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "ctrl-"), "^")
	if len(letter) != 1 || letter == s || letter < "a" || letter > "z" {
		return fmt.Errorf("must be ctrl- and a letter, such as ctrl-b")
	}
	*c = control(letter[0] & 0x1f)
	return nil
}

func (a *app) logsCmd() *cobra.Command {
	var o manager.LogOptions
	var lines int
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "print an instance's log",
		Long: `Prints the log of an instance's last start: what the container runtime wrote while starting and stopping it,
or, with --console, what the guest wrote to its console. The guest's own journal is in the guest. An empty log is no
error: a good start leaves one, and a line on standard error says so.

With --follow, goes on with what is written, until the instance has stopped or until it is interrupted, which is no
error. Of the console the newest one to two MiB are kept; nothing is missed when older lines go.`,
		Example: `  sysctl logs web1
  sysctl logs web1 --console --lines 20
  sysctl logs web1 --console --follow`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names()),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines < 0 {
				return sysctl.Wrap(sysctl.FieldErrors{{Field: "--lines", Msg: fmt.Sprintf("%d: must be a number of lines, 0 or more", lines)}}, "logs %s", args[0])
			}
			if cmd.Flags().Changed("lines") {
				o.Lines = &lines
			}
			return a.showLog(cmd, args[0], o)
		},
	}
	cmd.Flags().BoolVar(&o.Console, "console", false, "what the guest wrote to its console")
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with what is written, until the instance has stopped")
	cmd.Flags().IntVarP(&lines, "lines", "n", 0, "begin with the last `N` lines, not with all")
	mustComplete(cmd, "lines", nothing)
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

// showLog copies a log to standard output: as it is, or made harmless where that is a terminal. An interruption is how a log
// that is followed ends.
func (a *app) showLog(cmd *cobra.Command, name string, o manager.LogOptions) error {
	return a.with(cmd, func(ctx context.Context, b backend) error {
		log, err := b.Logs(ctx, name, o)
		if err != nil {
			return err
		}
		defer log.Close()
		in := bufio.NewReader(log)
		_, err = in.Peek(1)
		if err == io.EOF {
			if o.Lines == nil {
				a.noteEmptyLog(name, o)
			}
			return nil
		}
		if err == nil && isTerminal(a.stdout) {
			err = copyPlain(a.stdout, in)
		} else if err == nil {
			err = copyData(a.stdout, in)
		}
		if o.Follow && errors.Is(err, context.Canceled) {
			return nil
		}
		return sysctl.Wrap(err, "%s %s", cmd.Name(), name)
	})
}

// noteEmptyLog says that a log is empty, as silence could be taken for a failure.
func (a *app) noteEmptyLog(name string, o manager.LogOptions) {
	switch {
	case a.quiet:
	case o.Console:
		a.note("%s: nothing has been written to its console", clean(name))
	default:
		a.note("%s: nothing to report of its last start; what the guest wrote: sysctl console --log %s", clean(name), quoteArg(name))
	}
}
