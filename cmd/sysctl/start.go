package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) startCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start NAME...",
		Short: "start stopped instances",
		Long: `Starts instances, several at a time. A failure does not keep the others from being started. It is a conflict to
start what is running. What cannot boot on this host is refused before anything is done ("sysctl check NAME" says why).`,
		Example:           "  sysctl start web1\n  sysctl start web1 web2",
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.names(sysctl.Stopped)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onInstances(cmd, args, func(ctx context.Context, b backend, name string, p sysctl.Progress) error {
				return b.Start(ctx, name, manager.StartOptions{Progress: p, Note: a.noteOf(name)})
			})
		},
	}
	return a.verb(cmd, traits{starts: true, undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy,
		sysctl.Unsupported, sysctl.NoSpace, sysctl.Unavailable}})
}
