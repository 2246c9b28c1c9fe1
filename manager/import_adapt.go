package manager

import (
	"context"
	"fmt"
	"maps"
	"reflect"

	"github.com/sysctl-os/sysctl"
)

// tell says what an import did otherwise than the archive has it.
func (i *importing) tell(format string, args ...any) {
	if i.o.Note != nil {
		i.o.Note(fmt.Sprintf(format, args...))
	}
}

// makeProfiles makes those of the archive's profiles that are not here. One of the same name is this host's own and stays.
func (i *importing) makeProfiles(ctx context.Context) error {
	for _, p := range i.archive.Profiles {
		mine, err := i.m.DB.Profile(ctx, p.Name)
		if err == nil {
			if !reflect.DeepEqual(normal(mine), normal(p)) && p.Name != "default" {
				i.tell("profile %s is another one here, and is used as it is", p.Name)
			}
			continue
		}
		if sysctl.KindOf(err) != sysctl.NotFound {
			return err
		}
		if p.Devices, err = i.adapt(ctx, "profile "+p.Name+": ", p.Devices); err != nil {
			return err
		}
		if err := i.m.CreateProfile(ctx, p); err != nil {
			return err
		}
		i.profiles = append(i.profiles, p.Name)
		i.tell("profile %s was not here and was made", p.Name)
	}
	return nil
}

// normal is a profile without what does not change what it does.
func normal(p sysctl.Profile) sysctl.Profile {
	p.Description = ""
	if len(p.Config) == 0 {
		p.Config = nil
	}
	if len(p.Devices) == 0 {
		p.Devices = nil
	}
	return p
}

// adapt puts nics whose network or interface is not on this host on the default network.
func (i *importing) adapt(ctx context.Context, whose string, devices map[string]sysctl.Device) (map[string]sysctl.Device, error) {
	out := map[string]sysctl.Device{}
	for _, name := range sortedKeys(devices) {
		d := maps.Clone(devices[name])
		out[name] = d
		if d["type"] != "nic" {
			continue
		}
		var err error
		missing := ""
		switch {
		case d["network"] != "":
			missing = "network " + d["network"]
			_, err = i.m.network(ctx, d["network"])
		case d["parent"] != "":
			missing = "interface " + d["parent"]
			_, err = i.m.Net.Parent(ctx, d["parent"])
		}
		if err == nil {
			continue
		}
		if sysctl.KindOf(err) != sysctl.NotFound {
			return nil, err
		}
		out[name] = sysctl.Device{"type": "nic", "network": i.m.DefaultNetwork.Name}
		for _, option := range []string{"name", "hwaddr"} {
			if d[option] != "" {
				out[name][option] = d[option]
			}
		}
		i.tell("%s%s is not on this host: %s is on %s", whose, missing, name, i.m.DefaultNetwork.Name)
	}
	return out, nil
}
