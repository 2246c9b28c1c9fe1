package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) templateCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "template",
		Short:   "list, check and build recipes of base systems",
		Long:    "A template is a recipe (YAML) by which an image is built when it is first needed.",
		Example: "  sysctl template list",
	}
	return a.noun(cmd, a.templateListCmd(), a.templateShowCmd(), a.templateBuildCmd(), a.templateTestCmd(), a.templateValidateCmd(), a.templateSchemaCmd())
}

func (a *app) templateListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list templates",
		Long: `Lists the templates that come with sysctl and the user's own, which win by name. TRIED says whether a template has been
built and booted; the others are written from what their distributions publish. With --quiet only names are printed.`,
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
			v := view{columns: []string{"NAME", "ALIASES", "DESCRIPTION", "ARCH", "EOL", "TRIED", "ORIGIN"}, value: orEmpty(list)}
			var names []string
			for _, t := range list {
				v.rows = append(v.rows, []string{t.Name, strings.Join(t.Aliases, ", "), t.Description, strings.Join(t.Arch, ", "), t.EOL, yesNo(t.Tried), t.Origin})
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
			rows := pairs("name", t.Name, "aliases", strings.Join(t.Aliases, ", "), "description", t.Description,
				"family", t.Family, "version", t.Version, "architectures", strings.Join(t.Arch, ", "), "eol", t.EOL,
				"tried", yesNo(t.Tried), "origin", t.Origin)
			for _, name := range slices.Sorted(maps.Keys(t.Variables)) {
				rows = append(rows, []string{"variable", name + "=" + t.Variables[name]})
			}
			return a.print(*out, view{
				rows: rows,
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

func (a *app) templateBuildCmd() *cobra.Command {
	var o manager.BuildOptions
	var set []string
	cmd := &cobra.Command{
		Use:   "build TEMPLATE",
		Short: "make a template's image without launching anything",
		Long: `Makes the image of a template, as launch does when it needs one. The recipe's sources are tried in order; the first that
works is used, and why another does not is said. An image that was made from the same inputs is not made again: the
recipe with what --set changes, the digest of what its source has today, the host's tools and sysctl's own work on it.
Of a package archive that neither the recipe nor --mirror names nothing is known but its name: --rebuild asks it again.

launch takes the image that was built last, whatever it was built with, until the recipe changes. With --platform the
image is for another architecture that this machine can run (linux/386 on a 64-bit PC), and is called
TEMPLATE/ARCHITECTURE: debian12/i386.

Mirrors can be configured for good: see doc/templates.md.`,
		Example: `  sysctl template build debian12
  sysctl template build debian12 --mirror http://mirror.example/debian --rebuild
  sysctl template build sles11 --set tree=/srv/sles11
  sysctl template build debian12 --platform linux/386
  sysctl template build centos7 --offline`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.templateNames()),
	}
	f := cmd.Flags()
	f.StringArrayVar(&set, "set", nil, "set a variable of the recipe: `NAME=VALUE` (repeatable)")
	f.StringVar(&o.Mirror, "mirror", "", "make the tree from the package archive at `URL`, where a source is a bootstrap")
	f.BoolVar(&o.Offline, "offline", false, "use no network: what was downloaded before, and file URLs")
	f.BoolVar(&o.Rebuild, "rebuild", false, "build even where an image of the same inputs is there")
	platformFlag(cmd, &o.Platform)
	mustComplete(cmd, "set", a.templateVariables())
	mustComplete(cmd, "mirror", nothing)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Template = args[0]
		var err error
		if o.Set, err = parseSet(set); err != nil {
			return sysctl.Wrap(err, "template build %s", args[0])
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			o.Progress, o.Note = of(o.Template), a.tellNote()
			built, err := b.BuildTemplate(ctx, o)
			stop()
			if err != nil {
				return err
			}
			return a.printBuild(*out, built, o.Template, "built")
		})
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Unsupported, sysctl.NoSpace, sysctl.Unavailable}})
}

// parseSet splits NAME=VALUE words.
func parseSet(words []string) (map[string]string, error) {
	var bad sysctl.FieldErrors
	set := map[string]string{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if _, twice := set[name]; twice {
			bad.Add("--set "+name, "is given twice")
		}
		if !ok || name == "" {
			bad.Add("--set "+word, "must be NAME=VALUE")
		}
		set[name] = value
	}
	return set, bad.Err()
}

// tellNote says what a verb tells on the way, unless nobody wants to hear it.
func (a *app) tellNote() func(string) {
	if a.quiet {
		return nil
	}
	return func(line string) { a.note("note: %s", clean(line)) }
}

// noteOf is tellNote for one of several instances.
func (a *app) noteOf(name string) func(string) {
	note := a.tellNote()
	if note == nil {
		return nil
	}
	return func(line string) { note(name + ": " + line) }
}

// printBuild prints what became of a build or pull: everything where a format asks for it, the id where a program or
// --quiet does, else a summary for people.
func (a *app) printBuild(f format, b manager.Build, name, how string) error {
	i := b.Image
	switch {
	case f != "table":
		return a.print(f, view{rows: pairs("id", i.ID, "alias", strings.Join(i.Aliases, ", "), "system", i.Guest.Name, "cached", yesNo(b.Cached)), value: b})
	case a.quiet || !isTerminal(a.stdout):
		if b.Cached && !a.quiet {
			a.note("%s: %s", clean(name), "nothing has changed: the image is there already")
		}
		return a.printLines(i.ID)
	}
	what := i.Guest.Name
	if what == "" {
		what = "a system we do not know"
	}
	if b.Cached {
		how = "there already, nothing has changed"
	}
	next := sysctl.ShortID(i.ID)
	if len(i.Aliases) > 0 {
		next = i.Aliases[0]
	}
	return a.printLines(clean(fmt.Sprintf("%s: %s, %s, %s, id %s", name, what, how, bytesText(i.Size), sysctl.ShortID(i.ID))),
		"next: sysctl launch "+next)
}

func (a *app) templateValidateCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "check a recipe",
		Long: `Checks the recipe in a file, or with --all (or without a file) every known one. All that is wrong is said at once, with
lines. It prints nothing where all is well.`,
		Example: "  sysctl template validate --all\n  sysctl template validate mydebian.yaml",
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usageError(cmd, "--all and a file contradict each other")
			}
			path := strings.Join(args, "")
			return a.with(cmd, func(ctx context.Context, b backend) error {
				err := b.ValidateTemplate(ctx, path)
				var each interface{ Unwrap() []error }
				if errors.As(err, &each) { // a recipe each
					return failures(each.Unwrap())
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "check every known recipe")
	return a.verb(cmd, traits{unprivileged: true, kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) templateSchemaCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "print the JSON schema of recipes",
		Long: `Prints the JSON schema (draft 2020-12) of recipes, for editors that complete and check YAML by one. "template validate"
checks more: what hangs together, and by which lines.`,
		Example: "  sysctl template schema > sysctl-template.json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(_ context.Context, b backend) error { return a.write(b.TemplateSchema()) })
		},
	}
	return a.verb(cmd, traits{unprivileged: true})
}
