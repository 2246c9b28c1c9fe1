package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
)

// Check looks at the host: what each hand found, what each missing piece costs and what repairs it. It
// changes nothing that stays.
func (m *Manager) Check(ctx context.Context) ([]sysctl.Fact, error) {
	facts := m.Runtime.Probe(ctx)
	facts = append(facts, m.Storage.Probe(ctx)...)
	facts = append(facts, m.Net.Probe(ctx)...)
	return append(facts, m.networkFacts(ctx)...), ctx.Err()
}
