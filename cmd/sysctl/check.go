package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) checkCmd() *cobra.Command {
	var all bool
	var o manager.DetectOptions
	cmd := &cobra.Command{
		Use:   "check [INSTANCE|IMAGE|TEMPLATE|PATH]...",
		Short: "say what this host lacks, and which guests boot on it",
		Long: `Without arguments it looks at this host (kernel, cgroups, liblxc, overlay on idmapped layers, how ids are shifted,
user namespaces, NAT, forwarding, what old guests need, …) and says of each missing piece what it costs and which
command repairs it. With --quiet only what is not well is printed. Warnings do not change the exit status.

With arguments it says of each whether its guest boots on this host: as it is, with measures that sysctl takes by
itself, or not, with the reason and the way out; and what the guest has to live with. launch and start do the same
before they change anything. The first of these that has the name is looked at:

  an instance   as its next start would boot it: by its own configuration and what its files say at the moment
  an image      by its alias or id
  a template    by the image that launch would take or, where it would build one, by what the recipe says of the guest
  a path        a directory, tarball or disk image, as "image detect" takes it; a word without a slash is no path, and
                one that begins with / or . is nothing else

--all looks at every template. doc/compat.md has the table by which this is decided. The exit status is 0 where all of
them boot, and 8 where one cannot.`,
		Example: `  sysctl check
  sysctl check centos7 web1
  sysctl check ./rootfs.tar.gz --format json
  sysctl check --all`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.checkable(),
	}
	cmd.Flags().BoolVar(&all, "all", false, "look at every template")
	cmd.Flags().Var((*size)(&o.MaxSize), "max-size", "how large the tree in a file may be: bytes, or with a unit (20GiB)")
	partitionFlag(cmd, &o.Partition)
	mustComplete(cmd, "max-size", nothing)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if all && len(args) > 0 {
			return usageError(cmd, "--all and a name contradict each other")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			if all {
				list, err := b.CheckTemplates(ctx)
				return a.printVerdicts(*out, list, err)
			}
			if len(args) == 0 {
				return a.checkHost(ctx, b, *out)
			}
			list, err := a.checkGuests(ctx, b, unique(args), o)
			return a.printVerdicts(*out, list, err)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy, sysctl.Unsupported, sysctl.NoSpace}})
}

// checkable completes with everything that has a verdict.
func (a *app) checkable() completer {
	names, sources := a.names(), a.sources()
	return each(func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if strings.ContainsAny(word, "/.") {
			if words, _ := sources(cmd, args, word); len(words) == 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
		}
		own, _ := names(cmd, args, word)
		others, _ := sources(cmd, args, word)
		return unique(append(own, others...)), noFiles
	})
}

func (a *app) checkHost(ctx context.Context, b backend, out format) error {
	facts, err := b.Check(ctx)
	if err != nil {
		return err
	}
	if err := a.print(out, a.factsView(facts)); err != nil {
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
}

// checkGuests judges one after the other: a tarball is unpacked for it. A failure does not keep the others from it.
func (a *app) checkGuests(ctx context.Context, b backend, names []string, o manager.DetectOptions) ([]manager.Checked, error) {
	of, stop := a.progress()
	defer stop()
	var list []manager.Checked
	var errs []error
	for _, name := range names {
		o.Path, o.Progress = name, of(name)
		c, err := b.CheckGuest(ctx, o)
		if errs = append(errs, err); err == nil {
			list = append(list, c)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return list, errors.Join(errs...)
}

// printVerdicts prints what was judged, and fails with what could not be, or else with Unsupported where one does not boot.
func (a *app) printVerdicts(out format, list []manager.Checked, err error) error {
	if len(list) > 0 || err == nil {
		if err := a.print(out, a.verdictsView(list)); err != nil {
			return err
		}
	}
	if each, ok := err.(interface{ Unwrap() []error }); ok { // one of each name
		if errs := each.Unwrap(); len(errs) > 1 {
			return failures(errs)
		}
		return each.Unwrap()[0]
	}
	if err != nil {
		return err
	}
	var cannot []string
	for _, c := range list {
		if !c.Boots {
			cannot = append(cannot, c.Name)
		}
	}
	if len(cannot) > 0 {
		return sysctl.E(sysctl.Unsupported, "check: not on this host: %s", strings.Join(cannot, ", "))
	}
	return nil
}

// verdictsView is a table of verdicts, with sentences below it: what is done, why not, and what to live with.
func (a *app) verdictsView(list []manager.Checked) view {
	v := view{columns: []string{"NAME", "KIND", "SYSTEM", "VERDICT", "MEASURES", "REFUSALS", "NOTES"}, value: orEmpty(list)}
	table := view{columns: []string{"NAME", "KIND", "SYSTEM", "VERDICT"}}
	var said reasons
	for _, c := range list {
		verdict := "boots"
		var measures, refusals, notes []string
		for _, m := range c.Measures {
			measures = append(measures, m.ID)
		}
		for _, r := range c.Refusals {
			refusals = append(refusals, sentence(r))
		}
		for _, n := range c.Notes {
			notes = append(notes, sentence(n))
		}
		switch {
		case !c.Boots:
			verdict = "cannot boot"
		case len(measures) > 0:
			verdict = "boots with measures: " + strings.Join(measures, ", ")
		}
		v.rows = append(v.rows, []string{c.Name, c.Kind, c.Guest.Name, verdict, strings.Join(measures, " "), strings.Join(refusals, "; "), strings.Join(notes, "; ")})
		if !a.quiet || !c.Boots {
			table.rows = append(table.rows, []string{c.Name, c.Kind, c.Guest.Name, verdict})
			said.add(c)
		}
	}
	v.table, v.text = &table, said.text(len(list) > 1)
	return v
}

// reasons are the sentences of verdicts, each with the names it is said of.
type reasons struct {
	order []string
	of    map[string][]string
}

func (r *reasons) add(c manager.Checked) {
	for _, why := range c.Refusals {
		r.say(c.Name, "cannot boot, because "+clean(why.Why), "do", why.Way)
	}
	for _, m := range c.Measures {
		if m.Forced {
			r.say(c.Name, "measure "+m.ID+": "+clean(m.Does), "not needed", "compat."+m.ID+" is on")
		} else {
			r.say(c.Name, "measure "+m.ID+": "+clean(m.Does), "else", m.Because)
		}
	}
	for _, n := range c.Notes {
		r.say(c.Name, "note: "+clean(n.Why), "do", n.Way)
	}
}

// say notes a sentence and what stands below it, which may be nothing.
func (r *reasons) say(name, sentence, what, more string) {
	if more != "" {
		sentence += "\n  " + what + ": " + clean(more)
	}
	if r.of[sentence] == nil {
		r.order = append(r.order, sentence)
	}
	if r.of == nil {
		r.of = map[string][]string{}
	}
	r.of[sentence] = append(r.of[sentence], clean(name))
}

// text is all of it, with the names where there are several.
func (r *reasons) text(names bool) string {
	var b strings.Builder
	for _, sentence := range r.order {
		b.WriteString(sentence + "\n")
		if names {
			b.WriteString("  of: " + strings.Join(r.of[sentence], ", ") + "\n")
		}
	}
	return b.String()
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
