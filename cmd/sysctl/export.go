package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) exportCmd() *cobra.Command {
	var o manager.ExportOptions
	cmd := &cobra.Command{
		Use:   "export NAME FILE|-",
		Short: "write an instance to a file, as a backup",
		Long: `Writes an instance with all that belongs to it into one file, or with - to standard output: its files, its
configuration, the content of its profiles, its snapshots, and what it has of its image. "sysctl import" makes it again,
on this host or another. The file is a tar archive that tar alone can read (doc/archive.md), compressed by zstd, gzip or
not at all. It appears when it is complete.

A stopped instance can be started while the file is written. A running one is frozen for a moment while what it wrote is
copied, as by "sysctl snapshot". --thin leaves out what images on this host have: the archive can be imported only where
they are.

The files are the image's and the guest's own. Copies that a measure runs in the place of some (doc/compat.md,
vsyscall) are no part of it: who imports it makes them, where its host needs them. --with-compat writes them too, for
the instance and each snapshot: from then on they are files of the guest like any other, wherever and with whatever
the archive is unpacked.`,
		Example: `  sysctl export web1 web1.tar.zst
  sysctl export web1 - --compression none | gzip > web1.tar.gz
  sysctl export web1 now.tar.gz --compression gzip --instance-only
  sysctl export web1 changed.tar.zst --with-compat`,
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.names(), files, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, file := args[0], args[1]
			if file == "-" && isTerminal(a.stdout) {
				return usageError(cmd, "standard output is a terminal: name a file")
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				of, stop := a.progress()
				defer stop()
				o.Progress, o.Note = of(name), a.tellNote()
				if file == "-" {
					return b.Export(ctx, name, dataWriter{a.stdout}, o)
				}
				return newFile([]string{"export", name}, file, name+".tar.zst", func(w io.Writer) error { return b.Export(ctx, name, w, o) })
			})
		},
	}
	cmd.Flags().StringVar(&o.Compression, "compression", "zstd", "`HOW` to compress: zstd, gzip or none")
	cmd.Flags().BoolVar(&o.InstanceOnly, "instance-only", false, "leave its snapshots out")
	cmd.Flags().BoolVar(&o.Thin, "thin", false, "leave out the layers of images")
	cmd.Flags().BoolVar(&o.WithCompat, "with-compat", false, "add the changed copies of programs that call the vsyscall page")
	mustComplete(cmd, "compression", fixed("zstd", "gzip", "none"))
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Conflict, sysctl.Busy, sysctl.NoSpace}})
}

func (a *app) importCmd() *cobra.Command {
	var o manager.ImportInstanceOptions
	cmd := &cobra.Command{
		Use:   "import FILE|- [NAME]",
		Short: "make an instance of a file that export wrote",
		Long: `Makes an instance of a file that "sysctl export" wrote, or of standard input: under the name it had or another, with its
snapshots, and with ids and addresses of this host. Profiles that are not here are made; one of the same name is used as
it is here. A network or an interface that is not here is replaced by the default network, and addresses that cannot be
had are left out; both is said. It keeps machine id and ssh host keys, as it is the same system; --fresh gives it new
ones, as a copy has.

All content is checked by its digest. What is not right is refused, and nothing of it is left. An import that is
interrupted makes no instance, but what it has unpacked is kept for a day: called again with the same file it goes on
from there.`,
		Example: `  sysctl import backup.tar.zst web5
  cat backup.tar.zst | sysctl import - web6 --fresh`,
		Args:              takes(1, 2),
		ValidArgsFunction: each(files, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" && isTerminal(a.stdin) {
				return usageError(cmd, "standard input is a terminal: name a file")
			}
			if len(args) > 1 {
				o.Name = args[1]
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				in := a.stdin
				if args[0] != "-" {
					f, err := os.Open(args[0])
					if err != nil {
						return sysctl.E(kindOfFile(err), "import: %w", err)
					}
					defer f.Close()
					if info, err := f.Stat(); err == nil && info.IsDir() {
						return sysctl.E(sysctl.Invalid, "import %s: it is a directory", args[0]).WithHint("%s", quoteArgs([]string{"sysctl", "image", "import", args[0], "--alias", "NAME"}))
					}
					in = f
				}
				of, stop := a.progress()
				o.Progress, o.Note = of(o.Name), a.tellNote()
				inst, err := b.Import(ctx, in, o)
				stop()
				if err != nil {
					return err
				}
				if a.quiet || !isTerminal(a.stdout) {
					return a.printLines(inst.Name)
				}
				return a.printLines("made: "+inst.Name, "next: sysctl start "+inst.Name)
			})
		},
	}
	cmd.Flags().BoolVar(&o.Fresh, "fresh", false, "give it a machine id and ssh host keys of its own")
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Unsupported, sysctl.NoSpace}})
}

// files completes with files of this machine.
func files(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
