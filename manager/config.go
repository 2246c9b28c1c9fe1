package manager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/profiles"
)

// SetConfig changes an instance's own configuration. Keys are config keys or "devices.NAME.OPTION". A nil
// value unsets. All bad fields are reported at once (sysctl.FieldErrors) and then nothing is changed.
// live reports the keys that took effect at once; the others do at the next start.
func (m *Manager) SetConfig(ctx context.Context, name string, set map[string]*string) (live []string, err error) {
	return m.setBy(ctx, name, func(sysctl.Instance) (map[string]*string, error) { return set, nil })
}

// setBy changes what choose says, which looks at the instance under its lock.
func (m *Manager) setBy(ctx context.Context, name string, choose func(sysctl.Instance) (map[string]*string, error)) (live []string, err error) {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	var set map[string]*string
	if err == nil {
		set, err = choose(inst)
	}
	if err == nil {
		live, err = m.setConfig(ctx, inst, set)
	}
	return live, sysctl.Wrap(err, "config %s", name)
}

func (m *Manager) setConfig(ctx context.Context, inst sysctl.Instance, set map[string]*string) ([]string, error) {
	old, err := m.spec(ctx, inst)
	if err != nil {
		return nil, err
	}
	set, absent, err := dropAbsent(inst, set)
	if err != nil {
		return nil, err
	}
	before := inst
	if err := change(&inst, set); err != nil {
		return nil, err
	}
	if err := m.checkConfig(inst.Config, inst.Devices); err != nil {
		return nil, m.overriding(ctx, before, set, err)
	}
	spec, err := m.spec(ctx, inst)
	if err != nil {
		return nil, err
	}
	claims, err := m.canBecome(ctx, inst, old, spec)
	if err != nil {
		return nil, err
	}
	live, err := m.applyLive(inst, old, spec, set)
	if err != nil {
		return nil, err
	}
	save := func(ctx context.Context, i sysctl.Instance) error {
		return m.DB.SetInstanceConfig(ctx, i.ID, i.Config, i.Devices)
	}
	steps, later, err := m.reconfigure(ctx, before, &inst, claims, deviceNames(set), save)
	if err == nil {
		err = runSteps(ctx, steps, false, nil)
	}
	if err != nil {
		return nil, errors.Join(err, m.relimit(inst, spec, old))
	}
	for _, key := range sortedKeys(set) {
		if of := deviceNames(map[string]bool{key: true}); len(of) > 0 && !slices.Contains(later(), of[0]) {
			live = append(live, key)
		}
	}
	return append(live, absent...), nil
}

// canBecome checks that an instance made with the spec old can have another one, and returns what that claims.
func (m *Manager) canBecome(ctx context.Context, inst sysctl.Instance, old, spec sysctl.Spec) ([]db.ClaimNIC, error) {
	if spec.Privileged != old.Privileged {
		return nil, sysctl.FieldErrors{{Field: "security.privileged", Msg: "can be chosen only when an instance is made: its files belong to its id range"}}
	}
	if !slices.Equal(spec.Guest.SkipPrep, old.Guest.SkipPrep) {
		return nil, sysctl.FieldErrors{{Field: prepKey, Msg: "can be chosen only when an instance is made: the steps have been done since"}}
	}
	if spec.Root.Size != old.Root.Size {
		if err := m.checkSize(spec); err != nil {
			return nil, err
		}
	}
	if spec.CPU.Set != old.CPU.Set {
		if err := m.checkCPUs(spec); err != nil {
			return nil, err
		}
	}
	if err := m.checkIDRange(ctx, inst.Name, spec); err != nil {
		return nil, err
	}
	claims, err := m.claimNICs(ctx, spec, inst)
	if err != nil {
		return nil, err
	}
	if err := m.checkFree(ctx, inst.Name, claims); err != nil {
		return nil, err
	}
	if m.Runtime.State(inst.ID).Status == sysctl.Stopped {
		return claims, nil // who is first has the port
	}
	return claims, m.checkListens(ctx, inst.Name, newProxies(old.Proxies, spec.Proxies))
}

// reconfigure returns the steps that save an instance's configuration with its claims, and give it the devices that names are
// about, as far as it runs. later tells afterwards which of those wait for the next start.
func (m *Manager) reconfigure(ctx context.Context, before sysctl.Instance, inst *sysctl.Instance, claims []db.ClaimNIC, names []string,
	save func(ctx context.Context, i sysctl.Instance) error) (steps []step, later func() []string, err error) {
	old, have, err := m.resolved(ctx, before, sysctl.Profile{})
	if err != nil {
		return nil, nil, err
	}
	oldClaims, err := m.claimNICs(ctx, old, before)
	if err != nil {
		return nil, nil, err
	}
	_, want, err := m.expanded(ctx, *inst)
	if err != nil {
		return nil, nil, err
	}
	saving := func(i *sysctl.Instance, claims []db.ClaimNIC) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			if err = save(ctx, *i); err == nil {
				i.NICs, err = m.DB.ReplaceNICs(ctx, i.ID, claims, m.Net.MAC)
			}
			return err
		}
	}
	plugs, later, err := m.replug(inst, have, want, names)
	undo := func(ctx context.Context) error {
		if err := saving(&before, oldClaims)(ctx); err != nil {
			return err
		}
		r := running{&before, m.Runtime.State(before.ID)}
		isNIC := func(name string) bool { return have[name]["type"] == "nic" || want[name]["type"] == "nic" }
		if r.state.Init.PID == 0 || !slices.ContainsFunc(names, isNIC) {
			return nil
		}
		return m.rewriteGuest(ctx, r) // plugs have written what was to be
	}
	return append([]step{{name: "save configuration", do: saving(inst, claims), undo: undo}}, plugs...), later, err
}

// overriding adds the way out to the error of who sets an option of a device that only a profile has: an own device
// replaces the profile's as a whole, so the profile's options have to be said too.
func (m *Manager) overriding(ctx context.Context, inst sysctl.Instance, set map[string]*string, bad error) error {
	var fields sysctl.FieldErrors
	_, all, err := m.expanded(ctx, inst)
	if err != nil || !errors.As(bad, &fields) || len(fields) > 1 {
		return bad // more is wrong than the missing type
	}
	for _, key := range sortedKeys(set) {
		rest, isDevice := strings.CutPrefix(key, "devices.")
		name, _, _ := strings.Cut(rest, ".")
		if _, own := inst.Devices[name]; !isDevice || own || all[name] == nil || fields[0].Field != "devices."+name+".type" {
			continue
		}
		words := "sysctl config set " + inst.Name
		for _, option := range sortedKeys(all[name]) {
			if set["devices."+name+"."+option] == nil {
				words += " " + setting("devices."+name+"."+option, all[name][option])
			}
		}
		for _, key := range sortedKeys(set) {
			if set[key] != nil {
				words += " " + setting(key, *set[key])
			}
		}
		return sysctl.E(sysctl.Invalid, "%w", bad).WithHint("%s: %s is a profile's, and one of its own replaces it as a whole", words, name)
	}
	return bad
}

// setting is KEY=VALUE as one types it into a shell.
func setting(key, value string) string {
	if strings.ContainsAny(value, " \t\n'\"\\$`*?;&|<>()") {
		value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	}
	return key + "=" + value
}

// dropAbsent takes what is to be unset and is not there out of set, and returns it: nothing of it has to take
// effect. A key that does not exist is refused, as it is a slip of the pen; one that is set can be unset
// whatever it is.
func dropAbsent(inst sysctl.Instance, set map[string]*string) (rest map[string]*string, absent []string, err error) {
	var bad sysctl.FieldErrors
	rest = maps.Clone(set)
	for _, key := range sortedKeys(set) {
		if set[key] != nil || isSet(inst, key) {
			continue
		}
		var fields sysctl.FieldErrors
		if !strings.HasPrefix(key, "devices.") && errors.As(profiles.Check(map[string]string{key: ""}, nil), &fields) {
			bad = append(bad, fields...)
		}
		delete(rest, key)
		absent = append(absent, key)
	}
	return rest, absent, bad.Err()
}

// isSet reports whether an instance itself has a key, a device ("devices.NAME") or an option of one.
func isSet(inst sysctl.Instance, key string) bool {
	_, ok := inst.Config[key]
	if rest, isDevice := strings.CutPrefix(key, "devices."); isDevice {
		name, option, isOption := strings.Cut(rest, ".")
		var device sysctl.Device
		if device, ok = inst.Devices[name]; isOption {
			_, ok = device[option]
		}
	}
	return ok
}

// change applies sets and unsets to an instance's own keys and devices.
func change(inst *sysctl.Instance, set map[string]*string) error {
	var bad sysctl.FieldErrors
	config, devices := maps.Clone(inst.Config), map[string]sysctl.Device{}
	if config == nil {
		config = map[string]string{}
	}
	for name, d := range inst.Devices {
		devices[name] = maps.Clone(d)
	}
	for _, key := range sortedKeys(set) {
		rest, isDevice := strings.CutPrefix(key, "devices.")
		if !isDevice {
			put(config, key, set[key])
			continue
		}
		name, option, ok := strings.Cut(rest, ".")
		switch {
		case !ok && set[key] == nil:
			delete(devices, name)
			continue
		case !ok || name == "" || option == "":
			bad.Add(key, "write devices.NAME.OPTION")
			continue
		}
		if devices[name] == nil {
			devices[name] = sysctl.Device{}
		}
		put(devices[name], option, set[key])
		if len(devices[name]) == 0 {
			delete(devices, name)
		}
	}
	inst.Config, inst.Devices = config, devices
	return bad.Err()
}

func put(m map[string]string, key string, value *string) {
	if value == nil {
		delete(m, key)
	} else {
		m[key] = *value
	}
}
