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

// devicesOf finds the devices that a command line is about: those of an instance, or of profiles.
type devicesOf func(ctx context.Context, b backend, cmd *cobra.Command, args []string) map[string]sysctl.Device

// settings completes KEY=VALUE: config keys, devices and their options, and behind the = the values that can be
// listed. A family of keys ("user.") and a device are left open. typed returns the settings that stand on the
// command line already.
func (a *app) settings(typed func(cmd *cobra.Command, args []string) []string, of devicesOf) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if prep := "guest.prep="; strings.HasPrefix(word, prep) {
			return a.prepSteps(prep)(cmd, args, word)
		}
		if !strings.HasPrefix(word, "devices.") {
			return keyWords(word)
		}
		devices := map[string]sysctl.Device{}
		var networks []string
		a.live(func(ctx context.Context, b backend) []string {
			maps.Copy(devices, of(ctx, b, cmd, args))
			list, _ := b.Networks(ctx)
			for _, n := range list {
				networks = append(networks, n.Name)
			}
			return nil
		})(cmd, args, word)
		var ignored sysctl.FieldErrors
		_, own := parseConfig(typed(cmd, args), &ignored)
		maps.Copy(devices, own)
		return deviceWords(word, devices, networks)
	}
}

// keyWords completes config keys and their values.
func keyWords(word string) ([]string, cobra.ShellCompDirective) {
	if name, _, ok := strings.Cut(word, "="); ok {
		key, _ := profiles.Lookup(name)
		return beginning(word, valueWords(name, key.Values)), noFiles
	}
	words := []string{"devices."}
	for _, k := range profiles.Keys() {
		family := strings.TrimSuffix(k.Name, "*")
		switch {
		case !k.Wildcard():
			words = append(words, k.Name+"=")
		case len(k.Names) == 0 || !strings.HasPrefix(word, family):
			words = append(words, family)
		default:
			for _, name := range k.Names {
				words = append(words, family+name+"=")
			}
		}
	}
	return beginning(word, words), noFiles | cobra.ShellCompDirectiveNoSpace
}

// deviceWords completes "devices.NAME.OPTION=VALUE". A device of which nobody has said what it is may be any.
func deviceWords(word string, devices map[string]sysctl.Device, networks []string) ([]string, cobra.ShellCompDirective) {
	name, _, isValue := strings.Cut(word, "=")
	device, option, _ := cutDevice(name)
	var types, words []string
	var options []profiles.Key
	for _, t := range profiles.DeviceTypes() {
		types = append(types, t.Type)
		if own := devices[device]["type"]; own == "" || own == t.Type {
			options = append(options, t.Options...)
		}
	}
	switch {
	case isValue && option == "type":
		return beginning(word, valueWords(name, types)), noFiles
	case isValue && option == "network":
		return beginning(word, valueWords(name, networks)), noFiles
	case isValue:
		for _, o := range options {
			if o.Name == option {
				return beginning(word, valueWords(name, o.Values)), noFiles
			}
		}
		return nil, noFiles
	case strings.Count(name, ".") > 1:
		for _, o := range options {
			words = append(words, "devices."+device+"."+o.Name+"=")
		}
	default:
		for d := range devices {
			words = append(words, "devices."+d+".")
		}
	}
	slices.Sort(words)
	return beginning(word, slices.Compact(words)), noFiles | cobra.ShellCompDirectiveNoSpace
}

func valueWords(name string, values []string) []string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = name + "=" + v
	}
	return words
}

// settingsOfInstance completes the settings of the instance that the first argument names.
func (a *app) settingsOfInstance() completer {
	return a.settings(func(_ *cobra.Command, args []string) []string { return args[1:] },
		func(ctx context.Context, b backend, _ *cobra.Command, args []string) map[string]sysctl.Device {
			d, err := b.Info(ctx, args[0])
			if err != nil {
				return nil
			}
			return d.AllDevs
		})
}

// settingsFlag completes the flag --config of a verb that makes something, which may have a flag --profile.
func (a *app) settingsFlag() completer {
	flag := func(cmd *cobra.Command, name string) []string {
		words, err := cmd.Flags().GetStringArray(name)
		if err != nil {
			return nil // the verb has no such flag
		}
		return words
	}
	return a.settings(func(cmd *cobra.Command, _ []string) []string { return flag(cmd, "config") },
		func(ctx context.Context, b backend, cmd *cobra.Command, _ []string) map[string]sysctl.Device {
			names := flag(cmd, "profile")
			if len(names) == 0 && cmd.Flags().Lookup("profile") != nil {
				names = []string{"default"}
			}
			devices := map[string]sysctl.Device{}
			for _, name := range names {
				p, _, _ := b.Profile(ctx, name)
				maps.Copy(devices, p.Devices)
			}
			return devices
		})
}
