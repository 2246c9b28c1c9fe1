package manager

import (
	"context"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
)

// idBlock is where the ids that a configuration asks for are taken from; nil: a privileged instance has none.
func (m *Manager) idBlock(spec sysctl.Spec) *db.IDBlock {
	b := m.IDs
	b.Shared = spec.IDs.Shared
	switch {
	case spec.Privileged:
		return nil
	case spec.IDs.Base > 0:
		b.Base, b.Count, b.Fixed = spec.IDs.Base, 1, true
		if spec.IDs.Size > 0 {
			b.Size = spec.IDs.Size
		}
	case spec.IDs.Size > 0:
		b.Count = int(uint64(b.Count) * uint64(b.Size) / uint64(spec.IDs.Size))
		b.Size = spec.IDs.Size
	}
	return &b
}

// wantedIDs returns the ids that an instance is to have, and whether it has them. Without a base any range of the size does.
func (m *Manager) wantedIDs(inst sysctl.Instance, spec sysctl.Spec) (block *db.IDBlock, has bool) {
	block = m.idBlock(spec)
	if block == nil || inst.IDMap.Size == 0 {
		return nil, true
	}
	return block, inst.IDMap.Size == block.Size && inst.IDMap.Shared == block.Shared && (!block.Fixed || inst.IDMap.Base == block.Base)
}

// checkIDRange refuses ids that another instance has, or that the kernel would not map. Not those that raw.idmap asks for: they are
// to be shared. The claim itself would say so, but a dry run makes none, and a running instance makes it at its next start.
func (m *Manager) checkIDRange(ctx context.Context, name string, spec sysctl.Spec) error {
	block := m.idBlock(spec)
	if block == nil {
		return nil
	}
	if spec.IDs.Raw != "" {
		ids := sysctl.IDMap{Base: block.Base, Size: block.Size, Raw: spec.IDs.Raw}
		if err := ids.CheckIDs(); err != nil && block.Fixed {
			return sysctl.FieldErrors{{Field: "raw.idmap", Msg: err.Error()}}
		}
	}
	if err := checkNodeIDs(spec, sysctl.IDMap{Base: block.Base, Size: block.Size, Raw: spec.IDs.Raw}); err != nil {
		return err
	}
	if block.Count == 0 {
		return sysctl.FieldErrors{{Field: "security.idmap.size", Msg: "is more than this environment gives out: security.idmap.base may lie elsewhere"}}
	}
	if uint64(block.Base)+uint64(block.Size) > 1<<32-1 {
		return sysctl.FieldErrors{{Field: "security.idmap.size", Msg: "is more than there are from the base on"}}
	}
	if !block.Fixed {
		return nil
	}
	all, err := m.DB.Instances(ctx)
	if err != nil {
		return err
	}
	for _, inst := range all {
		if block.Shared && inst.IDMap.Shared && inst.IDMap.Base == block.Base && inst.IDMap.Size == block.Size {
			continue
		}
		from, to := uint64(inst.IDMap.Base), uint64(inst.IDMap.Base)+uint64(inst.IDMap.Size)
		if inst.Name != name && from < uint64(block.Base)+uint64(block.Size) && uint64(block.Base) < to {
			return sysctl.E(sysctl.Exists, "security.idmap.base: instance %s has the ids %d to %d", inst.Name, from, to-1).WithHint("sysctl info %s", inst.Name)
		}
	}
	return nil
}

// moveIDs gives a stopped instance the ids that its configuration asks for. On disk there is nothing to do but where layers are
// copied for ids (storage.shift): storage does it when the root is mounted.
func (m *Manager) moveIDs(ctx context.Context, inst *sysctl.Instance, spec sysctl.Spec) error {
	if block, has := m.wantedIDs(*inst, spec); !has {
		ids, err := m.DB.MoveIDs(ctx, inst.ID, *block)
		if err != nil {
			return err
		}
		inst.IDMap = ids
		if err := m.collectLayers(ctx); err != nil { // copies for those that it had
			return err
		}
	}
	return mapRaw(inst, spec)
}

// mapRaw adds to an instance's ids those of raw.idmap, which are configuration.
func mapRaw(inst *sysctl.Instance, spec sysctl.Spec) error {
	if inst.IDMap.Size == 0 {
		return nil
	}
	inst.IDMap.Raw = spec.IDs.Raw
	return sysctl.Wrap(inst.IDMap.CheckIDs(), "raw.idmap")
}
