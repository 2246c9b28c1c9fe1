package manager

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// keptFor is how long what an interrupted import has unpacked waits for the next try.
const keptFor = 24 * time.Hour

// Import makes an instance of an archive that Export wrote: under the name it had or another, with ids and addresses of this
// host. Profiles that are not here are made; of networks that are not here it takes the default one, and addresses that are
// taken it does not ask for: the user is told. Every layer is checked by its digest. An import that is interrupted leaves no
// instance, but keeps for a day the layers that it has unpacked: the next one of the same archive goes on behind them.
// Kinds: Exists (the name), Invalid (no such archive, damaged, tampered), NotFound (a layer that a thin archive does not have),
// Unsupported, NoSpace, and what r gives.
func (m *Manager) Import(ctx context.Context, r io.Reader, o ImportInstanceOptions) (sysctl.Instance, error) {
	inst, err := m.importInstance(ctx, r, o)
	return inst, sysctl.Wrap(err, "import")
}

func (m *Manager) importInstance(ctx context.Context, r io.Reader, o ImportInstanceOptions) (_ sysctl.Instance, err error) {
	if o.Name != "" {
		if err := checkNewName(o.Name); err != nil {
			return sysctl.Instance{}, sysctl.FieldErrors{{Field: "name", Msg: err.Error()}}
		}
	}
	if err := m.Storage.Sweep(ctx); err != nil { // room first
		return sysctl.Instance{}, err
	}
	done, err := m.makeLayers(ctx)
	if err != nil {
		return sysctl.Instance{}, err
	}
	i := &importing{m: m, o: o, unlock: func() {}}
	defer func() { err = errors.Join(err, i.close(context.WithoutCancel(ctx), err), done()) }()
	err = m.Catalogue.ReadArchive(ctx, r, ArchiveSink{
		Index: func(data []byte) error { return i.index(ctx, data) },
		Layer: func(n int) (string, int64, int64, error) { return i.layer(ctx, n) },
		Done:  func(int) error { return i.done(ctx) },
	}, o.Progress)
	if err != nil {
		return sysctl.Instance{}, err
	}
	return i.instance(ctx)
}

// importing is one import.
type importing struct {
	m       *Manager
	o       ImportInstanceOptions
	archive archive
	mk      *making
	unlock  func() // the instance's lock

	unfixed  bool     // addresses that its configuration fixes are left out
	profiles []string // that were made
	next     int      // the layer that must come next, from 0
	staging  Staging  // of the layer at hand
	kept     []string // layers that stay until the instance names them
}

// index checks all that can be checked before anything is unpacked.
func (i *importing) index(ctx context.Context, data []byte) error {
	var err error
	if i.archive, err = readArchive(data); err != nil {
		return err
	}
	name := i.o.Name
	if name == "" {
		name = i.archive.Instance.Name
		if err := checkNewName(name); err != nil {
			return sysctl.E(sysctl.Invalid, "%v", err).WithHint("sysctl import FILE NEW-NAME")
		}
	}
	if i.unlock, err = i.m.lock(ctx, "instance", name, i.o.Progress); err != nil {
		i.unlock = func() {}
		return err
	}
	if err := i.m.clearHalfMade(ctx, name); err != nil {
		if sysctl.KindOf(err) == sysctl.Exists {
			return sysctl.E(sysctl.Exists, "an instance %s exists", name).WithHint("sysctl import FILE NEW-NAME")
		}
		return err
	}
	for _, l := range i.archive.Layers {
		if !l.Absent {
			continue
		}
		if _, err := i.m.DB.Layer(ctx, l.Digest); err != nil {
			return sysctl.E(sysctl.NotFound, "layer %s is not in the archive and not here: %w", sysctl.ShortID(l.Digest), err).
				WithHint("export it without --thin, or pull or import its image first")
		}
	}
	if err := i.makeProfiles(ctx); err != nil {
		return err
	}
	return i.plan(ctx, name)
}

// plan checks the instance's configuration and says how it is made. What asks for things that this host does not have is
// changed.
func (i *importing) plan(ctx context.Context, name string) error {
	a := i.archive.Instance
	devices, err := i.adapt(ctx, "", a.Devices)
	if err != nil {
		return err
	}
	c := CreateOptions{Source: a.Template, Name: name, Profiles: append([]string{}, a.Profiles...), Config: withoutIDs(a.Config, i.o.Note), Devices: devices, Ephemeral: a.Ephemeral,
		Progress: i.o.Progress, Note: i.o.Note}
	spec, claim, err := i.m.checkCreate(ctx, &c)
	if err == nil {
		err = i.m.checkFree(ctx, name, claim.NICs)
	}
	if kind := sysctl.KindOf(err); kind == sysctl.Exists || kind == sysctl.Invalid {
		c.Devices = withoutFixed(devices, "", nil)
		if spec, claim, err = i.m.checkCreate(ctx, &c); err == nil {
			withoutFixed(devices, "cannot be had here: left out", i.o.Note)
			i.unfixed = true
			err = i.m.checkFree(ctx, name, claim.NICs)
		}
	}
	if err != nil {
		return err
	}
	if err := errors.Join(i.m.checkSources(spec), i.m.checkSize(spec)); err != nil {
		i.tell("%v: it does not start without", err)
	}
	claim.Instance.Name, claim.Instance.Created = name, a.Created
	g := a.Guest
	g.Fingerprint = "" // it is looked at again
	i.mk = &making{m: i.m, o: &c, spec: spec, claim: claim, copied: i.o.Fresh, kept: !i.o.Fresh,
		image: sysctl.Image{ID: a.Image, Layers: i.archive.stack(a.Layers), Guest: g}}
	return nil
}

// layer says where the layer of a number is unpacked to, and "" where it is here already.
func (i *importing) layer(ctx context.Context, n int) (string, int64, int64, error) {
	i.skipAbsent()
	if n != i.next+1 || n > len(i.archive.Layers) {
		return "", 0, 0, sysctl.E(sysctl.Invalid, "layer %d comes where layer %d of %d should: one is missing or there is one too many", n, i.next+1, len(i.archive.Layers))
	}
	l := i.archive.Layers[n-1]
	i.next = n
	there, err := i.m.DB.Layer(ctx, l.Digest)
	if err == nil {
		i.kept = append(i.kept, there.ID)
		return "", 0, 0, i.m.DB.KeepLayer(ctx, there, i.m.Now().Add(keptFor))
	}
	if sysctl.KindOf(err) != sysctl.NotFound {
		return "", 0, 0, err
	}
	if i.staging, err = i.m.Storage.Stage(ctx); err != nil {
		return "", 0, 0, sysctl.Wrap(err, "staging")
	}
	return i.staging.Dir(), l.Size, l.Entries, nil
}

func (i *importing) skipAbsent() {
	for i.next < len(i.archive.Layers) && i.archive.Layers[i.next].Absent {
		i.next++
	}
}

// done checks a layer that was unpacked, and keeps it.
func (i *importing) done(ctx context.Context) error {
	digest := i.archive.Layers[i.next-1].Digest
	i.o.Progress.Report("check", int64(i.next), int64(len(i.archive.Layers)))
	unlock, err := i.m.lockLayers(ctx, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := i.staging.CommitSum(ctx, digest)
	if sysctl.KindOf(err) == sysctl.Invalid {
		return sysctl.E(sysctl.Invalid, "layer %d of the archive is not what its index says: damaged or tampered with: %w", i.next, err).
			WithHint("get the file again and compare its checksum")
	}
	if err != nil {
		return sysctl.Wrap(err, "keep layer %d", i.next)
	}
	i.staging = nil
	i.kept = append(i.kept, digest)
	return i.m.DB.KeepLayer(ctx, l, i.m.Now().Add(keptFor))
}

// instance makes the instance, when all its layers are here.
func (i *importing) instance(ctx context.Context) (sysctl.Instance, error) {
	i.skipAbsent()
	if i.mk == nil || i.next != len(i.archive.Layers) {
		return sysctl.Instance{}, sysctl.E(sysctl.Invalid, "the archive ends before layer %d of %d", i.next+1, len(i.archive.Layers)).
			WithHint("get the file again and compare its checksum")
	}
	steps := i.mk.steps()
	last := len(steps) - 1
	steps = slices.Insert(steps, last, step{name: "keep its snapshots", do: i.snapshots}) // deleted with the instance's row
	if err := runSteps(ctx, steps, false, i.o.Progress); err != nil {
		return sysctl.Instance{}, err
	}
	return i.mk.inst, nil
}

func (i *importing) snapshots(ctx context.Context) error {
	for _, s := range i.archive.Snapshots {
		devices, err := i.adapt(ctx, "snapshot "+s.Name+": ", s.Devices)
		if err != nil {
			return err
		}
		if i.unfixed {
			devices = withoutFixed(devices, "", nil)
		}
		g := s.Guest
		g.Fingerprint = ""
		err = i.m.DB.AddSnapshot(ctx, i.mk.inst.ID, sysctl.Snapshot{Name: s.Name, Layers: i.archive.stack(s.Layers), Guest: g, Profiles: s.Profiles,
			Config: s.Config, Devices: devices, Created: s.Created, Expires: s.Expires, Scheduled: s.Scheduled})
		if err != nil {
			return sysctl.Wrap(err, "snapshot %s", s.Name)
		}
	}
	return nil
}

// close drops what nothing came of. Layers that were unpacked and are right are kept for the next try, but of an archive that
// can never be imported, or on a full disk.
func (i *importing) close(ctx context.Context, failed error) error {
	defer i.unlock()
	var err error
	if i.staging != nil {
		err = i.staging.Abort()
	}
	if failed != nil {
		for _, name := range i.profiles {
			if e := i.m.DB.DeleteProfile(ctx, name); e != nil && sysctl.KindOf(e) != sysctl.Conflict { // somebody uses it by now
				err = errors.Join(err, e)
			}
		}
	}
	switch sysctl.KindOf(failed) {
	case "", sysctl.Invalid, sysctl.Unsupported, sysctl.NoSpace:
		err = errors.Join(err, i.m.DB.DropLayers(ctx, i.kept))
	}
	return err
}
