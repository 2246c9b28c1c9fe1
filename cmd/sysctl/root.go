package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// rootCmd is the tree of commands.
func (a *app) rootCmd() *cobra.Command { return a.tree("") }

// treeFor is as much of the tree as a command line needs: to make every verb's command takes a tenth of what a verb takes to
// start. Whatever speaks of other verbs has them all.
func (a *app) treeFor(args []string) *cobra.Command {
	if len(args) == 0 || slices.Contains([]string{"help", "docs", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}, args[0]) {
		return a.rootCmd()
	}
	return a.tree(args[0])
}

// maker makes the command of a verb.
type maker struct {
	verb string
	cmd  func() *cobra.Command
}

// tree makes the command of one verb, or of all where there is none of that name.
func (a *app) tree(only string) *cobra.Command {
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
	groups := []struct {
		title string
		verbs []maker
	}{
		{"Instances", []maker{
			{"launch", a.launchCmd},
			{"create", a.createCmd},
			{"start", a.startCmd},
			{"stop", a.stopCmd},
			{"restart", a.restartCmd},
			{"freeze", a.freezeCmd},
			{"unfreeze", a.unfreezeCmd},
			{"delete", a.deleteCmd},
			{"rename", a.renameCmd},
			{"list", a.listCmd},
			{"info", a.infoCmd},
			{"snapshot", a.snapshotCmd},
			{"restore", a.restoreCmd},
			{"copy", a.copyCmd},
			{"diff", a.diffCmd},
			{"events", a.eventsCmd},
			{"top", a.topCmd},
			{"export", a.exportCmd},
			{"import", a.importCmd},
		}},
		{"Inside", []maker{
			{"exec", a.execCmd},
			{"shell", a.shellCmd},
			{"console", a.consoleCmd},
			{"logs", a.logsCmd},
			{"file", a.fileCmd},
			{"mount", a.mountCmd},
			{"umount", a.umountCmd},
		}},
		{"Their parts", []maker{
			{"image", a.imageCmd},
			{"template", a.templateCmd},
			{"profile", a.profileCmd},
			{"config", a.configCmd},
			{"network", a.networkCmd},
		}},
		{"The house", []maker{
			{"check", a.checkCmd},
			{"autostart", a.autostartCmd},
			{"autostop", a.autostopCmd},
			{"environment", a.environmentCmd},
			{"version", a.versionCmd},
			{"completion", a.completionCmd},
		}},
	}
	hidden := []maker{{"settle", a.settleCmd}, {"wire", a.wireCmd}, {"docs", a.docsCmd}}
	for _, g := range groups {
		for _, m := range g.verbs {
			if m.verb == only {
				root.AddCommand(m.cmd())
				return root
			}
		}
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, m := range g.verbs {
			cmd := m.cmd()
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(help)
	for _, m := range hidden {
		root.AddCommand(m.cmd())
	}
	return root
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
