package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) environmentCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "environment",
		Short: "remove everything this program has made on the machine",
		Long: `An environment is one set of instances, images and networks: what lies under SYSCTL_DIR (/var/lib/sysctl) and
SYSCTL_RUN_DIR (/run/sysctl). A machine can have several; none sees another. It is made by the first command that
uses it.`,
		Example: "  SYSCTL_DIR=/srv/lab SYSCTL_RUN_DIR=/run/lab sysctl list",
	}
	return a.noun(cmd, a.environmentRemoveCmd())
}

func (a *app) environmentRemoveCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "remove an environment with everything in it",
		Long: `Removes the environment: its instances, images, networks, NAT rules, database and directories. There is no way
back. Where there are instances it is a conflict without --force.`,
		Example: "  sysctl environment remove\n  SYSCTL_DIR=/srv/lab SYSCTL_RUN_DIR=/run/lab sysctl environment remove --force",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				of, stop := a.progress()
				defer stop()
				return b.RemoveAll(ctx, force, of("environment"))
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "delete its instances too")
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.Conflict, sysctl.Busy}})
}
