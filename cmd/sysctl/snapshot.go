package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) snapshotCmd() *cobra.Command {
	var expiry string
	var never bool
	cmd := &cobra.Command{
		Use:   "snapshot NAME [SNAPSHOT]",
		Short: "keep what an instance is, to come back to it",
		Long: `Keeps what an instance is: its files and its own configuration. "sysctl restore" brings them back, and "sysctl
copy NAME/SNAPSHOT" makes other instances of them. A name (snap0, snap1, …, or as snapshots.pattern says) is made up
when none is given. With --expiry, or where snapshots.expiry is set, "sysctl snapshot due" deletes it after that time.

Of a stopped instance that takes no time and no space, whatever is in it. A running one is frozen while what it wrote
is copied, which takes no space either on a filesystem whose files can share blocks (btrfs, xfs); what its programs
have not written yet is not in the snapshot. Snapshots go with their instance: "sysctl delete NAME" deletes them too.`,
		Example: `  sysctl snapshot web1
  sysctl snapshot web1 before-upgrade --expiry 2w
  sysctl snapshot list web1
  sysctl restore web1 snap0`,
		Args:              takes(1, 2),
		ValidArgsFunction: each(a.names(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			var o manager.SnapshotOptions
			if expiry != "" || never {
				e, err := sysctl.ParseExpiry(expiry)
				switch {
				case err != nil:
					return sysctl.FieldErrors{{Field: "--expiry", Msg: err.Error()}}
				case expiry != "" && never:
					return usageError(cmd, "--expiry and --no-expiry exclude each other")
				}
				o.Expiry = &e
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				of, stop := a.progress()
				o.Progress = of(args[0])
				s, err := b.Snapshot(ctx, args[0], slices.Concat(args[1:], []string{""})[0], o)
				stop()
				if err != nil {
					return err
				}
				if a.quiet || !isTerminal(a.stdout) {
					return a.printLines(s.Name)
				}
				return a.printLines("made: "+s.Name, "back to it: sysctl restore "+args[0]+" "+s.Name)
			})
		},
	}
	cmd.Flags().StringVar(&expiry, "expiry", "", "delete it after this `TIME`: 30M, 12H, 7d, 2w, 3m, 1y, or several in quotes")
	cmd.Flags().BoolVar(&never, "no-expiry", false, "keep it for ever, whatever snapshots.expiry says")
	mustComplete(cmd, "expiry", nothing)
	cmd.AddCommand(a.snapshotListCmd(), a.snapshotRenameCmd(), a.snapshotDeleteCmd(), a.snapshotDueCmd())
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy, sysctl.NoSpace}})
}

func (a *app) snapshotListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list NAME",
		Short:             "list an instance's snapshots",
		Long:              "Lists an instance's snapshots, the oldest first. With --quiet only names are printed.",
		Example:           "  sysctl snapshot list web1\n  sysctl snapshot list web1 --format json",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.Snapshots(ctx, args[0])
			if err != nil {
				return err
			}
			v := view{columns: []string{"NAME", "CREATED", "EXPIRES"}, value: orEmpty(list)}
			var names []string
			for _, s := range list {
				v.rows = append(v.rows, []string{s.Name, timeText(s.Created), timeText(s.Expires)})
				names = append(names, s.Name)
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) snapshotRenameCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "rename NAME SNAPSHOT NEW-NAME",
		Short:             "give a snapshot another name",
		Long:              "Gives a snapshot another name.",
		Example:           "  sysctl snapshot rename web1 snap0 before-upgrade",
		Args:              takes(3, 3),
		ValidArgsFunction: each(a.names(), a.snapshotNames(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return b.RenameSnapshot(ctx, args[0], args[1], args[2])
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy}})
}

func (a *app) snapshotDeleteCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete NAME SNAPSHOT...",
		Short:             "delete snapshots of an instance",
		Long:              "Deletes snapshots of an instance. What the instance, another snapshot or a copy needs of them stays.",
		Example:           "  sysctl snapshot delete web1 snap0 snap1",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.names(), a.snapshotNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return forEach(args[1:], func(snap string) error { return b.DeleteSnapshot(ctx, args[0], snap) })
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

func (a *app) snapshotDueCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "due",
		Short: "make the snapshots that are due, delete those that have expired",
		Long: `Makes the snapshots that are due by the instances' snapshots.schedule, and deletes those that have expired. The systemd
timer sysctl-snapshots.timer calls it every minute ("systemctl enable --now sysctl-snapshots.timer"); cron can do it as
well. It may be called at any time: what is not due is not made. A time that passes while the host is off, or the
instance stopped, is made up for once, by the first call afterwards that can.`,
		Example: "  sysctl config set web1 snapshots.schedule=@daily snapshots.expiry=2w\n  sysctl snapshot due",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			done, err := b.KeepSchedules(ctx, of(""))
			stop()
			v := view{columns: []string{"NAME", "SNAPSHOT", "DONE", "ERROR"}, value: orEmpty(done)}
			failed := 0
			for _, d := range done {
				what := "made"
				if d.Deleted {
					what = "deleted"
				}
				if d.Error != "" {
					what = ""
					failed++
				}
				v.rows = append(v.rows, []string{d.Name, d.Snapshot, what, d.Error})
			}
			if *out != "table" || len(done) > 0 && !a.quiet { // the timer's journal gets no empty tables
				if err := a.print(*out, v); err != nil {
					return err
				}
			}
			if err == nil && failed > 0 {
				err = sysctl.E(sysctl.Unavailable, "snapshot due: %d of %d failed", failed, len(done)).WithHint("sysctl snapshot due --format json")
			}
			return err
		})
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.Unavailable}})
}

func (a *app) restoreCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore NAME SNAPSHOT",
		Short: "make an instance what it was at a snapshot",
		Long: `Makes an instance what it was at a snapshot: its files and its own configuration. What it wrote since is lost,
unless a later snapshot has it. Its name and its address stay, and so do all snapshots. A running instance is killed,
as what it runs is given up, and started again.`,
		Example:           "  sysctl restore web1 snap0",
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.names(), a.snapshotNames(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				of, stop := a.progress()
				defer stop()
				return b.Restore(ctx, args[0], args[1], manager.StartOptions{Progress: of(args[0]), Note: a.tellNote()})
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy,
		sysctl.Unsupported, sysctl.NoSpace}})
}

// snapshotNames completes with the snapshots of the instance that the command line names first.
func (a *app) snapshotNames() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, noFiles
		}
		return a.live(func(ctx context.Context, b backend) []string { return snapshotsOf(ctx, b, args[0], "") })(cmd, args, word)
	}
}

// snapshotsOf lists an instance's snapshots with what is to stand before each.
func snapshotsOf(ctx context.Context, b backend, name, before string) []string {
	list, _ := b.Snapshots(ctx, name)
	var words []string
	for _, s := range list {
		words = append(words, before+s.Name)
	}
	return words
}
