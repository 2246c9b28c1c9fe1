package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) execCmd() *cobra.Command {
	var g guestCommand
	cmd := &cobra.Command{
		Use:   "exec NAME -- COMMAND [ARG...]",
		Short: "run a command in a running instance",
		Long: `Runs a command in a running instance, without a shell, and exits with its status. It has a terminal of its own where
standard input and output are terminals; else its input, output and errors are ours, each apart. Of our environment it
sees only TERM, and that only with a terminal; --env adds to the instance's environment.* keys. --env NAME without a
value passes our variable on, and does nothing where we have none.

The -- may be left out where no word of the command begins with a dash.`,
		Example: `  sysctl exec web1 -- systemctl is-system-running
  sysctl exec web1 --user www-data --cwd /srv --env DEBUG=1 -- ls -l
  sysctl exec web1 -- sh -c 'cat > /root/note' < /etc/hostname`,
		ValidArgsFunction: first(a.names(sysctl.Running)),
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case len(args) < 2:
				return usageError(cmd, "too few arguments: usage: sysctl %s", usageWords(cmd))
			case args[1] == "":
				return usageError(cmd, "the command is empty: usage: sysctl %s", usageWords(cmd))
			case dash > 1: // the command's own --, which would be lost
				return sysctl.E(sysctl.Invalid, "exec: the -- must stand before the command").
					WithHint("sysctl exec %s -- %s -- %s", quoteArg(args[0]), quoteArgs(args[1:dash]), quoteArgs(args[dash:]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			g.Argv = args[1:]
			return a.inGuest(cmd, args[0], g)
		},
	}
	g.register(cmd)
	cmd.Flags().StringVar(&g.Group, "group", "", "run as this `GROUP`, a name or gid; the user's own when not given")
	return a.verb(cmd, guestTraits())
}

func (a *app) shellCmd() *cobra.Command {
	g := guestCommand{ExecOptions: manager.ExecOptions{Login: true}}
	cmd := &cobra.Command{
		Use:   "shell NAME",
		Short: "open a login shell in a running instance",
		Long: `Opens the login shell of root, or of --user, as the instance's own passwd has it, with the instance's own
environment and language. It needs no network and no password.`,
		Example: `  sysctl shell web1
  sysctl shell web1 --user www-data`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names(sysctl.Running)),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.inGuest(cmd, args[0], g) },
	}
	g.register(cmd)
	return a.verb(cmd, guestTraits())
}

func guestTraits() traits {
	return traits{passes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict}}
}

// guestCommand is the options of exec and shell as written.
type guestCommand struct {
	manager.ExecOptions
	tty, noTTY bool
	env        []string
}

func (g *guestCommand) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&g.User, "user", "", "run as this `USER` of the instance, a name or uid; root when not given")
	f.StringVar(&g.Cwd, "cwd", "", "run in this `DIRECTORY` of the instance; the user's home when not given")
	f.StringArrayVar(&g.env, "env", nil, "set an environment variable: `NAME=VALUE`, or NAME to pass ours on (repeatable)")
	f.BoolVarP(&g.tty, "tty", "t", false, "give it a terminal even where our output is none")
	f.BoolVarP(&g.noTTY, "no-tty", "T", false, "give it no terminal")
	for _, flag := range []string{"user", "cwd", "env"} {
		mustComplete(cmd, flag, nothing)
	}
}

// inGuest runs a command in an instance with our standard streams and exits with its status.
func (a *app) inGuest(cmd *cobra.Command, name string, g guestCommand) error {
	o, err := a.execOptions(g)
	if err != nil {
		return sysctl.Wrap(err, "%s %s", cmd.Name(), name)
	}
	return a.with(cmd, func(ctx context.Context, b backend) error {
		if o.TTY {
			if err := a.tty.raw(a.stdin); err != nil {
				return sysctl.Wrap(err, "%s %s", cmd.Name(), name)
			}
			defer a.tty.restore()
			sizes, stop := windowSizes(a.stdin)
			defer stop()
			o.Resize = sizes
		}
		status, err := b.Exec(ctx, name, o)
		a.tty.restore() // before anything is printed
		switch {
		case err != nil:
			return err
		case status != 0:
			return exitStatus(status)
		}
		return nil
	})
}

// execOptions makes the request of what was written, or reports every field of it that is wrong.
func (a *app) execOptions(g guestCommand) (manager.ExecOptions, error) {
	var bad sysctl.FieldErrors
	o := g.ExecOptions
	o.Stdin, o.Stdout, o.Stderr = a.stdin, a.stdout, a.stderr
	o.TTY = !g.noTTY && isTerminal(a.stdin) && (g.tty || isTerminal(a.stdout))
	switch {
	case g.tty && g.noTTY:
		bad.Add("--tty", "contradicts --no-tty")
	case g.tty && !o.TTY:
		bad.Add("--tty", "standard input is not a terminal")
	}
	if o.Cwd != "" && !strings.HasPrefix(o.Cwd, "/") {
		bad.Add("--cwd", "%q is not an absolute path", o.Cwd)
	}
	if term, ok := a.env("TERM"); ok && o.TTY {
		o.Env = append(o.Env, "TERM="+term)
	}
	for _, word := range g.env {
		name, _, given := strings.Cut(word, "=")
		if err := checkVariable(name); err != nil {
			bad.Add("--env", "%q: %v", word, err)
			continue
		}
		if !given {
			value, ok := a.env(name)
			if !ok {
				continue // as unset as here
			}
			word += "=" + value
		}
		o.Env = slices.DeleteFunc(o.Env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		o.Env = append(o.Env, word)
	}
	return o, bad.Err()
}

// checkVariable reports why a name cannot be that of an environment variable: the grammar is that of the
// instance's own environment.* keys.
func checkVariable(name string) error {
	if name == "" {
		return errors.New("the name before the = is missing")
	}
	if key, ok := profiles.Lookup("environment." + name); !ok || key.Check("x") != nil {
		return errors.New("write NAME=VALUE, or NAME to pass ours on; a name has letters, digits and _ . - and does not begin with a digit")
	}
	return nil
}
