// Package storage owns what lies on disk under SYSCTL_DIR: layers (read-only trees named by digest),
// layers under construction (staging), instances' uppers, and what is on its way out (trash). It
// mounts overlay stacks of them as detached mounts and reads and writes guests' trees safely.
//
//	layers/ID/fs/             a layer's tree; ID from Digest, or random for a sealed upper
//	staging/RANDOM/{lock,fs}  a layer under construction; its maker holds flock(LOCK_EX) on lock
//	instances/ID/{next,seal}  on the way from one upper to the next (seal.go)
//	instances/ID/{upper,work} what an instance wrote, and overlay's work directory
//	instances/ID/own/         on btrfs, of one with a size: a subvolume that has upper, work and next (own.go)
//	instances/ID/ids.json     whose ids the upper has, where they are not the guest's (shift.go)
//	shifted/RANGE/ID/fs/      a layer's copy that has those ids of the host
//	trash/…                   renamed here to be removed; nobody reads it
//
// Ids are the guest's on disk: uid 0 in a tree is the guest's root. Only where the kernel cannot shift them for a mount,
// copies of layers and uppers have those of the host. Who may call what at the same
// time as whom is the caller's to arrange (doc/locking.md); Stage, Commit and SweepStaging alone
// are safe against each other in any number of processes.
package storage

import (
	"path/filepath"
	"strconv"

	"github.com/sysctl-os/sysctl"
)

// Store is the storage under one directory. It has no state and is safe for concurrent use.
type Store struct {
	dir   string
	shift Shift // "": auto
}

// New returns the store under dir (SYSCTL_DIR). It touches nothing: directories are made when needed.
func New(dir string) *Store {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return &Store{dir: dir}
}

func (s *Store) layers() string    { return filepath.Join(s.dir, "layers") }
func (s *Store) staging() string   { return filepath.Join(s.dir, "staging") }
func (s *Store) instances() string { return filepath.Join(s.dir, "instances") }
func (s *Store) shifted() string   { return filepath.Join(s.dir, "shifted") }
func (s *Store) trash() string     { return filepath.Join(s.dir, "trash") }

// instance returns the directory that holds an instance's upper and work.
func (s *Store) instance(id int64) string {
	return filepath.Join(s.instances(), strconv.FormatInt(id, 10))
}

// wayOut gives the error of a full disk its hint.
func (s *Store) wayOut(err error) error {
	if sysctl.KindOf(err) != sysctl.NoSpace {
		return err
	}
	return sysctl.E(sysctl.NoSpace, "%w", err).WithHint("df -h %s; sysctl delete NAME", s.dir)
}

// checkLayerID refuses what is not hexadecimal, so that no id can lead out of the store.
func checkLayerID(id string) error {
	ok := id != ""
	for _, c := range []byte(id) {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f')
	}
	if !ok {
		return sysctl.E(sysctl.Invalid, "layer id %q is not hexadecimal", id)
	}
	return nil
}
