package manager

import (
	"context"
	"time"

	"github.com/sysctl-os/sysctl"
)

// Load is what an instance uses at a moment.
type Load struct {
	ID        int64            `json:"id"`
	Name      string           `json:"name"`
	Status    sysctl.Status    `json:"status"`
	Uptime    time.Duration    `json:"uptime_ns"` // 0: it does not run
	Disk      int64            `json:"disk"`      // bytes of its own upper; -1 where nobody asked
	Resources sysctl.Resources `json:"resources"` // all unknown where it does not run
}

// HostLoad is what the host has and uses.
type HostLoad struct {
	Resources sysctl.Resources `json:"resources"`
	Running   int              `json:"running"` // instances
	Instances int              `json:"instances"`
}

// Loads reads what each instance that runs uses, by name, and what the host does. It costs a dozen small files for each, and no
// storage. Instances that do not run are left out.
func (m *Manager) Loads(ctx context.Context) (HostLoad, []Load, error) {
	all, err := m.List(ctx)
	if err != nil {
		return HostLoad{}, nil, err
	}
	loads := []Load{}
	for _, i := range all {
		if i.State.Init.PID != 0 {
			loads = append(loads, m.load(i))
		}
	}
	return HostLoad{Resources: m.Runtime.HostResources(), Running: len(loads), Instances: len(all)}, loads, nil
}

func (m *Manager) load(i Info) Load {
	l := Load{ID: i.ID, Name: i.Name, Status: i.State.Status, Disk: -1, Resources: m.Runtime.Resources(i.ID, i.State.Init)}
	if i.State.Init.PID != 0 {
		l.Uptime = m.Now().Sub(i.State.Started)
	}
	return l
}

// Load reads what one instance uses, its disk too.
func (m *Manager) Load(ctx context.Context, name string) (Load, error) {
	inst, err := m.DB.Instance(ctx, name)
	if err != nil {
		return Load{}, sysctl.Wrap(err, "info %s", name)
	}
	l := m.load(m.observe(inst))
	if l.Disk, err = m.Storage.Usage(ctx, inst.ID); err != nil {
		l.Disk = -1
	}
	return l, nil
}

// SnapshotCounts returns how many snapshots instances have, by id; one without any is not there.
func (m *Manager) SnapshotCounts(ctx context.Context) (map[int64]int, error) {
	return m.DB.SnapshotCounts(ctx)
}
