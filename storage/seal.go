package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// What an instance wrote becomes a layer by a rename, and it gets another upper by another one. Both directories that are
// needed are made before (Prepare), in the instance's own, so that what follows needs no room and can be finished by
// whoever comes next: from what lies where it can be told how far it came.
//
//	instances/ID/next/{upper,work}  are to be the instance's next
//	instances/ID/seal               is to be the layer's directory

// PrepareUpper makes what Seal and RenewUpper need, durably. The next upper's root has the attributes of the layer
// like's, or of the present upper's where like is "". What an interrupted call left is made again. The caller holds the
// instance's lock, and the instance is stopped.
func (s *Store) PrepareUpper(ctx context.Context, inst int64, like string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	from := filepath.Join(home(s.instance(inst)), "upper")
	if like == "" { // it is to be a layer
		if err := s.setIDs(ctx, s.instance(inst), sysctl.IDMap{}, nil); err != nil {
			return sysctl.Wrap(err, "make the next upper of instance %d", inst)
		}
	} else {
		if err := checkLayerID(like); err != nil {
			return err
		}
		from = s.LayerPath(like)
	}
	return sysctl.Wrap(s.wayOut(s.prepareUpper(ctx, s.instance(inst), from)), "make the next upper of instance %d", inst)
}

func (s *Store) prepareUpper(ctx context.Context, dir, from string) error {
	if err := makeDirs(s.layers()); err != nil {
		return err
	}
	if err := unlimitOwn(dir); err != nil {
		return err
	}
	next, seal := filepath.Join(home(dir), "next"), filepath.Join(dir, "seal")
	for _, old := range []string{next, seal} {
		if err := s.discard(ctx, old); err != nil {
			return err
		}
	}
	if err := os.Mkdir(seal, 0o700); err != nil {
		return err
	}
	if err := makeUpper(next); err != nil {
		return err
	}
	if err := copyRoot(from, filepath.Join(next, "upper"), asIs); err != nil {
		return err
	}
	if upper := filepath.Join(home(dir), "upper"); home(dir) != dir && from == upper {
		// It is to be a layer, which nothing can be renamed to out of a subvolume.
		sealed := filepath.Join(seal, "fs")
		if err := os.Mkdir(sealed, 0o755); err != nil {
			return err
		}
		if _, err := copyTree(ctx, upper, sealed, asIs, "copy what it wrote", nil); err != nil {
			return err
		}
		return syncFilesystem(dir)
	}
	return syncDir(dir)
}

// Seal makes what an instance wrote the layer id, and gives it the upper of PrepareUpper. It is idempotent and finishes
// what an interrupted call began. It takes the same time and no space whatever is in the upper. The caller holds the
// instance's lock, the instance is stopped and not mounted, and RestoreUpper was called.
func (s *Store) Seal(ctx context.Context, inst int64, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkLayerID(id); err != nil {
		return err
	}
	return sysctl.Wrap(s.seal(ctx, s.instance(inst), filepath.Join(s.layers(), id)), "seal upper of instance %d", inst)
}

func (s *Store) seal(ctx context.Context, dir, layer string) error {
	if there, err := exists(layer); err != nil {
		return err
	} else if !there {
		if shifted, err := exists(filepath.Join(dir, idsName)); shifted || err != nil {
			return errors.Join(err, sysctl.E(sysctl.Internal, "it was not prepared: its ids are not the guest's"))
		}
		seal := filepath.Join(dir, "seal")
		if moved, err := exists(filepath.Join(seal, "fs")); err != nil {
			return err
		} else if !moved {
			if err := unlimit(filepath.Join(dir, "upper")); err != nil {
				return err
			}
			if err := os.Rename(filepath.Join(dir, "upper"), filepath.Join(seal, "fs")); err != nil {
				return err
			}
			if err := syncDir(seal); err != nil {
				return err
			}
		}
		if err := os.Rename(seal, layer); err != nil {
			return err
		}
		if err := syncDir(s.layers()); err != nil {
			return err
		}
	}
	return s.takeNext(ctx, dir)
}

// RenewUpper drops what an instance wrote, and gives it the upper of PrepareUpper. It is idempotent and finishes what an
// interrupted call began. The caller holds the instance's lock, and the instance is stopped.
func (s *Store) RenewUpper(ctx context.Context, inst int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.detachViews(func(v sysctl.View) bool { return v.Instance == inst && v.Layer == "" })
	if err == nil {
		err = s.renew(ctx, s.instance(inst))
	}
	return sysctl.Wrap(err, "renew upper of instance %d", inst)
}

func (s *Store) renew(ctx context.Context, dir string) error {
	// As long as the next one waits, the upper is the old one.
	waits, err := exists(filepath.Join(home(dir), "next", "upper"))
	if err != nil {
		return err
	}
	if waits {
		if err := unlimit(filepath.Join(home(dir), "upper")); err != nil {
			return err
		}
		for _, old := range []string{filepath.Join(dir, "patched.json"), filepath.Join(dir, idsName), filepath.Join(home(dir), "upper")} {
			if err := s.discard(ctx, old); err != nil {
				return err
			}
		}
	}
	if err := s.discard(ctx, filepath.Join(dir, "seal")); err != nil {
		return err
	}
	return s.takeNext(ctx, dir)
}

// takeNext moves the next upper and its work directory to where they belong. The upper that was there is gone.
func (s *Store) takeNext(ctx context.Context, dir string) error {
	into := home(dir)
	next := filepath.Join(into, "next")
	for _, name := range []string{"work", "upper"} {
		waits, err := exists(filepath.Join(next, name))
		if err != nil {
			return err
		}
		if !waits {
			continue
		}
		if name == "work" || into != dir { // there the upper's copy is the layer
			if err := s.discard(ctx, filepath.Join(into, name)); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(next, name), filepath.Join(into, name)); err != nil {
			return err
		}
	}
	if err := syncDir(into); err != nil {
		return err
	}
	err := os.Remove(next)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// CopyUpper begins a layer of what an instance has written, with all of it: owners, modes, times, extended attributes,
// hard links, holes, and what overlay says of layers below. Where the filesystem can, files share their blocks. Programs that PatchUpper has
// changed are as they were in the copy. The caller holds the instance's lock; one that runs is frozen meanwhile.
func (s *Store) CopyUpper(ctx context.Context, inst int64, p sysctl.Progress) (*Staging, error) {
	st, err := s.Stage(ctx)
	if err == nil {
		if err = s.copyUpper(ctx, inst, st, p); err != nil {
			err = errors.Join(s.wayOut(err), st.Abort())
		}
	}
	if err != nil {
		return nil, sysctl.Wrap(err, "copy upper of instance %d", inst)
	}
	return st, nil
}

func (s *Store) copyUpper(ctx context.Context, inst int64, st *Staging, p sysctl.Progress) error {
	r, err := s.readPatchRecord(inst)
	if err != nil {
		return err
	}
	have, err := readIDs(s.instance(inst))
	if err != nil {
		return err
	}
	c, err := copyTree(ctx, filepath.Join(home(s.instance(inst)), "upper"), st.own(), toGuest(have.Map), "copy what it wrote", p)
	if err != nil {
		return err
	}
	st.size = c.bytes
	root, err := unix.Open(st.own(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	for path, known := range r.Files {
		f, err := openInside(root, path, unix.O_RDWR)
		if err != nil {
			continue // the guest has removed or replaced it
		}
		if known.ours(f) {
			var before patchedFile
			if before, err = describe(f, known.Patches); err == nil {
				err = before.apply(f, false)
			}
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return sysctl.Wrap(err, "%s", shown(path))
		}
	}
	return nil
}

// CommitAs is Commit for what CopyUpper began: the layer is called id: what is in it decides nothing.
func (st *Staging) CommitAs(_ context.Context, id string) (sysctl.Layer, error) {
	if st.lock == nil {
		return sysctl.Layer{}, sysctl.E(sysctl.Conflict, "staging is finished already")
	}
	if err := checkLayerID(id); err != nil {
		return sysctl.Layer{}, err
	}
	l, err := st.place(id, st.size)
	return l, sysctl.Wrap(err, "commit layer")
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
