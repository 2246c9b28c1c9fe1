package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) freezeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "freeze NAME...",
		Short:             "halt all processes of running instances",
		Long:              `Halts every process of each instance where it is. They keep their memory; "sysctl unfreeze" lets them go on.`,
		Example:           "  sysctl freeze web1",
		ValidArgsFunction: each(a.names(sysctl.Running)),
	}
	return a.freezing(cmd, func(ctx context.Context, b backend, name string) error { return b.Freeze(ctx, name) })
}

func (a *app) unfreezeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "unfreeze NAME...",
		Short:             "let frozen instances go on",
		Long:              "Lets the processes of each frozen instance go on.",
		Example:           "  sysctl unfreeze web1",
		ValidArgsFunction: each(a.names(sysctl.Frozen)),
	}
	return a.freezing(cmd, func(ctx context.Context, b backend, name string) error { return b.Unfreeze(ctx, name) })
}

func (a *app) freezing(cmd *cobra.Command, do func(context.Context, backend, string) error) *cobra.Command {
	cmd.Args = takes(1, -1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.onInstances(cmd, args, func(ctx context.Context, b backend, name string, _ sysctl.Progress) error {
			return do(ctx, b, name)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}
