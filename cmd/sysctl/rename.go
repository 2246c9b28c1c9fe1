package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) renameCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rename NAME NEW-NAME",
		Short: "give a stopped instance another name",
		Long: `Gives a stopped instance another name, which is also its host name from its next start on. Its address and
everything in it stay.`,
		Example:           "  sysctl rename old1 web9",
		Args:              takes(2, 2),
		ValidArgsFunction: first(a.names(sysctl.Stopped)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return b.Rename(ctx, args[0], args[1])
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy}})
}
