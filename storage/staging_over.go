package storage

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// own is the directory of what the layer itself has. While the tree shows layers below too, it is their mount's upper
// and nobody else's.
func (st *Staging) own() string {
	if len(st.below) == 0 {
		return filepath.Join(st.dir, "fs")
	}
	return filepath.Join(st.dir, "upper")
}

func (st *Staging) work() string { return filepath.Join(st.dir, "work") }

// fdPath is the path by which this process reaches what f is open on.
func fdPath(f *os.File) string { return procPath(int(f.Fd())) }

// Own returns the host path of what the layer itself has, without the layers below: they are not shown
// from then on, until Reopen.
func (st *Staging) Own() (string, error) {
	return st.own(), sysctl.Wrap(st.leave(), "stage layer")
}

// OpenRoot opens the tree as the root of an instance, a detached mount with ids shifted into m. Over layers below, Dir and
// Tree are of no use from then on until Reopen: two mounts must not write to one upper. Kinds as Store.OpenRoot.
func (st *Staging) OpenRoot(ctx context.Context, m sysctl.IDMap) (*os.File, error) {
	if len(st.below) == 0 {
		return st.openPlain(ctx, m)
	}
	if err := st.leave(); err != nil {
		return nil, sysctl.Wrap(err, "stage layer")
	}
	f, err := st.store.openShifted(ctx, st.dir, st.below, m, nil)
	return f, sysctl.Wrap(err, "mount the layer's tree")
}

// openPlain opens a plain tree with ids shifted into m: by the kernel where it can, else they are so on disk until Reopen.
func (st *Staging) openPlain(ctx context.Context, m sysctl.IDMap) (*os.File, error) {
	disk := sysctl.Disk{Device: "root", Source: st.own()}
	if st.store.shift != ShiftCopy {
		f, err := st.store.OpenDisk(ctx, disk, m)
		if st.store.shift == ShiftIDMap || sysctl.KindOf(err) != sysctl.Unsupported {
			return f, err
		}
	}
	if err := checkShifted(m); err != nil {
		return nil, err
	}
	if st.host == nil {
		all, err := findSpecial(ctx, st.own(), asIs, toHost(m))
		if err != nil {
			return nil, sysctl.Wrap(err, "give the layer's files their ids")
		}
		st.host = &m
		for i, p := range passes(m) {
			if err := shiftTree(ctx, st.own(), p.forth, all, atLevel(passes(m), i+1)); err != nil {
				return nil, sysctl.Wrap(err, "give the layer's files their ids")
			}
		}
	}
	return st.store.OpenDisk(ctx, disk, sysctl.IDMap{})
}

// shiftBack gives a tree that was opened as an instance's root the guest's ids back. Nobody has it open any more.
func (st *Staging) shiftBack(ctx context.Context) error {
	if len(st.below) > 0 {
		return st.store.setIDs(ctx, st.dir, sysctl.IDMap{}, nil)
	}
	if st.host == nil {
		return nil
	}
	// The instance may have made other set-id files than there were.
	all, err := findSpecial(ctx, st.own(), toGuest(*st.host), asIs)
	if err != nil {
		return err
	}
	steps := passes(*st.host)
	for i := len(steps) - 1; i >= 0; i-- {
		if err := shiftTree(ctx, st.own(), steps[i].back, all, atLevel(steps, i)); err != nil {
			return err
		}
	}
	st.host = nil
	return nil
}

// Reopen makes Dir and Tree what they were before Own or OpenRoot, as soon as nobody has what OpenRoot has
// opened. It is idempotent.
func (st *Staging) Reopen(ctx context.Context) error {
	if err := st.leave(); err != nil {
		return sysctl.Wrap(err, "stage layer")
	}
	if err := st.shiftBack(ctx); err != nil {
		return sysctl.Wrap(err, "give the layer's files their ids back")
	}
	if len(st.below) == 0 {
		return nil
	}
	f, err := whenFree(ctx, func() (*os.File, error) { return st.store.stack(st.dir, st.below, sysctl.IDMap{}) })
	if err != nil {
		return sysctl.Wrap(err, "mount the layer's tree")
	}
	defer f.Close()
	return st.stand(int(f.Fd()))
}

// leave closes the mount that shows the layers below. Its descriptor stays, as Dir names it, open on a file, below which
// nothing is found and nothing made.
func (st *Staging) leave() error {
	if len(st.below) == 0 || st.tree == nil {
		return nil
	}
	return st.stand(int(st.lock.Fd()))
}

// stand puts what fd is open on in the place of the tree's root.
func (st *Staging) stand(fd int) error {
	return unix.Dup3(fd, int(st.tree.root.Fd()), unix.O_CLOEXEC)
}

// settle makes of a tree over others a directory of what it has itself, fs.
func (st *Staging) settle(ctx context.Context) error {
	if len(st.below) > 0 {
		if err := st.tree.Close(); err != nil { // unmounts
			return err
		}
		st.tree = nil
	}
	if err := st.shiftBack(ctx); err != nil { // where it was an instance's root and not opened again
		return err
	}
	if len(st.below) == 0 {
		return nil
	}
	if err := removeTree(ctx, st.work()); err != nil {
		return err
	}
	own := st.own()
	st.below = nil
	return os.Rename(own, st.own())
}
