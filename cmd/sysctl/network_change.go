package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) networkCreateCmd() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use:   "create NETWORK [-] [KEY=VALUE...]",
		Short: "make a network",
		Long: `Makes a network and its bridge, with - from the YAML on standard input, over which the keys go that are given.
Subnets that no key says are chosen clear of the host's routes, with NAT. doc/config.md describes every key.`,
		Example: `  sysctl network create lab
  sysctl network create plant ipv4.address=10.20.0.1/24 ipv4.nat=true ipv6.address=none dns.domain=plant.example`,
		Args:              takes(1, -1),
		ValidArgsFunction: each(nothing, a.networkSettings()),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, words, err := sysctl.Network{Name: args[0], Config: map[string]string{}}, args[1:], error(nil)
			if len(words) > 0 && words[0] == "-" {
				words = words[1:]
				n, err = readNetwork(a.stdin, "standard input", args[0])
			}
			if err == nil {
				var set map[string]*string
				set, err = settings(words)
				for key, value := range set {
					n.Config[key] = *value
				}
			}
			if err != nil {
				return sysctl.Wrap(err, "network create %s", args[0])
			}
			if description != "" {
				n.Description = description
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				of, stop := a.progress()
				defer stop()
				return b.CreateNetwork(ctx, n, of(n.Name))
			})
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for: `TEXT`")
	mustComplete(cmd, "description", nothing)
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.Exists, sysctl.Conflict, sysctl.NoSpace}})
}

func (a *app) networkSetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set NETWORK KEY=VALUE...",
		Short: "set keys of a network",
		Long: `Sets keys of a network. All or none: every mistake is reported, and then nothing is changed. The bridge, its rules and
its DNS and DHCP change at once; what guests have to take up is named.

A new subnet gives every instance on the network the same place in it. That is refused while one of them runs, or has
a fixed address outside.`,
		Example: `  sysctl network set lab ipv4.nat=false
  sysctl network set lab security.isolation=false
  sysctl network set lab ipv4.address=10.30.0.1/24 bridge.mtu=1400`,
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.networkNames(), a.networkSettings()),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := settings(args[1:])
			if err != nil {
				return sysctl.Wrap(err, "network set %s", args[0])
			}
			return a.setNetwork(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.NoSpace, sysctl.Busy}})
}

func (a *app) networkUnsetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "unset NETWORK KEY...",
		Short:             "remove keys of a network, so that their defaults hold",
		Long:              "Removes keys of a network, so that their defaults hold. A key that is not set is no error. A chosen subnet stays.",
		Example:           "  sysctl network unset lab bridge.mtu",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.networkNames(), a.networkKeysSet()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setNetwork(cmd, args[0], unsettings(args[1:]))
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}

// setNetwork changes keys and says which of them guests do not feel yet.
func (a *app) setNetwork(cmd *cobra.Command, name string, set map[string]*string) error {
	return a.with(cmd, func(ctx context.Context, b backend) error {
		of, stop := a.progress()
		defer stop()
		later, err := b.SetNetwork(ctx, name, set, of(name))
		a.noteLater(name, later, err)
		return err
	})
}

func (a *app) noteLater(name string, later []string, err error) {
	if err == nil && len(later) > 0 && !a.quiet {
		a.note("%s: instances take up at their next start: %s", clean(name), clean(strings.Join(later, ", ")))
	}
}

func (a *app) networkGetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get NETWORK KEY",
		Short:             "print the value of one key",
		Long:              "Prints the value that a network has for a key. A key that is not set is not found; one that does not exist is invalid.",
		Example:           "  sysctl network get sysbr0 ipv4.address",
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.networkNames(), a.networkKeysSet(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				n, _, err := b.Network(ctx, args[0])
				if err != nil {
					return err
				}
				if value, ok := n.Config[args[1]]; ok {
					return a.printLines(value)
				}
				if err := profiles.CheckNetworkName(args[1]); err != nil {
					return sysctl.Wrap(err, "network get %s", args[0])
				}
				return sysctl.E(sysctl.NotFound, "network get %s: %s is not set", args[0], args[1]).WithHint("sysctl network show %s", quoteArg(args[0]))
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) networkEditCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit NETWORK",
		Short: "change a network in an editor",
		Long: `Opens a network's YAML in $VISUAL, $EDITOR or vi and stores what was written, as "network set" would. A mistake is
shown and can be corrected; nothing is changed before all is right. Where standard input is not a terminal, the YAML is
read from it.`,
		Example:           "  sysctl network edit lab\n  sysctl network edit lab < lab.yaml",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.networkNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				store := func(text io.Reader, file string) error {
					n, err := readNetwork(text, file, args[0])
					if err != nil {
						return sysctl.Wrap(err, "network edit %s", args[0])
					}
					of, stop := a.progress()
					defer stop()
					later, err := b.UpdateNetwork(ctx, n, of(args[0]))
					a.noteLater(args[0], later, err)
					return err
				}
				text := func() ([]byte, error) {
					n, _, err := b.Network(ctx, args[0])
					if err != nil {
						return nil, err
					}
					return profiles.EncodeNetwork(n)
				}
				return a.edit(ctx, "network edit "+args[0], "network "+args[0], text, store)
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.NoSpace, sysctl.Busy}})
}

// readNetwork reads a network's YAML. It may leave its name out but not have another one.
func readNetwork(r io.Reader, file, name string) (sysctl.Network, error) {
	n, err := profiles.DecodeNetwork(r, file)
	var unread *fs.PathError
	if errors.As(err, &unread) {
		return n, sysctl.E(kindOfFile(err), "%w", unread)
	}
	if err == nil && n.Name != "" && n.Name != name {
		err = sysctl.FieldErrors{{Field: "name", Msg: fmt.Sprintf("is %q in the file, not %q", n.Name, name)}}
	}
	n.Name = name
	return n, err
}

func (a *app) networkDeleteCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete NETWORK...",
		Short:             "delete networks",
		Long:              "Deletes networks and their bridges. It is a conflict to delete one that instances or profiles use, or the default one.",
		Example:           "  sysctl network delete lab",
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.networkNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return forEach(args, func(name string) error { return b.DeleteNetwork(ctx, name) })
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict}})
}

func (a *app) networkRenameCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "rename NETWORK NEW-NAME",
		Short:             "give a network that nobody uses another name",
		Long:              "Gives a network another name, and its bridge too. It is a conflict where instances or profiles use it.",
		Example:           "  sysctl network rename lab plant",
		Args:              takes(2, 2),
		ValidArgsFunction: first(a.networkNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error { return b.RenameNetwork(ctx, args[0], args[1]) })
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict}})
}

// networkSettings completes KEY=VALUE of networks.
func (a *app) networkSettings() completer {
	return func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		if name, _, ok := strings.Cut(word, "="); ok {
			key, _ := profiles.LookupNetwork(name)
			return beginning(word, valueWords(name, key.Values)), noFiles
		}
		var words []string
		for _, k := range profiles.NetworkKeys() {
			if k.Wildcard() {
				words = append(words, strings.TrimSuffix(k.Name, "*"))
			} else {
				words = append(words, k.Name+"=")
			}
		}
		return beginning(word, words), noFiles | cobra.ShellCompDirectiveNoSpace
	}
}

// networkKeysSet completes the keys that the network named by the first argument has set.
func (a *app) networkKeysSet() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			n, _, err := b.Network(ctx, args[0])
			if err != nil {
				return nil
			}
			return slices.Sorted(maps.Keys(n.Config))
		})(cmd, args, word)
	}
}
