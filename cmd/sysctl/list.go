package main

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) listCmd() *cobra.Command {
	var statuses []string
	cmd := &cobra.Command{
		Use:   "list [PATTERN...]",
		Short: "list instances",
		Long: `Lists instances: all, or those with a name that one of the patterns fits (*, ? and [a-z] as in a shell; quote
them). With --quiet only names are printed.`,
		Example: `  sysctl list
  sysctl list 'web*' --status running
  sysctl list --format json
  sysctl list -q --status stopped`,
		ValidArgsFunction: each(a.names()),
	}
	all := []string{string(sysctl.Running), string(sysctl.Stopped), string(sysctl.Frozen), string(sysctl.Broken)}
	cmd.Flags().StringSliceVar(&statuses, "status", nil, "only those that are `STATUS`: "+strings.Join(all, ", ")+" (repeatable)")
	mustComplete(cmd, "status", fixed(all...))
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var bad sysctl.FieldErrors
		for _, s := range statuses {
			if !slices.Contains(all, s) {
				bad.Add("--status", "%q is none of %s", s, strings.Join(all, ", "))
			}
		}
		for _, p := range args {
			if _, err := path.Match(p, ""); err != nil {
				bad.Add(p, "is not a pattern: a [ has no ]")
			}
		}
		if err := bad.Err(); err != nil {
			return sysctl.Wrap(err, "list")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.List(ctx)
			if err != nil {
				return err
			}
			return a.printInstances(*out, filter(list, args, statuses))
		})
	}
	return a.verb(cmd, traits{})
}

// filter keeps the instances that fit one of the patterns and are in one of the statuses, sorted by name.
func filter(list []manager.Info, patterns, statuses []string) []manager.Info {
	kept := slices.DeleteFunc(slices.Clone(list), func(i manager.Info) bool {
		fits := len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
			ok, _ := path.Match(p, i.Name) // checked before
			return ok
		})
		return !fits || len(statuses) > 0 && !slices.Contains(statuses, string(i.State.Status))
	})
	slices.SortFunc(kept, func(a, b manager.Info) int { return strings.Compare(a.Name, b.Name) })
	return kept
}

func (a *app) printInstances(f format, list []manager.Info) error {
	v := view{
		columns: []string{"NAME", "STATUS", "IPV4", "IPV6", "IMAGE", "CREATED"},
		value:   orEmpty(list),
	}
	var names []string
	for _, i := range list {
		var v4, v6 []string
		for _, n := range i.NICs {
			v4, v6 = append(v4, addrText(n.IPv4)), append(v6, addrText(n.IPv6))
		}
		v.rows = append(v.rows, []string{i.Name, string(i.State.Status), joined(v4), joined(v6), i.Template, timeText(i.Created)})
		names = append(names, i.Name)
	}
	if a.quiet && f == "table" {
		return a.printLines(names...)
	}
	if err := a.print(f, v); err != nil {
		return err
	}
	broken := 0
	for _, i := range list {
		if i.State.Status == sysctl.Broken {
			broken++
		}
	}
	if f == "table" && broken > 0 {
		a.note("%d broken: \"sysctl info NAME\" says why", broken)
	}
	return nil
}

// joined joins what is not empty.
func joined(words []string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", ")
}
