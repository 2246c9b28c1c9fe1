package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Staging is a layer under construction. It belongs to one goroutine; its maker's death frees it
// for SweepStaging.
type Staging struct {
	store *Store
	dir   string // staging/RANDOM
	lock  *os.File
	tree  *Tree
	below []string      // layers, lowest first; none: the tree is a plain directory
	size  int64         // bytes of the files, where CopyUpper has filled it
	want  string        // the digest that it must have; "": whatever it has
	host  *sysctl.IDMap // whose ids the tree has instead of the guest's; nil: it has those
}

// Stage begins a layer. Where none are below, it is an empty tree owned by root, 0755. Else it is what is written over
// those below, the lowest first, and the tree shows all of them: a mount in nobody's mount table, gone with the
// staging. What keeps the layers from being deleted is the caller's to arrange. Kinds as OpenRoot.
func (s *Store) Stage(ctx context.Context, below ...string) (*Staging, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := s.stage(below)
	return st, sysctl.Wrap(err, "stage layer")
}

func (s *Store) stage(below []string) (*Staging, error) {
	if err := makeDirs(s.staging()); err != nil {
		return nil, err
	}
	st := &Staging{store: s, dir: filepath.Join(s.staging(), randomName()), below: below}
	err := st.create()
	if err == nil {
		st.tree, err = st.open()
	}
	if err != nil {
		return nil, errors.Join(err, st.Abort())
	}
	st.tree.staged = true
	return st, nil
}

// open opens the tree to fill.
func (st *Staging) open() (*Tree, error) {
	if len(st.below) == 0 {
		return OpenDirTree(st.own())
	}
	f, err := st.store.stack(st.dir, st.below, sysctl.IDMap{})
	if err != nil {
		return nil, err
	}
	return NewTree(f), nil
}

// create makes the directories and takes the lock. No sweep runs meanwhile, so none finds the directory
// without its lock.
func (st *Staging) create() error {
	guard, err := flockDir(st.store.staging(), unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer guard.Close()
	if err := os.Mkdir(st.dir, 0o700); err != nil {
		return err
	}
	st.lock, err = os.OpenFile(filepath.Join(st.dir, "lock"), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := sysctl.Flock(st.lock, unix.LOCK_EX); err != nil {
		return err
	}
	if len(st.below) > 0 {
		if err := os.Mkdir(st.work(), 0o700); err != nil {
			return err
		}
	}
	if err := os.Mkdir(st.own(), 0o755); err != nil {
		return err
	}
	return os.Chmod(st.own(), 0o755)
}

// Dir returns the host path of the tree to fill. It is the same until Commit or Abort.
func (st *Staging) Dir() string {
	if len(st.below) == 0 || st.tree == nil {
		return st.own()
	}
	return fdPath(st.tree.root)
}

// Tree returns the tree to fill, valid until Commit or Abort. Its writes are not synced one by one: Commit syncs
// them all. They leave times of modification as they would be without them, so that the same source,
// changed in the same way, gives the same layer: what is replaced keeps its time, what was not there gets its
// directory's (in the root, whose time is no part of a layer, 1970), and a directory keeps its own.
func (st *Staging) Tree() sysctl.Tree { return st.tree }

// Commit names the tree by its digest and puts it among the layers, durably. A layer of
// that name that is there already is success. After an error Abort is to be called; after success it does nothing.
func (st *Staging) Commit(ctx context.Context) (sysctl.Layer, error) {
	layer, err := st.commit(ctx)
	if err != nil {
		return sysctl.Layer{}, sysctl.Wrap(err, "commit layer")
	}
	return layer, nil
}

// CommitSum is Commit for a tree that is to have a certain digest. It fails with Invalid, and puts nothing anywhere, where it has
// another.
func (st *Staging) CommitSum(ctx context.Context, want string) (sysctl.Layer, error) {
	st.want = want
	return st.Commit(ctx)
}

func (st *Staging) commit(ctx context.Context) (sysctl.Layer, error) {
	if st.lock == nil {
		return sysctl.Layer{}, sysctl.E(sysctl.Conflict, "staging is finished already")
	}
	if err := st.settle(ctx); err != nil {
		return sysctl.Layer{}, err
	}
	id, size, err := Digest(ctx, st.own())
	if err != nil {
		return sysctl.Layer{}, err
	}
	if st.want != "" && id != st.want {
		return sysctl.Layer{}, sysctl.E(sysctl.Invalid, "its content is %s, not %s", sysctl.ShortID(id), sysctl.ShortID(st.want))
	}
	return st.place(id, size)
}

// place puts the tree among the layers by its name, durably.
func (st *Staging) place(id string, size int64) (sysctl.Layer, error) {
	if err := syncFilesystem(st.dir); err != nil {
		return sysctl.Layer{}, err
	}
	if err := makeDirs(st.store.layers()); err != nil {
		return sysctl.Layer{}, err
	}
	err := st.publish(filepath.Join(st.store.layers(), id))
	if err != nil {
		return sysctl.Layer{}, err
	}
	// Also where another process published it and may not have come this far yet.
	if err := syncDir(st.store.layers()); err != nil {
		return sysctl.Layer{}, err
	}
	st.Abort() // the layer is there; what is left of a twin of it, a sweep finds
	return sysctl.Layer{ID: id, Size: size, Created: time.Now().UTC()}, nil
}

// publish renames the staging directory to path, unless that is there already. No sweep runs meanwhile: it would
// take a directory whose lock file is gone for a dead maker's.
func (st *Staging) publish(path string) error {
	guard, err := flockDir(st.store.staging(), unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer guard.Close()
	lock := filepath.Join(st.dir, "lock")
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, st.dir, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if err == unix.EEXIST {
		return nil
	}
	return err
}

// Abort drops the staging directory. It is idempotent, and does nothing after a successful Commit.
func (st *Staging) Abort() error {
	var err error
	if st.tree != nil {
		err = st.tree.Close()
		st.tree = nil
	}
	// Not cancelled by anything: the lock must go last, and only with the directory.
	err = errors.Join(err, st.store.discard(context.Background(), st.dir))
	if st.lock != nil {
		err = errors.Join(err, st.lock.Close())
		st.lock = nil
	}
	return sysctl.Wrap(err, "remove staging")
}

// SweepStaging removes the staging directories whose makers died, and what is left in the trash.
// Live ones are not touched. It may run at any time.
func (s *Store) SweepStaging(ctx context.Context) error {
	err := s.sweepDead(ctx)
	return sysctl.Wrap(errors.Join(err, s.sweepTrash(ctx)), "sweep staging")
}

func (s *Store) sweepDead(ctx context.Context) error {
	guard, err := flockDir(s.staging(), unix.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer guard.Close()
	entries, err := guard.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := filepath.Join(s.staging(), e.Name())
		live, err := held(filepath.Join(dir, "lock"))
		if err != nil {
			return err
		}
		if live {
			continue
		}
		if err := makeDirs(s.trash()); err != nil {
			return err
		}
		err = os.Rename(dir, filepath.Join(s.trash(), randomName()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// held reports whether somebody holds the lock file.
func held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = sysctl.Flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return true, nil
	}
	return false, err
}

// flockDir opens a directory and locks it. Closing it unlocks it.
func flockDir(path string, how int) (*os.File, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := sysctl.Flock(d, how); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// syncFilesystem writes back all of the filesystem path lies on.
func syncFilesystem(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
