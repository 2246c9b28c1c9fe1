package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// settleCmd is what the post-stop hook runs: settle ID RUN-ID, with liblxc's LXC_TARGET ("stop" or "reboot")
// in the environment and, by the hook's convention, further words that are ignored. The exit status is
// always 0, because a failing hook must not disturb the runtime: nothing that correctness needs
// hangs on it.
func (a *app) settleCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:                "settle ID RUN-ID",
		Short:              "settle the end of an instance's run (called by its post-stop hook)",
		Long:               "Settles the end of an instance's run. The instance's post-stop hook calls it; it is not for people.",
		Example:            "  sysctl settle 1 0123456789abcdef",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.settle(cmd, args); err != nil {
				a.printError(err)
			}
			return nil
		},
	}
	return a.verb(cmd, traits{})
}

func (a *app) settle(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return usageError(cmd, "too few arguments: usage: sysctl settle ID RUN-ID")
	}
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return usageError(cmd, "%q is not the id of an instance", args[0])
	}
	target, _ := a.env("LXC_TARGET")
	return a.with(cmd, func(ctx context.Context, b backend) error {
		return sysctl.Wrap(b.Settle(ctx, id, args[1], target), "settle %d", id)
	})
}
