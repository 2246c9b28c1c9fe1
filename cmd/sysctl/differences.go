package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) diffCmd() *cobra.Command {
	var packages bool
	cmd := &cobra.Command{
		Use:   "diff NAME [SNAPSHOT [SNAPSHOT]]",
		Short: "list what an instance has changed",
		Long: `Lists the files that an instance has added, changed or deleted since it was made from its image, or since a
snapshot of it, or those that differ between two snapshots. Times do not count: a file has changed when its type,
content, mode, owner or extended attributes have. What was in a deleted directory is not listed; a renamed one is
deleted here and added there. With --quiet only paths are printed.

With --packages, lists the packages that were installed, removed or are of another version, by the guest's own
database (dpkg, rpm or apk), and the configuration files that changed and are not as their package brought them.

Instances may run meanwhile; what they change meanwhile may be listed or not.`,
		Example: `  sysctl diff web1
  sysctl diff web1 snap0
  sysctl diff web1 snap0 snap1 --format json
  sysctl diff web1 --packages`,
		Args:              takes(1, 3),
		ValidArgsFunction: each(a.names(), a.snapshotNames(), a.snapshotNames(), nothing),
	}
	cmd.Flags().BoolVar(&packages, "packages", false, "by package of the guest's distribution")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var o manager.DiffOptions
		if len(args) > 1 {
			o.From = args[1]
		}
		if len(args) > 2 {
			o.To = args[2]
		}
		for _, snap := range args[1:] {
			if err := sysctl.CheckSnapshotName(snap); err != nil {
				return sysctl.Wrap(err, "diff %s", args[0])
			}
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			if packages {
				list, err := b.DiffPackages(ctx, args[0], o)
				if err != nil {
					return err
				}
				return a.printPackageDifferences(*out, list)
			}
			list, err := b.Diff(ctx, args[0], o)
			if err != nil {
				return err
			}
			return a.printDifferences(*out, list)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) printDifferences(f format, list []sysctl.Difference) error {
	v := view{columns: []string{"CHANGE", "TYPE", "PATH", "WHAT"}, value: orEmpty(list)}
	var paths []string
	for _, d := range list {
		v.rows = append(v.rows, []string{d.Change, d.Type, d.Path, strings.Join(d.What, ", ")})
		paths = append(paths, clean(d.Path))
	}
	if a.quiet && f == "table" {
		return a.printLines(paths...)
	}
	return a.print(f, v)
}

func (a *app) printPackageDifferences(f format, list []sysctl.PackageDifference) error {
	v := view{columns: []string{"CHANGE", "PACKAGE", "BEFORE", "AFTER", "CONFIGURATION"}, value: orEmpty(list)}
	var names []string
	for _, d := range list {
		v.rows = append(v.rows, []string{d.Change, d.Name, d.Before, d.After, strings.Join(d.Config, ", ")})
		names = append(names, clean(d.Name))
	}
	if a.quiet && f == "table" {
		return a.printLines(names...)
	}
	return a.print(f, v)
}
