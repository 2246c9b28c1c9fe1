package main

import (
	"context"
	"fmt"
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
	n := a.instanceDevices()
	return a.noun(cmd, a.deviceAddCmd(n), a.deviceGetCmd(n), a.deviceSetCmd(n), a.deviceUnsetCmd(n), a.deviceOverrideCmd(n),
		a.deviceRemoveCmd(n), a.deviceListCmd(n), a.deviceShowCmd(n))
}

func (a *app) profileDeviceCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "device",
		Short: "a profile's devices",
		Long: `The devices that instances have from a profile. Each has a type and options, which doc/config.md describes. What is
changed is applied as by "sysctl profile edit", and comments of the profile's YAML are kept.`,
		Example: "  sysctl profile device list default",
	}
	n := a.profileDevices()
	return a.noun(cmd, a.deviceAddCmd(n), a.deviceGetCmd(n), a.deviceSetCmd(n), a.deviceUnsetCmd(n), a.deviceRemoveCmd(n),
		a.deviceListCmd(n), a.deviceShowCmd(n))
}

// deviceNoun is what has devices, with the words for it and the verbs that change them.
type deviceNoun struct {
	verb     string // whose subcommand "device" is
	arg      string // of the command line
	a, whose string // in sentences
	example  string // that exists
	after    string // what more there is to say of a change
	names    completer
	devices  func(ctx context.Context, b backend, name string) (own, all map[string]sysctl.Device, err error)
	add      func(ctx context.Context, b backend, name, device string, d sysctl.Device) error
	set      func(cmd *cobra.Command, name string, set map[string]*string) error
	remove   func(ctx context.Context, b backend, name string, devices []string) error
}

func (a *app) instanceDevices() deviceNoun {
	return deviceNoun{verb: "config", arg: "NAME", a: "an instance", whose: "an instance's own", example: "web1", names: a.names(),
		devices: func(ctx context.Context, b backend, name string) (own, all map[string]sysctl.Device, err error) {
			d, err := b.Info(ctx, name)
			return d.Devices, d.AllDevs, err
		},
		add: func(ctx context.Context, b backend, name, device string, d sysctl.Device) error {
			later, err := b.AddDevice(ctx, name, device, d)
			if later && err == nil {
				a.tellLater(name, device)
			}
			return err
		},
		set: a.setConfig,
		remove: func(ctx context.Context, b backend, name string, devices []string) error {
			later, err := b.RemoveDevices(ctx, name, devices)
			a.tellLater(name, later...)
			return err
		},
	}
}

func (a *app) profileDevices() deviceNoun {
	return deviceNoun{verb: "profile", arg: "PROFILE", a: "a profile", whose: "a profile's", example: "default", names: a.profileNames(),
		after: `

A change that an instance which uses the profile could not have is refused, with the list; what waits for an instance's
next start is said.`,
		devices: func(ctx context.Context, b backend, name string) (own, all map[string]sysctl.Device, err error) {
			p, _, err := b.Profile(ctx, name)
			return p.Devices, p.Devices, err
		},
		add: func(ctx context.Context, b backend, name, device string, d sysctl.Device) error {
			return b.AddProfileDevice(ctx, name, device, d, a.tellNote())
		},
		set: a.setProfile,
		remove: func(ctx context.Context, b backend, name string, devices []string) error {
			return b.RemoveProfileDevices(ctx, name, devices, a.tellNote())
		},
	}
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

func (a *app) deviceAddCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add " + n.arg + " DEVICE TYPE [OPTION=VALUE...]",
		Short: "give " + n.a + " a device",
		Long:  "Gives " + n.a + " a device. A device of type none hides one of that name that a profile has." + n.after,
		Example: fmt.Sprintf(`  sysctl %[1]s device add %[2]s files disk source=/srv/web1 path=/srv
  sysctl %[1]s device add %[2]s scratch disk source=tmpfs: path=/scratch size=256MiB
  sysctl %[1]s device add %[2]s serial unix-char source=/dev/ttyUSB0 gid=20`, n.verb, n.example),
		Args:              takes(3, -1),
		ValidArgsFunction: each(n.names, nothing, fixed(deviceTypeNames()...), a.deviceOptions(n, true)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := optionWords(args[3:])
			if err != nil {
				return sysctl.Wrap(err, "%s %s", n.verb, args[0])
			}
			d["type"] = args[2]
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return n.add(ctx, b, args[0], args[1], d)
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceOverrideCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "override NAME DEVICE [OPTION=VALUE...]",
		Short: "make a profile's device an instance's own, with other options",
		Long: `Makes a device that a profile has an instance's own, with some options changed. From then on what the profile says of
it does not matter.`,
		Example:           "  sysctl config device override web1 eth0 ipv4.address=none",
		Args:              takes(2, -1),
		ValidArgsFunction: each(n.names, a.devicesAll(n), a.deviceOptions(n, false)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := optionWords(args[2:])
			if err != nil {
				return sysctl.Wrap(err, "%s %s", n.verb, args[0])
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

func (a *app) deviceRemoveCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "remove " + n.arg + " DEVICE...",
		Short:             "take devices away from " + n.a,
		Long:              "Takes devices of its own away from " + n.a + ". Where a profile has one of that name, that is in force again." + n.after,
		Example:           fmt.Sprintf("  sysctl %s device remove %s data", n.verb, n.example),
		Args:              takes(2, -1),
		ValidArgsFunction: each(n.names, a.devicesOwn(n)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				return n.remove(ctx, b, args[0], args[1:])
			})
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

func (a *app) deviceSetCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "set " + n.arg + " DEVICE OPTION=VALUE...",
		Short:             "change options of " + n.whose + " device",
		Long:              "Changes options of " + n.whose + " device. All or none: every mistake is reported, and then nothing is changed." + n.after,
		Example:           fmt.Sprintf("  sysctl %s device set %s data readonly=true", n.verb, n.example),
		Args:              takes(3, -1),
		ValidArgsFunction: each(n.names, a.devicesOwn(n), a.deviceOptions(n, false)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := optionWords(pair(args[2:]))
			if err != nil {
				return sysctl.Wrap(err, "%s %s", n.verb, args[0])
			}
			set := map[string]*string{}
			for option, value := range d {
				set["devices."+args[1]+"."+option] = &value
			}
			return n.set(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceUnsetCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "unset " + n.arg + " DEVICE OPTION...",
		Short:             "remove options of " + n.whose + " device",
		Long:              "Removes options of " + n.whose + " device, so that their defaults are in force. One that is not set is no error." + n.after,
		Example:           fmt.Sprintf("  sysctl %s device unset %s data readonly", n.verb, n.example),
		Args:              takes(3, -1),
		ValidArgsFunction: each(n.names, a.devicesOwn(n), a.optionsSet(n)),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := map[string]*string{}
			for _, option := range args[2:] {
				set["devices."+args[1]+"."+option] = nil
			}
			return n.set(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{undoes: true, kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy, sysctl.Unsupported}})
}

func (a *app) deviceGetCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get " + n.arg + " DEVICE OPTION",
		Short:             "print the value of an option",
		Long:              "Prints the value of an option of one of the devices that " + n.a + " has. One that is not set is not found.",
		Example:           fmt.Sprintf("  sysctl %s device get %s eth0 network", n.verb, n.example),
		Args:              takes(3, 3),
		ValidArgsFunction: each(n.names, a.devicesAll(n), a.optionsSet(n), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				_, all, err := n.devices(ctx, b, args[0])
				if err != nil {
					return err
				}
				key := "devices." + args[1] + "." + args[2]
				if v := valueOf(nil, all, key); v != nil {
					return a.printLines(*v)
				}
				if err := profiles.CheckName(key, all); err != nil {
					return sysctl.Wrap(err, "%s device get %s", n.verb, args[0])
				}
				return sysctl.E(sysctl.NotFound, "%s device get %s: %s of %s is not set", n.verb, args[0], args[2], args[1]).
					WithHint("sysctl %s device list %s", n.verb, quoteArg(args[0]))
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) deviceListCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list " + n.arg,
		Short:             "list the devices of " + n.a,
		Long:              "Lists all devices that " + n.a + " has, wherever from. With --quiet only names are printed.",
		Example:           fmt.Sprintf("  sysctl %s device list %s", n.verb, n.example),
		Args:              takes(1, 1),
		ValidArgsFunction: first(n.names),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			own, all, err := n.devices(ctx, b, args[0])
			if err != nil {
				return err
			}
			v := view{columns: []string{"DEVICE", "TYPE", "FROM", "OPTIONS"}, value: all}
			if n.verb == "profile" { // they are from nowhere else
				v.columns = slices.Delete(v.columns, 2, 3)
			}
			names := slices.Sorted(maps.Keys(all))
			for _, name := range names {
				from := "profile"
				if own[name] != nil {
					from = "own"
				}
				var options []string
				for _, option := range slices.Sorted(maps.Keys(all[name])) {
					if option != "type" {
						options = append(options, option+"="+all[name][option])
					}
				}
				row := []string{name, all[name]["type"], from, strings.Join(options, " ")}
				if n.verb == "profile" {
					row = slices.Delete(row, 2, 3)
				}
				v.rows = append(v.rows, row)
			}
			if a.quiet && *out == "table" {
				return a.printLines(names...)
			}
			return a.print(*out, v)
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func (a *app) deviceShowCmd(n deviceNoun) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show " + n.arg,
		Short:             "print " + n.whose + " devices",
		Long:              "Prints " + n.whose + " devices with their options.",
		Example:           fmt.Sprintf("  sysctl %s device show %s --format yaml", n.verb, n.example),
		Args:              takes(1, 1),
		ValidArgsFunction: first(n.names),
	}
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			devices, _, err := n.devices(ctx, b, args[0])
			if err != nil {
				return err
			}
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

// devicesOwn and devicesAll complete the devices of what the first argument names.
func (a *app) devicesOwn(n deviceNoun) completer {
	return a.devicesBy(n, func(d, _ map[string]sysctl.Device) map[string]sysctl.Device { return d })
}

func (a *app) devicesAll(n deviceNoun) completer {
	return a.devicesBy(n, func(_, all map[string]sysctl.Device) map[string]sysctl.Device { return all })
}

func (a *app) devicesBy(n deviceNoun, which func(own, all map[string]sysctl.Device) map[string]sysctl.Device) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			own, all, err := n.devices(ctx, b, args[0])
			if err != nil {
				return nil
			}
			return slices.Collect(maps.Keys(which(own, all)))
		})(cmd, args, word)
	}
}

// optionsSet completes the options that the device has which the first two arguments name.
func (a *app) optionsSet(n deviceNoun) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			_, all, err := n.devices(ctx, b, args[0])
			if err != nil {
				return nil
			}
			return slices.Collect(maps.Keys(all[args[1]]))
		})(cmd, args, word)
	}
}

// deviceOptions completes OPTION=VALUE of the device that the second argument names, whose type is the third where it is new.
func (a *app) deviceOptions(n deviceNoun, isNew bool) completer {
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
				_, all, err := n.devices(ctx, b, args[0])
				if err != nil {
					return nil
				}
				return all
			})(cmd, args, prefix+word)
		for i := range words {
			words[i] = strings.TrimPrefix(words[i], prefix)
		}
		return slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "type=") }), how
	}
}
