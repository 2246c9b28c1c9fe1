package storage

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// pending is a complete file that does not have its name yet.
type pending struct {
	path      string
	dir       int
	tmp, base string
	file      *os.File
}

// WriteFiles replaces files as WriteFile does. After a power cut each has its old or its new content. See
// sysctl.BatchTree.
//
// A name may only change when the content is on disk, and each wait for the disk costs the same whatever it
// waits for: so the files wait together, and the filesystem's journal takes them in one go.
func (t *Tree) WriteFiles(files []sysctl.Change) (err error) {
	var list []pending
	defer func() {
		for _, p := range list {
			if err != nil {
				unix.Unlinkat(p.dir, p.tmp, 0) // one that has its name already is not there
			}
			p.file.Close() // where nobody else does
			unix.Close(p.dir)
		}
	}()
	if t.staged { // nobody waits, and times are kept one by one
		for _, c := range files {
			if err := t.WriteFile(c.Path, c.Data, c.Mode()); err != nil {
				return sysctl.Wrap(err, "write %s", c.Path)
			}
		}
		return nil
	}
	for _, c := range files {
		err := t.change("write", c.Path, true, func(dir int, base string) error {
			if t.same(dir, base, c.Data, c.Mode()) {
				return nil
			}
			p, err := t.prepare(dir, base, c)
			if err == nil {
				list = append(list, p)
			}
			return err
		})
		if err != nil {
			return sysctl.Wrap(err, "write %s", c.Path)
		}
	}
	if t.later == nil {
		if err := syncAll(list); err != nil {
			return err
		}
	}
	err = t.asOwner(func() error {
		for _, p := range list {
			if err := unix.Renameat(p.dir, p.tmp, p.dir, p.base); err != nil {
				return &fs.PathError{Op: "write", Path: p.path, Err: err}
			}
		}
		return nil
	})
	if err == nil && t.later != nil {
		for i := range list {
			t.later.add(list[i])
			list[i].file = nil
		}
	}
	return err
}

// Later returns the same tree, whose WriteFiles does not wait for the disk: for a tree that is worth nothing before
// synced has returned, which waits for all that was written until then, and says what could not be.
func (t *Tree) Later() (later *Tree, synced func() error) {
	c := *t
	c.later = &unsynced{}
	return &c, c.later.wait
}

// unsynced are files on their way to the disk.
type unsynced struct {
	all sync.WaitGroup
	mu  sync.Mutex
	err error
}

func (u *unsynced) add(p pending) {
	u.all.Go(func() {
		err := sysctl.Wrap(errors.Join(p.file.Sync(), p.file.Close()), "write %s", p.path)
		u.mu.Lock()
		u.err = errors.Join(u.err, err)
		u.mu.Unlock()
	})
}

func (u *unsynced) wait() error {
	u.all.Wait()
	return u.err
}

// prepare writes a file that waits for its name.
func (t *Tree) prepare(dir int, base string, c sysctl.Change) (pending, error) {
	own, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return pending{}, err
	}
	f, tmp, err := t.create(own, c.Data, c.Mode())
	if err != nil {
		unix.Close(own)
		return pending{}, err
	}
	return pending{path: c.Path, dir: own, tmp: tmp, base: base, file: f}, nil
}

// syncAll waits until all files are on disk, and closes them.
func syncAll(list []pending) error {
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, p := range list {
		all.Go(func() {
			err := p.file.Sync()
			errs[i] = sysctl.Wrap(errors.Join(err, p.file.Close()), "write %s", p.path)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
