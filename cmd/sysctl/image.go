package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) imageCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "list, pull, import and export root filesystems",
		Long: `An image is a root filesystem that instances are made from. It never changes. It is named by an alias or by the
beginning of its id.`,
		Example: "  sysctl image list",
	}
	return a.noun(cmd, a.imageListCmd(), a.imageInfoCmd(), a.imageDetectCmd(), a.imagePullCmd(), a.imageImportCmd(), a.imageExportCmd(), a.imageDeleteCmd())
}

func (a *app) imageListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "list images",
		Long:    "Lists images. With --quiet only ids are printed.",
		Example: "  sysctl image list\n  sysctl image list --format csv",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.Images(ctx)
			if err != nil {
				return err
			}
			v := view{columns: []string{"ALIAS", "ID", "SYSTEM", "ARCH", "SIZE", "CREATED"}, value: orEmpty(list)}
			var ids []string
			for _, i := range list {
				v.rows = append(v.rows, []string{strings.Join(i.Aliases, ", "), sysctl.ShortID(i.ID), i.Guest.Name, i.Arch,
					bytesText(i.Size), timeText(i.Created)})
				ids = append(ids, i.ID)
			}
			if a.quiet && *out == "table" {
				return a.printLines(ids...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{})
}

func (a *app) imageInfoCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "info IMAGE",
		Short:             "show an image",
		Long:              "Shows an image: where it came from, its layers, how it was prepared for life in a container, and what is known of the\nsystem in it and by which evidence.",
		Example:           "  sysctl image info debian12",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.imageRefs()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			i, err := b.Image(ctx, args[0])
			if err != nil {
				return err
			}
			steps, err := b.ImageSteps(ctx, args[0])
			if err != nil {
				return err
			}
			rows := pairs("alias", strings.Join(i.Aliases, ", "), "id", i.ID, "description", i.Description, "template", i.Template,
				"source", i.Source, "size", bytesText(i.Size), "created", timeText(i.Created), "layers", strconv.Itoa(len(i.Layers)))
			rows = slices.Concat(rows, stepRows(steps), guestRows(i.Guest, "unknown"))
			return a.print(*out, view{rows: rows, value: struct {
				sysctl.Image
				Preparation []sysctl.PrepStep `json:"preparation"`
			}{i, orEmpty(steps)}})
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) imageImportCmd() *cobra.Command {
	var o manager.ImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE|DIRECTORY --alias NAME",
		Short: "make an image from a tarball, a disk image or a directory",
		Long: `Makes an image from the root filesystem in a tarball (plain, gz, xz, zst or bz2), a disk image (raw, qcow2 or vmdk) or
a directory, whichever it is. The system in it is detected. Members that lead out of the tree, or more of them than
--max-size has room for, are refused, and then nothing of the import is left. An alias that another image has moves to
the new one.

A system that is known is prepared for life in a container ("sysctl template show TEMPLATE --steps" says how). --prep
switches steps off, each with a minus before its name.

On a disk image (GPT, MBR, LVM, or a filesystem on the whole disk; ext2 to ext4, xfs, btrfs) the root is the filesystem
with /etc and an init; --partition chooses where there are several. What its /etc/fstab mounts of the same image is put
together with it. The image is never written and the machine it is of must be off. Space for a copy of what it uses is
needed for a while where it is qcow2 or vmdk (which need qemu-img), and for a copy of each filesystem whose journal is
to be replayed or whose logical volume is in pieces. The kernel of this host reads the filesystems, read-only and
mounted nowhere: its drivers are not made for hostile images, so import only what you would also plug in.`,
		Example: `  sysctl image import rootfs.tar.gz --alias mybox
  sysctl image import old-server.qcow2 --alias oldbox --partition vg0/root
  sysctl image import /srv/oldroot --alias oldroot --prep=-ssh-hostkeys,-machine-id`,
		Args: takes(1, 1),
	}
	cmd.Flags().StringVar(&o.Alias, "alias", "", "`NAME` of the image")
	cmd.Flags().Var((*size)(&o.MaxSize), "max-size", "how large the unpacked tree may be: bytes, or with a unit (20GiB)")
	cmd.Flags().StringVar(&o.Prep, "prep", "", "switch preparation steps off: `-STEP[,-STEP...]`")
	mustComplete(cmd, "alias", a.imageRefs())
	partitionFlag(cmd, &o.Partition)
	mustComplete(cmd, "prep", a.prepSteps(""))
	mustComplete(cmd, "max-size", nothing)
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Alias == "" {
			return usageError(cmd, "--alias NAME is needed")
		}
		o.Path = args[0]
		return a.with(cmd, func(ctx context.Context, b backend) error {
			of, stop := a.progress()
			o.Progress = of(o.Alias)
			image, err := b.ImportImage(ctx, o)
			stop()
			switch {
			case err != nil:
				return err
			case *out != "table":
				return a.print(*out, view{rows: pairs("id", image.ID, "alias", o.Alias, "system", image.Guest.Name), value: image})
			case a.quiet || !isTerminal(a.stdout):
				return a.printLines(image.ID)
			}
			what := image.Guest.Name
			if what == "" {
				what = "a system we do not know"
			}
			return a.printLines(clean(fmt.Sprintf("%s: %s, %s, id %s", o.Alias, what, bytesText(image.Size), sysctl.ShortID(image.ID))),
				"next: sysctl launch "+o.Alias)
		})
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.NoSpace}})
}

// partitionFlag adds the flag that chooses the root of a disk image.
func partitionFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "partition", "", "what of a disk image has the root filesystem: `PARTITION`'s number, GROUP/VOLUME of LVM, or disk")
	mustComplete(cmd, "partition", fixed("disk"))
}

func (a *app) imageExportCmd() *cobra.Command {
	var o manager.ImageExportOptions
	cmd := &cobra.Command{
		Use:   "export IMAGE FILE|-",
		Short: "write an image to a tarball",
		Long: `Writes an image as one uncompressed tarball of its root filesystem, to a new file or, with -, to standard output.
The file appears when it is complete.

The files are those of the image. --with-compat writes those programs that call the vsyscall page as the changed
copies with which an instance runs where the kernel does not give them that page (doc/compat.md, vsyscall): for other
tools, on such a host.`,
		Example: `  sysctl image export debian12 debian12.tar
  sysctl image export debian12 - | gzip > debian12.tar.gz
  sysctl image export debian12 changed.tar --with-compat`,
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.imageRefs(), files, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, name := args[0], args[1]
			if name == "-" && isTerminal(a.stdout) {
				return usageError(cmd, "standard output is a terminal: name a file")
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				of, stop := a.progress()
				defer stop()
				o.Progress, o.Note = of(ref), a.tellNote()
				if name == "-" {
					return b.ExportImage(ctx, ref, dataWriter{a.stdout}, o)
				}
				return newFile([]string{"image", "export", ref}, name, "image.tar", func(w io.Writer) error { return b.ExportImage(ctx, ref, w, o) })
			})
		},
	}
	cmd.Flags().BoolVar(&o.WithCompat, "with-compat", false, "write programs that call the vsyscall page as changed copies")
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.NoSpace}})
}

// kindOfFile classifies the failure to open or read a file that the user named.
func kindOfFile(err error) sysctl.Kind {
	switch {
	case os.IsNotExist(err):
		return sysctl.NotFound
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		return sysctl.Invalid
	}
	return sysctl.KindOf(err)
}

func (a *app) imageDeleteCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete IMAGE...",
		Short:             "delete images",
		Long:              "Deletes images. Instances made from them keep what they need of them. An image with several aliases loses only the\none that is named; its id deletes it whole.",
		Example:           "  sysctl image delete mybox",
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.imageRefs()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return forEach(args, func(ref string) error { return b.DeleteImage(ctx, ref) })
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.Busy}})
}

// size is a positive number of bytes, written with or without a unit.
type size int64

func (s *size) Type() string { return "SIZE" }

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return profiles.FormatSize(int64(*s))
}

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	n, err := profiles.ParseSize(text)
	if err == nil && n == 0 {
		err = errors.New("must be above 0")
	}
	*s = size(n)
	return err
}
