package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) imageDetectCmd() *cobra.Command {
	var o manager.DetectOptions
	cmd := &cobra.Command{
		Use:   "detect FILE|DIRECTORY",
		Short: "say which system a tarball, disk image or directory holds",
		Long: `Says which system a tarball (plain, gz, xz, zst or bz2), a disk image (raw, qcow2 or vmdk; "sysctl image import --help"
says how it is read) or a directory holds, and by which evidence. What is not found out is unknown: into such a system
nothing is written when it is imported and started. Nothing is imported, and a directory is only read.`,
		Example: `  sysctl image detect rootfs.tar.gz
  sysctl image detect /srv/oldroot --format json`,
		Args: takes(1, 1),
		ValidArgsFunction: first(func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		}),
	}
	cmd.Flags().Var((*size)(&o.MaxSize), "max-size", "how large the unpacked tree may be: bytes, or with a unit (20GiB)")
	partitionFlag(cmd, &o.Partition)
	mustComplete(cmd, "max-size", nothing)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.Path = args[0]
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			o.Progress = of("detect")
			d, err := b.Detect(ctx, o)
			stop()
			if err != nil {
				return err
			}
			return a.print(*out, view{rows: guestRows(d.Guest, "unknown"), value: d})
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.NoSpace}})
}

// guestRows are a system's fields, unknown ones as said, and the evidence for them.
func guestRows(g sysctl.Guest, unknown string) [][]string {
	said := func(text string) string {
		if text == "" {
			return unknown
		}
		return text
	}
	bits := ""
	if g.Bits != 0 {
		bits = strconv.Itoa(g.Bits)
	}
	rows := pairs("system", said(g.Name), "family", said(g.Family), "distribution", said(g.ID), "version", said(g.Version), "architecture", said(g.Arch),
		"bits", said(bits), "init", said(spaced(g.Init, g.InitVersion)), "libc", said(spaced(g.Libc, g.LibcVersion)),
		"network files", said(spaced(g.Renderer, g.Dialect)), "packages", said(g.Packages))
	for _, e := range g.Evidence {
		rows = append(rows, []string{"evidence", e})
	}
	return rows
}

// stepsView lists preparation steps; what they touch is for programs.
func stepsView(steps []sysctl.PrepStep) view {
	v := view{columns: []string{"STEP", "VERSION", "WHY", "TOUCHES"}, value: orEmpty(steps)}
	short := &view{columns: []string{"STEP", "WHY"}}
	for _, s := range steps {
		v.rows = append(v.rows, []string{s.Name, strconv.Itoa(s.Version), s.Why, strings.Join(s.Touches, " ")})
		short.rows = append(short.rows, []string{s.Name, s.Why})
	}
	v.table = short
	return v
}

// stepRows are rows of a view that say which steps a guest was prepared by, those with something to do only.
func stepRows(steps []sysctl.PrepStep) [][]string {
	var rows [][]string
	for _, state := range []sysctl.PrepState{sysctl.PrepDone, sysctl.PrepSkipped} {
		var names []string
		for _, s := range steps {
			if s.State == state {
				names = append(names, s.Name)
			}
		}
		rows = append(rows, pairs("preparation "+string(state), strings.Join(names, ", "))...)
	}
	return rows
}
