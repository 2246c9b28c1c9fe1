package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

const profilesLive = ` A running instance has its
limits and devices at once, as far as that can be; it is said which devices wait for its next start.`

func (a *app) profileAssignCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "assign NAME PROFILE...",
		Short:             "give an instance other profiles",
		Long:              "Gives an instance other profiles than it has, in this order: later ones win." + profilesLive,
		Example:           "  sysctl profile assign web1 default shared",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.names(), a.profileNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				later, err := b.AssignProfiles(ctx, args[0], args[1:])
				a.tellLater(args[0], later...)
				return err
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy}})
}

func (a *app) profileAddCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "add NAME PROFILE",
		Short:             "give an instance one more profile",
		Long:              "Gives an instance one more profile, which wins over those that it has." + profilesLive,
		Example:           "  sysctl profile add web1 shared",
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.names(), a.profileNames(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				later, err := b.AddProfile(ctx, args[0], args[1])
				a.tellLater(args[0], later...)
				return err
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy}})
}

func (a *app) profileRemoveCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "remove NAME PROFILE",
		Short:             "take a profile away from an instance",
		Long:              "Takes a profile away from an instance." + profilesLive,
		Example:           "  sysctl profile remove web1 default",
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.names(), a.profilesOf(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				later, err := b.RemoveProfile(ctx, args[0], args[1])
				a.tellLater(args[0], later...)
				return err
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}

// profilesOf completes the profiles that the instance has which the first argument names.
func (a *app) profilesOf() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return nil
			}
			return d.Profiles
		})(cmd, args, word)
	}
}
