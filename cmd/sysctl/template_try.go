package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) templateTestCmd() *cobra.Command {
	var o manager.TestOptions
	cmd := &cobra.Command{
		Use:   "test TEMPLATE",
		Short: "boot a template's guest and check what became of it",
		Long: `Boots the image that a launch of the template would take, which is built where it has to be, in an instance of its own
with the profile "default". It waits until the guest's init has done its boot and checks that no unit or service failed
and nothing was said to fail on the console, but for what the recipe's test lets fail; addresses, gateways, name servers
and host name, and that the guest answers; the processes, ports and commands of the recipe's test. Then the guest halts,
which its init must do by its own signal, boots a second time, is checked again, and halts.

The instance is ephemeral and gone in the end, also after Ctrl-C. With --keep it is an ordinary one and stays, as the
test left it. The exit status is 8 where a check failed. With --quiet only what failed is printed.`,
		Example: `  sysctl template test debian12
  sysctl template test debian12 --keep
  sysctl template test debian12 --format json`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.templateNames()),
	}
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "leave the instance for inspection")
	cmd.Flags().Var((*timeout)(&o.Timeout), "timeout", "how long the guest may take to halt, a third of it by its init's signal: seconds, or with a unit (2m); 90 s when not given")
	mustComplete(cmd, "timeout", nothing)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Template = args[0]
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			o.Progress, o.Note = of(o.Template), a.tellNote()
			t, err := b.TestTemplate(ctx, o)
			stop()
			if t.Instance != "" {
				a.note("the instance is left: sysctl info %s", t.Instance)
			}
			if err != nil {
				return err
			}
			if err := a.print(*out, a.testView(t, *out)); err != nil {
				return err
			}
			if n := t.Failed(); n > 0 {
				err := sysctl.E(sysctl.Unsupported, "test %s: %d of %d checks failed", t.Template, n, len(t.Checks))
				if !o.Keep {
					err = err.WithHint("sysctl template test %s --keep", t.Template)
				}
				return err
			}
			return nil
		})
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Unsupported, sysctl.NoSpace, sysctl.Unavailable}})
}

// testView is what a test found.
func (a *app) testView(t manager.TemplateTest, f format) view {
	v := view{columns: []string{"PHASE", "CHECK", "RESULT", "FOUND"}, value: t}
	for _, c := range t.Checks {
		if a.quiet && f == "table" && c.Passed {
			continue
		}
		v.rows = append(v.rows, []string{c.Phase, c.Name, passedText(c.Passed), c.Found})
	}
	if f == "table" && !a.quiet {
		v.text = fmt.Sprintf("%s: %s\n", clean(t.Template), passedText(t.Passed))
	}
	if f == "table" && a.quiet && len(v.rows) == 0 {
		v.columns = nil
	}
	return v
}

func passedText(passed bool) string {
	if passed {
		return "passed"
	}
	return "FAILED"
}
