package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/sysctl-os/sysctl"
)

// Export writes an instance as one archive: configuration, the content of its profiles, its snapshots and all layers, so that
// Import makes it again on any host. A stopped instance's upper becomes a layer, in no time; one that runs is frozen while
// its upper is copied, as for a snapshot, and goes on while the archive is written. Kinds as Snapshot; Invalid (the
// compression); what w gives.
func (m *Manager) Export(ctx context.Context, name string, w io.Writer, o ExportOptions) error {
	return sysctl.Wrap(m.export(ctx, name, w, o), "export %s", name)
}

// ArchiveFormats are the ways to compress an archive, the usual one first.
func (m *Manager) ArchiveFormats() []string { return m.Catalogue.ArchiveFormats() }

func (m *Manager) export(ctx context.Context, name string, w io.Writer, o ExportOptions) (err error) {
	if o.Compression != "" && !slices.Contains(m.ArchiveFormats(), o.Compression) {
		return sysctl.FieldErrors{{Field: "--compression", Msg: fmt.Sprintf("%q is no way to compress: write one of %v", o.Compression, m.ArchiveFormats())}}
	}
	done, err := m.makeLayers(ctx) // what is exported stays meanwhile
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	e := exporting{m: m, o: o, numbers: map[string]int{}}
	if err := e.capture(ctx, name); err != nil {
		return err
	}
	if o.WithCompat {
		e.copies.tell(o.Note)
	}
	if err := e.sums(ctx); err != nil {
		return err
	}
	index, err := json.MarshalIndent(e.archive, "", "\t")
	if err != nil {
		return err
	}
	left, err := m.Catalogue.WriteArchive(ctx, w, o.Compression, append(index, '\n'), e.layers, e.total, o.Progress)
	if err == nil && left > 0 && o.Note != nil {
		o.Note(fmt.Sprintf("sockets and device nodes are not in the archive: %d", left))
	}
	return err
}

// exporting is one export: what the archive has, and which of our layers those are.
type exporting struct {
	m       *Manager
	o       ExportOptions
	archive archive
	ids     []string       // of the layers by number, from 0
	numbers map[string]int // by id, from 1
	layers  []ArchiveLayer
	total   int64
	copies  copies
}

// capture notes what the instance is, with its lock held.
func (e *exporting) capture(ctx context.Context, name string) error {
	m := e.m
	inst, unlock, err := m.lockInstance(ctx, name, e.o.Progress)
	defer unlock()
	if err != nil {
		return err
	}
	if !inst.Ready {
		return halfMade(name)
	}
	e.archive = archive{Format: archiveFormat, Version: archiveVersion, Created: m.Now().UTC(), Instance: archivedInstance{
		Name: inst.Name, Template: inst.Template, Image: inst.Image, Ephemeral: inst.Ephemeral, Created: inst.Created.UTC()}}
	e.archive.Snapshots, e.archive.Profiles = []archivedSnapshot{}, []sysctl.Profile{}
	if inst.Layers, err = m.capture(ctx, inst, nil, e.o.Progress); err != nil {
		return err
	}
	profiles := map[string]bool{}
	if e.archive.Instance.archivedState, err = e.state(ctx, inst.Layers, inst.Guest, inst.Profiles, inst.Config, inst.Devices, profiles); err != nil {
		return err
	}
	if !e.o.InstanceOnly {
		list, err := m.DB.Snapshots(ctx, inst.ID)
		if err != nil {
			return err
		}
		for _, s := range list {
			state, err := e.state(ctx, s.Layers, s.Guest, s.Profiles, s.Config, s.Devices, profiles)
			if err != nil {
				return sysctl.Wrap(err, "snapshot %s", s.Name)
			}
			e.archive.Snapshots = append(e.archive.Snapshots, archivedSnapshot{Name: s.Name, Created: s.Created, Expires: s.Expires, Scheduled: s.Scheduled, archivedState: state})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		p, err := m.DB.Profile(ctx, name)
		if err != nil {
			return err
		}
		e.archive.Profiles = append(e.archive.Profiles, p)
	}
	return nil
}

// state numbers the layers, with the one of changed copies on top where those are asked for, and notes the profiles.
func (e *exporting) state(ctx context.Context, layers []string, g sysctl.Guest, profiles []string, config map[string]string, devices map[string]sysctl.Device, used map[string]bool) (archivedState, error) {
	s := archivedState{Guest: g, Profiles: profiles, Config: config, Devices: devices}
	if e.o.WithCompat {
		var err error
		if layers, err = e.copies.over(ctx, e.m, layers, e.o.Progress); err != nil {
			return s, err
		}
	}
	for _, id := range layers {
		if e.numbers[id] == 0 {
			e.ids = append(e.ids, id)
			e.numbers[id] = len(e.ids)
		}
		s.Layers = append(s.Layers, e.numbers[id])
	}
	for _, p := range profiles {
		used[p] = true
	}
	return s, nil
}

// sums reads all layers once: their digests are in the index, which is the first thing in the archive.
func (e *exporting) sums(ctx context.Context) error {
	known := map[string]bool{}
	if e.o.Thin {
		images, err := e.m.DB.Images(ctx)
		if err != nil {
			return err
		}
		for _, i := range images {
			for _, l := range i.Layers {
				known[l] = true
			}
		}
	}
	for i, id := range e.ids {
		if known[id] {
			l, err := e.m.DB.Layer(ctx, id)
			if err != nil {
				return err
			}
			e.archive.Layers = append(e.archive.Layers, archivedLayer{Digest: id, Size: l.Size, Absent: true})
			continue
		}
		e.o.Progress.Report("read", int64(i), int64(len(e.ids)))
		sum, err := e.m.Storage.LayerSum(ctx, id)
		if err != nil {
			return err
		}
		e.archive.Layers = append(e.archive.Layers, archivedLayer{Digest: sum.Digest, Size: sum.Size, Entries: sum.Entries})
		e.layers = append(e.layers, ArchiveLayer{Number: i + 1, Dir: e.m.Storage.LayerPath(id)})
		e.total += sum.Size
	}
	return nil
}
