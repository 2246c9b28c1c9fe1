package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/profiles"
)

const protectDelete, protectStart = "security.protection.delete", "security.protection.start"

// mayStart refuses to start an instance that is protected from it, or would listen where another one that runs does.
func (m *Manager) mayStart(ctx context.Context, name string, spec sysctl.Spec) error {
	if spec.Protection.Start {
		return sysctl.E(sysctl.Conflict, "it is protected from being started").WithHint("sysctl config set %s %s=false", name, protectStart)
	}
	return m.checkListens(ctx, name, spec.Proxies)
}

// mayDelete refuses to delete an instance that is protected from it. One that is not ready is not: nobody has it yet.
func (m *Manager) mayDelete(ctx context.Context, inst sysctl.Instance) error {
	protected, err := m.protected(ctx, inst)
	if protected {
		return sysctl.E(sysctl.Conflict, "it is protected from being deleted").WithHint("sysctl config set %s %s=false", inst.Name, protectDelete)
	}
	return err
}

// protected reads that one key alone: what else is wrong with an instance's configuration must not keep it from being deleted.
func (m *Manager) protected(ctx context.Context, inst sysctl.Instance) (bool, error) {
	if !inst.Ready {
		return false, nil
	}
	config, _, err := m.expanded(ctx, inst)
	if err != nil {
		return false, err
	}
	spec, err := profiles.Resolve(map[string]string{protectDelete: config[protectDelete]}, nil)
	return spec.Protection.Delete, err
}

// dispose deletes an ephemeral instance that has stopped, unless it is protected.
func (m *Manager) dispose(ctx context.Context, inst sysctl.Instance) error {
	if protected, err := m.protected(ctx, inst); protected || err != nil {
		return err
	}
	return m.destroy(ctx, inst)
}
