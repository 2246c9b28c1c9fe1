package main

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

func (a *app) fileCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "file",
		Short: "copy files into and out of instances",
		Long: `Copies, lists, edits and removes files of instances, running or not. A file of an instance is written NAME/PATH, as
web1/etc/hosts is its /etc/hosts. Owners are ids inside the instance. No link in an instance leads out of it.`,
		Example: "  sysctl file push site.conf web1/etc/nginx/conf.d/\n  sysctl file pull web1/var/log/syslog -",
	}
	return a.noun(cmd, a.filePushCmd(), a.filePullCmd(), a.fileEditCmd(), a.fileDeleteCmd(), a.fileMkdirCmd(), a.fileListCmd())
}

// fileFlags are the options of what is copied, as written.
type fileFlags struct {
	manager.FileOptions
	mode string
}

func (f *fileFlags) register(cmd *cobra.Command, recursive, owner bool) {
	flags := cmd.Flags()
	flags.BoolVarP(&f.Parents, "create-dirs", "p", false, "make the directories that are missing")
	if recursive {
		flags.BoolVarP(&f.Recursive, "recursive", "r", false, "copy directories with all that is in them")
	}
	if owner {
		flags.IntVar(&f.UID, "uid", 0, "owner inside the instance: `UID`")
		flags.IntVar(&f.GID, "gid", 0, "group inside the instance: `GID`")
		mustComplete(cmd, "uid", nothing)
		mustComplete(cmd, "gid", nothing)
	}
	flags.StringVar(&f.mode, "mode", "", "permissions, octal: `MODE`")
	mustComplete(cmd, "mode", nothing)
}

// options checks what was written and adds progress.
func (f fileFlags) options(p sysctl.Progress, note func(string)) (manager.FileOptions, error) {
	o := f.FileOptions
	o.Progress, o.Note = p, note
	if f.mode == "" {
		return o, nil
	}
	bits, err := strconv.ParseUint(f.mode, 8, 32)
	if err != nil || bits > 0o7777 {
		return o, sysctl.FieldErrors{{Field: "--mode", Msg: strconv.Quote(f.mode) + " is no octal mode, as 0644 is"}}
	}
	mode := fs.FileMode(bits & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	o.Mode = &mode
	return o, nil
}

// fileRef takes NAME/PATH apart.
func fileRef(word string) (manager.FileRef, error) {
	name, rest, ok := strings.Cut(word, "/")
	if !ok || name == "" || strings.ContainsRune(rest, 0) {
		return manager.FileRef{}, sysctl.E(sysctl.Invalid, "%q is not NAME/PATH, an instance and a path inside it", word)
	}
	if err := sysctl.CheckName(name); err != nil {
		return manager.FileRef{}, err
	}
	return manager.FileRef{Instance: name, Path: "/" + strings.TrimLeft(rest, "/")}, nil
}

func fileRefs(words []string) ([]manager.FileRef, error) {
	refs := make([]manager.FileRef, len(words))
	for i, word := range words {
		var err error
		if refs[i], err = fileRef(word); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

func fileTraits() traits {
	return traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict, sysctl.NoSpace}}
}

func (a *app) filePushCmd() *cobra.Command {
	var f fileFlags
	cmd := &cobra.Command{
		Use:   "push SOURCE... NAME/PATH",
		Short: "copy files into an instance",
		Long: `Copies files of the host, or with - standard input, into an instance, as cp does: into PATH where it is a directory,
ends with a slash, or there are several sources, else to PATH itself. A file appears there whole or not at all. It
belongs to root, or --uid and --gid, and has the permissions of its source, or --mode; set-uid and set-gid bits are
not copied.

With --recursive symbolic links stay links, hard links stay together, and times are kept; fifos, sockets and devices
are left out. Without, a link is followed. Holes and user.* attributes are kept always.`,
		Example: `  sysctl file push site.conf web1/etc/nginx/conf.d/ --mode 0644
  sysctl file push -r ./site web1/srv/www -p --uid 33 --gid 33
  date | sysctl file push - web1/etc/built`,
		Args: takes(2, -1),
	}
	f.register(cmd, true, true)
	packed := packedFlag(cmd)
	ref := a.fileRefs()
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		words, how := ref(cmd, args, word)
		if len(words) == 0 { // one more source
			return nil, cobra.ShellCompDirectiveDefault
		}
		return words, how
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sources, last := args[:len(args)-1], args[len(args)-1]
		to, err := fileRef(last)
		if err == nil && !*packed && len(sources) > 1 && slices.Contains(sources, "-") {
			err = sysctl.E(sysctl.Invalid, "standard input cannot be one of several sources")
		}
		if err != nil {
			return sysctl.Wrap(err, "file push")
		}
		return a.copying(cmd, f, to.Instance, func(ctx context.Context, b backend, o manager.FileOptions) error {
			if *packed {
				return b.PushPacked(ctx, sources, to, a.stdin, o)
			}
			return b.PushFiles(ctx, sources, to, a.stdin, o)
		})
	}
	return a.verb(cmd, fileTraits())
}

// packedFlag has standard input or output be a stream of files (manager.PackFiles), whose names here the arguments are: what
// another machine's "sysctl -H" calls.
func packedFlag(cmd *cobra.Command) *bool {
	packed := cmd.Flags().Bool("packed", false, "")
	if err := cmd.Flags().MarkHidden("packed"); err != nil {
		panic(err)
	}
	return packed
}

// copying runs a copy with its options and progress.
func (a *app) copying(cmd *cobra.Command, f fileFlags, name string,
	do func(ctx context.Context, b backend, o manager.FileOptions) error) error {
	if _, err := f.options(nil, nil); err != nil {
		return sysctl.Wrap(err, "%s", verbPath(cmd))
	}
	return a.with(cmd, func(ctx context.Context, b backend) error {
		of, stop := a.progress()
		defer stop()
		note := func(line string) { a.note("%s", clean(line)) }
		if a.quiet {
			note = nil
		}
		o, err := f.options(of(name), note)
		if err != nil {
			return err
		}
		return do(ctx, b, o)
	})
}

func (a *app) filePullCmd() *cobra.Command {
	var f fileFlags
	cmd := &cobra.Command{
		Use:   "pull NAME/PATH... TARGET",
		Short: "copy files out of an instance",
		Long: `Copies files of instances to the host, as cp does: into TARGET where it is a directory, ends with a slash, or
several files are named, else to TARGET itself; with - to standard output. What comes belongs to you and has the
permissions it had, or --mode; set-uid and set-gid bits are not copied.

With --recursive symbolic links stay links, whose targets are the instance's words: look before you follow one. Hard
links stay together and times are kept; fifos, sockets and devices are left out, and filesystems of the kernel not
entered.`,
		Example: `  sysctl file pull web1/etc/hosts .
  sysctl file pull -r web1/srv/www ./backup/ -p
  sysctl file pull web1/var/log/syslog - | tail`,
		Args: takes(2, -1),
	}
	f.register(cmd, true, false)
	packed := packedFlag(cmd)
	ref := a.fileRefs()
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words, how := ref(cmd, args, word)
		if len(args) > 0 && len(words) == 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return words, how
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		refs, err := fileRefs(args[:len(args)-1])
		target := args[len(args)-1]
		if err == nil && target == "" {
			err = sysctl.E(sysctl.Invalid, "the target is empty")
		}
		if err != nil {
			return sysctl.Wrap(err, "file pull")
		}
		return a.copying(cmd, f, refs[0].Instance, func(ctx context.Context, b backend, o manager.FileOptions) error {
			if *packed {
				return b.PullPacked(ctx, refs, dataWriter{a.stdout}, o)
			}
			return b.PullFiles(ctx, refs, target, dataWriter{a.stdout}, o)
		})
	}
	return a.verb(cmd, fileTraits())
}

func (a *app) fileEditCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit NAME/PATH",
		Short: "change a file of an instance in an editor",
		Long: `Opens a file of an instance, of at most 16 MiB, in $VISUAL, $EDITOR or vi and writes it back if it was changed. Its
owner and permissions stay. Nothing is written where somebody else has changed it meanwhile.`,
		Example:           "  sysctl file edit web1/etc/hosts",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.fileRefs()),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := fileRef(args[0])
			if err != nil {
				return sysctl.Wrap(err, "file edit")
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				before, err := b.ReadFile(ctx, ref)
				if err != nil {
					return err
				}
				data, err := a.editor(ctx, "-"+strings.ReplaceAll(path.Base(ref.Path), "*", "_"), before)
				if err != nil {
					return sysctl.Wrap(err, "file edit %s", ref)
				}
				if bytes.Equal(before, data) {
					return nil
				}
				return b.ReplaceFile(ctx, ref, before, data)
			})
		},
	}
	return a.verb(cmd, fileTraits())
}

func (a *app) fileDeleteCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "delete NAME/PATH...",
		Short: "remove files of instances",
		Long: `Removes files, links and empty directories of instances; with --force also directories with all that is in them, and
what is absent is no error. No link is followed, and no other filesystem that is mounted there is entered.`,
		Example:           "  sysctl file delete web1/etc/motd\n  sysctl file delete --force web1/srv/old",
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.fileRefs()),
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, err := fileRefs(args)
			if err != nil {
				return sysctl.Wrap(err, "file delete")
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				for _, ref := range refs {
					if err := b.DeleteFile(ctx, ref, force); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "remove directories with all that is in them")
	return a.verb(cmd, fileTraits())
}

func (a *app) fileMkdirCmd() *cobra.Command {
	var f fileFlags
	cmd := &cobra.Command{
		Use:   "mkdir NAME/PATH",
		Short: "make a directory in an instance",
		Long: `Makes a directory of root, or --uid and --gid, with mode 0755, or --mode. With --create-dirs also those above it,
and one that is there is no error.`,
		Example:           "  sysctl file mkdir -p web1/srv/www/static --uid 33 --gid 33",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.fileRefs()),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := fileRef(args[0])
			var o manager.FileOptions
			if err == nil {
				o, err = f.options(nil, nil)
			}
			if err != nil {
				return sysctl.Wrap(err, "file mkdir")
			}
			return a.with(cmd, func(ctx context.Context, b backend) error { return b.MakeDir(ctx, ref, o) })
		},
	}
	f.register(cmd, false, true)
	return a.verb(cmd, fileTraits())
}

func (a *app) fileListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls NAME/PATH",
		Short: "list a directory of an instance",
		Long: `Lists a directory of an instance, or the one file. NAME alone is its root directory. Owners are ids inside the
instance. With --quiet only names are printed.`,
		Example:           "  sysctl file ls web1/etc\n  sysctl file ls web1/srv --format json",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.fileRefs()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		word := args[0]
		if !strings.Contains(word, "/") {
			word += "/"
		}
		ref, err := fileRef(word)
		if err != nil {
			return sysctl.Wrap(err, "file ls")
		}
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.ListFiles(ctx, ref)
			if err != nil {
				return err
			}
			v := view{columns: []string{"MODE", "UID", "GID", "SIZE", "MODIFIED", "TYPE", "NAME"}, value: orEmpty(list)}
			var names []string
			for _, f := range list {
				name := clean(f.Name)
				names = append(names, name)
				if f.Target != "" {
					name += " -> " + clean(f.Target)
				}
				v.rows = append(v.rows, []string{f.Mode, strconv.FormatInt(f.UID, 10), strconv.FormatInt(f.GID, 10),
					strconv.FormatInt(f.Size, 10), f.Modified.UTC().Format("2006-01-02 15:04"), f.Type, name})
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict}})
}

// fileRefs completes NAME/PATH: names of instances, then what is in the directory.
func (a *app) fileRefs() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		slash := strings.LastIndexByte(word, '/')
		words, how := a.live(func(ctx context.Context, b backend) []string {
			var words []string
			if slash < 0 {
				list, _ := b.List(ctx)
				for _, i := range list {
					words = append(words, i.Name+"/")
				}
				return words
			}
			ref, err := fileRef(word[:slash+1])
			if err != nil {
				return nil
			}
			list, _ := b.ListFiles(ctx, ref)
			for _, f := range list {
				name := word[:slash+1] + f.Name
				if clean(f.Name) != f.Name { // it would break the line it is offered on
					continue
				}
				if f.Type == "directory" {
					name += "/"
				}
				words = append(words, name)
			}
			return words
		})(cmd, args, word)
		for _, w := range words {
			if strings.HasSuffix(w, "/") {
				how |= cobra.ShellCompDirectiveNoSpace
			}
		}
		return words, how
	}
}
