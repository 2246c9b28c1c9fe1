package compat

import (
	"slices"

	"github.com/sysctl-os/sysctl"
)

// Judge says whether a guest boots on a host, and with which measures. Of an instance's configuration it looks at Privileged,
// at Memory and at Compat, where a name that is no measure is not looked at. A measure that is switched off leaves a note of what will
// happen; one that is needed and cannot be taken here refuses.
func Judge(h sysctl.Host, g sysctl.Guest, spec sysctl.Spec) sysctl.Verdict {
	v := sysctl.Verdict{Measures: []sysctl.Measure{}, Refusals: []sysctl.Remark{}, Notes: []sysctl.Remark{}}
	for _, m := range table() {
		choice := spec.Compat[m.ID]
		needed := m.needed(h, g) && !(m.unprivileged && spec.Privileged) && !(m.limited && spec.Memory.Bytes == 0 && spec.Memory.Percent == 0)
		if choice == sysctl.Off && m.undo != nil {
			m.undo(&v.Effect)
		}
		switch {
		case choice == sysctl.Off && needed:
			v.Notes = append(v.Notes, sysctl.Remark{ID: m.ID, Why: m.without + " (compat." + m.ID + " is off)", Way: "sysctl config unset NAME compat." + m.ID})
		case choice == sysctl.Off, choice != sysctl.On && !needed:
		default:
			if taken(v.Measures, m.instead) {
				v.Refusals = append(v.Refusals, sysctl.Remark{ID: m.ID,
					Why: "compat." + m.ID + " is on and the measure " + m.instead + " is in force, and it can have only one of the two",
					Way: "sysctl config unset NAME compat." + m.ID})
				continue
			}
			if m.cannot != nil {
				if why := m.cannot(h, g); why.Why != "" {
					why.ID = m.ID
					v.Refusals = append(v.Refusals, why)
					continue
				}
			}
			m.effect(&v.Effect)
			v.Measures = append(v.Measures, sysctl.Measure{ID: m.ID, Does: m.does, Because: m.without, Forced: !needed, Told: m.told && needed})
		}
	}
	for _, r := range refusals() {
		if why, way := r.when(h, g); why != "" {
			v.Refusals = append(v.Refusals, sysctl.Remark{ID: r.id, Why: why, Way: way})
		}
	}
	for _, n := range notes() {
		if n.unprivileged && spec.Privileged {
			continue
		}
		if why, way := n.when(h, g); why != "" {
			v.Notes = append(v.Notes, sysctl.Remark{ID: n.id, Why: why, Way: way})
		}
	}
	v.Boots = len(v.Refusals) == 0
	return v
}

func taken(all []sysctl.Measure, id string) bool {
	return slices.ContainsFunc(all, func(m sysctl.Measure) bool { return m.ID == id })
}
