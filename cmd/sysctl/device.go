package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) configDeviceCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "device",
		Short: "an instance's own devices",
		Long: `An instance's devices are those of its profiles and its own; one of its own replaces a profile's of the same name.
Each has a type and options, which doc/config.md describes. What can be is plugged into a running instance, and taken
away from it, at once; of the rest it is said that it takes effect at the next start.`,
		Example: "  sysctl config device list web1",
	}
	return a.noun(cmd, a.deviceAddCmd(), a.deviceGetCmd(), a.deviceSetCmd(), a.deviceUnsetCmd(), a.deviceOverrideCmd(),
		a.deviceRemoveCmd(), a.deviceListCmd(), a.deviceShowCmd())
}

// tellLater says that devices of an instance take effect at its next start.
func (a *app) tellLater(name string, devices ...string) {
	if len(devices) > 0 && !a.quiet {
		a.note("%s: at its next start: %s", clean(name), clean("devices."+strings.Join(devices, ", devices.")))
	}
}

// optionWords parses OPTION=VALUE words.
func optionWords(words []string) (sysctl.Device, error) {
	d := sysctl.Device{}
	var bad sysctl.FieldErrors
	for _, word := range words {
		option, value, ok := strings.Cut(word, "=")
		if !ok || option == "" {
			bad.Add(word, "must be OPTION=VALUE")
		}
		d[option] = value
	}
	return d, bad.Err()
}

func (a *app) deviceAddCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME DEVICE TYPE [OPTION=VALUE...]",
		Short: "give an instance a device",
		Long:  "Gives an instance a device. A device of type none hides one of that name that a profile has.",
		Example: `  sysctl config device add web1 files disk source=/srv/web1 path=/srv
  sysctl config device add web1 scratch disk source=tmpfs: path=/scratch size=256MiB
  sysctl config device add web1 serial unix-char source=/dev/ttyUSB0 gid=20`,
		Args:              takes(3, -1),
		ValidArgsFunction: each(a.names(), nothing, fixed(deviceTypeNames()...), a.deviceOptions(true)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := optionWords(args[3:])
			if err != nil {
				return sysctl.Wrap(err, "config %s", args[0])
			}
			d["type"] = args[2]
			return a.with(cmd, func(ctx context.Context, b backend) error {
				later, err := b.AddDevice(ctx, args[0], args[1], d)
				if later && err == nil {
					a.tellLater(args[0], args[1])
				}
				return err
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceOverrideCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "override NAME DEVICE [OPTION=VALUE...]",
		Short: "make a profile's device an instance's own, with other options",
		Long: `Makes a device that a profile has an instance's own, with some options changed. From then on what the profile says of
it does not matter.`,
		Example:           "  sysctl config device override web1 eth0 ipv4.address=none",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.names(), a.devicesAll(), a.deviceOptions(false)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := optionWords(args[2:])
			if err != nil {
				return sysctl.Wrap(err, "config %s", args[0])
			}
			return a.with(cmd, func(ctx context.Context, b backend) error {
				later, err := b.OverrideDevice(ctx, args[0], args[1], d)
				if later && err == nil {
					a.tellLater(args[0], args[1])
				}
				return err
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceRemoveCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "remove NAME DEVICE...",
		Short:             "take devices away from an instance",
		Long:              "Takes devices of its own away from an instance. Where a profile has one of that name, that is in force again.",
		Example:           "  sysctl config device remove web1 data",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.names(), a.devicesOwn()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				later, err := b.RemoveDevices(ctx, args[0], args[1:])
				a.tellLater(args[0], later...)
				return err
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

func (a *app) deviceSetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "set NAME DEVICE OPTION=VALUE...",
		Short:             "change options of an instance's own device",
		Long:              "Changes options of a device of an instance's own. All or none: every mistake is reported, and then nothing is changed.",
		Example:           "  sysctl config device set web1 data readonly=true",
		Args:              takes(3, -1),
		ValidArgsFunction: each(a.names(), a.devicesOwn(), a.deviceOptions(false)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := optionWords(pair(args[2:]))
			if err != nil {
				return sysctl.Wrap(err, "config %s", args[0])
			}
			set := map[string]*string{}
			for option, value := range d {
				set["devices."+args[1]+"."+option] = &value
			}
			return a.setConfig(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceUnsetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "unset NAME DEVICE OPTION...",
		Short:             "remove options of an instance's own device",
		Long:              "Removes options of a device of an instance's own, so that their defaults are in force. One that is not set is no error.",
		Example:           "  sysctl config device unset web1 data readonly",
		Args:              takes(3, -1),
		ValidArgsFunction: each(a.names(), a.devicesOwn(), a.optionsSet()),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := map[string]*string{}
			for _, option := range args[2:] {
				set["devices."+args[1]+"."+option] = nil
			}
			return a.setConfig(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceGetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get NAME DEVICE OPTION",
		Short:             "print the value of an option",
		Long:              "Prints the value of an option of one of an instance's devices, its own or a profile's. One that is not set is not found.",
		Example:           "  sysctl config device get web1 eth0 network",
		Args:              takes(3, 3),
		ValidArgsFunction: each(a.names(), a.devicesAll(), a.optionsSet(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				d, err := b.Info(ctx, args[0])
				if err != nil {
					return err
				}
				key := "devices." + args[1] + "." + args[2]
				if v := valueOf(nil, d.AllDevs, key); v != nil {
					return a.printLines(*v)
				}
				if err := profiles.CheckName(key, d.AllDevs); err != nil {
					return sysctl.Wrap(err, "config device get %s", args[0])
				}
				return sysctl.E(sysctl.NotFound, "config device get %s: %s of %s is not set", args[0], args[2], args[1]).
					WithHint("sysctl config device show %s", quoteArg(args[0]))
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) deviceListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list NAME",
		Short:             "list an instance's devices",
		Long:              "Lists an instance's devices: its own and its profiles'. With --quiet only names are printed.",
		Example:           "  sysctl config device list web1",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return err
			}
			v := view{columns: []string{"DEVICE", "TYPE", "FROM", "OPTIONS"}, value: d.AllDevs}
			names := slices.Sorted(maps.Keys(d.AllDevs))
			for _, name := range names {
				from := "profile"
				if d.Devices[name] != nil {
					from = "own"
				}
				var options []string
				for _, option := range slices.Sorted(maps.Keys(d.AllDevs[name])) {
					if option != "type" {
						options = append(options, option+"="+d.AllDevs[name][option])
					}
				}
				v.rows = append(v.rows, []string{name, d.AllDevs[name]["type"], from, strings.Join(options, " ")})
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) deviceShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show NAME",
		Short:             "print an instance's own devices",
		Long:              "Prints the devices that are an instance's own, with their options.",
		Example:           "  sysctl config device show web1 --format yaml",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names()),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return err
			}
			devices := d.Devices
			if devices == nil {
				devices = map[string]sysctl.Device{}
			}
			return a.print(*out, view{columns: []string{"KEY", "VALUE"}, rows: configRows(nil, devices), value: devices})
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func deviceTypeNames() (names []string) {
	for _, t := range profiles.DeviceTypes() {
		names = append(names, t.Type)
	}
	return names
}

// devicesOwn and devicesAll complete the devices of the instance that the first argument names.
func (a *app) devicesOwn() completer {
	return a.devicesBy(func(d, _ map[string]sysctl.Device) map[string]sysctl.Device { return d })
}

func (a *app) devicesAll() completer {
	return a.devicesBy(func(_, all map[string]sysctl.Device) map[string]sysctl.Device { return all })
}

func (a *app) devicesBy(which func(own, all map[string]sysctl.Device) map[string]sysctl.Device) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return nil
			}
			return slices.Collect(maps.Keys(which(d.Devices, d.AllDevs)))
		})(cmd, args, word)
	}
}

// optionsSet completes the options that the device has which the first two arguments name.
func (a *app) optionsSet() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return nil
			}
			return slices.Collect(maps.Keys(d.AllDevs[args[1]]))
		})(cmd, args, word)
	}
}

// deviceOptions completes OPTION=VALUE of the device that the second argument names, whose type is the third where it is new.
func (a *app) deviceOptions(isNew bool) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		prefix := "devices." + args[1] + "."
		typed := slices.Clone(args[2:])
		if isNew {
			typed = append([]string{"type=" + args[2]}, args[3:]...)
		}
		for i := range typed {
			typed[i] = prefix + typed[i]
		}
		words, how := a.settings(func(*cobra.Command, []string) []string { return typed },
			func(ctx context.Context, b backend, _ *cobra.Command, args []string) map[string]sysctl.Device {
				d, err := b.Info(ctx, args[0])
				if err != nil {
					return nil
				}
				return d.AllDevs
			})(cmd, args, prefix+word)
		for i := range words {
			words[i] = strings.TrimPrefix(words[i], prefix)
		}
		return slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "type=") }), how
	}
}
