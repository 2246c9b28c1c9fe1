package main

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) listCmd() *cobra.Command {
	var only []string
	chosen, order := "name,status,ipv4,ipv6,image,created", "name"
	cmd := &cobra.Command{
		Use:   "list [FILTER...]",
		Short: "list instances",
		Long: `Lists instances: all, or those that filters fit. A filter is a pattern of names (*, ? and [a-z] as in a shell; quote
them), of which one must fit, or KEY=VALUE, all of which must. KEY is name, status, ipv4, ipv6 (an address or subnet),
image, template, os, profile, network, architecture, ephemeral, or a config key, whose value may be a profile's. VALUE
is a pattern, or several separated by commas; KEY=~REGEX is a regular expression. With --quiet only names are printed.

--columns takes names of columns and config keys, KEY:HEADING to call one otherwise, or LXD's letters: n name, s status,
4 ipv4, 6 ipv6, i image, c created, t type, P profiles, S snapshots, a architecture, f fingerprint, F full_fingerprint,
l started, m memory, M memory_percent, N processes, p pid, u cpu, D disk, o os, w networks, U uptime.`,
		Example: `  sysctl list
  sysctl list 'web*' status=running
  sysctl list ipv4=10.0.0.0/8 user.role=db,web
  sysctl list --columns name,memory,user.role:ROLE --sort=-memory
  sysctl list -c ns4mD --format json
  sysctl list -q --status stopped`,
		ValidArgsFunction: a.listFilters(),
	}
	cmd.Flags().StringSliceVar(&only, "status", nil, "only those that are `STATUS`: "+strings.Join(statuses(), ", ")+" (repeatable)")
	cmd.Flags().StringVarP(&chosen, "columns", "c", chosen, "`COLUMNS` to show: names separated by commas, or letters")
	cmd.Flags().StringVar(&order, "sort", order, "sort by a `COLUMN`; -COLUMN: the other way round")
	mustComplete(cmd, "status", fixed(statuses()...))
	mustComplete(cmd, "columns", fixed(columnNames()...))
	mustComplete(cmd, "sort", fixed(columnNames()...))
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var bad sysctl.FieldErrors
		for _, s := range only {
			if !slices.Contains(statuses(), s) {
				bad.Add("--status", "%q is none of %s", s, strings.Join(statuses(), ", "))
			}
		}
		filters, names := parseFilters(args, &bad)
		shown, err := parseColumns(chosen)
		if err != nil {
			bad.Add("--columns", "%v", err)
		}
		by, err := columnOf(strings.TrimPrefix(order, "-"))
		if err != nil {
			bad.Add("--sort", "%v", err)
		}
		if err := bad.Err(); err != nil {
			return sysctl.Wrap(err, "list")
		}
		if len(only) > 0 {
			filters = append(filters, listFilter{key: "status", values: only})
		}
		need := by.asked
		for _, c := range shown {
			need = need.with(c.asked)
		}
		for _, f := range filters {
			need.config = need.config || f.config
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.List(ctx)
			if err != nil {
				return err
			}
			rows, err := a.listed(ctx, b, list, names, filters, need)
			if err != nil {
				return err
			}
			sortRows(rows, by, strings.HasPrefix(order, "-"))
			return a.printInstances(*out, rows, shown)
		})
	}
	return a.verb(cmd, traits{})
}

// listFilters completes names, and what filters can ask for.
func (a *app) listFilters() completer {
	names := a.names()
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words, how := each(names)(cmd, args, word)
		if key, value, ok := strings.Cut(word, "="); ok && key == "status" {
			return prefixed("status=", beginning(value, statuses())), noFiles
		}
		var keys []string
		for _, key := range filterKeys() {
			keys = append(keys, key+"=")
		}
		if keys = beginning(word, keys); word != "" && len(keys) > 0 && len(words) == 0 {
			return keys, noFiles | cobra.ShellCompDirectiveNoSpace
		}
		return words, how
	}
}

func prefixed(before string, words []string) []string {
	for i := range words {
		words[i] = before + words[i]
	}
	return words
}

// listed keeps the instances that fit one of the patterns and all filters, with what columns need.
func (a *app) listed(ctx context.Context, b backend, list []manager.Info, patterns []string, filters []listFilter, n asked) ([]row, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(i manager.Info) bool {
		fits := len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
			ok, _ := path.Match(p, i.Name) // checked before
			return ok
		})
		return !fits || slices.ContainsFunc(filters, func(f listFilter) bool { return !f.config && !f.fits(i, nil) })
	})
	rows, err := rowsOf(ctx, b, list, n, a.now())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r row) bool {
		return slices.ContainsFunc(filters, func(f listFilter) bool { return f.config && !f.fits(r.Info, r.config) })
	}), nil
}

// sortRows sorts by a column, and what is equal there by name.
func sortRows(rows []row, by column, down bool) {
	slices.SortFunc(rows, func(a, b row) int {
		var order int
		if by.number != nil {
			order = cmp.Compare(by.number(&a), by.number(&b))
		} else {
			order = strings.Compare(by.value(&a), by.value(&b))
		}
		if down {
			order = -order
		}
		return cmp.Or(order, strings.Compare(a.Name, b.Name))
	})
}

func (a *app) printInstances(f format, list []row, shown []column) error {
	v := view{}
	for _, c := range shown {
		v.columns = append(v.columns, c.heading)
	}
	var names []string
	infos := []manager.Info{}
	broken := 0
	for _, r := range list {
		var cells []string
		for _, c := range shown {
			cells = append(cells, c.value(&r))
		}
		v.rows = append(v.rows, cells)
		names = append(names, r.Name)
		infos = append(infos, r.Info)
		if r.State.Status == sysctl.Broken {
			broken++
		}
	}
	v.value = infos
	if a.quiet && f == "table" {
		return a.printLines(names...)
	}
	if err := a.print(f, v); err != nil {
		return err
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
