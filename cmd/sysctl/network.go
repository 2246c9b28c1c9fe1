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
		Short:   "the networks of instances",
		Long:    "A network is a bridge on this host that instances are connected to, with its addresses and NAT.",
		Example: "  sysctl network list\n  sysctl network create lab",
	}
	return a.noun(cmd, a.networkListCmd(), a.networkShowCmd(), a.networkCreateCmd(), a.networkGetCmd(), a.networkSetCmd(), a.networkUnsetCmd(),
		a.networkEditCmd(), a.networkRenameCmd(), a.networkDeleteCmd(), a.networkLeasesCmd(), a.networkForwardCmd(), a.networkRestoreCmd(), a.networkRenderCmd())
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
				v.rows = append(v.rows, []string{n.Name, prefixText(n.IPv4), prefixText(n.IPv6), natText(n), mtuText(n.MTU)})
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
		rows: slices.Concat(pairs("name", n.Name, "description", n.Description, "bridge", n.Bridge, "ipv4", prefixText(n.IPv4), "ipv6", prefixText(n.IPv6),
			"nat", natText(n), "mtu", mtuText(n.MTU), "domain", n.Domain), configRows(n.Config, nil)),
		more: claims,
		value: struct {
			sysctl.Network
			UsedBy map[string][]sysctl.NIC `json:"used_by"`
		}{n, used},
	}
}

// natText says for which of its families a network has NAT.
func natText(n sysctl.Network) string {
	switch {
	case n.NAT && !n.NAT6 && n.IPv6.IsValid():
		return "ipv4"
	case n.NAT6 && !n.NAT && n.IPv4.IsValid():
		return "ipv6"
	}
	return yesNo(n.NAT || n.NAT6)
}

// mtuText writes an MTU; 0 is the kernel's default.
func mtuText(mtu int) string {
	if mtu == 0 {
		return ""
	}
	return strconv.Itoa(mtu)
}
