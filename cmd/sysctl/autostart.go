package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) autostartCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "autostart",
		Short: "start all instances with boot.autostart",
		Long: `Starts the instances that have boot.autostart=true, those with the highest boot.autostart.priority first. What runs
already is left alone. The systemd unit sysctl-autostart.service calls it at boot.`,
		Example: "  sysctl autostart",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			results, err := b.Autostart(ctx, of(""))
			stop()
			v := view{columns: []string{"NAME", "ERROR"}, value: orEmpty(results)}
			failed := 0
			for _, r := range results {
				v.rows = append(v.rows, []string{r.Name, r.Error})
				if r.Error != "" {
					failed++
				}
			}
			if !a.quiet || *out != "table" {
				if err := a.print(*out, v); err != nil {
					return err
				}
			}
			if err == nil && failed > 0 {
				err = sysctl.E(sysctl.Unavailable, "autostart: %d of %d instances did not start", failed, len(results)).WithHint("sysctl list")
			}
			return err
		})
	}
	return a.verb(cmd, traits{starts: true, undoes: true, kinds: []sysctl.Kind{sysctl.Unavailable}})
}
