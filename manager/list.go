package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager/compat"
	"github.com/sysctl-os/sysctl/profiles"
)

// List returns all instances, by name, as promised and as observed. It takes no lock and touches no
// storage. It fails only where the database does: what is wrong with an instance is in its State.
func (m *Manager) List(ctx context.Context) ([]Info, error) {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, len(all))
	for i, inst := range all {
		infos[i] = m.observe(inst)
	}
	return infos, nil
}

// observe adds what the kernel says to what the database promises.
func (m *Manager) observe(inst sysctl.Instance) Info {
	s := m.Runtime.State(inst.ID)
	// A monitor outlives the guest's init by moments when the guest halts, and starts another one when it reboots. Nothing
	// that can be observed tells the two apart, so the status stays what it is: no process of the guest's runs.
	if s.Status == sysctl.Stopped && s.Monitor.PID != 0 && s.RunID != "" {
		s.Problems = append(s.Problems, "its run is not over yet: the guest is rebooting, or on its way out")
	}
	switch {
	case inst.Ready:
	case m.lockHeld("instance", inst.Name):
		s.Problems = append(s.Problems, "a command is making or deleting it right now")
	default:
		s.Status = sysctl.Broken
		s.Problems = append(s.Problems, "left half-made by an interrupted command (sysctl delete "+inst.Name+")")
	}
	return Info{Instance: inst, State: s}
}

// Info returns everything known of one instance.
func (m *Manager) Info(ctx context.Context, name string) (Detail, error) {
	d, err := m.info(ctx, name)
	return d, sysctl.Wrap(err, "info %s", name)
}

func (m *Manager) info(ctx context.Context, name string) (Detail, error) {
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Info: m.observe(inst), Usage: sysctl.Usage{Processes: -1, Memory: -1, CPU: -1}}
	if d.State.Init.PID != 0 {
		d.Usage = m.Runtime.Usage(inst.ID)
		d.Uptime = m.Now().Sub(d.State.Started)
	}
	if d.Usage.Disk, err = m.Storage.Usage(ctx, inst.ID); err != nil {
		d.Usage.Disk = -1
		d.State.Problems = append(d.State.Problems, err.Error())
	}
	if d.Crashes, err = m.DB.Crashes(ctx, inst.ID); err != nil {
		return d, err
	}
	if d.Expanded, d.AllDevs, err = m.expanded(ctx, inst); err != nil {
		return d, err
	}
	spec, bad := profiles.Resolve(d.Expanded, d.AllDevs)
	if bad == nil {
		d.Usage.DiskMax = spec.Root.Size
	}
	if d.Measures, d.Refusals, err = m.inForce(ctx, d, spec, bad); err != nil {
		d.State.Problems = append(d.State.Problems, err.Error())
	}
	return d, nil
}

// inForce are the measures that an instance's run was started with or, where none runs, those of its next start, or why
// that would fail. They are told by what the guest was found to be last; CheckGuest looks again. spec is what it is configured to be, bad why
// that is nothing.
func (m *Manager) inForce(ctx context.Context, d Detail, spec sysctl.Spec, bad error) ([]sysctl.Measure, []sysctl.Remark, error) {
	measures, refusals := []sysctl.Measure{}, []sysctl.Remark{}
	if d.State.Init.PID != 0 {
		return append(measures, d.State.Measures...), refusals, nil
	}
	if bad != nil {
		return measures, refusals, bad
	}
	h, err := m.Runtime.Host(ctx)
	if err != nil {
		return measures, refusals, err
	}
	v := compat.Judge(h, d.Guest, spec)
	return v.Measures, v.Refusals, nil
}
