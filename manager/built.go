package manager

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/sysctl-os/sysctl"
)

// What was built from what is remembered in files under BuiltDir: named by the digest of what went in, holding the id of
// the image or layer. They are a memory, no promise: one that is lost costs a build, and one that names what is gone
// counts as none.

// builtFrom returns the id of the image or layer that was built from what key names, or "".
func (m *Manager) builtFrom(key string) string {
	b, err := os.ReadFile(filepath.Join(m.BuiltDir, filepath.Base(key)))
	if err != nil || len(b) != 64 {
		return ""
	}
	return string(b)
}

// rememberBuilt notes that an image or layer was built from what key names. Nobody sees a part of the note.
func (m *Manager) rememberBuilt(key, id string) error {
	if key == "" {
		return nil
	}
	return sysctl.Wrap(m.writeBuilt(key, id), "remember what it was built from")
}

func (m *Manager) writeBuilt(key, id string) error {
	if err := os.MkdirAll(m.BuiltDir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(m.BuiltDir, ".new-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(id)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(m.BuiltDir, key))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// forgetBuilt removes the notes of an image or layer that is about to be deleted.
func (m *Manager) forgetBuilt(id string) {
	entries, _ := os.ReadDir(m.BuiltDir)
	for _, e := range entries {
		if m.builtFrom(e.Name()) == id {
			os.Remove(filepath.Join(m.BuiltDir, e.Name())) // one that stays is a note of nothing
		}
	}
}
