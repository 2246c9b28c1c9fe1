package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) profileGetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get PROFILE KEY",
		Short:             "print the value of one key",
		Long:              `Prints the value that a profile has for a key. A key that is not set is not found; one that does not exist is invalid.`,
		Example:           "  sysctl profile get default limits.memory\n  sysctl profile get default devices.eth0.network",
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.profileNames(), a.profileKeysSet(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				p, _, err := b.Profile(ctx, args[0])
				if err != nil {
					return err
				}
				if value := valueOf(p.Config, p.Devices, args[1]); value != nil {
					return a.printLines(*value)
				}
				if err := profiles.CheckName(args[1], p.Devices); err != nil {
					return sysctl.Wrap(err, "profile get %s", args[0])
				}
				return sysctl.E(sysctl.NotFound, "profile get %s: %s is not set", args[0], args[1]).
					WithHint("sysctl profile show %s", quoteArg(args[0]))
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) profileSetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set PROFILE KEY=VALUE...",
		Short: "set keys of a profile",
		Long: `Sets config keys and options of devices of a profile. All or none: every mistake is reported, and then nothing is
changed. It is applied as by "sysctl profile edit", and comments of the profile's YAML are kept.
"sysctl profile set PROFILE KEY VALUE" works too.`,
		Example: `  sysctl profile set default limits.memory=1GiB limits.cpu=2
  sysctl profile set shared devices.data.type=disk devices.data.source=/srv/data devices.data.path=/data`,
		Args: takes(2, -1),
		ValidArgsFunction: each(a.profileNames(), a.settings(func(_ *cobra.Command, args []string) []string { return args[1:] },
			func(ctx context.Context, b backend, _ *cobra.Command, args []string) map[string]sysctl.Device {
				p, _, _ := b.Profile(ctx, args[0])
				return p.Devices
			})),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := settings(args[1:])
			if err != nil {
				return sysctl.Wrap(err, "profile set %s", args[0])
			}
			return a.setProfile(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

func (a *app) profileUnsetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unset PROFILE KEY...",
		Short: "remove keys from a profile",
		Long: `Removes keys from a profile, so that those of others or the defaults are in force for who uses it. A key that is not
set is no error. It is applied as by "sysctl profile edit", and comments of the profile's YAML are kept.`,
		Example:           "  sysctl profile unset default limits.memory",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.profileNames(), a.profileKeysSet()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setProfile(cmd, args[0], unsettings(args[1:]))
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

// setProfile changes keys of a profile.
func (a *app) setProfile(cmd *cobra.Command, name string, set map[string]*string) error {
	return a.with(cmd, func(ctx context.Context, b backend) error { return b.SetProfile(ctx, name, set, a.tellNote()) })
}

// profileKeysSet completes the keys that the profile named by the first argument has set.
func (a *app) profileKeysSet() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			p, _, err := b.Profile(ctx, args[0])
			if err != nil {
				return nil
			}
			return keysOf(p.Config, p.Devices)
		})(cmd, args, word)
	}
}
