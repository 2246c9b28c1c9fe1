package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// copied is the directory of the copies of layers that have the ids of m.
func (s *Store) copied(m sysctl.IDMap) string {
	name := fmt.Sprintf("%d-%d", m.Base, m.Size)
	if m.Raw != "" {
		sum := sha256.Sum256(fmt.Append(nil, m.UIDs(), m.GIDs()))
		name += "-" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(s.shifted(), name)
}

// copyPath is the directory of one of them.
func (s *Store) copyPath(id string, m sysctl.IDMap) string { return filepath.Join(s.copied(m), id) }

// copyMade is what is noted beside a copy: what it costs.
type copyMade struct {
	Bytes int64   `json:"bytes"` // on disk that it does not have in common with the layer
	Took  float64 `json:"took"`  // seconds
}

const madeName = "made.json"

// copyLayer has a copy of a layer be there whose ids are those of m, and reports whether it has made it. Of several who want
// it at once one makes it. What keeps the layer, and the copy, from being deleted is the caller's to arrange.
func (s *Store) copyLayer(ctx context.Context, id string, m sysctl.IDMap, p sysctl.Progress) (made bool, err error) {
	if err := checkLayerID(id); err != nil {
		return false, err
	}
	made, err = s.makeCopy(ctx, id, m, p)
	return made, sysctl.Wrap(s.wayOut(err), "copy layer %s for ids from %d on", sysctl.ShortID(id), m.Base)
}

func (s *Store) makeCopy(ctx context.Context, id string, m sysctl.IDMap, p sysctl.Progress) (bool, error) {
	path := s.copyPath(id, m)
	if there, err := exists(path); there || err != nil {
		return false, err
	}
	if err := makeDirs(s.copied(m)); err != nil {
		return false, err
	}
	unlock, err := lockDir(ctx, s.copied(m))
	if err != nil {
		return false, err
	}
	defer unlock()
	if there, err := exists(path); there || err != nil {
		return false, err
	}
	if err := s.SweepStaging(ctx); err != nil { // room first: a maker that was killed has left its copy
		return false, err
	}
	st, err := s.Stage(ctx)
	if err != nil {
		return false, err
	}
	err = st.copyOf(ctx, s.LayerPath(id), m, p)
	if err == nil {
		err = st.publish(path)
	}
	if err == nil {
		err = syncDir(s.copied(m))
	}
	return err == nil, errors.Join(err, st.Abort())
}

// copyOf fills the staging with a copy of a layer, and says what it costs.
func (st *Staging) copyOf(ctx context.Context, layer string, m sysctl.IDMap, p sysctl.Progress) error {
	began := time.Now()
	c, err := copyTree(ctx, layer, st.own(), toHost(m), "copy a layer for its ids", p)
	if errors.Is(err, fs.ErrNotExist) {
		if there, _ := exists(layer); !there {
			err = sysctl.E(sysctl.NotFound, "%s is missing: %w", layer, err)
		}
	}
	if err != nil {
		return err
	}
	if err := syncFilesystem(st.dir); err != nil {
		return err
	}
	b, err := json.Marshal(copyMade{Bytes: c.own, Took: time.Since(began).Seconds()})
	if err != nil {
		return err
	}
	return WriteFileSync(filepath.Join(st.dir, madeName), b, 0o600)
}

// lockDir locks a directory, waiting for it until ctx ends.
func lockDir(ctx context.Context, path string) (unlock func(), err error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return func() { d.Close() }, sysctl.WaitFlock(ctx, d, unix.LOCK_EX)
}

// Copies lists the copies of layers that there are, one for a layer and a range of ids. Where none are it costs a look.
func (s *Store) Copies() ([]sysctl.LayerCopy, error) {
	var list []sysctl.LayerCopy
	dirs, err := os.ReadDir(s.shifted())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, d := range dirs {
		c := sysctl.LayerCopy{Dir: d.Name()}
		if n, _ := fmt.Sscanf(d.Name(), "%d-%d", &c.Base, &c.Size); n != 2 {
			continue // not ours
		}
		layers, err := os.ReadDir(filepath.Join(s.shifted(), d.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, l := range layers {
			c.Layer = l.Name()
			list = append(list, c)
		}
		if len(layers) == 0 {
			c.Layer = ""
			list = append(list, c)
		}
	}
	return list, err
}

// DeleteCopy removes a copy of a layer, and with the last of its range the range's directory. Absent is success. The caller knows that no
// instance has the layer and the range.
func (s *Store) DeleteCopy(ctx context.Context, c sysctl.LayerCopy) error {
	dir := filepath.Join(s.shifted(), filepath.Base(c.Dir))
	if c.Layer != "" {
		if err := checkLayerID(c.Layer); err != nil {
			return err
		}
		if err := s.discard(ctx, filepath.Join(dir, c.Layer)); err != nil {
			return sysctl.Wrap(err, "delete copy of layer %s", sysctl.ShortID(c.Layer))
		}
	}
	err := os.Remove(dir)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
