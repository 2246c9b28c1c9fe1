package manager

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

// limits turns the limits of a spec into what the kernel takes. A number of CPUs becomes that many of
// the host's, chosen by the instance's id so that instances spread over them; of a set it is what the host has: Unsupported where
// that is nothing.
func (m *Manager) limits(id int64, spec sysctl.Spec) (sysctl.Limits, error) {
	l := sysctl.Limits{
		Memory: spec.Memory.Bytes, MemorySoft: spec.Memory.Soft, Swap: spec.Memory.Swap, SwapYield: spec.Memory.Yield,
		CPUs: spec.CPU.Set, CPU: spec.CPU.Time, Processes: spec.Processes, DiskShare: spec.DiskShare, HugePages: spec.HugePages,
	}
	if spec.Memory.Percent > 0 {
		total, err := m.Memory()
		if err != nil {
			return l, err
		}
		l.Memory = total / 100 * int64(spec.Memory.Percent)
	}
	if spec.CPU.Count == 0 && spec.CPU.Set == "" {
		return l, nil
	}
	online, err := m.CPUs()
	if err != nil {
		return l, err
	}
	var chosen []int
	for i := range min(spec.CPU.Count, len(online)) {
		chosen = append(chosen, online[(int(id)+i)%len(online)])
	}
	if spec.CPU.Set != "" {
		var missing []int
		if chosen, missing = within(spec.CPU.Set, online); len(missing) == 0 {
			return l, nil
		}
		if len(chosen) == 0 {
			return l, noCPU(missing, online)
		}
	}
	l.CPUs = listed(chosen)
	return l, nil
}

// checkCPUs refuses CPUs by number that this host does not have.
func (m *Manager) checkCPUs(spec sysctl.Spec) error {
	if spec.CPU.Set == "" {
		return nil
	}
	online, err := m.CPUs()
	if err != nil {
		return err
	}
	if _, missing := within(spec.CPU.Set, online); len(missing) > 0 {
		return noCPU(missing, online)
	}
	return nil
}

func noCPU(missing, online []int) error {
	return sysctl.E(sysctl.Unsupported, "limits.cpu: this host has no CPU %d: it has %s", missing[0], listed(online))
}

// within divides CPUs in list format into those that are there and those that are not.
func within(set string, online []int) (there, missing []int) {
	all, _ := sysctl.ListCPUs(set)
	for _, c := range all {
		if slices.Contains(online, c) {
			there = append(there, c)
		} else {
			missing = append(missing, c)
		}
	}
	return there, missing
}

func listed(cpus []int) string {
	var words []string
	for _, c := range cpus {
		words = append(words, strconv.Itoa(c))
	}
	return strings.Join(words, ",")
}

// applyLive brings the limits of set to a running instance and returns the keys that needed no restart. One that this host
// cannot enforce is Unsupported, and then nothing is changed.
func (m *Manager) applyLive(inst sysctl.Instance, old, spec sysctl.Spec, set map[string]*string) ([]string, error) {
	var live []string
	for _, key := range sortedKeys(set) {
		if k, ok := profiles.Lookup(key); ok && k.Live {
			live = append(live, key)
		}
	}
	if m.Runtime.State(inst.ID).Init.PID == 0 {
		return live, nil
	}
	l, err := m.limits(inst.ID, spec)
	if err != nil {
		return nil, err
	}
	for _, key := range m.Runtime.Unenforced(inst.ID, sysctl.Boot{Limits: l}) {
		if set[key] != nil && slices.Contains(live, key) {
			return nil, sysctl.E(sysctl.Unsupported, "%s: no cgroup of this host can enforce it", key).WithHint("sysctl check")
		}
	}
	return live, m.relimit(inst, old, spec)
}

// relimit gives a running instance the limits of another spec. Where one cannot be, it has the old ones again.
func (m *Manager) relimit(inst sysctl.Instance, old, spec sysctl.Spec) error {
	before, err := m.limits(inst.ID, old)
	if err != nil {
		return err
	}
	now, err := m.limits(inst.ID, spec)
	if err != nil || reflect.DeepEqual(before, now) || m.Runtime.State(inst.ID).Init.PID == 0 {
		return err
	}
	err = m.Runtime.Limit(inst.ID, sysctl.Boot{Instance: inst.ID, Limits: now})
	if err != nil {
		return errors.Join(err, m.Runtime.Limit(inst.ID, sysctl.Boot{Instance: inst.ID, Limits: before}))
	}
	return nil
}

// noteUnenforced says which limits of an instance that was started have no effect on this host. They are no reason not to start it:
// it may have come from another one.
func (m *Manager) noteUnenforced(id int64, spec sysctl.Spec, note func(string)) {
	l, err := m.limits(id, spec)
	if note == nil || err != nil {
		return
	}
	for _, key := range m.Runtime.Unenforced(id, sysctl.Boot{Limits: l}) {
		note(key + " has no effect: no cgroup of this host can enforce it")
	}
}
