package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// CreateUpper makes the empty upper of a new instance, durably. One that is there is dropped: its instance was
// never complete, and a power cut took its row before that was on disk, so that the number was given again. The
// caller holds the instance's lock.
func (s *Store) CreateUpper(ctx context.Context, inst int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return sysctl.Wrap(s.wayOut(s.createUpper(ctx, s.instance(inst))), "create upper of instance %d", inst)
}

func (s *Store) createUpper(ctx context.Context, dir string) error {
	// Where the disk is full there is no room to make the trash that the instance is deleted into.
	for _, parent := range []string{s.instances(), s.trash()} {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	err := makeUpper(dir)
	if errors.Is(err, fs.ErrExist) {
		if err := s.discard(ctx, dir); err != nil {
			return err
		}
		err = makeUpper(dir)
	}
	return err
}

// makeUpper makes dir with upper and work in it.
func makeUpper(dir string) error {
	upper := filepath.Join(dir, "upper")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(upper, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(upper, 0o755); err != nil { // the guest's /: not for the umask to decide
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "work"), 0o700); err != nil {
		return err
	}
	// The one wait: the row says soon that the instance is complete, and then all three must be there. A
	// filesystem that layers can be on (ext4, xfs, btrfs) writes what a directory is in no later than
	// the directory itself, so its name needs no wait of its own.
	return syncDir(dir)
}

// UpperClean reports whether an instance has written nothing over its uppermost layer since it has its upper. The caller holds the
// instance's lock, and the instance is stopped.
func (s *Store) UpperClean(ctx context.Context, inst int64, top string) (bool, error) {
	if err := checkLayerID(top); err != nil {
		return false, err
	}
	upper := filepath.Join(home(s.instance(inst)), "upper")
	names, err := os.ReadDir(upper)
	if err != nil || len(names) > 0 {
		return false, sysctl.Wrap(err, "upper of instance %d", inst)
	}
	have, err := readIDs(s.instance(inst))
	if err != nil {
		return false, err
	}
	same, err := sameRoot(upper, s.LayerPath(top), toGuest(have.Map))
	return same, sysctl.Wrap(err, "upper of instance %d", inst)
}

// sameRoot reports whether two trees' roots have the same owner, mode and extended attributes that count. Of the first one the
// ids are translated.
func sameRoot(a, b string, ids translate) (bool, error) {
	var st [2]unix.Stat_t
	var attributes [2][]string
	for i, dir := range []string{a, b} {
		if err := unix.Lstat(dir, &st[i]); err != nil {
			return false, err
		}
		var err error
		if attributes[i], err = xattrs(dir); err != nil {
			return false, err
		}
	}
	if err := translateStat(&st[0], ids); err != nil {
		return false, err
	}
	if err := translateXattrs(attributes[0], ids); err != nil {
		return false, err
	}
	return st[0].Mode == st[1].Mode && st[0].Uid == st[1].Uid && st[0].Gid == st[1].Gid && slices.Equal(attributes[0], attributes[1]), nil
}

// DeleteUpper removes all an instance has written. Absent is success. The instance is stopped and the caller
// holds its lock. When it fails or ctx ends half-way the upper is in the trash, out of everybody's
// sight, and SweepStaging removes the rest.
func (s *Store) DeleteUpper(ctx context.Context, inst int64) error {
	err := s.detachViews(func(v sysctl.View) bool { return v.Instance == inst })
	if err == nil {
		err = unlimit(filepath.Join(home(s.instance(inst)), "upper"))
	}
	if err == nil {
		err = s.discard(ctx, s.instance(inst))
	}
	return sysctl.Wrap(err, "delete upper of instance %d", inst)
}

// Usage returns the bytes allocated on disk for what an instance wrote (st_blocks), hard links
// counted once. The instance may run. A missing upper is of kind NotFound.
func (s *Store) Usage(ctx context.Context, inst int64) (int64, error) {
	root := filepath.Join(home(s.instance(inst)), "upper")
	var sum int64
	var err error
	for range 5 { // a running guest may rename what is being walked
		if sum, err = usage(ctx, root); !errors.Is(err, errMoved) {
			break
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, sysctl.E(sysctl.NotFound, "measure instance %d: its upper is missing: %w", inst, err)
	case errors.Is(err, errMoved):
		return 0, sysctl.E(sysctl.Busy, "measure instance %d: %w", inst, err)
	}
	return sum, sysctl.Wrap(err, "measure instance %d", inst)
}

func usage(ctx context.Context, root string) (int64, error) {
	type inode struct{ dev, ino uint64 }
	linked := map[inode]bool{}
	var st unix.Stat_t
	if err := unix.Lstat(root, &st); err != nil {
		return 0, err
	}
	sum := st.Blocks * 512
	var w walker
	w.visit = func(e dirent) (bool, error) {
		err := unix.Fstatat(w.dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		dir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if key := (inode{st.Dev, st.Ino}); !dir && st.Nlink > 1 {
			if linked[key] {
				return false, nil
			}
			linked[key] = true
		}
		sum += st.Blocks * 512
		return dir, nil
	}
	err := w.run(ctx, root)
	return sum, err
}
