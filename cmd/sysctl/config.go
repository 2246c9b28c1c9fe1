package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) configCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "an instance's own configuration",
		Long: `An instance's configuration is that of its profiles, and over it its own: config keys such as limits.memory,
and devices as devices.NAME.OPTION.`,
		Example: "  sysctl config show web1",
	}
	return a.noun(cmd, a.configGetCmd(), a.configSetCmd(), a.configUnsetCmd(), a.configEditCmd(), a.configShowCmd(), a.configDeviceCmd())
}

func (a *app) configGetCmd() *cobra.Command {
	var expanded bool
	cmd := &cobra.Command{
		Use:   "get NAME KEY",
		Short: "print the value of one key",
		Long: `Prints the value that an instance's own configuration has for a key, or, with --expanded, the value in force,
which may be a profile's. A key that is not set is not found; one that does not exist is invalid.`,
		Example: `  sysctl config get web1 limits.memory
  sysctl config get web1 devices.eth0.network --expanded`,
		Args:              takes(2, 2),
		ValidArgsFunction: each(a.names(), a.keysSet(), nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				d, err := b.Info(ctx, args[0])
				if err != nil {
					return err
				}
				own, inForce := valueOf(d.Config, d.Devices, args[1]), valueOf(d.Expanded, d.AllDevs, args[1])
				value := own
				if expanded {
					value = inForce
				}
				if value != nil {
					return a.printLines(*value)
				}
				if err := profiles.CheckName(args[1], d.AllDevs); err != nil {
					return sysctl.Wrap(err, "config get %s", args[0])
				}
				unset := sysctl.E(sysctl.NotFound, "config get %s: %s is not set", args[0], args[1])
				if inForce != nil {
					return unset.WithHint("%s", quoteArgs([]string{"sysctl", "config", "get", "--expanded", args[0], args[1]}))
				}
				return unset.WithHint("sysctl config show --expanded %s", quoteArg(args[0]))
			})
		},
	}
	cmd.Flags().BoolVar(&expanded, "expanded", false, "with the configuration of the profiles")
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

// valueOf looks a key up, or returns nil.
func valueOf(config map[string]string, devices map[string]sysctl.Device, key string) *string {
	v, ok := config[key]
	if device, option, isDevice := cutDevice(key); isDevice {
		v, ok = devices[device][option]
	}
	if !ok {
		return nil
	}
	return &v
}

func (a *app) configSetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set NAME KEY=VALUE...",
		Short: "set keys",
		Long: `Sets config keys and options of devices of an instance. All or none: every mistake is reported, and then nothing is
changed. What cannot take effect at once does at the next start.

Keys include boot.autostart, limits.memory, limits.cpu, limits.processes, security.privileged, environment.NAME
and user.NAME: "sysctl config show NAME --defaults" lists them, doc/config.md describes each. A device has a type
and options: devices.NAME.type=disk, ….
"sysctl config set NAME KEY VALUE" works too.`,
		Example: `  sysctl config set web1 limits.memory=1GiB limits.cpu=2
  sysctl config set web1 environment.LANG=C.UTF-8
  sysctl config set web1 devices.data.type=disk devices.data.source=/srv/web1 devices.data.path=/data`,
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.names(), a.settingsOfInstance()),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := settings(args[1:])
			if err != nil {
				return sysctl.Wrap(err, "config set %s", args[0])
			}
			return a.setConfig(cmd, args[0], set)
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy}})
}

// settings reads KEY=VALUE..., or KEY VALUE.
func settings(words []string) (map[string]*string, error) {
	set := map[string]*string{}
	var bad sysctl.FieldErrors
	for _, word := range pair(words) {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			bad.Add(word, "must be KEY=VALUE")
		}
		set[key] = &value
	}
	return set, bad.Err()
}

// unsettings are the keys, each to be unset.
func unsettings(keys []string) map[string]*string {
	set := map[string]*string{}
	for _, key := range keys {
		set[key] = nil
	}
	return set
}

// pair makes one word of KEY VALUE; other words stay as they are.
func pair(words []string) []string {
	if len(words) == 2 && !strings.Contains(words[0], "=") {
		return []string{words[0] + "=" + words[1]}
	}
	return words
}

func (a *app) configUnsetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unset NAME KEY...",
		Short: "remove keys from the instance's own configuration",
		Long: `Removes keys from an instance's own configuration, so that its profiles' values or the defaults are in force. A key
that is not set is no error.`,
		Example:           "  sysctl config unset web1 limits.memory",
		Args:              takes(2, -1),
		ValidArgsFunction: each(a.names(), a.keysSet()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setConfig(cmd, args[0], unsettings(args[1:]))
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Busy}})
}

// setConfig changes keys and says which of them a running instance does not feel yet.
func (a *app) setConfig(cmd *cobra.Command, name string, set map[string]*string) error {
	return a.with(cmd, func(ctx context.Context, b backend) error { return a.change(ctx, b, name, set) })
}

// change is setConfig for a verb that has its backend already.
func (a *app) change(ctx context.Context, b backend, name string, set map[string]*string) error {
	live, err := b.SetConfig(ctx, name, set)
	if err != nil {
		return err
	}
	later := slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(k string) bool { return slices.Contains(live, k) })
	if len(later) > 0 && !a.quiet {
		a.note("%s: at its next start: %s", clean(name), clean(strings.Join(later, ", ")))
	}
	return nil
}

func (a *app) configShowCmd() *cobra.Command {
	var expanded, defaults bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "print an instance's configuration",
		Long: `Prints an instance's own config keys and devices, or, with --expanded, what is in force with its profiles. The
table's keys are those that "sysctl config set" takes. With --defaults every config key that there is is printed,
with the value in force, who says so (instance, profile, default) and when a change takes effect.`,
		Example: `  sysctl config show web1
  sysctl config show web1 --expanded --format json
  sysctl config show web1 --defaults`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names()),
	}
	cmd.Flags().BoolVar(&expanded, "expanded", false, "with the configuration of the profiles")
	cmd.Flags().BoolVar(&defaults, "defaults", false, "every config key, with the defaults of those that nobody has set")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd, func(ctx context.Context, b backend) error {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return err
			}
			if defaults {
				return a.print(*out, defaultsView(d))
			}
			return a.print(*out, configView(d, expanded))
		})
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound}})
}

func configView(d manager.Detail, expanded bool) view {
	p := sysctl.Profile{Config: d.Config, Devices: d.Devices}
	if expanded {
		p = sysctl.Profile{Config: d.Expanded, Devices: d.AllDevs}
	}
	overlay(&p, nil, nil)
	return view{
		columns: []string{"KEY", "VALUE"},
		rows:    configRows(p.Config, p.Devices),
		value: struct {
			Profiles []string                 `json:"profiles"`
			Config   map[string]string        `json:"config"`
			Devices  map[string]sysctl.Device `json:"devices"`
		}{orEmpty(d.Profiles), p.Config, p.Devices},
	}
}

// configRows lists keys and values, sorted, devices last.
func configRows(config map[string]string, devices map[string]sysctl.Device) [][]string {
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(config)) {
		rows = append(rows, []string{key, config[key]})
	}
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		for _, option := range slices.Sorted(maps.Keys(devices[name])) {
			rows = append(rows, []string{"devices." + name + "." + option, devices[name][option]})
		}
	}
	return rows
}

// keysOf are the keys that are set.
func keysOf(config map[string]string, devices map[string]sysctl.Device) (keys []string) {
	for _, row := range configRows(config, devices) {
		keys = append(keys, row[0])
	}
	return keys
}

// keysSet completes the keys that the instance named by the first argument has set.
func (a *app) keysSet() completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.live(func(ctx context.Context, b backend) []string {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return nil
			}
			return keysOf(d.Config, d.Devices)
		})(cmd, args, word)
	}
}
