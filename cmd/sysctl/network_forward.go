package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) networkForwardCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forward",
		Short: "lead ports of the host to instances",
		Long: `A forward leads what arrives at an address of this host to instances on a network: single ports, or everything. At
0.0.0.0 and :: it listens at every address of the host but loopback. The kernel does it (nftables); nothing runs for it.`,
		Example: "  sysctl network forward create sysbr0 0.0.0.0\n  sysctl network forward port add sysbr0 0.0.0.0 tcp 8080 web1 80",
	}
	port := &cobra.Command{
		Use:     "port",
		Short:   "the ports of a forward",
		Long:    "The ports of a forward, each with the instance or address that it is led to.",
		Example: "  sysctl network forward port add sysbr0 0.0.0.0 tcp 8080 web1 80",
	}
	return a.noun(cmd, a.forwardListCmd(), a.forwardShowCmd(), a.forwardCreateCmd(), a.forwardDeleteCmd(),
		a.noun(port, a.forwardPortAddCmd(), a.forwardPortRemoveCmd()))
}

func (a *app) forwardListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list NETWORK",
		Short:             "list the forwards of a network",
		Long:              "Lists the forwards of a network. With --quiet only the addresses that they listen at are printed.",
		Example:           "  sysctl network forward list sysbr0",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.networkNames()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.Forwards(ctx, args[0])
			if err != nil {
				return err
			}
			v := view{columns: []string{"LISTEN ADDRESS", "DESCRIPTION", "TARGET", "PORTS"}, value: orEmpty(list)}
			var addresses []string
			for _, f := range list {
				var ports []string
				for _, p := range f.Ports {
					ports = append(ports, p.Protocol+" "+p.Listen.String()+" → "+portTarget(p))
				}
				v.rows = append(v.rows, []string{f.Listen.String(), f.Description, addrText(f.Target), strings.Join(ports, ", ")})
				addresses = append(addresses, f.Listen.String())
			}
			if a.quiet && *out == "table" {
				return a.printLines(addresses...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

// portTarget is where a port is led to, for people.
func portTarget(p sysctl.ForwardPort) string {
	to := p.Instance
	switch {
	case to == "":
		to = addrText(p.Target)
	case !p.Target.IsValid():
		to += " (without an address)"
	}
	if p.TargetPorts != p.Listen {
		to += " " + p.TargetPorts.String()
	}
	return to
}

func (a *app) forwardShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show NETWORK ADDRESS",
		Short:             "show a forward and its ports",
		Long:              "Shows what a forward leads where.",
		Example:           "  sysctl network forward show lab 0.0.0.0",
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.networkNames(), a.forwardAddresses(), nothing),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			f, err := b.Forward(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			ports := &view{columns: []string{"PROTOCOL", "PORTS", "INSTANCE", "TARGET", "TARGET PORTS"}}
			for _, p := range f.Ports {
				ports.rows = append(ports.rows, []string{p.Protocol, p.Listen.String(), p.Instance, addrText(p.Target), p.TargetPorts.String()})
			}
			return a.print(*out, view{rows: pairs("listen address", f.Listen.String(), "description", f.Description, "target", addrText(f.Target)), more: ports, value: f})
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) forwardCreateCmd() *cobra.Command {
	var target, description string
	cmd := &cobra.Command{
		Use:   "create NETWORK ADDRESS",
		Short: "make a forward",
		Long: `Makes a forward that listens at an address of the host, at first for nothing. With --target everything that no port
says is led to one address on the network, whatever the protocol: the host itself cannot be reached there any more.`,
		Example:           "  sysctl network forward create lab 0.0.0.0\n  sysctl network forward create lab 203.0.113.7 --target 10.20.0.2",
		Args:              takes(2, 2),
		ValidArgsFunction: first(a.networkNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return b.CreateForward(ctx, args[0], args[1], target, description)
			})
		},
	}
	cmd.Flags().StringVar(&target, "target", "", "where everything is led to that no port says: `ADDRESS`")
	cmd.Flags().StringVar(&description, "description", "", "what it is for: `TEXT`")
	mustComplete(cmd, "target", nothing)
	mustComplete(cmd, "description", nothing)
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict}})
}

func (a *app) forwardDeleteCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete NETWORK ADDRESS...",
		Short:             "delete forwards",
		Long:              "Deletes forwards with all their ports.",
		Example:           "  sysctl network forward delete lab 0.0.0.0",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.networkNames(), a.forwardAddresses()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return forEach(args[1:], func(listen string) error { return b.DeleteForward(ctx, args[0], listen) })
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) forwardPortAddCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NETWORK ADDRESS tcp|udp PORTS TARGET [TARGET-PORTS]",
		Short: "lead ports to an instance",
		Long: `Leads ports of a forward to an instance, whose address is followed, or to an address on the network. Ports are one, a
range, or several of these with commas; those of the target are as many, or one, or the same.`,
		Example:           "  sysctl network forward port add lab 0.0.0.0 tcp 8080 web1 80\n  sysctl network forward port add lab 0.0.0.0 udp 5000-5010 10.20.0.2",
		Args:              takes(5, 6),
		ValidArgsFunction: each(a.networkNames(), a.forwardAddresses(), fixed("tcp", "udp"), nothing, a.names(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				o := manager.PortOptions{Network: args[0], Listen: args[1], Protocol: args[2], Ports: args[3], Target: args[4]}
				if len(args) > 5 {
					o.TargetPorts = args[5]
				}
				return b.AddForwardPort(ctx, o)
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict}})
}

func (a *app) forwardPortRemoveCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "remove NETWORK ADDRESS [tcp|udp [PORTS]]",
		Short:             "lead ports nowhere any more",
		Long:              "Takes ports away from a forward: those that are named, all of a protocol, or with --all every one.",
		Example:           "  sysctl network forward port remove lab 0.0.0.0 tcp 8080\n  sysctl network forward port remove lab 0.0.0.0 --all",
		Args:              takes(2, 4),
		ValidArgsFunction: each(a.networkNames(), a.forwardAddresses(), fixed("tcp", "udp"), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) != all {
				return sysctl.E(sysctl.Invalid, "network forward port remove %s %s: name a protocol, or --all and none", args[0], args[1])
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				more := append(args[2:], "", "")
				return b.RemoveForwardPort(ctx, args[0], args[1], more[0], more[1])
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every port")
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound}})
}

// forwardAddresses completes the addresses at which the network named by the first argument listens.
func (a *app) forwardAddresses() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			list, err := b.Forwards(ctx, args[0])
			if err != nil {
				return nil
			}
			var words []string
			for _, f := range list {
				words = append(words, f.Listen.String())
			}
			return words
		})(cmd, args, word)
	}
}
