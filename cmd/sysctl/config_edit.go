package main

import (
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

func (a *app) configEditCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit NAME",
		Short: "change an instance's own configuration in an editor",
		Long: `Opens the YAML of an instance's own config keys and devices in $VISUAL, $EDITOR or vi and changes what was changed in
it, as "config set" and "config unset" would: a key that is gone is unset, a device that is gone is removed. A mistake
is shown and can be corrected; nothing is changed before all is right. Where standard input is not a terminal, the YAML
is read from it. What its profiles say is not in it: see "sysctl config show NAME --expanded".`,
		Example:           "  sysctl config edit web1\n  sysctl config edit web1 < web1.yaml",
		Args:              takes(1, 1),
		ValidArgsFunction: first(a.names()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd, func(ctx context.Context, b backend) error {
				d, err := b.Info(ctx, args[0])
				if err != nil {
					return err
				}
				was := sysctl.Profile{Name: d.Name, Config: d.Config, Devices: d.Devices}
				store := func(text io.Reader, file string) error {
					p, err := readProfile(text, file, d.Name)
					if err == nil && p.Description != "" {
						err = sysctl.FieldErrors{{Field: "description", Msg: "an instance has none: user.* keys are free text"}}
					}
					if err != nil {
						return sysctl.Wrap(err, "config edit %s", args[0])
					}
					set := changes(was, p)
					if len(set) == 0 {
						return nil
					}
					return a.change(ctx, b, args[0], set)
				}
				if !isTerminal(a.stdin) {
					return store(a.stdin, "standard input")
				}
				before, err := profiles.Encode(was)
				if err != nil {
					return err
				}
				return a.editUntilRight(ctx, "config edit "+args[0], before, func(text []byte) error {
					return store(bytes.NewReader(text), "instance "+args[0])
				})
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy}})
}

// changes are the keys in which a configuration differs from what it was, as "config set" takes them: nil is unset.
func changes(was, is sysctl.Profile) map[string]*string {
	set := differences("", was.Config, is.Config)
	for device, options := range was.Devices {
		if is.Devices[device] == nil {
			set["devices."+device] = nil
			continue
		}
		for key, value := range differences("devices."+device+".", options, is.Devices[device]) {
			set[key] = value
		}
	}
	for device, options := range is.Devices {
		if was.Devices[device] == nil {
			for key, value := range differences("devices."+device+".", nil, options) {
				set[key] = value
			}
		}
	}
	return set
}

// differences are those of two maps, under a prefix.
func differences(prefix string, was, is map[string]string) map[string]*string {
	set := map[string]*string{}
	for key := range was {
		if _, ok := is[key]; !ok {
			set[prefix+key] = nil
		}
	}
	for key, value := range is {
		if old, ok := was[key]; !ok || old != value {
			set[prefix+key] = &value
		}
	}
	return set
}
