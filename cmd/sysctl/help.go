package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/sysctl-os/sysctl"
)

// handedOn is the end of our help: what the rest of the command lines is for.
const handedOn = `Everything else (sysctl -a, -w, -n, -p, -V, --system, kernel.hostname, net.ipv4.ip_forward=1, …) is
handed on unchanged to the system's own sysctl: see sysctl(8).`

// farHelp is what the help says of other machines.
const farHelp = `
On another machine:
  sysctl -H [USER@]HOST[:PORT] VERB …  run the verb there, over ssh (doc/remote.md)
`

func (a *app) helpCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "help [VERB | exit-codes]",
		Short:   "show help for a verb, or the table of exit statuses",
		Long:    "Shows the help of a verb, as VERB --help does, or the table of exit statuses.",
		Example: "  sysctl help launch\n  sysctl help exit-codes",
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(args, []string{"exit-codes"}) {
				return a.write([]byte(exitTable()))
			}
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return sysctl.E(sysctl.Invalid, "help: no such verb: %s", strings.Join(args, " ")).WithHint("sysctl help")
			}
			return found.Help()
		},
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		found, _, err := cmd.Root().Find(args)
		if err != nil {
			return nil, noFiles
		}
		var words []string
		for _, sub := range visible(found) {
			words = append(words, sub.Name())
		}
		if len(args) == 0 {
			words = append(words, "exit-codes")
		}
		return words, noFiles
	}
	return a.verb(cmd, traits{unprivileged: true})
}

// showHelp is cobra's help function.
func (a *app) showHelp(cmd *cobra.Command, _ []string) {
	fmt.Fprint(cmd.OutOrStdout(), a.helpText(cmd))
}

// helpText is everything --help says of a command.
func (a *app) helpText(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var b strings.Builder
	section := func(title, body string) {
		if body = strings.TrimRight(body, "\n"); body != "" {
			fmt.Fprintf(&b, "\n%s:\n%s\n", title, body)
		}
	}
	b.WriteString(strings.TrimSpace(cmd.Long) + "\n")
	section("Usage", "  sysctl "+usage(cmd))
	if !cmd.HasParent() {
		for _, g := range cmd.Groups() {
			section(g.Title, commandList(inGroup(cmd, g.ID)))
		}
	} else {
		section("Verbs", commandList(visible(cmd)))
	}
	section("Flags", allFlags(cmd).FlagUsages())
	if !cmd.HasParent() {
		b.WriteString(farHelp)
		b.WriteString("\n\"sysctl VERB --help\" says more; \"sysctl help exit-codes\" lists the exit statuses.\n" + handedOn + "\n")
		return b.String()
	}
	section("Examples", cmd.Example)
	section("Exit status", exitLines(a.exitsOf(cmd)))
	return b.String()
}

// allFlags is a command's own flags and those it inherits.
func allFlags(cmd *cobra.Command) *pflag.FlagSet {
	all := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	all.AddFlagSet(cmd.NonInheritedFlags())
	all.AddFlagSet(cmd.InheritedFlags())
	return all
}

// usage is a command's synopsis without the program's name.
func usage(cmd *cobra.Command) string {
	switch {
	case !cmd.HasParent():
		return "VERB [flags]"
	case len(visible(cmd)) > 0:
		return verbPath(cmd) + " VERB [flags]"
	}
	words := usageWords(cmd)
	before, after, dash := strings.Cut(words, " -- ")
	if dash {
		return before + " [flags] -- " + after
	}
	return words + " [flags]"
}

// visible lists the subcommands that help shows, verbs in the order that verbs has them in.
func visible(cmd *cobra.Command) []*cobra.Command {
	cmds := slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return c.Hidden })
	order := verbs()
	if !cmd.HasParent() {
		slices.SortFunc(cmds, func(a, b *cobra.Command) int {
			return slices.Index(order, a.Name()) - slices.Index(order, b.Name())
		})
	}
	return cmds
}

func inGroup(cmd *cobra.Command, id string) []*cobra.Command {
	return slices.DeleteFunc(visible(cmd), func(c *cobra.Command) bool { return c.GroupID != id })
}

func commandList(cmds []*cobra.Command) string {
	var b strings.Builder
	for _, c := range cmds {
		fmt.Fprintf(&b, "  %-12s %s\n", c.Name(), c.Short)
	}
	return b.String()
}

// exitsOf lists the lines of the exit table that a command's help shows.
func (a *app) exitsOf(cmd *cobra.Command) []exitCode {
	t := a.traits[cmd]
	kinds := append([]sysctl.Kind{sysctl.Internal, sysctl.Invalid, sysctl.Canceled}, t.kinds...)
	if !t.unprivileged {
		kinds = append(kinds, sysctl.Permission)
	}
	var codes []exitCode
	for _, c := range exitCodes() {
		switch {
		case t.passes && c.code == exitOK:
			codes = append(codes, exitCode{code: exitOK, meaning: "done; any other status is the command's own, 128+N where signal N ended it"})
		case c.code == exitOK, c.code == exitExec && t.passes, !t.passes && slices.Contains(kinds, c.kind), t.passes && c.kind == sysctl.Canceled:
			codes = append(codes, c)
		}
	}
	return codes
}

func exitLines(codes []exitCode) string {
	var b strings.Builder
	for _, c := range codes {
		fmt.Fprintf(&b, "  %-4d %s\n", c.code, c.meaning)
	}
	return b.String()
}

// exitTable is "sysctl help exit-codes".
func exitTable() string {
	var b strings.Builder
	b.WriteString("Exit statuses of sysctl's own verbs. What is handed on has those of sysctl(8).\n\n")
	for _, c := range exitCodes() {
		fmt.Fprintf(&b, "  %-4d %-12s %s\n", c.code, c.kind, c.meaning)
	}
	b.WriteString("\nA verb on several things goes on after a failure and exits with the status of the first one.\n")
	return b.String()
}
