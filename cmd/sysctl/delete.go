package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) deleteCmd() *cobra.Command {
	var o manager.DeleteOptions
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "delete instances with everything in them",
		Long: `Deletes instances: their files, addresses snapshots and configuration. There is no way back. It is a conflict
to delete what is running, unless --force is given; then it is killed first.`,
		Example:           "  sysctl delete old1\n  sysctl delete --force web1 web2",
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.names()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onInstances(cmd, args, func(ctx context.Context, b backend, name string, _ sysctl.Progress) error {
				o := o
				o.Note = a.noteOf(name)
				return b.Delete(ctx, name, o)
			})
		},
	}
	cmd.Flags().BoolVarP(&o.Force, "force", "f", false, "kill it first where it runs")
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}
