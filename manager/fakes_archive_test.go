package manager_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/sysctl-os/sysctl"
	"github.com/sysctl-os/sysctl/manager"
)

// An archive of the fakes is the index and what was written in each layer.
type fakeArchive struct {
	Index  []byte
	Layers []fakeLayer
}

type fakeLayer struct {
	Number int
	Digest string // of one that was no upper
	Words  []string
}

// sumOf is a layer's digest: of what was written in it, or its id.
func (w *world) sumOf(id string, words []string) string {
	if len(id) == 64 && strings.Trim(id, "0123456789") == "" { // an image's
		return id
	}
	h := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return hex.EncodeToString(h[:])
}

func (f fakeStorage) LayerPath(id string) string { return id }

func (f fakeStorage) LayerSum(_ context.Context, id string) (s sysctl.LayerSum, err error) {
	return sysctl.LayerSum{Digest: f.sumOf(id, f.sealed[id]), Size: 10, Entries: 1}, f.hit("sum", func() error {
		if !f.layers[id] {
			return errors.New("layer is missing: " + id)
		}
		return nil
	})
}

func (s *fakeStaging) CommitSum(_ context.Context, digest string) (sysctl.Layer, error) {
	return sysctl.Layer{ID: digest}, s.w.hit("commit sum", func() error {
		if got := s.w.sumOf(s.w.unpacked.Digest, s.w.unpacked.Words); got != digest {
			return sysctl.E(sysctl.Invalid, "it is %s", got)
		}
		s.w.layers[digest], s.w.sealed[digest] = true, s.w.unpacked.Words
		s.w.staging--
		s.open = false
		return nil
	})
}

func (fakeCatalogue) ArchiveFormats() []string { return []string{"zstd", "none"} }

func (f fakeCatalogue) WriteArchive(_ context.Context, w io.Writer, _ string, index []byte, layers []manager.ArchiveLayer, _ int64, _ sysctl.Progress) (int64, error) {
	a := fakeArchive{Index: index}
	err := f.hit("write archive", func() error {
		for _, l := range layers {
			if !f.world.layers[l.Dir] {
				return errors.New("layer is missing: " + l.Dir)
			}
			a.Layers = append(a.Layers, fakeLayer{l.Number, l.Dir, f.sealed[l.Dir]})
		}
		return json.NewEncoder(w).Encode(a)
	})
	return 0, err
}

func (f fakeCatalogue) ReadArchive(_ context.Context, r io.Reader, s manager.ArchiveSink, _ sysctl.Progress) error {
	var a fakeArchive
	if err := json.NewDecoder(r).Decode(&a); err != nil {
		return sysctl.E(sysctl.Invalid, "damaged: %v", err)
	}
	if err := s.Index(a.Index); err != nil {
		return err
	}
	for _, l := range a.Layers {
		dir, _, _, err := s.Layer(l.Number)
		if err == nil && dir != "" {
			err = f.hit("unpack layer", func() error { f.unpacked = l; return nil })
			if err == nil {
				err = s.Done(l.Number)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
