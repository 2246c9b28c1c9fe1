package manager

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/sysctl-os/sysctl"
)

// autostartParallel bounds how many instances of one priority start at once.
const autostartParallel = 4

// Autostart starts what is to run when the host has booted, where it does not: instances with boot.autostart, and those
// without a word about it that were running when the host went down. Higher priority first, those
// of one priority side by side, each priority's longest delay waited for before the next. Before
// that it removes what a crash of the host left: half-made instances, ephemeral ones that do
// not run, staging and trash. One instance's failure does not stop the others; it is in its result.
func (m *Manager) Autostart(ctx context.Context, o AutostartOptions) ([]AutostartResult, error) {
	if o.Crashed {
		return m.restartLost(ctx)
	}
	if err := m.recover(ctx); err != nil {
		return nil, sysctl.Wrap(err, "autostart: clean up")
	}
	all, on, err := m.powered(ctx)
	if err != nil {
		return nil, err
	}
	groups := map[int][]candidate{}
	for _, inst := range all {
		spec, err := m.spec(ctx, inst)
		auto := spec.Autostart
		if err == nil && (!auto.Enabled && !(on[inst.ID] && !auto.Disabled) || m.runs(inst)) {
			continue
		}
		groups[auto.Priority] = append(groups[auto.Priority], candidate{inst.Name, auto, err})
	}
	priorities := sortedInts(groups)
	slices.Reverse(priorities)
	var results []AutostartResult
	for i, priority := range priorities {
		results = append(results, m.startGroup(ctx, groups[priority], o.Progress)...)
		if i < len(priorities)-1 {
			if err := m.pause(ctx, groups[priority]); err != nil {
				return results, err
			}
		}
	}
	return results, ctx.Err()
}

// powered returns all instances, and which of them count as running.
func (m *Manager) powered(ctx context.Context) (all []sysctl.Instance, on map[int64]bool, err error) {
	if all, err = m.DB.Instances(ctx); err == nil {
		on, err = m.DB.Powered(ctx)
	}
	return all, on, err
}

// runs reports whether an instance runs, or its guest is rebooting right now. What an interrupted start has left does neither.
func (m *Manager) runs(inst sysctl.Instance) bool {
	s := m.Runtime.State(inst.ID)
	return s.Status != sysctl.Stopped || s.Monitor.PID != 0 && s.RunID != ""
}

type candidate struct {
	name string
	auto sysctl.Autostart
	err  error
}

func (m *Manager) startGroup(ctx context.Context, group []candidate, p sysctl.Progress) []AutostartResult {
	return sideBySide(group, autostartParallel, func(c candidate) AutostartResult {
		err := c.err
		if err == nil {
			err = m.Start(ctx, c.name, StartOptions{})
		}
		p.Report("started "+c.name, 0, 0)
		return resultOf(c.name, err)
	})
}

// sideBySide does something for each of a list, so many at a time, and returns what became of them, in order.
func sideBySide[T any](list []T, most int, do func(T) AutostartResult) []AutostartResult {
	results := make([]AutostartResult, len(list))
	slots := make(chan struct{}, most)
	var wg sync.WaitGroup
	for i, one := range list {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wg.Done() }()
			results[i] = do(one)
		}()
	}
	wg.Wait()
	return results
}

func resultOf(name string, err error) AutostartResult {
	if err != nil {
		return AutostartResult{Name: name, Error: err.Error()}
	}
	return AutostartResult{Name: name}
}

// pause waits the longest delay of a group: boot.autostart.delay is a wait that the user asked for.
func (m *Manager) pause(ctx context.Context, group []candidate) error {
	longest := slices.MaxFunc(group, func(a, b candidate) int { return cmp.Compare(a.auto.Delay, b.auto.Delay) })
	return m.pauseFor(ctx, longest.auto.Delay)
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
	return m.dispose(ctx, inst)
}

func sortedInts[V any](m map[int]V) []int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
