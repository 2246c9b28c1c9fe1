package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) templateCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "template",
		Short:   "list and check recipes of base systems",
		Long:    "A template is a recipe (YAML) by which an image is built when it is first needed.",
		Example: "  sysctl template list",
	}
	return a.noun(cmd, a.templateListCmd(), a.templateShowCmd(), a.templateValidateCmd())
}

func (a *app) templateListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "list templates",
		Long:    "Lists the templates that come with sysctl and the user's own. With --quiet only names are printed.",
		Example: "  sysctl template list\n  sysctl template list --format json",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.Templates(ctx)
			if err != nil {
				return err
			}
			v := view{columns: []string{"NAME", "ALIASES", "DESCRIPTION", "ARCH", "EOL", "ORIGIN"}, value: orEmpty(list)}
			var names []string
			for _, t := range list {
				v.rows = append(v.rows, []string{t.Name, strings.Join(t.Aliases, ", "), t.Description, strings.Join(t.Arch, ", "), t.EOL, t.Origin})
				names = append(names, t.Name)
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{unprivileged: true})
}

func (a *app) templateShowCmd() *cobra.Command {
	var recipe, steps bool
	cmd := &cobra.Command{
		Use:   "show TEMPLATE",
		Short: "show a template and its recipe",
		Long: `Shows a template and its recipe. With --recipe the recipe's file is printed as it is, to begin one's own with. With
--steps the steps are listed by which its guest is prepared for life in a container, why, and what they may change.
The config key guest.prep switches steps off for an instance, and image import --prep for an image.`,
		Example: `  sysctl template show debian12
  sysctl template show debian12 --steps
  sysctl template show debian12 --recipe > mydebian.yaml`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.templateNames()),
	}
	cmd.Flags().BoolVar(&recipe, "recipe", false, "print only the recipe's file")
	cmd.Flags().BoolVar(&steps, "steps", false, "list the steps of preparation")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if steps && recipe {
			return usageError(cmd, "--steps contradicts --recipe")
		}
		if steps {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				list, err := b.TemplateSteps(ctx, args[0])
				if err != nil {
					return err
				}
				return a.print(*out, stepsView(list))
			})
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			t, yaml, err := b.Template(ctx, args[0])
			switch {
			case err != nil:
				return err
			case recipe:
				return a.write(yaml)
			}
			return a.print(*out, view{
				rows: pairs("name", t.Name, "aliases", strings.Join(t.Aliases, ", "), "description", t.Description,
					"family", t.Family, "version", t.Version, "architectures", strings.Join(t.Arch, ", "), "eol", t.EOL, "origin", t.Origin),
				text: string(yaml),
				value: struct {
					sysctl.Template
					Recipe string `json:"recipe"`
				}{t, string(yaml)},
			})
		})
	}
	return a.verb(cmd, traits{unprivileged: true, kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) templateValidateCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "validate [FILE]",
		Short:   "check a recipe",
		Long:    "Checks the recipe in a file, or every known one. It prints nothing where all is well.",
		Example: "  sysctl template validate\n  sysctl template validate mydebian.yaml",
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := strings.Join(args, "")
			return a.with(cmd, func(ctx context.Context, b backend) error { return b.ValidateTemplate(ctx, path) })
		},
	}
	return a.verb(cmd, traits{unprivileged: true, kinds: []sysctl.Kind{sysctl.NotFound}})
}
