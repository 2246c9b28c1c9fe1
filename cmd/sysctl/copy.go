package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) copyCmd() *cobra.Command {
	var o manager.CopyOptions
	count := 1
	cmd := &cobra.Command{
		Use:   "copy SOURCE[/SNAPSHOT] NAME",
		Short: "make instances of what another is, or was",
		Long: `Makes an instance of what another one is, or was at a snapshot, with its files and its configuration. The copy
has ids, addresses and a host name of its own, and makes a machine id and ssh host keys of its own when it starts;
addresses that the source's configuration fixes are left out. --count 3 makes NAME-1, NAME-2 and NAME-3, or
none of them.

The copy of a stopped instance or of a snapshot takes no time and no space. A running source is frozen while what it
wrote is copied, once for all copies. The copy has no snapshots.`,
		Example: `  sysctl copy web1 web3
  sysctl copy web1/snap0 try --start --ephemeral
  sysctl copy web1 node --count 3 --start`,
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.copySources(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > 1000 {
				return usageError(cmd, "--count must be from 1 to 1000")
			}
			source, snap, isSnap := strings.Cut(args[0], "/")
			if isSnap && snap == "" {
				return usageError(cmd, "%q names no snapshot: write SOURCE or SOURCE/SNAPSHOT", args[0])
			}
			o.Source, o.Snapshot, o.Names = source, snap, copyNames(args[1], count)
			return a.with(cmd, func(ctx context.Context, b backend) error { return a.copy(ctx, b, o) })
		},
	}
	cmd.Flags().IntVar(&count, "count", count, "make `N` copies, NAME-1 to NAME-N")
	cmd.Flags().BoolVar(&o.Start, "start", false, "start each copy")
	cmd.Flags().BoolVarP(&o.Ephemeral, "ephemeral", "e", false, "delete each copy when it stops")
	mustComplete(cmd, "count", nothing)
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy,
		sysctl.Unsupported, sysctl.NoSpace}})
}

// copyNames are the names of n copies.
func copyNames(name string, n int) []string {
	if n == 1 {
		return []string{name}
	}
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", name, i+1))
	}
	return names
}

// copy makes copies and prints their names.
func (a *app) copy(ctx context.Context, b backend, o manager.CopyOptions) error {
	of, stop := a.progress()
	o.Progress, o.Note = of(o.Source), a.tellNote()
	made, err := b.Copy(ctx, o)
	stop()
	var lines []string
	for _, inst := range made {
		line := inst.Name
		if addrs := addresses(inst.NICs); addrs != "" && !a.quiet && isTerminal(a.stdout) {
			line += ": " + addrs
		}
		lines = append(lines, line)
	}
	if printed := a.printLines(lines...); err == nil {
		err = printed
	}
	return err
}

// copySources completes with instances and, behind a slash, their snapshots.
func (a *app) copySources() completer {
	names := a.names()
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		name, _, isSnap := strings.Cut(word, "/")
		if !isSnap {
			return names(cmd, args, word)
		}
		return a.live(func(ctx context.Context, b backend) []string { return snapshotsOf(ctx, b, name, name+"/") })(cmd, args, word)
	}
}
