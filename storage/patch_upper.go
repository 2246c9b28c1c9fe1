package storage

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// patchRecord is what is known of an upper whose files were changed in place: enough to change them back. It lies beside
// the upper.
type patchRecord struct {
	Edition int                    `json:"edition"` // of the finder
	Scanned time.Time              `json:"scanned"` // files that changed since have not been looked at
	Pending bool                   `json:"pending"` // a change of Files was begun
	Files   map[string]patchedFile `json:"files"`   // by path in the upper
	Unsure  []string               `json:"unsure"`

	differs bool // from what is on disk
}

func (s *Store) patchRecord(inst int64) string {
	return filepath.Join(s.instance(inst), "patched.json")
}

// readPatchRecord returns the record, empty where there is none.
func (s *Store) readPatchRecord(inst int64) (patchRecord, error) {
	r := patchRecord{Files: map[string]patchedFile{}}
	b, err := os.ReadFile(s.patchRecord(inst))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if r.Files == nil {
		r.Files = map[string]patchedFile{}
	}
	return r, sysctl.Wrap(err, "read %s", s.patchRecord(inst))
}

func (s *Store) writePatchRecord(inst int64, r patchRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return WriteFileSync(s.patchRecord(inst), b, 0o600)
}

// PatchUpper changes in place what find says of the files in a stopped instance's upper, and keeps a record of it, so that
// RestoreUpper can take it back. Only files that changed since the last time are read, or all where edition, the finder's,
// is another. below are the changed files of the layer on which the upper will lie: a copy of one that overlay made counts
// as changed by us. It returns how many files are changed and which nobody is sure of. Times, owners, modes and
// capabilities stay; what is there when the machine loses power is set right by the next call. The caller holds the
// instance's lock.
func (s *Store) PatchUpper(ctx context.Context, inst int64, below map[string][]sysctl.Patch, edition int,
	find sysctl.Finder, p sysctl.Progress) (files int, unsure []string, err error) {
	r, err := s.patchUpper(ctx, inst, below, edition, find, p)
	return len(r.Files), r.Unsure, sysctl.Wrap(err, "change programs of instance %d", inst)
}

func (s *Store) patchUpper(ctx context.Context, inst int64, below map[string][]sysctl.Patch, edition int,
	find sysctl.Finder, p sysctl.Progress) (patchRecord, error) {
	r, err := s.readPatchRecord(inst)
	if err == nil {
		err = unlimitOwn(s.instance(inst))
	}
	if err != nil {
		return r, err
	}
	upper, err := unix.Open(filepath.Join(home(s.instance(inst)), "upper"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		err = sysctl.E(sysctl.NotFound, "its upper is missing: %w", err)
	}
	if err != nil {
		return r, err
	}
	defer unix.Close(upper)
	if err := r.settle(upper); err != nil {
		return r, err
	}
	// Times of change are the kernel's coarse clock's, which is behind by a tick. Where the clock was set back, nothing is
	// known.
	now := time.Now().Add(-time.Second)
	since := r.Scanned
	if r.Edition != edition || time.Now().Before(since) {
		since = time.Time{}
	}
	scan, found := upperScan(upper, &r, since, below)
	scan.find, scan.progress = find, p
	again, err := unix.Openat(upper, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = scan.run(ctx, again)
	}
	if err != nil {
		return r, err
	}
	r.differs = r.differs || len(found)+len(scan.unsure) > 0 || r.Edition != edition || r.Pending
	if !r.differs && scan.files < fewFiles {
		return r, nil
	}
	r.Edition, r.Unsure = edition, append(r.Unsure, scan.unsure...)
	if err := s.change(inst, upper, &r, found, true); err != nil {
		return r, err
	}
	r.Scanned = now
	return r, s.writePatchRecord(inst, r)
}

// fewFiles are looked at again each time rather than waiting for the disk to remember that they were.
const fewFiles = 64

// upperScan returns the scan of an upper for files that changed since, and the files it finds. What is known of others
// stays in the record.
func upperScan(upper int, r *patchRecord, since time.Time, below map[string][]sysctl.Patch) (*scanner, map[string]patchedFile) {
	found := map[string]patchedFile{}
	scan := &scanner{}
	scan.wanted = func(st *unix.Stat_t) bool { return since.IsZero() || st.Ctim.Nano() >= since.UnixNano() }
	scan.hit = func(path, first string, f *os.File, _ *unix.Stat_t, patches []sysctl.Patch) error {
		if first != "" {
			found[path] = found[first]
			return nil
		}
		if known, ok := r.Files[path]; ok && known.ours(f) {
			patches = append(known.in(f), patches...) // it was changed half-way
		}
		p, err := describe(f, patches)
		found[path] = p
		return err
	}
	scan.other = func(path string, f *os.File, _ *unix.Stat_t) error {
		known, ok := r.Files[path]
		if ok && !known.changed(f) {
			delete(r.Files, path)
			r.differs, ok = true, false
		}
		if patches := below[path]; !ok && len(patches) > 0 && (patchedFile{Patches: patches}).changed(f) {
			p, err := describe(f, patches)
			r.Files[path], r.differs = p, true
			return err
		}
		return nil
	}
	gone := func(path string) bool {
		f, err := openInside(upper, path, unix.O_RDONLY)
		if err == nil {
			f.Close()
		}
		return err != nil
	}
	files, unsure := len(r.Files), len(r.Unsure)
	maps.DeleteFunc(r.Files, func(path string, _ patchedFile) bool { return gone(path) })
	// Those that changed are looked at again.
	r.Unsure = slices.DeleteFunc(r.Unsure, func(shown string) bool {
		var st unix.Stat_t
		path := strings.TrimPrefix(shown, "/")
		return gone(path) || unix.Fstatat(upper, path, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || scan.wanted(&st)
	})
	r.differs = len(r.Files) != files || len(r.Unsure) != unsure
	return scan, found
}

// change changes files in place, or back. The record has them before the first is touched, and says that they are under way.
func (s *Store) change(inst int64, upper int, r *patchRecord, files map[string]patchedFile, forth bool) error {
	if len(files) == 0 {
		r.Pending = false
		return nil
	}
	maps.Copy(r.Files, files)
	r.Pending = true
	if err := s.writePatchRecord(inst, *r); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f, err := openInside(upper, path, unix.O_RDWR)
		if err == nil {
			err = errors.Join(files[path].apply(f, forth), f.Close())
		}
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, errOther): // it is immutable, or not what it was a moment ago
			delete(r.Files, path)
			r.Unsure = append(r.Unsure, shown(path))
		case err != nil:
			return sysctl.Wrap(err, "%s", shown(path))
		}
	}
	r.Pending = false
	return nil
}

// settle gives the files of a change that was interrupted what a write took away.
func (r *patchRecord) settle(upper int) error {
	if !r.Pending {
		return nil
	}
	for path, p := range r.Files {
		f, err := openInside(upper, path, unix.O_RDWR)
		if err != nil {
			continue // it is gone
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		if err == nil && p.ours(f) {
			err = p.attributes(f, st.Mode)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return sysctl.Wrap(err, "%s", shown(path))
		}
	}
	return nil
}

// RestoreUpper takes back what PatchUpper did to those files that still are as it left them. It is idempotent. The
// caller holds the instance's lock, and the instance is stopped.
func (s *Store) RestoreUpper(ctx context.Context, inst int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return sysctl.Wrap(s.restoreUpper(inst), "change back programs of instance %d", inst)
}

func (s *Store) restoreUpper(inst int64) error {
	if _, err := os.Lstat(s.patchRecord(inst)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r, err := s.readPatchRecord(inst)
	if err == nil {
		err = unlimitOwn(s.instance(inst))
	}
	if err != nil {
		return err
	}
	upper, err := unix.Open(filepath.Join(home(s.instance(inst)), "upper"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(upper)
	if err := r.settle(upper); err != nil {
		return err
	}
	files := map[string]patchedFile{}
	for path, p := range r.Files {
		f, err := openInside(upper, path, unix.O_RDONLY)
		if err != nil {
			continue // it is gone
		}
		if p.ours(f) {
			files[path], err = describe(f, p.Patches)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if err := s.change(inst, upper, &r, files, false); err != nil {
		return err
	}
	if err := os.Remove(s.patchRecord(inst)); err != nil {
		return err
	}
	return syncDir(s.instance(inst))
}

// Restack says that a stopped instance's upper will lie on other layers the next time that it is mounted. Only what
// hides the same files may have come on top or gone: overlay then does not object that its uppermost layer is another one
// (index=on has it remember which), and what the instance wrote stays what it is. The caller holds the instance's lock.
func (s *Store) Restack(ctx context.Context, inst int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	upper := filepath.Join(home(s.instance(inst)), "upper")
	err := unix.Lremovexattr(upper, "trusted.overlay.origin")
	switch err {
	case nil:
		err = syncDir(upper)
	case unix.ENODATA:
		err = nil
	case unix.ENOENT:
		err = sysctl.E(sysctl.NotFound, "its upper is missing: %w", err)
	}
	return sysctl.Wrap(err, "prepare instance %d for other layers", inst)
}

// Patch changes in place what find says of the files in the tree under construction. undo takes that back where nobody
// else has changed it; it is to be called before Commit.
func (st *Staging) Patch(ctx context.Context, find sysctl.Finder, p sysctl.Progress) (undo func() error, err error) {
	files := map[string]patchedFile{}
	undo = func() error { return st.changeAll(files, false) }
	scan := &scanner{find: find, progress: p}
	scan.hit = func(path, first string, f *os.File, _ *unix.Stat_t, patches []sysctl.Patch) (err error) {
		if first == "" {
			files[path], err = describe(f, patches)
		}
		return err
	}
	root, err := unix.Openat(int(st.tree.root.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = scan.run(ctx, root)
	}
	if err == nil {
		err = st.changeAll(files, true)
	}
	return undo, sysctl.Wrap(err, "change programs")
}

// changeAll changes files in place, or back those that are as they were left.
func (st *Staging) changeAll(files map[string]patchedFile, forth bool) error {
	for path, p := range files {
		f, err := openInside(int(st.tree.root.Fd()), path, unix.O_RDWR)
		if !forth && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR)) {
			continue // it is gone
		}
		if err != nil {
			return sysctl.Wrap(err, "%s", shown(path))
		}
		if forth || p.changed(f) {
			err = p.apply(f, forth)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return sysctl.Wrap(err, "%s", shown(path))
		}
	}
	return nil
}
