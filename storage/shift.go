package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Shift says how an instance sees as its own ids what has the guest's on disk.
type Shift string

// The ways. ShiftIDMap has the kernel do it, for nothing. Where it cannot, ShiftCopy takes copies of the layers that have the
// instance's ids, and gives them to its upper: from a start on until somebody wants a layer made of the upper, or the other way.
const (
	ShiftAuto  Shift = "auto" // the kernel where it can
	ShiftIDMap Shift = "idmap"
	ShiftCopy  Shift = "copy"
)

// ParseShift reads storage.shift; "" is auto.
func ParseShift(s string) (Shift, error) {
	switch shift := Shift(s); shift {
	case "":
		return ShiftAuto, nil
	case ShiftAuto, ShiftIDMap, ShiftCopy:
		return shift, nil
	}
	return "", sysctl.E(sysctl.Invalid, "%q is none of auto, idmap and copy", s)
}

// Shifting returns the same store, which shifts ids in that way.
func (s *Store) Shifting(how Shift) *Store {
	c := *s
	c.shift = how
	return &c
}

// copies reports whether layers are copied. What the kernel can is tried only where doubt says that it may not be able to: else a
// start tries it anyway.
func (s *Store) copies(ctx context.Context, doubt bool) bool {
	switch s.shift {
	case ShiftCopy:
		return true
	case ShiftIDMap:
		return false
	}
	return doubt && s.idmaps(ctx) != nil
}

// idmaps reports why this kernel cannot shift the ids of layers of this filesystem.
func (s *Store) idmaps(ctx context.Context) error {
	st, err := s.Stage(ctx)
	if err != nil {
		return err
	}
	return errors.Join(tryIdmapped(st.Dir()), st.Abort())
}

// openShifted mounts an instance's root with ids shifted into m, whichever way that is done here. dir has its upper.
func (s *Store) openShifted(ctx context.Context, dir string, layers []string, m sysctl.IDMap, p sysctl.Progress) (*os.File, error) {
	m.Shared = false // whoever else has them
	have, err := readIDs(dir)
	if err != nil {
		return nil, err
	}
	if s.copies(ctx, have.there()) {
		return s.openCopied(ctx, dir, layers, m, p)
	}
	if have.there() {
		if err := s.setIDs(ctx, dir, sysctl.IDMap{}, p); err != nil {
			return nil, err
		}
	}
	f, err := s.overLayers(ctx, dir, layers, m, p)
	if s.shift != ShiftIDMap && sysctl.KindOf(err) == sysctl.Unsupported && sysctl.KindOf(s.idmaps(ctx)) == sysctl.Unsupported {
		return s.openCopied(ctx, dir, layers, m, p)
	}
	if s.shift == ShiftIDMap && sysctl.KindOf(err) == sysctl.Unsupported {
		err = sysctl.E(sysctl.Unsupported, "%w", err).WithHint("%s", s.withoutShift())
	}
	return f, err
}

// openCopied mounts copies of layers and the upper in dir, all of which have the ids of m. What is missing of it is made.
func (s *Store) openCopied(ctx context.Context, dir string, layers []string, m sysctl.IDMap, p sysctl.Progress) (*os.File, error) {
	if err := checkShifted(m); err != nil {
		return nil, err
	}
	have, err := readIDs(dir)
	if err != nil {
		return nil, err
	}
	if have.Map != m { // from now on copies with the ids of m are for it
		if err := s.setIDs(ctx, dir, sysctl.IDMap{}, p); err != nil {
			return nil, err
		}
		if err := writeIDs(dir, upperIDs{Map: m, Unbound: true}); err != nil {
			return nil, err
		}
	}
	lowers := make([]string, len(layers))
	fresh := false
	for i, id := range layers {
		made, err := s.copyLayer(ctx, id, m, p)
		if err != nil {
			return nil, err
		}
		fresh = fresh || made
		lowers[i] = filepath.Join(s.copyPath(id, m), "fs")
	}
	if fresh && have.is(m) { // what the upper knows of the copies that it was on is of others
		have.Unbound = true
		if err := writeIDs(dir, have); err != nil {
			return nil, err
		}
	}
	if err := s.setIDs(ctx, dir, m, p); err != nil {
		return nil, err
	}
	return s.over(ctx, dir, lowers, sysctl.IDMap{}, p)
}

// NeedsCopies reports whether an instance uses copies of its layers, or would at its next start.
func (s *Store) NeedsCopies(ctx context.Context, inst int64) (bool, error) {
	has, err := exists(filepath.Join(s.instance(inst), idsName)) // it does, or is about to
	return has || err == nil && s.copies(ctx, true), err
}

// upperIDs says which ids an upper has on disk. It lies beside it; where it does not, they are the guest's.
type upperIDs struct {
	Map   sysctl.IDMap `json:"map"`
	Level int          `json:"level"`           // passes that were done
	Mixed bool         `json:"mixed,omitempty"` // the pass after those was begun, in one direction or the other
	// Unbound says that what overlay knows of the layers below may be of others.
	Unbound bool `json:"unbound,omitempty"`
	// Special are the files from which a change of owner takes something away, by inode: as they are in the guest.
	Special map[uint64]specialFile `json:"special,omitempty"`
}

type specialFile struct {
	Mode       uint32 `json:"mode"` // 12 bits
	Capability []byte `json:"capability,omitempty"`
}

func (r upperIDs) there() bool { return r.Map.Size > 0 }

// is reports that an upper has the ids of m, all of it.
func (r upperIDs) is(m sysctl.IDMap) bool {
	return r.there() && r.Map == m && !r.Mixed && !r.Unbound && r.Level == len(passes(m))
}

const idsName = "ids.json"

func readIDs(dir string) (upperIDs, error) {
	var r upperIDs
	b, err := os.ReadFile(filepath.Join(dir, idsName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, sysctl.Wrap(err, "read %s", filepath.Join(dir, idsName))
}

func writeIDs(dir string, r upperIDs) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return WriteFileSync(filepath.Join(dir, idsName), b, 0o600)
}

// setIDs gives the upper in dir the ids of m, or the guest's where m.Size is 0, and finishes what an interrupted call began.
// It takes as long as a change of owner of every file. Where there is nothing to do, that is all it finds out. What
// overlay knew of the layers below is forgotten: they will be others. The caller holds the lock of whose upper it is; nobody may have
// it mounted, and the kind is Busy where somebody has.
func (s *Store) setIDs(ctx context.Context, dir string, m sysctl.IDMap, p sysctl.Progress) error {
	have, err := readIDs(dir)
	if err != nil || have.is(m) || !have.there() && m.Size == 0 {
		return err
	}
	if !have.there() {
		have.Map = m
	}
	have.Unbound = true // whether anybody has it mounted is found out by mounting it
	if err := writeIDs(dir, have); err != nil {
		return err
	}
	if err := s.freeUpper(ctx, dir); err != nil {
		return err
	}
	if err := unlimitOwn(dir); err != nil {
		return err
	}
	if err := s.detachViews(func(v sysctl.View) bool { return v.Layer == "" && s.instance(v.Instance) == dir }); err != nil {
		return err
	}
	p.Report("give its files their ids", 0, 0)
	if have.Map != m {
		if err := s.runPasses(ctx, dir, &have, 0); err != nil {
			return err
		}
		have = upperIDs{Map: m, Unbound: true}
	}
	if m.Size > 0 {
		if err := s.runPasses(ctx, dir, &have, len(passes(m))); err != nil {
			return err
		}
	}
	if err := s.forgetLowers(ctx, dir); err != nil {
		return err
	}
	if err := syncFilesystem(dir); err != nil {
		return err
	}
	if m.Size > 0 {
		return writeIDs(dir, upperIDs{Map: m, Level: have.Level})
	}
	if err := os.Remove(filepath.Join(dir, idsName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// runPasses brings an upper to a level. Before each pass the record says durably that it was begun; that the
// last one has ended is the caller's to write.
func (*Store) runPasses(ctx context.Context, dir string, have *upperIDs, to int) error {
	upper := filepath.Join(home(dir), "upper")
	all := passes(have.Map)
	if !have.Mixed && have.Level != to {
		var err error
		check := asIs
		if have.Level == 0 {
			check = toHost(have.Map)
		}
		if have.Special, err = findSpecial(ctx, upper, toGuest(have.Map), check); err != nil {
			return err
		}
	}
	for have.Mixed || have.Level != to {
		forth := have.Level < to
		n := have.Level // the pass
		if !forth && !have.Mixed {
			n--
		}
		have.Level, have.Mixed = n, true
		if err := writeIDs(dir, *have); err != nil {
			return err
		}
		f := all[n].back
		after := n
		if forth {
			f, after = all[n].forth, n+1
		}
		if err := shiftTree(ctx, upper, f, have.Special, atLevel(all, after)); err != nil {
			return err
		}
		if err := syncFilesystem(dir); err != nil {
			return err
		}
		have.Level, have.Mixed = after, false
	}
	return nil
}

// atLevel translates the guest's ids into those of a tree to which n passes were done.
func atLevel(all []mapped, n int) translate {
	return func(group bool, id uint32) (uint32, error) {
		var err error
		for _, p := range all[:n] {
			if id, err = p.forth(group, id); err != nil {
				break
			}
		}
		return id, err
	}
}

// findSpecial returns the files of a tree from which a change of owner takes set-id bits or capabilities. back translates the
// ids that it has; where check cannot translate an owner, that is the error.
func findSpecial(ctx context.Context, root string, back, check translate) (map[uint64]specialFile, error) {
	all := map[uint64]specialFile{}
	var w walker
	w.visit = func(e dirent) (bool, error) {
		var st unix.Stat_t
		if err := unix.Fstatat(w.dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return false, err
		}
		owner := st
		if err := translateStat(&owner, check); err != nil {
			return false, sysctl.Wrap(err, "%s", shown(w.path(e.name)))
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			return true, nil
		case unix.S_IFLNK:
			return false, nil
		}
		found := specialFile{Mode: st.Mode & 0o7777}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			value, err := grow(func(b []byte) (int, error) { return unix.Lgetxattr(fdEntry(w.dir, e.name), capabilityXattr, b) })
			if err == nil {
				found.Capability, err = translateCapability(value, back)
			}
			if err != nil && err != unix.ENODATA && err != unix.ENOTSUP {
				return false, sysctl.Wrap(err, "%s", shown(w.path(e.name)))
			}
		}
		if found.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 || len(found.Capability) > 0 {
			all[st.Ino] = found
		}
		return false, nil
	}
	return all, w.run(ctx, root)
}

// fdEntry is the path of an entry of an open directory.
func fdEntry(dir int, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name) }

// shiftTree translates owners and access lists of everything in a tree that nobody else uses, and gives special files back what that takes
// away; cap translates the root of their capabilities. It is idempotent where f is.
func shiftTree(ctx context.Context, root string, f translate, all map[uint64]specialFile, cap translate) error {
	var w walker
	one := func(path string, st *unix.Stat_t) error {
		if err := shiftInode(path, st, f); err != nil {
			return err
		}
		sp, ok := all[st.Ino]
		if !ok || st.Mode&unix.S_IFMT == unix.S_IFDIR || st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return nil
		}
		if err := unix.Chmod(path, sp.Mode); err != nil || len(sp.Capability) == 0 {
			return err
		}
		value, err := translateCapability(sp.Capability, cap)
		if err != nil {
			return err
		}
		return unix.Lsetxattr(path, capabilityXattr, value, 0)
	}
	w.visit = func(e dirent) (bool, error) {
		var st unix.Stat_t
		err := unix.Fstatat(w.dir, e.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			err = one(fdEntry(w.dir, e.name), &st)
		}
		return st.Mode&unix.S_IFMT == unix.S_IFDIR, sysctl.Wrap(err, "%s", shown(w.path(e.name)))
	}
	if err := w.run(ctx, root); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(root, &st); err != nil {
		return err
	}
	return one(root, &st)
}

// shiftInode translates one file's owner and access lists.
func shiftInode(path string, st *unix.Stat_t, f translate) error {
	owner := *st
	if err := translateStat(&owner, f); err != nil {
		return err
	}
	if owner.Uid != st.Uid || owner.Gid != st.Gid {
		if err := unix.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	list, err := grow(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if err != nil && err != unix.ENOTSUP {
		return err
	}
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name != aclAccess && name != aclDefault {
			continue
		}
		value, err := grow(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if err != nil {
			return err
		}
		shifted, err := translateACL(value, f)
		if err == nil && string(shifted) != string(value) {
			err = unix.Lsetxattr(path, name, shifted, 0)
		}
		if err != nil {
			return sysctl.Wrap(err, "attribute %s", name)
		}
	}
	return nil
}

// freeUpper waits until nobody has the upper in dir mounted any more. The kernel tells by a mount: it marks an upper that is in use.
func (s *Store) freeUpper(ctx context.Context, dir string) error {
	if err := makeDirs(s.trash()); err != nil {
		return err
	}
	f, err := whenFree(ctx, func() (*os.File, error) {
		return stack{upper: home(dir), lowers: []string{s.trash()}, base: filepath.Dir(dir)}.open(sysctl.IDMap{})
	})
	switch {
	case err == nil:
		return f.Close()
	case sysctl.KindOf(err) == sysctl.Conflict: // it was made for other layers, and is free
		return nil
	}
	return err
}

// forgetLowers makes overlay take other layers below the upper in dir, which nobody has mounted.
func (s *Store) forgetLowers(ctx context.Context, dir string) error {
	err := unix.Lremovexattr(filepath.Join(home(dir), "upper"), "trusted.overlay.origin")
	if err != nil && err != unix.ENODATA {
		return err
	}
	work := filepath.Join(home(dir), "work")
	if err := s.discard(ctx, work); err != nil {
		return err
	}
	return os.Mkdir(work, 0o700)
}
