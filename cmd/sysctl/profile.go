package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) profileCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "named pieces of instance configuration",
		Long: `A profile is a named piece of configuration that instances share: config keys and devices. An instance's own
configuration goes over that of its profiles. The profile "default" is used where no other is asked for.`,
		Example: "  sysctl profile list",
	}
	return a.noun(cmd, a.profileListCmd(), a.profileShowCmd(), a.profileCreateCmd(), a.profileEditCmd(), a.profileGetCmd(),
		a.profileSetCmd(), a.profileUnsetCmd(), a.profileDeviceCmd(),
		a.profileCopyCmd(), a.profileDeleteCmd(), a.profileAssignCmd(), a.profileAddCmd(), a.profileRemoveCmd())
}

func (a *app) profileListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "list profiles",
		Long:    "Lists profiles. With --quiet only names are printed.",
		Example: "  sysctl profile list\n  sysctl profile list --format csv",
		Args:    takes(0, 0),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			list, err := b.Profiles(ctx)
			if err != nil {
				return err
			}
			v := view{columns: []string{"NAME", "DESCRIPTION", "DEVICES"}, value: orEmpty(list)}
			var names []string
			for _, p := range list {
				v.rows = append(v.rows, []string{p.Name, p.Description, strings.Join(slices.Sorted(maps.Keys(p.Devices)), ", ")})
				names = append(names, p.Name)
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{})
}

func (a *app) profileShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show PROFILE",
		Short:             "show a profile and who uses it",
		Long:              "Shows a profile's config keys and devices, and the instances that use it.",
		Example:           "  sysctl profile show default --format yaml\n  sysctl profile show default --used-by",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.profileNames()),
	}
	var usedBy bool
	cmd.Flags().BoolVar(&usedBy, "used-by", false, "print only the names of the instances that use it")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			p, used, err := b.Profile(ctx, args[0])
			if err != nil {
				return err
			}
			if usedBy {
				v := view{columns: []string{"NAME"}, value: orEmpty(used)}
				for _, name := range used {
					v.rows = append(v.rows, []string{name})
				}
				if *out == "table" {
					return a.printLines(used...)
				}
				return a.print(*out, v)
			}
			return a.print(*out, view{
				rows: slices.Concat(pairs("name", p.Name, "description", p.Description, "used by", strings.Join(used, ", ")),
					configRows(p.Config, p.Devices)),
				value: struct {
					sysctl.Profile
					UsedBy []string `json:"used_by"`
				}{p, orEmpty(used)},
			})
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) profileCreateCmd() *cobra.Command {
	var config []string
	var description string
	cmd := &cobra.Command{
		Use:   "create PROFILE [FILE|-]",
		Short: "make a profile",
		Long: `Makes a profile from the YAML in a file, or on standard input with -, or from nothing. What is given by flags goes over
what the file has. The YAML is what "sysctl profile show PROFILE --format yaml" prints, without used_by.`,
		Example: `  sysctl profile create small -c limits.memory=256MiB -c limits.cpu=1
  sysctl profile create shared shared.yaml`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.writtenProfile(args)
			var bad sysctl.FieldErrors
			keys, devices := parseConfig(config, &bad)
			if err == nil {
				err = bad.Err()
			}
			if err != nil {
				return sysctl.Wrap(err, "profile create %s", args[0])
			}
			if len(keys)+len(devices) > 0 || description != "" {
				p.Text = "" // it does not say that
			}
			overlay(&p, keys, devices)
			if description != "" {
				p.Description = description
			}
			return a.with(cmd, func(ctx context.Context, b backend) error { return b.CreateProfile(ctx, p) })
		},
	}
	cmd.Flags().StringArrayVarP(&config, "config", "c", nil, "set a config key or device option: `KEY=VALUE` (repeatable)")
	cmd.Flags().StringVar(&description, "description", "", "what it is for: `TEXT`")
	mustComplete(cmd, "config", a.settingsFlag())
	mustComplete(cmd, "description", nothing)
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists}})
}

// writtenProfile reads the profile named by the first argument from the file named by the second, if any.
func (a *app) writtenProfile(args []string) (sysctl.Profile, error) {
	if len(args) == 1 {
		return sysctl.Profile{Name: args[0]}, nil
	}
	if args[1] == "-" {
		return readProfile(a.stdin, "standard input", args[0])
	}
	f, err := os.Open(args[1])
	if err != nil {
		return sysctl.Profile{}, sysctl.E(kindOfFile(err), "%w", err)
	}
	defer f.Close()
	return readProfile(f, args[1], args[0])
}

// readProfile reads a profile's YAML. It may leave its name out but not have another one.
func readProfile(r io.Reader, file, name string) (sysctl.Profile, error) {
	var text bytes.Buffer
	p, err := profiles.Decode(io.TeeReader(r, &text), file)
	p.Text = text.String()
	var unread *fs.PathError
	if errors.As(err, &unread) {
		return p, sysctl.E(kindOfFile(err), "%w", unread)
	}
	if err != nil {
		return p, err
	}
	if p.Name != "" && p.Name != name {
		return p, sysctl.FieldErrors{{Field: "name", Msg: fmt.Sprintf("is %q in the file, not %q", p.Name, name)}}
	}
	p.Name = name
	return p, nil
}

// overlay puts config keys and device options over those of a profile.
func overlay(p *sysctl.Profile, config map[string]string, devices map[string]sysctl.Device) {
	if p.Config == nil {
		p.Config = map[string]string{}
	}
	if p.Devices == nil {
		p.Devices = map[string]sysctl.Device{}
	}
	maps.Copy(p.Config, config)
	for name, options := range devices {
		if p.Devices[name] == nil {
			p.Devices[name] = sysctl.Device{}
		}
		maps.Copy(p.Devices[name], options)
	}
}

func (a *app) profileEditCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit PROFILE",
		Short: "change a profile in an editor",
		Long: `Opens a profile's YAML in $VISUAL, $EDITOR or vi and stores what was written. A mistake is shown and can be corrected;
nothing is stored before all is right. Comments are kept. Where standard input is not a terminal, the YAML is read
from it.

A change that an instance which uses the profile could not have is refused, with the list. Running instances have their
limits and devices at once, as far as that can be, and it is said which devices wait for their next start.`,
		Example:           "  sysctl profile edit default\n  sysctl profile edit shared < shared.yaml",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.profileNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return a.editProfile(ctx, b, args[0])
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

// editProfile lets the user edit a profile.
func (a *app) editProfile(ctx context.Context, b backend, name string) error {
	text := func() ([]byte, error) {
		p, _, err := b.Profile(ctx, name)
		if err != nil {
			return nil, err
		}
		return profileText(p)
	}
	return a.edit(ctx, "profile edit "+name, "profile "+name, text, func(text io.Reader, file string) error {
		p, err := readProfile(text, file, name)
		if err != nil && !isTerminal(a.stdin) {
			return sysctl.Wrap(err, "profile edit %s", name)
		}
		if err != nil {
			return err
		}
		return b.UpdateProfile(ctx, p, a.tellNote())
	})
}

// edit stores standard input, or where that is a terminal has the text of what edited until it can be stored or is given up. A text left as it was
// is neither a change nor an error.
func (a *app) edit(ctx context.Context, verb, what string, text func() ([]byte, error), store func(text io.Reader, file string) error) error {
	if !isTerminal(a.stdin) {
		return store(a.stdin, "standard input")
	}
	before, err := text()
	if err != nil {
		return err
	}
	for written := before; ; {
		written, err = a.editor(ctx, ".yaml", written)
		if err != nil {
			return sysctl.Wrap(err, "%s", verb)
		}
		if bytes.Equal(written, before) {
			return nil
		}
		err = store(bytes.NewReader(written), what)
		if sysctl.KindOf(err) != sysctl.Invalid {
			return err
		}
		a.printError(err)
		if !a.askAgain() {
			return sysctl.E(sysctl.Invalid, "%s: given up: nothing is changed", verb)
		}
	}
}

// profileText is a profile's YAML: as somebody wrote it, with its comments, where that is what the profile is.
func profileText(p sysctl.Profile) ([]byte, error) {
	if p.Text != "" {
		written, err := readProfile(strings.NewReader(p.Text), p.Name, p.Name)
		if err == nil && reflect.DeepEqual(written, p) {
			return []byte(p.Text), nil
		}
	}
	return profiles.Encode(p)
}

// askAgain asks on the terminal whether to go on editing.
func (a *app) askAgain() bool {
	fmt.Fprint(a.notes, "press enter to edit again, or q and enter to give up: ")
	answer := make([]byte, 64)
	n, err := a.stdin.Read(answer)
	return err == nil && n > 0 && !strings.HasPrefix(strings.ToLower(string(answer[:n])), "q")
}

func (a *app) profileCopyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "copy PROFILE NEW-PROFILE",
		Short:             "make a profile like another",
		Long:              "Makes a profile with the configuration that another has now.",
		Example:           "  sysctl profile copy default web",
		Args:              takes(2, 2),
		ValidArgsFunction: first(a.profileNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				p, _, err := b.Profile(ctx, args[0])
				if err != nil {
					return err
				}
				p.Name = args[1]
				return b.CreateProfile(ctx, p)
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists}})
}

func (a *app) profileDeleteCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "delete PROFILE...",
		Short:             "delete profiles",
		Long:              "Deletes profiles. It is a conflict to delete one that instances use.",
		Example:           "  sysctl profile delete shared",
		Args:              takes(1, -1),
		ValidArgsFunction: each(a.profileNames()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return forEach(args, func(name string) error { return b.DeleteProfile(ctx, name) })
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Conflict}})
}
