package manager

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sysctl-os/sysctl"
)

// autostartParallel bounds how many instances of one priority start at once.
const autostartParallel = 4

// Autostart starts every instance with boot.autostart that does not run: higher priority first, those
// of one priority side by side, each priority's longest delay waited for before the next. Before
// that it removes what a crash of the host left: half-made instances, ephemeral ones that do
// not run, staging and trash. One instance's failure does not stop the others; it is in its result.
func (m *Manager) Autostart(ctx context.Context, p sysctl.Progress) ([]AutostartResult, error) {
	if err := m.recover(ctx); err != nil {
		return nil, sysctl.Wrap(err, "autostart: clean up")
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return nil, err
	}
	groups := map[int][]candidate{}
	for _, inst := range all {
		spec, err := m.spec(ctx, inst)
		if err == nil && (!spec.Autostart.Enabled || m.Runtime.State(inst.ID).Status != sysctl.Stopped) {
			continue
		}
		c := candidate{inst.Name, spec.Autostart, err}
		groups[spec.Autostart.Priority] = append(groups[spec.Autostart.Priority], c)
	}
	priorities := sortedInts(groups)
	slices.Reverse(priorities)
	var results []AutostartResult
	for i, priority := range priorities {
		results = append(results, m.startGroup(ctx, groups[priority], p)...)
		if i < len(priorities)-1 {
			if err := pause(ctx, groups[priority]); err != nil {
				return results, err
			}
		}
	}
	return results, ctx.Err()
}

type candidate struct {
	name string
	auto sysctl.Autostart
	err  error
}

func (m *Manager) startGroup(ctx context.Context, group []candidate, p sysctl.Progress) []AutostartResult {
	results := make([]AutostartResult, len(group))
	slots := make(chan struct{}, autostartParallel)
	var wg sync.WaitGroup
	for i, c := range group {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			results[i].Name = c.name
			err := c.err
			if err == nil {
				err = m.Start(ctx, c.name, StartOptions{})
			}
			if err != nil {
				results[i].Error = err.Error()
			}
			p.Report("started "+c.name, 0, 0)
		}()
	}
	wg.Wait()
	return results
}

// pause waits the longest delay of a group: boot.autostart.delay is a wait that the user asked for.
func pause(ctx context.Context, group []candidate) error {
	longest := slices.MaxFunc(group, func(a, b candidate) int { return cmp.Compare(a.auto.Delay, b.auto.Delay) })
	if longest.auto.Delay <= 0 {
		return nil
	}
	t := time.NewTimer(longest.auto.Delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recover removes what interrupted commands and a crashed host left. Instances that somebody works on
// right now are locked; waiting for the lock and reading the row again tells them apart.
func (m *Manager) recover(ctx context.Context) error {
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return err
	}
	for _, inst := range all {
		if inst.Ready && !inst.Ephemeral {
			continue
		}
		if err := m.recoverOne(ctx, inst.Name); err != nil {
			return sysctl.Wrap(err, "%s", inst.Name)
		}
	}
	return m.Storage.Sweep(ctx)
}

func (m *Manager) recoverOne(ctx context.Context, name string) error {
	inst, unlock, err := m.lockInstance(ctx, name, nil)
	defer unlock()
	if sysctl.KindOf(err) == sysctl.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if inst.Ready && (!inst.Ephemeral || m.Runtime.State(inst.ID).Status != sysctl.Stopped) {
		return nil
	}
	return m.destroy(ctx, inst)
}

func sortedInts[V any](m map[int]V) []int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
