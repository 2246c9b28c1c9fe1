package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
)

func (a *app) mountCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mount [NAME DIRECTORY [SNAPSHOT]]",
		Short: "show an instance's files in a directory of the host",
		Long: `Mounts what an instance's root is, or was at a snapshot, on an empty directory of the host, for backup tools such as
borg and rsync: owners are as in the guest, and nothing of its own mounts is in it. Devices and programs in it have no
effect on the host. It is read-only: a writable one would have to keep the instance from starting for as long as it is
there, and no process stays that could. What is restored goes in by "sysctl file push -r", running or not.

The instance may run, and be started and stopped meanwhile. Of a guest that runs, what it changes where somebody has
looked already may not be seen: mount it anew for each backup, or mount a snapshot, which is one moment of all files.
"sysctl umount" or umount(8) takes it away, and so does a restore of the instance, or what deletes the instance or the
snapshot. Without arguments, lists what is mounted.

Where this host copies layers for ids ("sysctl check"), an instance that runs cannot be mounted, though a snapshot of
it can, and its start takes away what was mounted before.`,
		Example: `  sysctl mount web1 /mnt
  sysctl mount web1 /mnt snap0
  sysctl mount`,
		Args:              takes(0, 3),
		ValidArgsFunction: each(a.names(), directories, a.snapshotNames(), nothing),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return usageError(cmd, "too few arguments: name a directory, such as /mnt")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			if len(args) == 0 {
				return a.listViews(ctx, b, *out)
			}
			dir, err := filepath.Abs(args[1])
			if err != nil {
				return sysctl.Wrap(err, "mount %s", args[0])
			}
			return b.Mount(ctx, args[0], strings.Join(args[2:], ""), dir)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) listViews(ctx context.Context, b backend, f format) error {
	list, err := b.Views(ctx)
	if err != nil {
		return err
	}
	v := view{columns: []string{"NAME", "SNAPSHOT", "DIRECTORY"}, value: orEmpty(list)}
	var dirs []string
	for _, m := range list {
		v.rows = append(v.rows, []string{m.Name, m.Snapshot, m.Dir})
		dirs = append(dirs, clean(m.Dir))
	}
	if a.quiet && f == "table" {
		return a.printLines(dirs...)
	}
	return a.print(f, v)
}

// directories completes directories of the host.
func directories(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func (a *app) umountCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "umount {NAME | DIRECTORY}...",
		Short: "take away what \"mount\" has mounted",
		Long:  "Takes away what \"sysctl mount\" has mounted of an instance, or on a directory.",
		Example: `  sysctl umount web1
  sysctl umount /mnt
  sysctl umount --force web1`,
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.mounted()),
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "also where it is in use: it is gone when nobody uses it any more")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			return forEach(args, func(ref string) error { return b.Unmount(ctx, ref, force) })
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

// mounted completes with what is mounted: instances and directories.
func (a *app) mounted() completer {
	return a.live(func(ctx context.Context, b backend) []string {
		list, _ := b.Views(ctx)
		var words []string
		for _, m := range list {
			words = append(words, m.Name, m.Dir)
		}
		return unique(words)
	})
}
