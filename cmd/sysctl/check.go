package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) checkCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "say what this host can do and what it lacks",
		Long: `Looks at this host (kernel, cgroups, liblxc, overlay on idmapped layers, user namespaces, NAT, forwarding, …) and says
of each missing piece what it costs and which command repairs it. With --quiet only what is not well is printed.
Warnings do not change the exit status.`,
		Example: "  sysctl check\n  sysctl check --format json",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			facts, err := b.Check(ctx)
			if err != nil {
				return err
			}
			if err := a.print(*out, a.factsView(facts)); err != nil {
				return err
			}
			var fatal []string
			for _, f := range facts {
				if f.Level == sysctl.Fatal {
					fatal = append(fatal, f.Name)
				}
			}
			if len(fatal) > 0 {
				return sysctl.E(sysctl.Unsupported, "check: instances cannot run on this host: %s", strings.Join(fatal, ", "))
			}
			return nil
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.Unsupported}})
}

// factsView is a table of what was found, with what is not well explained below it.
func (a *app) factsView(facts []sysctl.Fact) view {
	v := view{columns: []string{"FACT", "LEVEL", "VALUE", "COST", "REPAIR"}, value: orEmpty(facts)}
	var b strings.Builder
	table := view{columns: v.columns[:3]}
	for _, f := range facts {
		v.rows = append(v.rows, []string{f.Name, string(f.Level), f.Value, f.Cost, f.Repair})
		if f.Level == sysctl.OK && a.quiet {
			continue
		}
		table.rows = append(table.rows, []string{f.Name, string(f.Level), f.Value})
		if f.Cost != "" {
			b.WriteString(clean(f.Name+": "+f.Cost) + "\n")
		}
		if f.Repair != "" {
			b.WriteString("  repair: " + clean(f.Repair) + "\n")
		}
	}
	v.table, v.text = &table, b.String()
	return v
}
