package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) networkLeasesCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leases NETWORK",
		Short: "list the addresses on a network and who has them",
		Long: `Lists the addresses on a network: the network's own (gateway), those of instances (static), and those that DHCP has
lent to others (dynamic).`,
		Example:           "  sysctl network leases sysbr0",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.networkNames()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.NetworkLeases(ctx, args[0])
			if err != nil {
				return err
			}
			v := view{columns: []string{"HOSTNAME", "MAC", "ADDRESS", "TYPE", "EXPIRES"}, value: orEmpty(list)}
			for _, l := range list {
				expires := ""
				if !l.Expires.IsZero() {
					expires = l.Expires.Format(time.RFC3339)
				}
				v.rows = append(v.rows, []string{l.Hostname, l.MAC, addrText(l.Address), l.Type, expires})
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) networkRestoreCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "write rules anew that a firewall has flushed",
		Long: `Makes every network that is up what it should be: rules that the reload of a firewall has flushed, and a DNS server
that has died. Every start does the same for the networks of the instance; sysctl-network.service does it when a
firewall is reloaded. Prints the networks that are up.`,
		Example: "  sysctl network restore",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				names, err := b.RestoreNetworks(ctx)
				if printed := a.printLines(names...); err == nil {
					err = printed
				}
				return err
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.Conflict}})
}
