package manager

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// Locks are flock(2) files under a directory on a tmpfs; the kernel drops them with their process. Order,
// always: one profile's or image's lock, the makers' lock, then instance locks sorted by name, then the layers' lock, then what the
// hands lock inside (doc/locking.md). A file is never removed, so two processes always lock the same inode.

// lock takes the exclusive lock of a thing ("instance", "web1"), waiting for it until ctx ends.
// While it waits it says so through p.
func (m *Manager) lock(ctx context.Context, noun, name string, p sysctl.Progress) (unlock func(), err error) {
	return m.flock(ctx, noun, name, unix.LOCK_EX, p)
}

// lockLayers guards the set of layers against collection: whoever adds a layer and then its row holds it
// shared, collection holds it alone.
func (m *Manager) lockLayers(ctx context.Context, how int) (unlock func(), err error) {
	return m.flock(ctx, "layers", "all", how, nil)
}

// lockMaking keeps all collection of layers away for as long as an image of several takes to be made. Any number of makers
// hold it.
func (m *Manager) lockMaking(ctx context.Context) (unlock func(), err error) {
	return m.flock(ctx, "layers", "making", unix.LOCK_SH, nil)
}

// tryMaking takes that lock alone, for collection. It waits for nobody: unlock is nil where there is a maker.
func (m *Manager) tryMaking() (unlock func(), err error) {
	f, err := m.openLock("layers", "making")
	if err != nil {
		return nil, err
	}
	err = sysctl.Flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { f.Close() }, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, sysctl.Wrap(err, "lock %s", f.Name())
}

// openLock opens the file of a lock.
func (m *Manager) openLock(noun, name string) (*os.File, error) {
	if err := os.MkdirAll(m.lockDir, 0o700); err != nil {
		return nil, sysctl.Wrap(err, "lock")
	}
	f, err := os.OpenFile(m.lockFile(noun, name), os.O_RDWR|os.O_CREATE, 0o600)
	return f, sysctl.Wrap(err, "lock")
}

func (m *Manager) flock(ctx context.Context, noun, name string, how int, p sysctl.Progress) (unlock func(), err error) {
	f, err := m.openLock(noun, name)
	if err != nil {
		return nil, err
	}
	err = sysctl.Flock(f, how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		p.Report("waiting for another command on "+noun+" "+name, 0, 0)
		err = sysctl.WaitFlock(ctx, f, how)
	} else if err != nil {
		f.Close()
	}
	switch {
	case err == nil:
		return func() { f.Close() }, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, sysctl.Wrap(err, "lock %s", f.Name())
}

// lockHeld reports whether somebody holds a lock at this moment. It waits for nothing and makes nothing.
func (m *Manager) lockHeld(noun, name string) bool {
	f, err := os.Open(m.lockFile(noun, name))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(sysctl.Flock(f, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func (m *Manager) lockFile(noun, name string) string {
	return filepath.Join(m.lockDir, noun+"-"+strings.ReplaceAll(name, "/", "%2F"))
}
