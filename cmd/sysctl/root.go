package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// rootCmd is the whole tree of commands.
func (a *app) rootCmd() *cobra.Command {
	a.traits = map[*cobra.Command]traits{}
	root := &cobra.Command{
		Use:   "sysctl VERB",
		Short: "run whole operating systems as containers",
		Long: `sysctl runs whole operating systems as containers: with their own init, services, address and
network configuration, for years.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		ValidArgsFunction: kernelKeys,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "print nothing but data and errors")
	root.PersistentFlags().BoolVarP(&a.debug, "debug", "v", false, "print each step, and the chain of causes of an error")
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpFunc(a.showHelp)
	help := a.helpCmd()
	root.SetHelpCommand(help)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if what, _, isBool := strings.Cut(err.Error(), " strconv.ParseBool:"); isBool {
			return usageError(cmd, "%s must be true or false", what)
		}
		if a.traits[cmd].passes && strings.HasPrefix(err.Error(), "unknown ") {
			return usageError(cmd, "%v (put -- before the command to run)", err)
		}
		return usageError(cmd, "%v", err)
	})
	a.addGroup(root, "Instances", a.launchCmd(), a.createCmd(), a.startCmd(), a.stopCmd(), a.restartCmd(), a.freezeCmd(),
		a.unfreezeCmd(), a.deleteCmd(), a.renameCmd(), a.listCmd(), a.infoCmd(),
		a.snapshotCmd(), a.restoreCmd(), a.copyCmd(), a.diffCmd())
	a.addGroup(root, "Inside", a.execCmd(), a.shellCmd(), a.consoleCmd(), a.logsCmd(), a.fileCmd())
	a.addGroup(root, "Their parts", a.imageCmd(), a.templateCmd(), a.profileCmd(), a.configCmd(), a.networkCmd())
	a.addGroup(root, "The house", a.checkCmd(), a.autostartCmd(), a.environmentCmd(), a.versionCmd(), a.completionCmd())
	root.AddCommand(help, a.settleCmd(), a.docsCmd())
	return root
}

func (a *app) addGroup(root *cobra.Command, title string, cmds ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range cmds {
		cmd.GroupID = title
		root.AddCommand(cmd)
	}
}

// noun is a command that only has subcommands.
func (a *app) noun(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subs...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var words []string
		for _, sub := range cmd.Commands() {
			words = append(words, sub.Name())
		}
		if near := sysctl.Nearest(args[0], words); near != "" {
			return sysctl.E(sysctl.Invalid, "%s: no such verb: %s: did you mean %s?", cmd.Name(), args[0], near).
				WithHint("%s", quoteArgs(slices.Concat([]string{"sysctl", cmd.Name(), near}, args[1:])))
		}
		return usageError(cmd, "no such verb: %s", args[0])
	}
	return a.verb(cmd, traits{unprivileged: true})
}

// takes checks the number of arguments; most < 0 means any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		what := "too many arguments"
		if len(args) < least {
			what = "too few arguments"
		}
		return usageError(cmd, "%s: usage: sysctl %s", what, usageWords(cmd))
	}
}

// usageWords is a command's usage without the program's name.
func usageWords(cmd *cobra.Command) string {
	_, line, _ := strings.Cut(cmd.UseLine(), " ")
	return strings.TrimSuffix(line, " [flags]")
}
