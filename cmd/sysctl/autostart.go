package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) autostartCmd() *cobra.Command {
	var o manager.AutostartOptions
	cmd := &cobra.Command{
		Use:   "autostart",
		Short: "start what is to run when the host has booted",
		Long: `Starts the instances that have boot.autostart=true, and those that do not have it set and were running when the host
went down; those with the highest boot.autostart.priority first. What runs already is left alone. The systemd unit
sysctl-autostart.service calls it at boot.

With --crashed it starts only what has crashed, has boot.autorestart=true, and is not being started again, as who should
have noticed was killed too. The systemd unit sysctl-autorestart.timer calls it every minute.`,
		Example: "  sysctl autostart\n  sysctl autostart --crashed",
		Args:    takes(0, 0),
	}
	cmd.Flags().BoolVar(&o.Crashed, "crashed", false, "start again what has crashed unnoticed, and nothing else")
	do := a.together(cmd, "start", func(ctx context.Context, b backend, p sysctl.Progress) ([]manager.AutostartResult, error) {
		o := o
		o.Progress = p
		return b.Autostart(ctx, o)
	})
	return a.verb(do, traits{starts: true, undoes: true, kinds: []sysctl.Kind{sysctl.Unavailable}})
}

func (a *app) autostopCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "autostop",
		Short: "stop all instances, as when the host shuts down",
		Long: `Stops all instances that run: those with the highest boot.stop.priority first, the next ones when they have stopped.
Each halts as by "sysctl stop" and is killed when it takes longer than its boot.host_shutdown_timeout.
"sysctl autostart" starts them again. The systemd unit sysctl-autostart.service calls it when the host shuts down.`,
		Example: "  sysctl autostop",
		Args:    takes(0, 0),
	}
	do := a.together(cmd, "stop", func(ctx context.Context, b backend, p sysctl.Progress) ([]manager.AutostartResult, error) {
		return b.Autostop(ctx, p)
	})
	return a.verb(do, traits{kinds: []sysctl.Kind{sysctl.Unavailable}})
}

// together gives autostart and autostop what they have in common: they do something with all, and tell what became of each.
func (a *app) together(cmd *cobra.Command, what string, do func(context.Context, backend, sysctl.Progress) ([]manager.AutostartResult, error)) *cobra.Command {
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			results, err := do(ctx, b, of(""))
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
				err = sysctl.E(sysctl.Unavailable, "%s: %d of %d instances did not %s", cmd.Name(), failed, len(results), what).WithHint("sysctl list")
			}
			return err
		})
	}
	return cmd
}
