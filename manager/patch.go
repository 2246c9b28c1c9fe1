package manager

import (
	"context"
	"fmt"
	"slices"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/db"
	"github.com/sysctl-os/sysctl/manager/compat"
	"golang.org/x/sys/unix"
)

// mayPatch reports whether a start has to look into a guest's programs, whatever guest it is, or to undo that it once did.
func mayPatch(host sysctl.Host, inst sysctl.Instance, spec sysctl.Spec) bool {
	return host.Vsyscall == sysctl.VsyscallNone || spec.Compat["vsyscall"] == sysctl.On || inst.Patched.Any()
}

// callsVsyscall is whether a guest's programs have to be changed before it boots.
func callsVsyscall(host sysctl.Host, g sysctl.Guest, spec sysctl.Spec) bool {
	return compat.Judge(host, g, spec).Effect.Vsyscall
}

// patch has an instance run changed copies of those of its programs that cannot run here, where the verdict is so, and
// else what is in its image and what it wrote. Copies of the image's files are in a layer on top of the image's; what the
// instance itself wrote is changed in place, with a record beside it. It is idempotent; the instance's lock is held and it
// is not mounted.
func (m *Manager) patch(ctx context.Context, host sysctl.Host, inst *sysctl.Instance, spec sysctl.Spec, p sysctl.Progress) error {
	var want sysctl.Patched
	var err error
	switch {
	case callsVsyscall(host, inst.Guest, spec):
		want, err = m.patchAll(ctx, *inst, p)
	case inst.Patched.Any():
		err = m.Storage.RestoreUpper(ctx, inst.ID)
	}
	if err != nil {
		return err
	}
	if want.Layer != inst.Patched.Layer {
		if err := m.Storage.Restack(ctx, inst.ID); err != nil {
			return err
		}
	}
	if !same(want, inst.Patched) {
		if err := m.DB.SetInstancePatched(ctx, inst.ID, want); err != nil {
			return err
		}
	}
	inst.Patched = want
	return nil
}

func same(a, b sysctl.Patched) bool {
	return a.Layer == b.Layer && a.Files == b.Files && a.Own == b.Own && slices.Equal(a.Unsure, b.Unsure)
}

func (m *Manager) patchAll(ctx context.Context, inst sysctl.Instance, p sysctl.Progress) (sysctl.Patched, error) {
	layer, err := m.patchedLayer(ctx, inst.Layers, p)
	if err != nil {
		return sysctl.Patched{}, err
	}
	find, edition := m.Guests.Vsyscalls()
	own, unsure, err := m.Storage.PatchUpper(ctx, inst.ID, layer.Files, edition, find, p)
	return sysctl.Patched{Layer: layer.Layer, Files: len(layer.Files), Own: own, Unsure: append(slices.Clone(layer.Unsure), unsure...)}, err
}

// patchedLayer returns the layer of changed copies for a list of layers, which an instance consists of. Who comes first
// makes it; the others wait and use it.
func (m *Manager) patchedLayer(ctx context.Context, layers []string, p sysctl.Progress) (db.PatchedLayer, error) {
	find, edition := m.Guests.Vsyscalls()
	there := func() (db.PatchedLayer, bool, error) {
		l, err := m.DB.PatchedLayer(ctx, layers)
		if sysctl.KindOf(err) == sysctl.NotFound {
			return l, false, nil
		}
		return l, err == nil && l.Edition == edition, err
	}
	if l, ok, err := there(); ok || err != nil {
		return l, err
	}
	unlock, err := m.lock(ctx, "patched", sysctl.ShortID(ImageID(layers)), p)
	if err != nil {
		return db.PatchedLayer{}, err
	}
	defer unlock()
	if l, ok, err := there(); ok || err != nil {
		return l, err
	}
	p.Report("look into programs", 0, 0)
	s, found, err := m.Storage.StagePatched(ctx, layers, find, p)
	if err != nil {
		return db.PatchedLayer{}, err
	}
	made := db.PatchedLayer{Edition: edition, Files: found.Files, Unsure: found.Unsure}
	if s == nil {
		return made, m.DB.SetPatchedLayer(ctx, layers, made, sysctl.Layer{})
	}
	defer s.Abort()
	unlockLayers, err := m.lockLayers(ctx, unix.LOCK_SH)
	if err != nil {
		return made, err
	}
	defer unlockLayers()
	l, err := s.Commit(ctx)
	if err != nil {
		return made, err
	}
	made.Layer = l.ID
	return made, m.DB.SetPatchedLayer(ctx, layers, made, l)
}

// copies is what is known of the changed copies that go into a file for others.
type copies struct {
	files  int
	unsure []string
}

// over returns a list of layers with the layer of changed copies on top. The copies are made whether or not this host needs
// them: who asks wants files that run anywhere.
func (c *copies) over(ctx context.Context, m *Manager, layers []string, p sysctl.Progress) ([]string, error) {
	l, err := m.patchedLayer(ctx, layers, p)
	if err != nil {
		return nil, err
	}
	c.files += len(l.Files)
	for _, path := range l.Unsure {
		if !slices.Contains(c.unsure, path) {
			c.unsure = append(c.unsure, path)
		}
	}
	if l.Layer == "" {
		return layers, nil
	}
	return append(slices.Clone(layers), l.Layer), nil
}

// tell says what is not as whoever asked for copies may believe.
func (c copies) tell(note func(string)) {
	if note == nil {
		return
	}
	if c.files == 0 {
		note("none of its programs is known to call the vsyscall page: there is no changed copy to write")
	}
	if n := len(c.unsure); n > 0 {
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" and %d more", n-1)
		}
		note(c.unsure[0] + more + ": it looks as if it called the vsyscall page, but nobody can tell: written as it is")
	}
}
