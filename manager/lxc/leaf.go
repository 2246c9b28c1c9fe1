package lxc

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/sysctl-os/sysctl"
	"golang.org/x/sys/unix"
)

// lookCgroups finds a guest's cgroups. A hierarchy that was mounted after the guest's start has none of it, and
// one of a guest that has ended is gone: then its init is too, and nobody can enter.
func (rt *Runtime) lookCgroups(e *entry, id int64, init sysctl.Process) error {
	if rt.cgroups.pure() {
		e.cgroup = filepath.Join(rt.cgroups.v2, rt.paths.GuestCgroup(id))
		return rt.lookNamed(e, id, init)
	}
	for _, h := range rt.cgroups.all {
		dir := filepath.Join(h, rt.paths.GuestCgroup(id))
		if h == rt.cgroups.v2 {
			e.cgroup = dir
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		e.tasks = append(e.tasks, f)
	}
	return nil
}

// leaves is how many names are tried: a guest can make any of them one that no process may be born in.
const leaves = 10

// spoilt are the errors of clone3 into such a cgroup (cgroup-v2.rst: it distributes resources, is threaded) and into
// one that the guest removes at that moment.
func spoilt(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV)
}

// openLeaf opens the n-th child of a guest's cgroup that is for what we start. A cgroup v2 that gives controllers to its
// children holds no processes itself, and a guest's init makes its root one. The child is the
// guest's to manage as its root is. It returns nil where there is no such cgroup.
func openLeaf(parent string, n int) (*os.File, error) {
	if parent == "" {
		return nil, nil
	}
	dir := filepath.Join(parent, ".exec")
	if n > 0 {
		dir += "-" + strconv.Itoa(n)
	}
	var err error
	for range leaves { // the guest may remove it between any two steps
		err = os.Mkdir(dir, 0o755)
		if err == nil {
			err = ownLike(parent, dir)
		}
		if err == nil || errors.Is(err, os.ErrExist) {
			var f *os.File
			if f, err = os.Open(dir); err == nil {
				return f, nil
			}
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if _, gone := os.Stat(parent); errors.Is(gone, os.ErrNotExist) {
			return nil, nil
		}
	}
	return nil, err
}

// ownLike gives a cgroup to the owner of its parent: the directory and the files that cgroup-v2.rst delegates.
func ownLike(parent, dir string) error {
	for _, name := range []string{".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		info, err := os.Stat(filepath.Join(parent, name))
		if err != nil {
			return err
		}
		st, path := info.Sys().(*syscall.Stat_t), filepath.Join(dir, name)
		if err := errors.Join(os.Lchown(path, int(st.Uid), int(st.Gid)), os.Chmod(path, info.Mode().Perm())); err != nil {
			return err
		}
	}
	return nil
}
