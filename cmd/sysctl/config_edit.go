package main

import (
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
				return a.edit(ctx, "config edit "+args[0], "instance "+args[0], func() ([]byte, error) { return profiles.Encode(was) }, store)
			})
		},
	}
	return a.verb(cmd, traits{kinds: []sysctl.Kind{sysctl.NotFound, sysctl.Exists, sysctl.Busy}})
}

// changes are the keys in which a configuration differs from what it was, as "config set" takes them: nil is unset.
func changes(was, is sysctl.Profile) map[string]*string {
	set := map[string]*string{}
	for _, key := range append(keysOf(was.Config, was.Devices), keysOf(is.Config, is.Devices)...) {
		old, now := valueOf(was.Config, was.Devices, key), valueOf(is.Config, is.Devices, key)
		if old != nil && now != nil && *old == *now {
			continue
		}
		if device, _, isDevice := cutDevice(key); isDevice && is.Devices[device] == nil {
			key = "devices." + device
		}
		set[key] = now
	}
	return set
}
