package main

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) networkCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "network",
		Short:   "list the networks of instances",
		Long:    "A network is a bridge on this host that instances are connected to, with its addresses and NAT.",
		Example: "  sysctl network list",
	}
	return a.noun(cmd, a.networkListCmd(), a.networkShowCmd(), a.networkRenderCmd())
}

func (a *app) networkListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "list networks",
		Long:    "Lists networks. With --quiet only names are printed.",
		Example: "  sysctl network list\n  sysctl network list --format yaml",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.Networks(ctx)
			if err != nil {
				return err
			}
			v := view{columns: []string{"NAME", "IPV4", "IPV6", "NAT", "MTU"}, value: orEmpty(list)}
			var names []string
			for _, n := range list {
				v.rows = append(v.rows, []string{n.Name, prefixText(n.IPv4), prefixText(n.IPv6), yesNo(n.NAT), mtuText(n.MTU)})
				names = append(names, n.Name)
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{})
}

func (a *app) networkShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show NETWORK",
		Short:             "show a network and who has which address on it",
		Long:              "Shows a network and the addresses that instances have claimed on it.",
		Example:           "  sysctl network show sysbr0",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.networkNames()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			n, used, err := b.Network(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(*out, networkView(n, used))
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func networkView(n sysctl.Network, used map[string][]sysctl.NIC) view {
	claims := &view{columns: []string{"INSTANCE", "DEVICE", "IPV4", "IPV6", "MAC"}}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		for _, nic := range used[name] {
			claims.rows = append(claims.rows, []string{name, nic.Device, addrText(nic.IPv4), addrText(nic.IPv6), nic.MAC})
		}
	}
	if used == nil {
		used = map[string][]sysctl.NIC{}
	}
	return view{
		rows: pairs("name", n.Name, "ipv4", prefixText(n.IPv4), "ipv6", prefixText(n.IPv6), "nat", yesNo(n.NAT),
			"mtu", mtuText(n.MTU), "domain", n.Domain),
		more: claims,
		value: struct {
			sysctl.Network
			UsedBy map[string][]sysctl.NIC `json:"used_by"`
		}{n, used},
	}
}

// mtuText writes an MTU; 0 is the kernel's default.
func mtuText(mtu int) string {
	if mtu == 0 {
		return ""
	}
	return strconv.Itoa(mtu)
}
