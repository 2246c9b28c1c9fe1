package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

// wireCmd is what the start-host hook runs before each start of the guest's init: wire ID, with liblxc's LXC_PID, the init's pid, in the
// environment. After the guest's end the stop hook runs wire ID PATH, with the path of the guest's network namespace.
func (a *app) wireCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:                "wire ID",
		Short:              "connect an instance that starts to the host's network (called by its start-host hook)",
		Long:               "Connects an instance that starts to the host's network, or takes the host's interfaces back.\nIts hooks call it; it is not for people.",
		Example:            "  LXC_PID=4711 sysctl wire 1",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE:               a.wire,
	}
	return a.verb(cmd, traits{})
}

func (a *app) wire(cmd *cobra.Command, args []string) error {
	if len(args) < 1 {
		return usageError(cmd, "too few arguments: usage: sysctl wire ID")
	}
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return usageError(cmd, "%q is not the id of an instance", args[0])
	}
	if len(args) > 1 {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			return sysctl.Wrap(b.Unwire(ctx, id, args[1]), "wire %d", id)
		})
	}
	text, _ := a.env("LXC_PID")
	init, err := strconv.Atoi(text)
	if err != nil || init <= 0 {
		return usageError(cmd, "LXC_PID=%q is not the pid of an init", text)
	}
	return a.with(cmd, func(ctx context.Context, b backend) error {
		return sysctl.Wrap(b.Wire(ctx, id, init), "wire %d", id)
	})
}
