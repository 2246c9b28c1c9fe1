package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// opener opens this machine for one verb; the func it returns gives back what is held. Verbs that work
// without root (template list, show and validate) call it without root.
type opener func(ctx context.Context, starts bool) (b backend, done func(), err error)

// app is one run of the command.
type app struct {
	open   opener
	args   []string // the user's own, without the program's name
	stdin  *os.File
	stdout *os.File
	stderr *os.File
	euid   int
	env    func(string) (string, bool)
	now    func() time.Time

	quiet  bool
	debug  bool
	notes  io.Writer // stderr, behind the progress line
	screen *screen
	traits map[*cobra.Command]traits
	tty    ttyGuard
}

// traits is what the front must know of a verb beyond its flags.
type traits struct {
	unprivileged bool          // works without root
	starts       bool          // boots instances: what that needs in any case is begun at once
	undoes       bool          // changes something, and undoes it when interrupted
	passes       bool          // the exit status is a guest command's; our own failure is 125
	kinds        []sysctl.Kind // of the failures its help lists, beside the ones every verb has
}

// run parses the command line, does what it says and returns the exit status.
func (a *app) run(ctx context.Context) int {
	a.screen = newScreen(a.stderr)
	a.notes = a.screen
	if host, rest, is := completesHost(a.args); is {
		a.completeRemote(ctx, host, rest)
		return exitOK
	}
	if host, rest, is := cutHost(a.args); is {
		return a.report(a.remote(ctx, host, rest))
	}
	root := a.treeFor(a.args)
	args := a.args
	if keysWanted(args) {
		args = []string{args[0], args[len(args)-1]}
	}
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.notes)
	defer keepBrokenPipes()()
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(cmd, err)
}

// verb records a command's traits.
func (a *app) verb(cmd *cobra.Command, t traits) *cobra.Command {
	a.traits[cmd] = t
	return cmd
}

// with opens the house for one verb and closes it again. It is the only way to a backend: root is asked
// for before anything is opened, and from here on signals cancel ctx.
func (a *app) with(cmd *cobra.Command, do func(ctx context.Context, b backend) error) error {
	t := a.traits[cmd]
	if a.euid != 0 && !t.unprivileged {
		return a.needsRoot(cmd)
	}
	ctx, stop := a.interruptible(cmd.Context(), t.undoes)
	defer stop()
	b, done, err := a.open(ctx, t.starts)
	if err != nil {
		return sysctl.Wrap(err, "%s", verbPath(cmd))
	}
	defer done()
	return do(ctx, b)
}

// needsRoot repeats the user's own words behind sudo, with the environment that sudo would drop.
func (a *app) needsRoot(cmd *cobra.Command) error {
	line := []string{"sudo"}
	for _, key := range []string{"SYSCTL_DIR", "SYSCTL_RUN_DIR"} {
		if v, ok := a.env(key); ok {
			if len(line) == 1 {
				line = append(line, "env")
			}
			line = append(line, key+"="+v)
		}
	}
	line = append(append(line, "sysctl"), a.args...)
	hint := quoteArgs(line)
	if from, ok := a.env(fromKey); ok {
		_, host, at := strings.Cut(from, "@")
		if !at {
			host = from
		}
		hint = quoteArgs(slices.Concat([]string{"sysctl", "-H", "root@" + host}, a.args))
	}
	return sysctl.E(sysctl.Permission, "%s: needs root", verbPath(cmd)).WithHint("%s", hint)
}

// note writes one line for people to standard error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.notes, format+"\n", args...)
}

// verbPath is a command's words without the program's name: "image list".
func verbPath(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return path
}
